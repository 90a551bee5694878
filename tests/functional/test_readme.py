# SPDX-License-Identifier: Apache-2.0
"""The sessions in the README are run: what it shows is what happens."""
import os
import pathlib
import re
import subprocess

import pytest

README = pathlib.Path(__file__).resolve().parent.parent.parent / "README.md"


def sessions():
    """(command, expected output) of every prompt in a console block."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README.read_text(), re.S):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = step.partition("\n")
            found.append((command, output.strip("\n")))
    return found


@pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")
@pytest.mark.parametrize("command, expected", sessions() if README.exists() else [])
def test_session(command, expected, atoll, base):
    bin_dir = pathlib.Path(os.environ["ATOLL_BIN"]).parent
    home = base / "home"
    workspace = base / "workspace"
    home.mkdir(mode=0o700)
    workspace.mkdir()
    done = subprocess.run(["/bin/sh", "-c", command], cwd=workspace, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={"PATH": f"{bin_dir}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home),
                               "ATOLL_HOME": str(home / "atoll")})
    said = [line for line in done.stdout.strip("\n").split("\n") if not line.startswith("atoll: note:")]
    said = [line.replace(str(workspace), "/home/me/project") for line in said]
    said = [re.sub(r"s-[a-z0-9]{10}", "s-k3m9w2xqzr", line) for line in said]
    assert "\n".join(said) == expected
