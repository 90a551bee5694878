# SPDX-License-Identifier: Apache-2.0
"""An installed copy of everything that suites and benches touch, in a directory of its own."""
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def copy_programs(source, target):
    target.mkdir()
    for path in sorted(source.glob("*")):
        if path.is_file() and os.access(path, os.X_OK):
            shutil.copy(path, target / path.name)


def install(stage):
    """The product at its place below the stage, and the files of its tests."""
    stage.chmod(0o755)
    subprocess.run(["meson", "install", "-C", ROOT / "build", "--no-rebuild", "--quiet", "--strip",
                    "--destdir", stage], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    installed = next(stage.rglob("bin/atoll"), None)
    wanted = stage / "usr/local/bin/atoll"
    if installed and installed != wanted:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(installed, wanted)
    for name in ("tests", "examples"):
        shutil.copytree(ROOT / name, stage / name,
                        ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copy(ROOT / "README.md", stage / "README.md")


def everybody(stage):
    """Everybody may read what is there."""
    subprocess.run(["chmod", "-R", "go=u,go-w", stage], check=True)
