# SPDX-License-Identifier: Apache-2.0
"""Copies whose size the kernel holds (`--limits group`): root's in an image, a user's on a tmpfs."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess

import pytest

from harness import groups, runner
from test_copy import AFTER_WORK, WORK, Copy, after_work, picture

LIMIT = 16 << 20
MECHANISM = {"image": "size of its image", "tmpfs": "tmpfs size"}


class Bounded(Copy):
    """As Copy, with the program behind `wrap`: as another user, in groups that are theirs."""

    def __init__(self, atoll, kind, wrap):
        super().__init__(atoll)
        self.kind, self.wrap = kind, wrap

    def tool(self, command, *words, **how):
        return self.command(command, *words, self.id, **how)

    def command(self, *words, **how):
        return runner.capture([*self.wrap, self.atoll.binary, *words], env=self.atoll.environment(), cwd=self.root,
                              **how)

    def kept(self):
        return self.command("ps", "--kept", "--quiet").out.split()

    def arguments(self, *words):
        return [*self.wrap, *map(str, self.atoll.arguments(words, (
            "--limits", "group", "--copy", str(LIMIT), "--workspace", f"{self.root}:copy")))]

    def run(self, script):
        before = set(self.kept())
        result = self.atoll.finish(runner.capture(self.arguments("/bin/sh", "-c", script), cwd=self.root,
                                                  env=self.atoll.environment()))
        self.id = next(iter(set(self.kept()) - before), None)
        return result


def give(path, user):
    for where, directories, files in os.walk(path):
        for name in (".", *directories, *files):
            os.chown(os.path.join(where, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


@pytest.fixture(params=["image", "tmpfs"])
def copy(request, atoll, need_root):
    if request.param == "image":
        yield Bounded(atoll, "image", ())
        return
    if groups.missing():
        pytest.skip(f"this host has no cgroup controller '{groups.missing()}'")
    user = pwd.getpwnam("nobody")
    with groups.given_to(user) as wrap:
        copy = Bounded(atoll, "tmpfs", wrap)
        os.chown(atoll.base, user.pw_uid, user.pw_gid)
        yield copy


def plant(copy):
    before = copy.tree()
    if copy.kind == "tmpfs":
        give(copy.root, pwd.getpwnam("nobody"))
    return before


def loops_of(place):
    """The loop devices whose file is below a directory."""
    files = pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
    return [text for path in files if (text := runner.text_of(path)) and text.startswith(str(place))]


def test_from_start_to_end(copy, world, base):
    before = plant(copy)
    result = copy.run(WORK + f"""head -c {LIMIT * 2} /dev/zero >big || :; stat -c 'big %s' big; rm big; cat a""")
    assert result.status == 0 and result.out.splitlines()[1:] == ["one", "two", "three"], result
    assert 0 < int(result.out.split()[1]) <= LIMIT and "No space left" in result.err
    assert result.mechanism("copy") == MECHANISM[copy.kind] and result.document["copy_kept"] is True
    assert picture(copy.root) == before and loops_of(base) == []
    found = {path: c["kind"] for path, c in copy.changes().items()}
    assert found == AFTER_WORK
    assert copy.tool("apply").status == 0
    after = picture(copy.root)
    shutil.rmtree(copy.root)
    copy.root.mkdir()
    copy.tree()
    assert after == after_work(copy.root)
    assert copy.kept() == [] and copy.state() == [] and loops_of(base) == []


def test_looked_at_while_it_runs(copy, world, base):
    """The layer is reachable through its keeper alone; to have looked does not hold up the end."""
    before = plant(copy)
    made = copy.command("create", "--quiet", "--limits", "group", "--copy", str(LIMIT), "--workspace", f"{copy.root}:copy")
    assert made.status == 0, made
    copy.id = made.out.strip()
    assert copy.command("exec", copy.id, "--", "/bin/sh", "-c", "echo n >new; rm a").status == 0
    shown = copy.tool("diff", "--name-only")
    assert shown.status == 0 and shown.out == "a\nnew\n" and "is running" in shown.err, shown
    assert copy.tool("stop").status == 0
    assert copy.tool("diff", "--name-only").out == "a\nnew\n"
    assert picture(copy.root) == before
    assert copy.tool("discard").status == 0 and copy.state() == [] and loops_of(base) == []


def test_number_of_files(copy, world):
    """Empty files are bounded, too: so many that a directory of them is no way to hold up who reviews it."""
    plant(copy)
    (copy.root / "many.py").write_text("n = 0\ntry:\n  while n < 100000:\n    open(f'file-{n}', 'x').close()\n"
                                       "    n += 1\nexcept OSError as e:\n  print(n, e.strerror)\n")
    result = copy.run("/usr/bin/python3 many.py")
    assert 500 < int(result.out.split()[0]) < 20000 and "No space left" in result.out, result
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_what_the_disk_has_no_place_for(copy, world):
    """One attribute that does not fit there is no reason to lose all else; it is said and recorded."""
    plant(copy)
    (copy.root / "set.py").write_text("import os\nopen('with', 'w').write('content\\n')\nos.setxattr('with', 'user.large', b'x' * 60000)\n"
                                      "os.setxattr('with', 'user.small', b'x')\n")
    result = copy.run("/usr/bin/python3 set.py || exit 9; echo x >>a; rm kept")
    if copy.kind == "image":
        # The payload wrote to that file system itself, and heard of it.
        assert result.status == 9 and "No space left" in result.err and result.document["copy_reduced"] is None
        return
    assert result.status == 0 and result.document["copy_kept"] is True, result
    lost = {"files": 0, "attributes": 1, "names": 0, "first": "with"}
    assert result.document["copy_reduced"] == lost and "files left out: 0, attributes left out: 1, " in result.err
    [record] = (copy.atoll.home / "trail").glob(f"{copy.id}.jsonl")
    assert [e["data"] for e in map(json.loads, record.read_text().splitlines()) if e["event"] == "copy_reduced"] == [lost]
    assert sorted(copy.changes()) == ["a", "kept", "with"]
    assert copy.tool("apply").status == 0 and (copy.root / "with").read_text() == "content\n"


def test_nothing_was_changed(copy, world, base):
    plant(copy)
    result = copy.run("cat a")
    assert result.status == 0 and result.document["copy_kept"] is False
    assert copy.state() == [] and loops_of(base) == []


def test_a_keeper_that_is_killed(copy, world, base):
    """What is in an image is still there; a tmpfs is gone, and so is all of the sandbox."""
    plant(copy)
    process = subprocess.Popen(copy.arguments("/bin/sh", "-c", "echo x >>a; echo ready; sleep 60"),
                               env=copy.atoll.environment(), cwd=copy.root, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    copy.atoll.started.append(process)
    assert process.stdout.readline() == b"ready\n"
    [sandbox] = copy.state()
    note = json.loads((copy.atoll.home / "sandboxes" / sandbox / "sandbox.json").read_text())
    os.kill(note["keeper"], 9)
    process.communicate(timeout=20)
    if copy.kind == "tmpfs":
        assert runner.eventually(lambda: copy.kept() == [] and copy.state() == [])
    else:
        assert runner.eventually(lambda: copy.kept() == [sandbox])
        copy.id = sandbox
        assert [*copy.changes()] == ["a"] and copy.tool("apply").status == 0
        assert (copy.root / "a").read_text() == "one\ntwo\nx\n" and copy.state() == []
    assert runner.eventually(lambda: loops_of(base) == [])


def test_one_that_lives(copy, world, base):
    plant(copy)
    made = copy.command("create", "--quiet", "--limits", "group", "--copy", str(LIMIT), "--workspace",
                        f"{copy.root}:copy")
    assert made.status == 0, made
    copy.id = made.out.strip()
    for word in "first", "second":
        assert copy.command("exec", copy.id, "--", "/bin/sh", "-c", f"echo {word} >>made").status == 0
    assert copy.command("stop", copy.id).status == 0
    assert [*copy.changes()] == ["made"] and copy.tool("apply").status == 0
    assert (copy.root / "made").read_text() == "first\nsecond\n"
    assert copy.state() == [] and loops_of(base) == []


@pytest.mark.parametrize("hide, word", [
    (("/dev/null", "/dev/loop-control"), "loop device"), (("/bin/true", "/usr/sbin/mkfs.ext4"), "ext4"),
    (("/dev/null", "/usr/sbin/mkfs.ext4"), "mkfs.ext4")], ids=["no-loop", "no-file-system", "no-mkfs"])
def test_no_image_can_be_made(atoll, world, need_root, hide, word):
    """Nothing starts, the message has the two ways out, and nothing is left."""
    copy = Copy(atoll)
    copy.tree()
    result = runner.capture(
        ["unshare", "--mount", "/bin/sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", *hide,
         *map(str, atoll.arguments(("/bin/echo", "started"), ("--limits", "group", "--workspace", f"{copy.root}:copy")))],
        env=atoll.environment(), cwd=copy.root)
    assert result.status == 125 and "started" not in result.out, result
    assert word in result.err and "mechanism: any" in result.err, result
    assert copy.state() == []


def test_an_image_that_cannot_be_mounted_stays(atoll, need_root):
    """A killed keeper, and no loop devices for the next command: what was changed waits until there are."""
    copy = Bounded(atoll, "image", ())
    copy.tree()
    process = subprocess.Popen(copy.arguments("/bin/sh", "-c", "echo x >>a; echo ready; sleep 60"),
                               env=atoll.environment(), cwd=copy.root, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    atoll.started.append(process)
    assert process.stdout.readline() == b"ready\n"
    [copy.id] = copy.state()
    note = json.loads((atoll.home / "sandboxes" / copy.id / "sandbox.json").read_text())
    os.kill(note["keeper"], 9)
    process.communicate(timeout=20)
    hidden = ["unshare", "--mount", "/bin/sh", "-c", 'mount --make-rprivate / && mount -t tmpfs none /dev && exec "$@"', "sh"]
    for _ in range(3):
        runner.capture([*hidden, atoll.binary, "reap"], env=atoll.environment(), cwd=copy.root)
    assert (atoll.home / "sandboxes" / copy.id / "copy/image").exists()
    assert runner.eventually(lambda: copy.kept() == [copy.id])
    assert [*copy.changes()] == ["a"] and copy.tool("discard").status == 0 and copy.state() == []


def test_a_full_disk_under_an_image(atoll, need_root):
    """The payload was told that all is written; who started it is told that it is not."""
    copy = Copy(atoll)
    copy.tree()
    place = atoll.home / "sandboxes"  # alone: a record that cannot be written is an error of its own
    place.mkdir(parents=True, mode=0o700)
    atoll.home.chmod(0o700)
    script = f"""mount --make-rprivate /; mount -t tmpfs -o size=8m,mode=0700 none {place}
"$1" run --limits group --copy 64MiB --workspace {copy.root}:copy -- sh -c 'head -c 32M /dev/urandom >big && echo written'
echo "status $?" """
    result = runner.capture(["unshare", "--mount", "/bin/sh", "-c", script, "sh", atoll.binary],
                            env=atoll.environment(), cwd=copy.root)
    assert "cannot write what was changed to the disk" in result.err and "status 0" not in result.out, result


def test_damaged_image(atoll, need_root):
    """It can be seen, and thrown away."""
    copy = Bounded(atoll, "image", ())
    copy.tree()
    assert copy.run("echo x >>a").document["copy_kept"] is True
    (atoll.home / "sandboxes" / copy.id / "copy/image").write_bytes(b"\0" * 4096)
    assert copy.kept() == [copy.id] and copy.tool("diff").status == copy.tool("apply").status == 125
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_without_a_group(atoll, need_user):
    """A limit that nobody can hold is refused, or held."""
    copy = Copy(atoll)
    copy.tree()
    result = copy.run("echo x >>a", "--limits", "group")
    if result.status == 125:
        assert "mechanism: any" in result.err and copy.state() == [], result
    else:
        assert result.mechanism("copy") == "tmpfs size" and [*copy.changes()] == ["a"]
