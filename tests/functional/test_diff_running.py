# SPDX-License-Identifier: Apache-2.0
"""atoll diff of a sandbox that runs: what is different at this moment, whatever the payload does meanwhile."""
import json
import subprocess
import time

import pytest

from harness import runner
from functional.test_copy import picture, write

SECRET = "of-nobody-inside"


@pytest.fixture
def tree(atoll):
    root = atoll.base / "project"
    write(root / "a", "one\ntwo\n")
    write(root / "sub/b", "b\n")
    write(root / "gone", "x\n")
    time.sleep(0.05)  # what is older than the start is not what changed since
    return root


def changes(box, *words):
    result = box.atoll.tool("diff", "--json", box.id, *words)
    assert result.status == 0, result
    return json.loads(result.out)


def kinds(document):
    return {c["path"]: c["kind"] for c in document["changes"]}


@pytest.mark.parametrize("by", ["overlay", "files"])
def test_what_is_different_now(live, atoll, tree, by):
    before = picture(tree)
    box = live("--workspace", f"{tree}:copy", "--copy-by", by)
    assert changes(box)["changes"] == []
    assert box.shell(f"cd {tree}; echo more >>a; rm gone; mv sub/b sub/c").status == 0
    document = changes(box)
    assert document["running"] is True and document["workspace"] == str(tree)
    expected = {"a": "modified", "gone": "deleted", "sub/c": "renamed"}
    assert kinds(document) == expected
    shown = atoll.tool("diff", "-p", box.id)
    assert shown.status == 0 and "+more\n" in shown.out, shown
    assert f"sandbox {box.id} is running: this is what is different now" in shown.err
    assert kinds(changes(box, "a")) == {"a": "modified"}
    assert box.shell(f"cd {tree}; echo n >new").status == 0
    assert kinds(changes(box)) == {**expected, "new": "added"}
    refused = atoll.tool("apply", box.id)
    assert refused.status == 125 and "is running" in refused.err, refused
    assert picture(tree) == before
    assert atoll.tool("stop", box.id).status == 0
    document = changes(box)
    assert document["running"] is False and kinds(document) == {**expected, "new": "added"}


def test_while_it_is_paused(live, atoll, tree):
    """Held still, by whoever may: it is the same sandbox to look at."""
    box = live("--workspace", f"{tree}:copy")
    assert box.shell(f"echo n >{tree}/new").status == 0
    paused = atoll.tool("pause", box.id).status == 0
    assert kinds(changes(box)) == {"new": "added"}
    if paused:
        assert runner.eventually(lambda: atoll.tool("resume", box.id).status == 0)


@pytest.mark.parametrize("mode", ["none", "read-only", "direct"])
def test_one_without_a_copy(live, atoll, tree, mode):
    box = live("--workspace", f"{tree}:{mode}")
    result = atoll.tool("diff", box.id)
    assert result.status == 125 and "is running: it has no copy of a workspace" in result.err, result


def test_of_a_run(atoll, tree):
    process = atoll.start("/bin/sh", "-c", "echo n >new; echo ready; sleep 600",
                          options=("--workspace", f"{tree}:copy"))
    assert process.stdout.readline() == b"ready\n"
    [box] = atoll.tool("ps", "--quiet").out.split()
    assert atoll.tool("diff", "--name-only", box).out == "new\n"
    assert atoll.tool("rm", "--force", box).status == 0
    process.communicate(timeout=20)


# Every kind of thing in each place, one after the other, with what leads out.
TURMOIL = """
import os, shutil, sys
os.chdir(sys.argv[1])
print('go', flush=True)
n = 0
while True:
    n += 1
    for name in ('a', 'sub', 'sub/b', 'new', 'deep/er'):
        for make in (lambda p: open(p, 'w').write('x' * (n % 5000)), os.mkdir, os.mkfifo, lambda p: os.symlink(sys.argv[2], p),
                     lambda p: os.symlink('../../../../../../..' + sys.argv[2], p), lambda p: os.truncate(p, 0)):
            try:
                if os.path.isdir(name) and not os.path.islink(name): shutil.rmtree(name, True)
                elif n % 3: os.unlink(name)
            except OSError: pass
            try: os.makedirs(os.path.dirname(name) or '.', exist_ok=True); make(name)
            except OSError: pass
"""


@pytest.mark.parametrize("by", ["overlay", "files"])
def test_a_payload_that_changes_everything_meanwhile(live, atoll, tree, by):
    """It is looked at by descriptors: nothing outside is shown, nothing is waited for, nothing crashes."""
    outside = atoll.base / "outside"
    write(outside / "b", SECRET)
    write(outside / "secret", SECRET)
    before = picture(tree)
    box = live("--workspace", f"{tree}:copy", "--copy-by", by)
    process = box.start("/usr/bin/python3", "-c", TURMOIL, str(tree), str(outside))
    assert process.stdout.readline() == b"go\n"
    seen = []
    for turn in range(60):
        words = [("-p",), ("--json",), ("--stat",), ("--no-renames", "-p")][turn % 4]
        result = subprocess.run([atoll.binary, "diff", *words, box.id], env=atoll.environment(), timeout=60,
                                capture_output=True, check=False)
        assert SECRET.encode() not in result.stdout + result.stderr, result
        assert result.returncode == 0 or (result.returncode == 125 and b"atoll pause" in result.stderr), result
        seen.append(result.returncode)
    assert seen.count(0) >= 20, seen
    process.kill()
    process.wait()
    assert picture(tree) == before


def test_one_that_ends_meanwhile(live, atoll, tree):
    """Whichever moment: it is shown as it runs, or as what it has left."""
    said = set()
    for turn in range(12):
        box = live("--workspace", f"{tree}:copy")
        assert box.shell(f"echo n >{tree}/new").status == 0
        stop = subprocess.Popen([atoll.binary, "stop", box.id], env=atoll.environment())
        time.sleep(turn * 0.001)
        result = atoll.tool("diff", "--name-only", box.id)
        assert stop.wait(timeout=20) == 0
        assert (result.status == 0 and result.out == "new\n") or \
            (result.status == 125 and ("is ending" in result.err or "is running, or" in result.err)), result
        said.add((result.status, "is running" in result.err))
        assert kinds(changes(box)) == {"new": "added"}
        assert atoll.tool("discard", box.id).status == 0
    assert any(status == 0 for status, _ in said)
