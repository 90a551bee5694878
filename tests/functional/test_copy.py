# SPDX-License-Identifier: Apache-2.0
"""A workspace as a copy: what diff shows, what apply takes over, what stays as it was."""
import json
import os
import pathlib
import random
import stat
import subprocess
import time

import pytest

from harness import runner

SECOND = 0.05  # more than the granularity of a file's times


def write(path, text="x\n", mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    if mode is not None:
        path.chmod(mode)


def picture(root):
    """{path: what it is} of a tree, without times and owners."""
    seen = {}
    for path in sorted(root.rglob("*")):
        st, name = path.lstat(), str(path.relative_to(root))
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        seen[name] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode) if not path.is_symlink() else 0, what)
    return seen


class Copy:
    """A workspace, and runs in copies of it."""

    def __init__(self, atoll):
        self.atoll, self.root = atoll, atoll.base / "tree"
        self.root.mkdir()
        self.id = None

    def tree(self):
        write(self.root / "a", "one\ntwo\n")
        write(self.root / "sub/b", "b\n")
        write(self.root / "sub/deep/c", "c\n")
        write(self.root / "gone/1", "1\n")
        write(self.root / "moved", "a text that is long enough to be known again\n")
        write(self.root / "prog.sh", "#!/bin/sh\n", 0o644)
        write(self.root / "kept", "kept\n")
        (self.root / "pointer").symlink_to("a")
        time.sleep(SECOND)
        return picture(self.root)

    def run(self, script, *options, **how):
        before = set(self.kept())
        result = self.atoll.run("/bin/sh", "-c", script, cwd=self.root,
                                options=("--workspace", f"{self.root}:copy", *options), **how)
        new = set(self.kept()) - before
        self.id = new.pop() if new else None
        return result

    def kept(self):
        return self.atoll.tool("ps", "--kept", "--quiet").out.split()

    def tool(self, command, *words, **how):
        return self.atoll.tool(command, *words[:0], *[w for w in words if str(w).startswith("--")], self.id,
                               *[w for w in words if not str(w).startswith("--")], **how)

    def changes(self, *words):
        document = json.loads(self.tool("diff", "--json", *words).out)
        assert document["sandbox"] == self.id and document["workspace"] == str(self.root)
        return {c["path"]: c for c in document["changes"]}

    def state(self):
        return sorted(os.listdir(self.atoll.home / "sandboxes"))


@pytest.fixture
def copy(atoll):
    return Copy(atoll)


WORK = """set -e
echo three >>a; rm sub/b; mkdir -p new/e; echo y >new/e/f; chmod 755 prog.sh; ln -sfn kept pointer
rm -r gone; mv moved elsewhere; touch kept; rm sub/deep/c; rmdir sub/deep; echo now-a-file >sub/deep
"""
# What a diff calls it.
AFTER_WORK = {"a": "modified", "sub/b": "deleted", "new": "added", "new/e": "added",
              "new/e/f": "added", "prog.sh": "mode", "pointer": "modified", "gone": "deleted",
              "gone/1": "deleted", "elsewhere": "renamed", "sub/deep": "type",
              "sub/deep/c": "deleted"}


def after_work(root):
    """WORK, done outside."""
    subprocess.run(["/bin/sh", "-c", WORK], cwd=root, check=True, stdout=subprocess.DEVNULL)
    return picture(root)


@pytest.mark.asan
def test_a_copy_from_start_to_end(copy, world):
    before = copy.tree()
    result = copy.run(WORK + "cat a")
    assert result.status == 0 and result.out == "one\ntwo\nthree\n", result
    assert result.document["copy_kept"] is True
    assert f"'atoll diff {copy.id}' shows it" in result.err
    assert picture(copy.root) == before
    found = {path: c["kind"] for path, c in copy.changes().items()}
    assert found == AFTER_WORK
    applied = copy.tool("apply")
    assert applied.status == 0 and "taken over into" in applied.err, applied
    assert copy.state() == [] and copy.kept() == []
    done = picture(copy.root)
    for path in copy.root.iterdir():
        subprocess.run(["rm", "-rf", path], check=True)
    copy.tree()
    assert done == after_work(copy.root)


def test_nothing_changed_nothing_kept(copy, world):
    copy.tree()
    result = copy.run("cat a >/dev/null")
    assert result.document["copy_kept"] is False and copy.state() == []
    # Written with what was there: the upper layer has it, and it is no change.
    result = copy.run("cat a >b && cat b >a && rm b && touch kept && mkdir d && rmdir d")
    assert result.status == 0 and copy.state() == [] and "atoll diff" not in result.err


def test_quiet_says_nothing(copy):
    copy.tree()
    assert copy.run("echo x >>a", "--quiet").err == "" and copy.id
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_words_and_names(copy):
    copy.tree()
    copy.run("""mkdir d; echo 1 >"$(printf 'd/new\\nline')"; echo 2 >"$(printf 'd/\\377')"
                echo 3 >"$(printf 'd/\\033[31mred')"; mkfifo d/pipe; echo 4 >d/--json""")
    shown = copy.tool("diff").out
    assert [line for line in shown.splitlines() if "   ! " not in line] == [
        "A  d (directory)", r"A  d/\x1b[31mred", "A  d/--json", r"A  d/new\x0aline", "A  d/pipe (fifo)",
        r"A  d/\xff"]
    assert "\033" not in shown
    assert copy.tool("diff", "--name-only").out.splitlines()[3] == r"d/new\x0aline"
    raw = copy.tool("diff", "--zero").stdout.split(b"\0")
    assert raw == [b"d", b"d/\x1b[31mred", b"d/--json", b"d/new\nline", b"d/pipe", b"d/\xff", b""]
    odd = [c for c in copy.changes().values() if "path_bytes" in c]
    assert [bytes.fromhex(c["path_bytes"]) for c in odd] == [b"d/\xff"]
    assert copy.tool("diff", "nothing-here").status == 125
    on_terminal = runner.on_terminal([copy.atoll.binary, "diff", copy.id],
                                     env=copy.atoll.environment({"TERM": "xterm"}))
    assert b"\x1b[32mA  d (directory)\x1b[0m" in on_terminal.stdout
    refused = copy.tool("apply")
    assert refused.status == 1 and "d/pipe: conflict: only files" in refused.err
    assert not (copy.root / "d").exists()
    wanted = ["d/--json", "./d/\x1b[31mred", "d/new\nline", os.fsdecode(b"d/\xff")]
    done = copy.atoll.tool("apply", copy.id, "--", *wanted)
    assert done.status == 0, done
    assert sorted(os.listdir(os.fsencode(copy.root / "d"))) == [b"\x1b[31mred", b"--json", b"new\nline", b"\xff"]
    assert [*copy.changes()] == ["d/pipe"] and copy.tool("discard").status == 0


def test_a_part(copy):
    before = copy.tree()
    copy.run(WORK)
    assert copy.tool("apply", "a", "new/e/f").status == 0
    now = picture(copy.root)
    assert {p for p in now if now[p] != before.get(p)} == {"a", "new", "new/e", "new/e/f"}
    assert not set(before) - set(now)
    assert "new" not in copy.changes() and "gone" in copy.changes()
    # A moved file is two changes for who chooses by path.
    assert copy.tool("apply", "elsewhere").status == 0
    assert (copy.root / "moved").exists() and (copy.root / "elsewhere").exists()
    assert copy.tool("apply", "gone", "sub", "moved").status == 0
    assert [*copy.changes()] == ["pointer", "prog.sh"]
    assert copy.tool("apply", "--keep").status == 0 and copy.kept() == [copy.id]
    assert copy.changes() == {} and copy.tool("discard").status == 0


OUTSIDE = [
    ("a", lambda p: p.write_text("somebody else\n"), "it was changed outside"),
    ("a", lambda p: p.unlink(), None),
    ("a", lambda p: (p.unlink(), p.mkdir()), None),
    ("new", lambda p: p.write_text("taken"), "changed outside|something is there|something else"),
    ("sub/b", lambda p: p.write_text("changed"), "it was changed outside"),
    ("prog.sh", lambda p: p.chmod(0o600), "it was changed outside"),
    ("gone/2", lambda p: p.write_text("2"), None),
]


@pytest.mark.parametrize("name, change, why", OUTSIDE, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(OUTSIDE)])
def test_what_was_changed_outside_stays(copy, name, change, why):
    """All or nothing: not one file of the others is touched, and what was done outside is there."""
    copy.tree()
    copy.run(WORK)
    time.sleep(SECOND)
    change(copy.root / name)
    before = picture(copy.root)
    applied = copy.tool("apply")
    if applied.status == 0:  # it agrees with what the change would make of it
        assert name == "a" and (copy.root / "a").read_text() == "one\ntwo\nthree\n"
        return
    assert applied.status in (1, 125), applied
    assert picture(copy.root) == before, applied
    if why:
        assert applied.status == 1 and any(part in applied.err for part in why.split("|")), applied
    copy.tool("discard")
    assert picture(copy.root) == before


def test_the_same_outside_is_no_conflict(copy):
    copy.tree()
    copy.run("echo three >>a; echo new >n")
    with open(copy.root / "a", "a", encoding="ascii") as file:
        file.write("three\n")
    write(copy.root / "n", "new\n")
    assert copy.changes() == {} and copy.tool("apply").status == 0


def test_links_outside_are_not_followed(copy):
    """C1: a directory that has become a link leads nowhere."""
    copy.tree()
    copy.run("echo x >>sub/deep/c; echo y >sub/new")
    other = copy.atoll.base / "other"
    write(other / "deep/c", "c\n")
    (copy.root / "sub").rename(copy.root / "was-sub")
    (copy.root / "sub").symlink_to(other)
    applied = copy.tool("apply")
    assert applied.status != 0, applied
    assert (other / "deep/c").read_text() == "c\n" and os.listdir(other) == ["deep"]
    copy.tool("discard")


def test_rights_are_not_taken_over(copy):
    """Nothing inside can make such files; should a copy hold one all the same, it arrives without."""
    copy.tree()
    copy.run("mkdir d; echo x >d/f; echo y >s; chmod 755 s d; echo z >>a")
    upper = copy.atoll.home / "sandboxes" / copy.id / "copy/upper"
    for name, bits in (("d", 0o3755), ("s", 0o6755), ("a", 0o4644)):
        (upper / name).chmod(bits)
        assert stat.S_IMODE((upper / name).stat().st_mode) == bits
    assert copy.changes()["s"]["after"]["mode"] == "106755"
    refused = copy.tool("apply")
    assert refused.status == 1 and not (copy.root / "s").exists()
    applied = copy.tool("apply", "--allow-hazard=d", "--allow-hazard=s", "--allow-hazard=a")
    assert applied.status == 0, applied
    assert [stat.S_IMODE((copy.root / n).stat().st_mode) for n in ("d", "s", "a")] == [0o755, 0o755, 0o644]
    if copy.id in copy.kept():  # the bits alone are different still
        copy.tool("discard")


def test_modes_that_deny(copy):
    """Directories that nobody may enter, files that nobody may read: still what they are."""
    copy.tree()
    copy.run("mkdir -p d/e; echo x >d/e/f; chmod 0 d/e/f; chmod 500 d/e; chmod 555 d; chmod 0 a")
    assert copy.changes()["a"]["kind"] == "mode"
    applied = copy.tool("apply")
    assert applied.status == 0, applied
    modes = {n: stat.S_IMODE((copy.root / n).lstat().st_mode) for n in ("a", "d", "d/e", "d/e/f")}
    assert modes == {"a": 0, "d": 0o555, "d/e": 0o500, "d/e/f": 0}
    (copy.root / "d").chmod(0o755)
    (copy.root / "d/e").chmod(0o755)
    (copy.root / "d/e/f").chmod(0o644)
    assert (copy.root / "d/e/f").read_text() == "x\n"


def test_what_a_file_had(copy, need_xattrs):
    """Extended attributes of what is replaced stay; holes stay holes; other names keep the old file."""
    copy.tree()
    os.setxattr(copy.root / "a", "user.note", b"kept")
    os.link(copy.root / "a", copy.root / "second")
    time.sleep(SECOND)
    copy.run("echo three >>a; truncate -s 512M big; echo end >>big")
    assert copy.tool("apply").status == 0
    assert os.getxattr(copy.root / "a", "user.note") == b"kept"
    assert (copy.root / "second").read_text() == "one\ntwo\n"
    st = (copy.root / "big").stat()
    assert st.st_size == (512 << 20) + 4 and st.st_blocks * 512 < 1 << 20


@pytest.fixture
def need_xattrs(atoll):
    path = atoll.base / "xattr"
    path.write_text("")
    try:
        os.setxattr(path, "user.note", b"x")
    except OSError:
        pytest.skip("this file system has no extended attributes")


def test_owners(copy, need_root):
    """What root takes over belongs to whose it would be."""
    copy.tree()
    for path in [copy.root, *copy.root.rglob("*")]:
        os.chown(path, 1234, 1235, follow_symlinks=False)
    time.sleep(SECOND)
    assert copy.run("id -u; echo x >>a; mkdir d; echo y >d/f; ln -s a l2").out.startswith("1000")
    assert copy.tool("apply").status == 0
    owners = {(p.lstat().st_uid, p.lstat().st_gid) for p in [copy.root, *copy.root.rglob("*")]}
    assert owners == {(1234, 1235)}


HAZARDS = {
    ".git/hooks/post-commit": "git-hook", ".vscode/tasks.json": None, "Makefile": "build-script",
    "package.json": None, ".envrc": None,
}


def test_hazards(copy):
    copy.tree()
    copy.run("; ".join(f"mkdir -p $(dirname {p}); echo {i} >{p}" for i, p in enumerate(HAZARDS)) +
             "; echo plain >plain; ln -s /etc/passwd out")
    found = copy.changes()
    for path, code in HAZARDS.items():
        codes = [h["code"] for h in found[path]["hazards"]]
        assert codes and (code is None or code in codes), (path, codes)
    assert found["plain"]["hazards"] == [] and found["out"]["hazards"]
    assert "   ! git-hook: " in copy.tool("diff").out
    refused = copy.tool("apply")
    assert refused.status == 1 and "Makefile: build-script" in refused.err, refused
    assert "nothing was taken over" in refused.err and not (copy.root / "plain").exists()
    assert copy.tool("apply", "--allow-hazard=Makefile", "plain", "Makefile").status == 0
    assert (copy.root / "Makefile").read_text() == "2\n" and not (copy.root / ".envrc").exists()
    assert copy.tool("apply", "--allow-hazard=Makefile").status == 1
    assert copy.tool("discard").status == 0


def test_interactive(copy):
    copy.tree()
    copy.run("echo 1 >one; echo 2 >two; echo all: >Makefile; echo 4 >zoo")
    # Makefile (a hazard), one, two, zoo
    asked = copy.tool("apply", "--interactive", stdin=b"n\nn\na\n")
    assert asked.status == 0, asked
    assert "! build-script" in asked.out
    assert [*copy.changes()] == ["Makefile", "one"]
    assert copy.tool("apply", "--interactive", stdin=b"q\n").status == 125
    assert [*copy.changes()] == ["Makefile", "one"]
    # "all" does not answer for what the host would obey.
    copy.tool("discard")
    copy.run("echo 1 >1; echo all: >Makefile; echo z >zz")
    asked = copy.tool("apply", "--interactive", stdin=b"a\nn\n")
    assert asked.status == 0 and [*copy.changes()] == ["Makefile"], asked
    assert copy.tool("apply", "--interactive", stdin=b"y\n").status == 0
    assert (copy.root / "Makefile").exists() and copy.kept() == []


def test_dry_run(copy):
    before = copy.tree()
    copy.run(WORK)
    said = copy.tool("apply", "--dry-run")
    assert said.status == 0 and "nothing stands in the way" in said.err
    assert picture(copy.root) == before and copy.tool("discard").status == 0


def test_room(copy):
    """The keeper looks, and ends what holds too much; what there is, is kept."""
    copy.tree()
    result = copy.run("dd if=/dev/zero of=big bs=1M count=64 2>/dev/null; sleep 30", "--copy", "8MiB")
    assert (result.status, result.reason) == (137, "limit:copy"), result
    assert result.mechanism("copy") == "keeper, sampler" and copy.id
    assert copy.tool("discard").status == 0


def test_receipt_says_overlay(copy):
    copy.tree()
    receipt = copy.run("true").receipt
    rows = [m for m in receipt["mounts"]["value"] if m["path"] == str(copy.root)]
    assert len(rows) == 1 and "nosuid" in rows[0]["attrs"] and "nodev" in rows[0]["attrs"]


def test_no_host_path_in_the_mount_options(copy):
    copy.tree()
    line = copy.run("grep ' - overlay ' /proc/self/mountinfo").out
    assert "lowerdir=original0,upperdir=copy0/upper,workdir=copy0/work" in line
    assert str(copy.atoll.home) not in line and "userxattr" in line


@pytest.mark.parametrize("options, why", [
    (("--accept-tier", "process"), "'copy' needs a mount"),
])
def test_refused(copy, options, why):
    copy.tree()
    result = copy.run("true", *options)
    assert result.status == 125 and why in result.err and copy.state() == []


def test_no_place_for_a_copy(copy, need_root):
    """An overlay cannot be the upper layer of another: said with the remedies, and nothing is left."""
    copy.tree()
    place = copy.atoll.base / "o"
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir(parents=True)
    script = (f"mount -t overlay none -o lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work "
              f"{place}/merged && ATOLL_HOME={place}/merged exec \"$@\"")
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", copy.atoll.binary, "run", "--workspace",
            f"{copy.root}:copy", "--copy-by", "overlay", "--", "true"]
    result = runner.capture(argv, env=copy.atoll.environment(), cwd=copy.root)
    assert result.status == 125 and "ATOLL_HOME" in result.err and "--copy-by files" in result.err, result
    assert os.listdir(place / "upper/sandboxes") == []


@pytest.mark.parametrize("victim", ["keeper", "front"])
def test_killed_with_changes(copy, victim, world):
    """What a payload has changed by then is kept, whoever dies."""
    copy.tree()
    process = copy.atoll.start("/bin/sh", "-c", "echo x >>a; echo ready; sleep 60",
                               options=("--workspace", f"{copy.root}:copy"))
    assert process.stdout.readline() == b"ready\n"
    [name] = os.listdir(copy.atoll.home / "sandboxes")
    copy.id = name
    assert copy.kept() == [] and copy.tool("diff").out == "M  a\n" and copy.tool("apply").status == 125
    note = json.loads((copy.atoll.home / "sandboxes" / name / "sandbox.json").read_text())
    if victim == "keeper":
        os.kill(note["keeper"], 9)
    else:
        process.kill()
    process.communicate(timeout=20)
    assert runner.eventually(lambda: copy.kept() == [name])
    assert [*copy.changes()] == ["a"]
    assert sorted(os.listdir(copy.atoll.home / "sandboxes" / name)) == ["copy", "kept.json"]
    assert os.listdir(copy.atoll.home / "sandboxes" / name / "copy") == ["upper"]
    assert copy.tool("apply").status == 0 and copy.state() == []


def test_a_workspace_that_went_away(copy):
    copy.tree()
    copy.run("echo x >n")
    copy.root.rename(copy.root.with_name("elsewhere"))
    assert copy.tool("diff").status == 125 and copy.kept() == [copy.id]
    copy.root.mkdir()
    said = copy.tool("apply")
    assert said.status == 125 and "is not the directory any more" in said.err
    assert copy.tool("discard").status == 0 and copy.state() == []


@pytest.mark.parametrize("word", ["s-nothing", "../trail", "", ".", "s-x/../..", "a" * 300])
def test_ids_are_names(copy, word):
    copy.tree()
    for command in ("diff", "apply", "discard"):
        result = copy.atoll.tool(command, word)
        assert result.status == 125 and "there is no sandbox" in result.err, result


class Death:
    """atoll apply, killed at each of its system calls in turn."""

    def __init__(self, copy):
        self.copy, self.report = copy, copy.atoll.base / "killer.json"

    def kill(self, step):
        argv = [runner.PROBES / "probe-killer", self.report, "front", "front", str(step),
                self.copy.atoll.binary, "apply", self.copy.id]
        result = runner.capture(argv, env=self.copy.atoll.environment(), cwd=self.copy.root)
        assert result.status in (0, 1), result
        return json.loads(self.report.read_text())


def restore(root, saved):
    for path in root.iterdir():
        subprocess.run(["rm", "-rf", path], check=True)
    subprocess.run(["cp", "-a", f"{saved}/.", root], check=True)


def sweep(copy, stride):
    """Returns how many deaths left a journal."""
    before = copy.tree()
    saved = copy.atoll.base / "saved"
    subprocess.run(["cp", "-a", copy.root, saved], check=True)
    copy.run(WORK)
    after = after_work_of(copy, saved)
    death, pending, step = Death(copy), 0, random.randrange(stride) + 1
    while True:
        report = death.kill(step)
        if not report["killed"]:
            break
        refused = copy.tool("diff")
        if "was interrupted" in refused.err:
            pending += 1
            way = "--undo" if pending % 2 else "--continue"
            done = copy.tool("apply", way)
            assert done.status == 0, (step, way, done)
            now = picture(copy.root)
            assert now == (before if way == "--undo" else after), (step, way)
        else:
            now = picture(copy.root)
            now = {p: v for p, v in now.items() if not p.startswith(".atoll-apply-")}
            assert now in (before, after), (step, sorted(set(now) ^ set(before)))
        if now == before:
            done = copy.tool("apply", "--keep")
            assert done.status == 0, (step, done)
        assert picture(copy.root) == after, step  # and no staging directory is left
        restore_and_rerun(copy, saved)
        step += stride
    return pending


def after_work_of(copy, saved):
    place = copy.atoll.base / "after"
    subprocess.run(["cp", "-a", saved, place], check=True)
    return after_work(place)


def restore_and_rerun(copy, saved):
    """The same workspace and another copy of it: its files are new, so their times are older."""
    copy.tool("discard")
    restore(copy.root, saved)
    time.sleep(SECOND)
    copy.run(WORK)


def test_apply_killed_at_some_system_calls(copy):
    assert sweep(copy, 31 * round(max(1, runner.SLOW / 2))) > 1


@pytest.mark.long
def test_apply_killed_at_every_system_call(copy):
    assert sweep(copy, 1) > 20


@pytest.mark.parametrize("option", ["size=256k", "nr_inodes=20"])
def test_no_room_for_an_apply(copy, need_root, option):
    """Nothing is taken over, and nothing of the attempt is left."""
    place = copy.atoll.base / "small"
    place.mkdir()
    script = f"""set -e
mount -t tmpfs -o {option} none {place}
cd {place}; echo one >a; mkdir d; sleep 0.1
"$1" run --quiet --workspace {place}:copy -- sh -c 'echo two >a; dd if=/dev/zero of=big bs=4k count=100 2>/dev/null;
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do echo $i >d/$i; done'
id=$("$1" ps --kept --quiet); find . -type f -exec cat {{}} + >../first; ls -lR --time-style=+ >>../first
"$1" apply $id && echo applied; find . -type f -exec cat {{}} + >../second; ls -lR --time-style=+ >>../second
"$1" apply $id a; cat a; ls -A; "$1" discard $id"""
    result = runner.capture(["unshare", "--mount", "sh", "-c", script, "sh", copy.atoll.binary],
                            env=copy.atoll.environment(), cwd="/")
    if "tmpfs from Linux 6.3" in result.err:
        pytest.skip("this kernel translates no owners on tmpfs")
    assert "applied" not in result.out and "No space left" in result.err, result
    assert (copy.atoll.base / "first").read_text() == (copy.atoll.base / "second").read_text()
    assert result.status == 0 and result.out.split() == ["two", "a", "d"], result


def test_a_real_project(copy, need_program):
    """A repository is cloned, changed, built and committed inside; part of it is taken over."""
    need_program("git")
    need_program("cc")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    write(copy.root / "main.c", '#include "say.h"\nint main(void) { return say("hello"); }\n')
    write(copy.root / "say.h", "int say(const char *what);\n")
    write(copy.root / "say.c", '#include <stdio.h>\n#include "say.h"\nint say(const char *w) { return puts(w) < 0; }\n')
    write(copy.root / ".gitignore", "prog\n*.o\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=copy.root, check=True)
    time.sleep(SECOND)
    result = copy.run("""set -e
        sed -i 's/say(/speak(/g' main.c say.c say.h && mv say.c speak.c && mv say.h speak.h
        sed -i 's/say\\.h/speak.h/' main.c speak.c
        cc -o prog main.c speak.c && ./prog
        export HOME=/tmp; git config --global user.name y; git config --global user.email y@example.com
        git add -A && git commit -qm 'speak instead of say' && git log --oneline | wc -l""", "--wall", "2m")
    assert result.status == 0 and result.out.split() == ["hello", "2"], result
    wanted = ["main.c", "say.c", "say.h", "speak.c", "speak.h"]
    assert set(wanted) <= {p for p in copy.tool("diff", "--no-renames", "--name-only").out.splitlines()}
    applied = copy.tool("apply", *wanted)
    assert applied.status == 0, applied
    status = subprocess.run([*git, "--no-optional-locks", "status", "--porcelain"], cwd=copy.root, text=True, check=True,
                            stdout=subprocess.PIPE).stdout.splitlines()
    assert sorted(status) == [" D say.c", " D say.h", " M main.c", "?? speak.c", "?? speak.h"]
    subprocess.run(["cc", "-o", copy.atoll.base / "prog", "main.c", "speak.c"], cwd=copy.root, check=True)
    # The commit itself: ordinary files of .git are nothing that anybody would obey.
    again = copy.tool("apply", ".git")
    assert again.status == 0, again
    log = subprocess.run([*git, "log", "--oneline"], cwd=copy.root, text=True, check=True, stdout=subprocess.PIPE)
    assert len(log.stdout.splitlines()) == 2
    assert pathlib.Path(copy.root / "prog").exists() is False
    copy.tool("discard")
