# SPDX-License-Identifier: Apache-2.0
"""atoll diff --patch: what it shows is taken by git apply and patch(1), and what compares is shut in."""
import os
import shutil
import subprocess
import time

import pytest

from harness import runner
from functional.test_copy import SECOND, Copy, picture, write

TREE = {"a": "".join(f"{n}\n" for n in range(30)), "noend": "no end", "with blank": "x\n", "typ": "t\n",
        "mv1": "a text that is known again\n", "empty": "", "prog.sh": "#!/bin/sh\n", "gone": "z\n",
        "esc": "e\033[31m\n", "sub/deep/f": "something else\n", "filled": "1\n"}
WORK = r"""set -e
sed -i 's/^15$/fifteen/' a; printf more >>noend; echo y >>'with blank'; rm typ; ln -s a typ; mv mv1 mv2
ln -sfn noend pointer; echo filled >empty; chmod +x prog.sh; printf 'e\033[32m\n' >esc; rm gone; : >newempty
echo n >"$(printf 'q"\\\303\251')"; mkdir -p d/e; echo f >d/e/f; echo l >"$(printf 'n\nl')"; : >filled
rm -r sub; echo sub >sub; printf 'a\tb\r\n' >crlf
"""


@pytest.fixture
def copy(atoll):
    made = Copy(atoll)
    for name, text in TREE.items():
        write(made.root / name, text)
    (made.root / "pointer").symlink_to("a")
    return made


def applied(copy, name, argv, patch):
    place = copy.atoll.base / name
    shutil.copytree(copy.root, place, symlinks=True)
    done = subprocess.run(argv, cwd=place, input=patch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, env=runner.command_environment())
    assert done.returncode == 0, done.stdout.decode(errors="replace") + patch.decode(errors="replace")
    return picture(place)


@pytest.mark.asan
def test_git_and_patch_take_it(copy, need_program):
    need_program("git")
    need_program("patch")
    time.sleep(SECOND)
    assert copy.run(WORK).status == 0
    patch = copy.tool("diff", "--patch")
    assert patch.status == 0 and patch.err == "", patch
    after = copy.atoll.base / "after"
    shutil.copytree(copy.root, after, symlinks=True)
    subprocess.run(["/bin/sh", "-c", WORK], cwd=after, check=True)
    wanted = picture(after)
    assert applied(copy, "by-git", ["git", "apply", "-"], patch.stdout) == wanted
    # patch(1) cannot make a file of a directory.
    names = [os.fsdecode(n) for n in copy.tool("diff", "--zero").stdout.split(b"\0") if n]
    patch = copy.atoll.tool("diff", "--patch", copy.id, "--", *[n for n in names if n.split("/")[0] != "sub"])
    found = applied(copy, "by-patch", ["patch", "-p1", "-s"], patch.stdout)
    assert {n: v for n, v in found.items() if n.split("/")[0] != "sub"} == {
        n: v for n, v in wanted.items() if n != "sub"}
    copy.tool("discard")


def test_binary_and_large(copy):
    write(copy.root / "bin", b"a\0b")
    copy.run("printf c >>bin; dd if=/dev/zero bs=1M count=65 2>/dev/null | tr '\\0' x >large")
    shown = copy.tool("diff", "--patch").out
    assert "Binary files a/bin and b/bin differ" in shown
    assert "Binary files /dev/null and b/large differ" in shown
    copy.tool("discard")


def test_a_terminal_is_not_moved(copy):
    """Names and lines that hold escapes show them; a pipe gets the bytes."""
    copy.run(r"""printf 'x\033]0;title\007\ty\n' >"$(printf 'e\033[2J')"; printf 'e\033[32m\n' >esc""")
    raw = copy.tool("diff", "--patch").stdout
    assert b"+x\033]0;title\007\ty\n" in raw and b'b/e\\033[2J' in raw
    shown = runner.on_terminal([copy.atoll.binary, "diff", "--patch", copy.id],
                               env=copy.atoll.environment({"TERM": "xterm"})).stdout
    assert rb"+x\x1b]0;title\x07" in shown and b"\ty" in shown and rb"+e\x1b[32m" in shown
    assert b"\033[32m+x" in shown  # a colour of ours
    assert not any(bad in shown for bad in (b"\033]0", b"\033[2J", b"\007"))
    copy.tool("discard")


def test_modes_alone(copy):
    copy.run("chmod 600 a; chmod 755 prog.sh; chmod 700 sub")
    shown = copy.tool("diff", "--patch").out
    assert shown == "diff --git a/prog.sh b/prog.sh\nold mode 100644\nnew mode 100755\n"
    copy.tool("discard")


ONE_SIDED = [b"x", b"x\n", b"\n", b"\n\nx", b"a\r\nb\xff\n", b"l" * 300000 + b"\nend", b"".join(b"%d\n" % n for n in range(5000))]


def test_what_has_only_one_side(copy, need_program):
    """Added, deleted, filled and emptied files: byte by byte what diff(1) says of them."""
    need_program("diff")
    for n, content in enumerate(ONE_SIDED):
        write(copy.root / f"gone{n}", content)
        write(copy.root / f"emptied{n}", content)
        write(copy.root / f"filled{n}", b"")
    time.sleep(SECOND)
    copy.run("for f in gone*; do cp $f new${f#gone}; cat $f >filled${f#gone}; done; echo x >>new0; "
             "for f in gone*; do rm $f; : >emptied${f#gone}; done; printf x >new0")
    for n in range(len(ONE_SIDED)):
        source = copy.atoll.base / f"content{n}"
        source.write_bytes(ONE_SIDED[n])
        for sides, names in ((["/dev/null", source], ("new", "filled")), ([source, "/dev/null"], ("gone", "emptied"))):
            wanted = runner.capture(["diff", "-u", "--text", *sides]).stdout.split(b"\n", 2)[2]
            for name in names:
                shown = copy.atoll.tool("diff", "-p", "--no-renames", copy.id, f"{name}{n}").stdout
                assert shown[shown.index(b"\n@@") + 1:] == wanted, (name, n)
    copy.tool("discard")


def test_what_compares_is_shut_in(copy, need_program):
    """diff(1) runs without the caller's files, network, processes and rights: looked at from outside."""
    need_program("strace")
    copy.run("echo x >>a")
    log = copy.atoll.base / "trace"
    done = runner.capture(["strace", "-f", "-o", log, "-e",
                           "trace=execve,seccomp,landlock_restrict_self,setresuid,close_range,prctl",
                           copy.atoll.binary, "diff", "--patch", copy.id], env=copy.atoll.environment())
    assert done.status == 0 and "+x" in done.out, done
    lines = log.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if "execve(\"/usr/bin/diff\"" in line)
    child = lines[at].split()[0]
    before = [line for line in lines[:at] if line.split()[0] == child and " = -1 " not in line and "setgroups" not in line]
    for call in ("PR_SET_NO_NEW_PRIVS, 1", "landlock_restrict_self(", "SECCOMP_SET_MODE_FILTER",
                 "close_range(5, 4294967295"):
        assert any(call in line for line in before), (call, before)
    assert os.geteuid() != 0 or any("setresuid(65534, 65534, 65534" in line for line in before)
    assert "LC_ALL=C" in lines[at] or "1 var" in lines[at], lines[at]
    copy.tool("discard")


def test_no_diff_no_guess(copy, need_root):
    """Where it cannot be had, that is said."""
    copy.run("echo x >>a")
    script = "mount --bind /nonexistent-not /usr/bin/diff 2>/dev/null || mount --bind /dev/null /usr/bin/diff && exec \"$@\""
    done = runner.capture(["unshare", "--mount", "sh", "-c", script, "sh", copy.atoll.binary, "diff", "--patch",
                           copy.id], env=copy.atoll.environment())
    assert done.status == 125 and "line by line failed" in done.err, done
    copy.tool("discard")
