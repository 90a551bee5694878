# SPDX-License-Identifier: Apache-2.0
"""C1: every way of writing a path, given to what takes paths: cp in and out, diff, apply."""
import os

from harness import runner
from harness.arms import Check, NoOutcome

LINKS = r"""
ln -s "$1" abs; ln -s "$2" rel; ln -s abs chained; ln -s missing dangling; ln -s / root; ln -s /proc/self/root magic
mkdir d; ln -s ../abs d/up; ln -s "$1" "$(printf 'new\nline')"; ln -s "$1" "$(printf '\377')"; ln -s "$1" -- -rf
ln -s "${1%/*}" dir; echo mine >mine
"""


def spellings(secret, relative):
    """The same file outside, by every kind of name; the links are those of LINKS."""
    return [secret, relative, "abs", "rel", "chained", f"root{secret}", f"magic{secret}", f"/proc/self/root{secret}",
            f"/proc/1/root{secret}", f"/proc/self/cwd/{relative}", "./abs", ".//abs", "d/../abs", "d/up", "d//./up", "abs/",
            "abs/.", "dir/notes.txt", "new\nline", b"\xff", "./-rf", "./" * 2100 + "abs", "dangling", ".",
            "x" * 4097]


def outside(t, secret, names):
    """The careless program; returns what it can read."""
    runner.capture(["/bin/sh", "-c", LINKS, "sh", secret, names[1]], cwd=t.workspace)
    return [f"{name!r} was read" for name in names
            if t.canaries.secrets["a file that anybody may read"] in
            runner.capture(["/bin/cat", "--", name], cwd=t.workspace).out]


def paths(t):
    secret = str(t.canaries.files["a file that anybody may read"])
    token = t.canaries.secrets["a file that anybody may read"]
    before = t.canaries.files["a file that anybody may read"].read_bytes()
    names = spellings(secret, os.path.relpath(secret, t.workspace))
    if not t.sandboxed:
        through = outside(t, secret, names)
        if len(through) < 17:
            raise NoOutcome(f"only {through}")
        return through
    made = t.atoll.tool("create", "--workspace", f"{t.workspace}:copy")
    if made.status != 0:
        raise NoOutcome(str(made))
    box = made.out.strip()
    linked = t.atoll.tool("exec", box, "--", "/bin/sh", "-c", LINKS, "sh", secret, names[1])
    through, out, given = [], t.base / "out", t.base / "given"
    out.mkdir()
    given.write_text("given\n")
    for i, name in enumerate(names):
        word = os.fsencode(name)
        t.results.append(t.atoll.tool("cp", os.fsencode(box) + b":" + word, out / str(i)))
        t.results.append(t.atoll.tool("cp", given, os.fsencode(box) + b":" + word))
    own = t.atoll.tool("cp", f"{box}:d/../mine", out / "own")
    t.atoll.tool("stop", box)
    for name in names:
        for words in (["diff", "--patch"], ["apply", "--keep"]):
            t.results.append(t.atoll.tool(*words, box, "--", name))
    if linked.status != 0 or own.status != 0 or (out / "own").read_text() != "mine\n":
        raise NoOutcome(f"{linked} {own}")
    for directory, _, files in os.walk(out):
        through += [f"{name} came out" for name in files if token in (runner.text_of(os.path.join(directory, name)) or "")]
    # A link that leads nowhere is taken over as it is; one by which what is outside could be read is not.
    through += [f"{name} leads out of the workspace" for name in os.listdir(t.workspace)
                if token in (runner.text_of(t.workspace / name) or "")]
    if t.canaries.files["a file that anybody may read"].read_bytes() != before:
        through.append("the file outside was written")
    t.atoll.tool("discard", box)
    return through


CHECKS = [Check("C1-paths", paths)]
