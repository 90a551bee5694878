# SPDX-License-Identifier: Apache-2.0
"""atoll cp: files into a sandbox that lives, and out of it."""
import hashlib
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import runner


def cp(box, *words):
    return box.atoll.tool("cp", *words)


def tree(root):
    """What there is below it: {path: what it is}."""
    found = {}
    for path in sorted(root.rglob("*")):
        st = path.lstat()
        found[str(path.relative_to(root))] = (
            os.readlink(path) if stat.S_ISLNK(st.st_mode) else
            (st.st_mode & 0o777, path.read_bytes()) if stat.S_ISREG(st.st_mode) else "directory")
    return found


@pytest.fixture
def source(base):
    """A project: files, modes, an odd name, links inside."""
    root = base / "source"
    (root / "deep/er").mkdir(parents=True)
    (root / "text").write_text("text\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "deep/er/bytes").write_bytes(os.urandom(300_000))
    (root / "empty").touch()
    (root / "odd \n name").write_text("odd\n")
    (root / "deep/link").symlink_to("../text")
    return root


def test_there_and_back(live, source, base):
    box = live()
    assert cp(box, source, f"{box.id}:/tmp").status == 0
    assert box.run("/tmp/source/run").status == 0
    assert box.shell("stat -c %U:%a /tmp/source/text; cat /tmp/source/deep/link").out.split()[1:] == ["text"]
    assert cp(box, f"{box.id}:/tmp/source", base / "back").status == 0
    assert tree(base / "back") == tree(source)
    assert cp(box, f"{box.id}:/tmp/source", base / "back").status == 0
    assert tree(base / "back/source") == tree(source), "into a directory that is there"
    (base / "here").mkdir()
    assert cp(box, f"{box.id}:/tmp/source/.", base / "here").status == 0
    assert tree(base / "here") == tree(source), "what is in it, not itself"


def test_one_file(live, source, base):
    box = live("--name", "work")
    assert cp(box, source / "text", "work:/tmp/other").status == 0
    assert box.run("cat", "/tmp/other").out == "text\n"
    assert cp(box, source / "run", "work:/tmp/").status == 0
    assert box.run("/tmp/run").status == 0
    assert cp(box, "work:/tmp/other", base / "one").status == 0
    assert (base / "one").read_text() == "text\n"
    (base / "one").write_text("old and longer\n")
    assert cp(box, "work:/tmp/other", base / "one").status == 0
    assert (base / "one").read_text() == "text\n", "replaced as a whole"
    assert os.listdir(base / "source") and not [n for n in os.listdir(base) if n.startswith(".atoll-cp")]


def test_large_and_unlogged(live, base):
    box = live()
    data = os.urandom(20 << 20)
    (base / "big").write_bytes(data)
    assert cp(box, base / "big", f"{box.id}:/tmp/big").status == 0
    assert box.run("sha256sum", "/tmp/big").out.split()[0] == hashlib.sha256(data).hexdigest()
    assert cp(box, f"{box.id}:/tmp/big", base / "back").status == 0
    assert (base / "back").read_bytes() == data
    assert box.inspect()["log"]["bytes"] == len(f"{'0' * 64}  /tmp/big\n"), "files are no output to be kept"
    assert [e["data"]["argv"][:2] for e in box.events() if e["event"] == "exec"] == [
        ["atoll-copy", "in"], ["sha256sum", "/tmp/big"], ["atoll-copy", "out"]]


def test_within_the_limit_of_output(live, base):
    box = live("--output", "1MiB")
    box.shell("head -c 3000000 /dev/zero >/tmp/big")
    result = cp(box, f"{box.id}:/tmp/big", base / "big")
    assert result.status == 137 and "output limit" in result.err
    assert not (base / "big").exists() and not [n for n in os.listdir(base) if n.startswith(".atoll-cp")]


def test_the_workspace_that_is_a_copy(live, atoll, base):
    box = live("--workspace", ".:copy")
    (base / "new").write_text("new\n")
    assert cp(box, base / "new", f"{box.id}:new").status == 0, "relative to the workspace"
    assert not (atoll.workspace / "new").exists()
    atoll.tool("stop", box.id)
    assert atoll.tool("diff", "--name-only", box.id).out == "new\n"


# ---- what is refused, and what is left out ----

def test_rights_are_the_payloads(live, atoll, base):
    box = live()
    secret = base / "secret"
    secret.write_text("secret\n")
    assert "No such file" in cp(box, f"{box.id}:{secret}", base / "x").err
    result = cp(box, source_of(base), f"{box.id}:/usr/bin/ls")
    assert result.status == 1 and "Read-only file system" in result.err
    assert not (base / "x").exists()


def source_of(base):
    path = base / "some"
    path.write_text("x\n")
    return path


def test_what_is_left_out_is_said(live, base, source):
    box = live()
    (source / "away").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    into = cp(box, source, f"{box.id}:/tmp")
    assert into.status == 1 and "'pipe' is no file, directory or link" in into.err
    assert box.shell("readlink /tmp/source/away").out == "/etc/passwd\n", "inside it leads where it may"
    out = cp(box, f"{box.id}:/tmp/source", base / "back")
    assert out.status == 1 and "'away' is a link that could lead out of what is copied" in out.err
    assert not (base / "back/away").is_symlink() and (base / "back/text").exists()
    assert cp(box, "--quiet", f"{box.id}:/tmp/source", base / "back2").err == ""
    document = json.loads(cp(box, "--quiet", "--json", "-", f"{box.id}:/tmp/source", base / "back3").out)
    assert document["left_out"] == 1 and document["copied"]["files"] == 5 and document["copied"]["links"] == 1
    many = base / "many"
    many.mkdir()
    for i in range(60):
        os.mkfifo(many / str(i))
    said = cp(box, many, f"{box.id}:/tmp").err.splitlines()
    assert len(said) == 51 and said[-1] == "atoll: and 10 more"


@pytest.mark.parametrize("words, message", [
    ((), "it takes SANDBOX:PATH and a path here"),
    (("a",), "it takes SANDBOX:PATH and a path here"),
    (("a", "b"), "it takes SANDBOX:PATH and a path here"),
    (("x:a", "y:b"), "it takes SANDBOX:PATH and a path here"),
    (("x:", "b"), "a path is missing behind 'x:'"),
    (("x:a", ""), "a path is missing"),
    (("no-such:a", "b"), "there is no sandbox 'no-such'"),
])
def test_words(atoll, words, message):
    result = atoll.tool("cp", *words)
    assert result.status == 125 and message in result.err, result


def test_paths_that_are_not_there(live, base):
    box = live()
    assert "cannot open" in cp(box, base / "nothing", f"{box.id}:/tmp").err
    assert "cannot open" in cp(box, f"{box.id}:/tmp", base / "no/such/place").err
    missing = cp(box, f"{box.id}:/no/such", base / "x")
    assert missing.status == 1 and "'/no/such': No such file or directory" in missing.err
    nowhere = cp(box, source_of(base), f"{box.id}:/no/such/place")
    assert nowhere.status == 125 and "No such file or directory" in nowhere.err
    assert not (base / "x").exists()
    colon = base / "with:colon"
    colon.write_text("x\n")
    assert cp(box, colon, f"{box.id}:/tmp/c").status == 0, "a slash before it"


def test_nothing_of_ours_is_heard_inside(live, base, source):
    box = live()
    assert cp(box, source, f"{box.id}:/tmp").status == 0
    [event] = [e for e in box.events() if e["event"] == "exec"]
    assert event["data"]["argv"] == ["atoll-copy", "in", "/tmp", "source"]


# ---- the payload in the way ----

def test_a_link_in_a_direct_workspace(live, atoll, base):
    """What the payload may have put there is not followed on this side."""
    outside = base / "outside"
    outside.mkdir()
    (outside / "key").write_text("secret\n")
    box = live("--workspace", ".:direct")
    box.shell(f"ln -s {outside} door; ln -s {outside}/key key; echo planted >/tmp/planted")
    for here in (atoll.workspace / "door", atoll.workspace / "door/planted", atoll.workspace / "key"):
        out = cp(box, f"{box.id}:/tmp/planted", here)
        assert out.status in (0, 125) and sorted(os.listdir(outside)) == ["key"], out
    assert (outside / "key").read_text() == "secret\n"
    into = cp(box, atoll.workspace / "door/key", f"{box.id}:/tmp/got")
    assert into.status == 125 and "leads through a link in the workspace" in into.err
    assert box.run("cat", "/tmp/got").status == 1


def test_a_new_name_beside_a_direct_workspace(live, atoll, base):
    """What is not there yet can be made, in the workspace and outside."""
    box = live("--workspace", ".:direct")
    box.shell("echo x >/tmp/x")
    for here in (base / "new", atoll.workspace / "new", "relative"):
        result = cp(box, f"{box.id}:/tmp/x", here)
        assert result.status == 0 and (atoll.workspace / here).read_text() == "x\n", result


def test_a_report_in_a_direct_workspace(live, atoll, base):
    """Nor is a link that the payload has put where the report goes."""
    mine = base / "mine"
    mine.write_text("mine\n")
    (base / "x").touch()
    box = live("--workspace", ".:direct")
    box.shell(f"ln -s {mine} result.json; echo x >/tmp/x")
    result = cp(box, "--json", "result.json", f"{box.id}:/tmp/x", base / "x")
    assert result.status == 125 and "leads through the workspace" in result.err, result
    assert mine.read_text() == "mine\n"


# Looks for the copying command and writes into its standard output what it has not said.
FORGER = """
import os, struct, sys, time
def entry(op, name=b"", length=0):
    return struct.pack("<BBHIQ", ord(op), 0, len(name), 0o777, length) + name
lie = entry("D") + entry("F", b"../../escaped") + struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)
print("looking", flush=True)
done = 0
while not os.path.exists("/tmp/stop"):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{pid}/cmdline", "rb").read().startswith(b"atoll-copy"):
                fd = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)
                os.write(fd, lie)
                os.close(fd)
                done += 1
        except OSError:
            pass
print(done, flush=True)
"""


def test_a_payload_that_speaks_for_the_copier(live, base):
    """It can, for it is its own sandbox; all it gets is a copy that fails."""
    box = live("--session", f"{int(60 * runner.SLOW)}s")
    box.shell("mkdir /tmp/d; for i in 1 2 3; do head -c 20000000 /dev/zero >/tmp/d/$i; done")
    forger = box.start("/usr/bin/python3", "-c", FORGER)
    assert forger.stdout.readline() == b"looking\n"
    outcomes = set()
    for i in range(20):
        place = base / f"place/{i}"
        place.mkdir(parents=True)
        result = cp(box, f"{box.id}:/tmp/d", place)
        outcomes.add(result.status)
        assert result.status in (0, 1, 125), result
        assert not (base / "place/escaped").exists() and not (base / "escaped").exists()
    box.shell("touch /tmp/stop")
    # Root's pipes are not the payload's to open.
    spoken = int(forger.communicate(timeout=30)[0])
    assert (spoken > 0 and outcomes != {0}) if os.geteuid() != 0 else spoken == 0
    assert sorted(p.name for p in base.iterdir() if "escaped" in p.name) == []


def test_a_copier_that_is_killed_or_stopped(live, base):
    box = live("--session", "60s")
    box.shell("head -c 50000000 /dev/zero >/tmp/big")
    killer = box.start("/bin/sh", "-c", "echo go; while [ ! -e /tmp/stop ]; do pkill -9 -f ^atoll-copy; done; true")
    assert killer.stdout.readline() == b"go\n"
    results = []
    for _ in range(10):
        result = cp(box, f"{box.id}:/tmp/big", base / "big")
        results.append(result.status)
        assert result.status == 0 or not (base / "big").exists(), result
        (base / "big").unlink(missing_ok=True)
    box.shell("touch /tmp/stop")
    assert killer.wait(timeout=30) == 0 and set(results) != {0}, "nobody was killed"
    assert not [n for n in os.listdir(base) if n.startswith(".atoll-cp")]


def test_the_front_is_killed(live, base):
    """Nothing runs on, inside or outside."""
    box = live()
    box.shell("mkfifo /tmp/p; head -c 80000000 /dev/zero >/tmp/big")
    process = subprocess.Popen([box.atoll.binary, "cp", f"{box.id}:/tmp/big", base / "x"], env=box.atoll.environment())
    time.sleep(0.02)
    process.kill()
    process.wait()
    assert runner.eventually(lambda: box.inspect()["commands"] == [])
    assert not (base / "x").exists() or (base / "x").stat().st_size == 80000000


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_nothing_half_made_is_left(live, base, how):
    """Neither by the death of the front nor by Ctrl-C, which goes to all of its processes."""
    box = live()
    box.shell("head -c 80000000 /dev/zero >/tmp/big")
    place = base / "place"
    place.mkdir()
    for _ in range(10):
        process = subprocess.Popen([box.atoll.binary, "cp", f"{box.id}:/tmp/big", place / "x"], start_new_session=True,
                                   env=box.atoll.environment(), stderr=subprocess.DEVNULL)
        while not os.listdir(place) and process.poll() is None:
            pass
        if how == "killed":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) != 0 or (place / "x").exists()
        assert runner.eventually(lambda: not [n for n in os.listdir(place) if n != "x"]), os.listdir(place)
        (place / "x").unlink(missing_ok=True)


def test_paused_and_gone(live, base, atoll):
    box = live()
    atoll.tool("stop", box.id)
    result = cp(box, f"{box.id}:/tmp", base / "x")
    assert result.status == 125 and "there is no sandbox" in result.err


def test_a_destination_that_the_payload_cannot_choose(live, base):
    """A file where a directory is sent, a socket, a directory where a file is."""
    box = live()
    box.shell("mkdir -p /tmp/d/sub; echo x >/tmp/d/sub/f; echo y >/tmp/d/g")
    place = base / "place"
    (place / "d").mkdir(parents=True)
    (place / "d/sub").write_text("mine\n")
    (place / "d/g").mkdir()
    result = cp(box, f"{box.id}:/tmp/d", place)
    assert result.status == 1 and "'sub'" in result.err and "'g'" in result.err
    assert (place / "d/sub").read_text() == "mine\n" and (place / "d/g").is_dir()
    with socket.socket(socket.AF_UNIX) as s:
        os.chdir(place)
        s.bind("sock")
        assert "is no file, directory or link" in cp(box, place / "sock", f"{box.id}:/tmp").err
    os.chdir(pathlib.Path("/"))
