# SPDX-License-Identifier: Apache-2.0
"""Attacks on copies of workspaces: from inside, from a second sandbox, by what the original holds."""
import ctypes
import os
import stat
import subprocess
import threading
import time

import pytest

from functional.test_copy import SECOND, Copy, picture, write
from harness import runner

AT_FDCWD = -100
RENAME_EXCHANGE = 2
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def copy(atoll):
    yield Copy(atoll)
    # Trees that deny us, and that are too deep for Python.
    subprocess.run(["chmod", "-R", "u+rwx", atoll.base], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", atoll.base], check=True)


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def python(copy, script, *options, **how):
    """Runs a script of Python's in a copy."""
    before = set(copy.kept())
    result = copy.atoll.run("/usr/bin/python3", "-c", script, cwd=copy.root,
                            options=("--workspace", f"{copy.root}:copy", *options), **how)
    new = set(copy.kept()) - before
    copy.id = new.pop() if new else None
    return result


# ---- what a payload does to the directory that is its workspace, and to the disk it is on ----

@pytest.mark.parametrize("denied", ["000", "300", "500", "1777"])
def test_a_workspace_without_rights_can_be_kept_and_removed(copy, world, denied):
    copy.tree()
    result = copy.run(f"echo x >new; mkdir -m 0 shut; chmod {denied} .; exec sleep 0.6")
    assert result.status == 0, result
    assert [*copy.changes()] == ["new", "shut"]
    assert copy.tool("discard").status == 0 and copy.state() == []


FILL = """
import os
try:
    with open('big', 'wb', 0) as f:
        while True:
            f.write(b'x' * 65536)
except OSError:
    pass
os.unlink('big') if not {keep} else None
try:
    for i in range(100000):
        open('f%d' % i, 'w').close()
except OSError:
    pass
"""


def test_a_full_disk(copy, need_root):
    """The copy is kept all the same, can be looked at, and goes."""
    copy.tree()
    script = f"""
        mount -t tmpfs -o size=4m,nr_inodes=2000,mode=755 tmpfs "$ATOLL_HOME"
        cd "$1"
        "$0" run --quiet --workspace .:copy -- /usr/bin/python3 -c "$2"
        id=$("$0" ps --kept --quiet) && "$0" diff --name-only "$id" >/dev/null && "$0" discard "$id" &&
        ls "$ATOLL_HOME/sandboxes" | wc -l
        """
    copy.atoll.home.mkdir()
    result = runner.capture(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script,
                             copy.atoll.binary, copy.root, FILL.format(keep=True)],
                            env=copy.atoll.environment())
    if "no copy of the workspace can be made here" in result.err:
        pytest.skip("this kernel translates no owners on tmpfs")
    assert (result.out, result.status) == ("0\n", 0), result


# ---- a second sandbox that shares the workspace, while changes are taken over ----

def exchange(a, b):
    return libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE) == 0


def stage_of(root):
    return next((p for p in root.glob(".atoll-apply-*")), None)


@pytest.mark.parametrize("rounds", [1, pytest.param(30, marks=pytest.mark.long)])
def test_links_in_the_staging_directory_are_not_followed(copy, rounds):
    """Each directory that apply makes is exchanged for a link, right behind its making."""
    copy.tree()
    victim = copy.atoll.base / "victim"
    victim.mkdir(mode=0o500)
    victim.chmod(0o500)
    python(copy, "import os\nfor i in range(4000): os.mkdir('d%d' % i, 0o755)")
    stop, done = threading.Event(), []

    def attack():
        while not stop.is_set():
            stage = stage_of(copy.root)
            if not stage:
                continue
            links, k = copy.atoll.base / f"links{len(done)}", 10
            links.mkdir()
            while stage.exists() and not stop.is_set() and k < 4000:
                link, name = links / f"l{k}", stage / f"n{k}"
                link.symlink_to(victim)
                a, b = os.fsencode(link), os.fsencode(name)
                while libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0:
                    if not os.path.exists(stage):
                        break
                else:
                    done.append(k)
                k += 40

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        for _ in range(rounds):
            copy.tool("apply", "--keep")
            assert mode(victim) == 0o500, (len(done), done[-5:])
            for path in copy.root.iterdir():
                subprocess.run(["rm", "-rf", path], check=True)
    finally:
        stop.set()
        thread.join()
    assert done, "nothing was ever exchanged: the race proves nothing"


def test_written_to_while_changes_are_staged(copy):
    """What somebody writes into a file in its place, between the look and the exchange, stays."""
    copy.tree()
    copy.run("echo theirs >>a; dd if=/dev/urandom of=z bs=1M count=96 2>/dev/null; echo b >>kept; rm sub/b")
    for name in ("a", "sub/b"):
        applying = subprocess.Popen([copy.atoll.binary, "apply", "--keep", copy.id], env=copy.atoll.environment(),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            assert runner.eventually(lambda: stage_of(copy.root))
            with open(copy.root / name, "a") as f:
                f.write("mine\n")
        finally:
            said = applying.communicate()[1].decode()
        assert applying.returncode == 125 and "it changed meanwhile" in said, said
        assert (copy.root / name).read_text().endswith("mine\n")
        assert not (copy.root / "z").exists() and stage_of(copy.root) is None
        # Now it is a conflict.
        assert f"{name}: conflict: it was changed outside" in copy.tool("apply").err
        copy.tool("discard")
        copy.run("echo theirs >>a; dd if=/dev/urandom of=z bs=1M count=96 2>/dev/null; rm sub/b")


def test_something_else_under_the_name_of_the_staging_directory(copy):
    """It is left alone, and keeps nobody from looking and throwing away."""
    copy.tree()
    copy.run("echo x >>a")
    name = copy.root / f".atoll-apply-{copy.id}"
    victim = copy.atoll.base / "victim"
    write(victim / "file")
    for make in (lambda: name.symlink_to(victim), lambda: name.write_text("mine"), lambda: os.mkfifo(name)):
        make()
        assert copy.tool("diff").status == 0
        refused = copy.tool("apply")
        assert refused.status == 125 and "cannot make" in refused.err, refused
        assert os.path.lexists(name) and (victim / "file").exists()
        assert (copy.root / "a").read_text() == "one\ntwo\n"
        name.unlink()
    name.symlink_to(victim)
    assert copy.tool("discard").status == 0 and copy.state() == [] and (victim / "file").exists()


# ---- what the original holds ----

def test_another_mode_stays_in_the_workspace(copy):
    """A file with a name outside, as package managers make them: the other name keeps its mode."""
    copy.tree()
    outside = copy.atoll.base / "store"
    write(outside / "lib", "shared\n", 0o640)
    os.link(outside / "lib", copy.root / "lib")
    write(copy.root / "own", "own\n", 0o640)
    os.link(copy.root / "own", copy.root / "own2")
    time.sleep(SECOND)
    copy.run("chmod 777 lib; chmod 755 own; chmod 755 sub")
    done = copy.tool("apply")
    assert done.status == 0, str(done)
    assert mode(outside / "lib") == 0o640 and mode(copy.root / "lib") == 0o777
    assert mode(copy.root / "own") == 0o755 and mode(copy.root / "own2") == 0o640
    assert (copy.root / "lib").read_text() == "shared\n"


def interrupted(copy):
    """An apply that was killed with its journal written, and not yet through."""
    copy.run("for i in $(seq 1000); do echo $i >f$i; done; echo x >>a; rm -r gone")
    home = copy.atoll.home / "sandboxes" / copy.id
    applying = subprocess.Popen([copy.atoll.binary, "apply", copy.id], env=copy.atoll.environment(),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (home / "apply.json").exists() and applying.poll() is None:
            pass
    finally:
        applying.kill()
        applying.wait()
    return (home / "apply.json").exists()


@pytest.mark.parametrize("gone", ["stage", "workspace"])
def test_an_interrupted_apply_can_be_thrown_away(copy, gone):
    """Also when what it had staged is gone (git clean takes it), or the workspace as a whole."""
    copy.tree()
    assert any(interrupted(copy) for _ in range(5))
    refused = copy.tool("discard")
    assert refused.status == 125 and "was interrupted" in refused.err
    subprocess.run(["rm", "-rf", stage_of(copy.root) if gone == "stage" else copy.root], check=True)
    if gone == "stage":
        assert copy.tool("apply", "--undo").status == 125 and copy.tool("diff").status == 125
    done = copy.tool("discard")
    assert done.status == 0 and copy.id not in copy.state(), done


def test_the_name_of_another_staging_directory(copy):
    """Nothing is taken over to where the next diff of another copy would remove it."""
    copy.tree()
    copy.run("echo x >>a")
    other = copy.id
    copy.run(f"mkdir .atoll-apply-{other}; cp a .atoll-apply-{other}/b; mv kept .atoll-apply-x; echo >.atoll-applied")
    refused = copy.tool("apply")
    assert refused.status == 1 and refused.err.count("conflict: the name is one that apply itself uses") == 3
    assert copy.tool("apply", ".atoll-applied").status == 0
    assert copy.atoll.tool("discard", copy.id, other).status == 0


# ---- what a payload makes of its copy ----

ODD = r"""
import os, socket
def try_(f, *a, **k):
    try:
        f(*a, **k)
        return True
    except OSError:
        return False
for name in ('opaque', 'redirect', 'metacopy', 'origin', 'whiteout', 'whiteouts', 'upper'):
    try_(os.setxattr, 'sub', 'user.overlay.' + name, b'y')
    try_(os.setxattr, 'a', 'user.overlay.' + name, b'/sub/b')
    try_(os.setxattr, '.', 'user.overlay.' + name, b'x')
for kind in (0o020644, 0o060644):
    for device in (0, os.makedev(1, 3), os.makedev(8, 0)):
        if try_(os.mknod, 'node', kind, device):
            print('made a device')
for link in ('/etc', '/etc/passwd', '../../..', 'sub/../..', '.git/hooks', '/proc/self/root'):
    os.symlink(link, 'to-' + link.replace('/', '_'))
os.mkfifo('fifo')
socket.socket(socket.AF_UNIX).bind('socket')
os.makedirs('shut/in/deep')
open('shut/in/file', 'w').write('x')
for name in ('shut/in/file', 'shut/in/deep', 'shut/in', 'shut'):
    os.chmod(name, 0)
with open('sparse', 'wb') as f:
    f.truncate(1 << 30)
    f.seek(1 << 29)
    f.write(b'x')
for name in ('kept.json', 'sandbox.json', 'apply.json', 'touched.json', '.kept.json', 'copy', 'upper', 'work',
             '-rf', '--undo', ' ', '\n', '\x1b]0;x\x07', '\u202e', '...', '.. ', 'x' * 255):
    open(name, 'w').close()
if try_(os.chmod, 'a', 0o6777):
    print('set an id')
os.chmod('a', 0o777)
"""


def test_what_an_overlay_obeys_is_out_of_reach(copy, world):
    """Marks of overlayfs, devices, and everything odd: seen as what it is, and it goes."""
    before = copy.tree()
    victim = copy.atoll.base / "victim"
    write(victim / "file")
    result = python(copy, ODD)
    assert result.status == 0 and result.out == "", str(result)
    assert picture(copy.root) == before
    found = copy.changes()
    assert not [c for c in found.values() if c["kind"] == "deleted"], found
    assert {"sub", "sub/b"}.isdisjoint(found) and found["a"]["kind"] == "mode"
    assert found["shut/in/file"]["kind"] == "added" and found["sparse"]["after"]["size"] == 1 << 30
    upper = copy.atoll.home / "sandboxes" / copy.id / "copy/upper"
    marks = ("user.overlay.opaque", "user.overlay.redirect", "user.overlay.metacopy", "user.overlay.whiteout")
    for path in (upper, upper / "sub", upper / "a"):
        assert not path.exists() or not set(os.listxattr(path)) & set(marks), path
    refused = copy.tool("apply")
    assert refused.status == 1 and refused.err.count(": link-outside: ") == 5
    assert picture(copy.root) == before
    done = copy.atoll.tool("apply", copy.id, "--", "shut", "kept.json", "-rf", "x" * 255)
    assert done.status == 0, str(done)
    assert mode(copy.root / "shut") == 0 and (copy.root / "-rf").exists()
    (copy.root / "shut").chmod(0o700)
    (copy.root / "shut/in").chmod(0o700)
    assert mode(copy.root / "shut/in/file") == 0
    assert copy.tool("discard").status == 0 and copy.state() == [] and (victim / "file").exists()


def test_ten_thousand_levels(copy):
    """Looked at, refused where a path is too long, and thrown away."""
    copy.tree()
    result = python(copy, "import os\nfor i in range(10000):\n    os.mkdir('d', 0o300)\n    os.chdir('d')\n"
                    "open('f', 'w').close()")
    assert (result.status, result.reason) in ((0, None), (0, "exited"), (137, "limit:copy")), result
    if copy.id:
        assert copy.tool("diff", "--name-only").status == 0
        refused = copy.tool("apply")
        assert refused.status in (0, 1), refused
        assert copy.id not in copy.kept() or copy.tool("discard").status == 0
    assert copy.state() == []


FLOOD = """
import os, time
for i in range(50):
    os.mkdir('m%d' % i)
    for k in range(1000):
        os.mknod('m%d/f%d' % (i, k))
time.sleep(1.5)
block, written = b'z' * (8 << 20), 0
with open('big', 'wb', 0) as f:
    while written < 1000 and f.write(block):
        written += 8
        print(written, flush=True)
"""


def test_many_files_are_no_way_to_write_unseen(copy):
    """They make a look at the copy long, and the next one late; what is written meanwhile shows."""
    copy.tree()
    result = python(copy, FLOOD, "--copy", "210MiB")
    assert (result.status, result.reason) == (137, "limit:copy"), str(result)
    assert int(result.out.split()[-1]) < 700
    assert copy.tool("discard").status == 0 and copy.state() == []
