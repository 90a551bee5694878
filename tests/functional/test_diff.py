# SPDX-License-Identifier: Apache-2.0
"""atoll diff --stat, its pager and its colours: as git's users know them, measured against git."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import runner
from functional.test_copy import SECOND, Copy, write

TREE = {"a": "".join(f"{n}\n" for n in range(300)), "noend": "no end", "with blank": "x\n", "typ": "t\n",
        "mv1": "a text that is known again\n", "empty": "", "prog.sh": "#!/bin/sh\n", "gone": "z\n" * 7,
        "sub/deep/er/a-name-that-is-rather-long/and-so-is-this-one.txt": "".join(f"{n}\n" for n in range(2000)),
        "filled": "1\n", "bin": b"a\0b", "old.bin": b"\0" * 10, "turned": "text\n", "moved.bin": b"\0moved\n"}
WORK = r"""set -e
sed -i 's/^15$/fifteen/; /^2..$/d' a; printf more >>noend; echo y >>'with blank'; rm typ; ln -s a typ; mv mv1 mv2
ln -sfn noend pointer; printf 'filled\nhalf' >empty; chmod +x prog.sh; rm gone; : >newempty; mkdir -p d/e; echo f >d/e/f
: >filled; printf ccccccccc >>bin; rm old.bin; printf 'n\0w' >new.bin; printf 'x\0' >turned; mv moved.bin z.bin
seq 5 3 1500 >>sub/deep/er/a-name-that-is-rather-long/and-so-is-this-one.txt; seq 12 >two; seq 70 >d/日本語
"""
ODD = r"""
echo n >"$(printf 'esc\033[31m\nline')"; echo u >"$(printf 'bad\377utf')"; echo q >"$(printf 'q"\\\303\251')"
ln -s "$(printf 'x\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-0\n+evil')" tricky; printf 'a\rb\n' >a
"""


@pytest.fixture
def copy(atoll):
    made = Copy(atoll)
    for name, text in TREE.items():
        write(made.root / name, text)
    (made.root / "pointer").symlink_to("a")
    time.sleep(SECOND)
    yield made
    if made.id:
        made.tool("discard")


def git(place, *words, **how):
    done = subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "core.quotepath=off", *words],
                          cwd=place, stdout=subprocess.PIPE, check=True, timeout=runner.TIMEOUT,
                          env=runner.command_environment({"HOME": str(place), "LC_ALL": "C.UTF-8"}), **how)
    return done.stdout


def repository(copy, script):
    """Two commits of git's: the workspace as it was, and after the same work."""
    place = copy.atoll.base / "repository"
    shutil.copytree(copy.root, place, symlinks=True)
    git(place, "init", "-q")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "before")
    subprocess.run(["/bin/sh", "-c", script], cwd=place, check=True)
    git(place, "add", "-A")
    git(place, "commit", "-qm", "after")
    return place


def shown(copy, *words, size=(24, 80), **variables):
    env = copy.atoll.environment({"TERM": "xterm", **variables})
    return runner.on_terminal([copy.atoll.binary, "diff", *words, copy.id], env=env, size=size,
                              cwd=copy.atoll.workspace)


def lines_of(result):
    assert result.status == 0, result
    return result.stdout.decode().replace("\r\n", "\n").splitlines()


def columns(text):
    return sum(2 if ord(c) > 0x2e80 else 1 for c in text)


def without_words(line):
    """git does not say of a mode what it was."""
    return re.sub(r" mode [+-]x$", "", line)


# ---- the numbers ----

def test_stat_is_that_of_git(copy, need_program):
    """Each line and the sum, at every width: a pipe has 80 columns."""
    need_program("git")
    assert copy.run(WORK).status == 0
    place = repository(copy, WORK)
    piped = copy.tool("diff", "--stat")
    assert piped.status == 0 and piped.err == "", piped
    assert " prog.sh" + " " * 43 + " |   0 mode +x" in piped.out.splitlines()
    assert re.search(r"^ bin +\| Bin 3 -> 12 bytes$", piped.out, re.M)
    for width, found in [(80, piped.out.splitlines())] + [
            (w, lines_of(shown(copy, "--stat", "--no-pager", size=(24, w), NO_COLOR="1"))) for w in (60, 80, 120, 200)]:
        wanted = git(place, "diff", f"--stat={width}", "-M100%", "HEAD~", "HEAD").decode().splitlines()
        assert [without_words(line) for line in found] == wanted, width
        assert max(map(len, found)) <= width


@pytest.mark.asan
def test_counts_are_those_of_the_patch(copy, need_program):
    """What git counts in the patch, path by path; git shows a link that was replaced as two."""
    need_program("git")
    assert copy.run(WORK + ODD).status == 0
    patch = copy.tool("diff", "--patch").stdout
    counted = {}
    for row in git(copy.root, "apply", "--numstat", "-z", input=patch).split(b"\0"):
        if row:
            added, removed, path = row.split(b"\t", 2)
            before = counted.get(path, (0, 0))
            counted[path] = (None, None) if added == b"-" else (before[0] + int(added), before[1] + int(removed))
    document = json.loads(copy.tool("diff", "--stat", "--json").out)
    found = {}
    for c in document["changes"]:
        path = bytes.fromhex(c["path_bytes"]) if "path_bytes" in c else c["path"].encode()
        if c["after"] is None or not c["after"]["mode"].startswith("04"):  # a directory has no place in a patch
            found[path] = (c["insertions"], c["deletions"])
    assert found.pop(b"z.bin") == (None, None) and counted.pop(b"z.bin") == (0, 0), "moved as it was: not compared"
    assert found == counted
    counted[b"z.bin"] = (0, 0)
    assert document["stat"] == {"files": len(counted), "insertions": sum(a or 0 for a, _ in counted.values()),
                                "deletions": sum(r or 0 for _, r in counted.values())}
    assert "insertions" not in copy.tool("diff", "--json").out
    total = f" {len(counted)} files changed, {document['stat']['insertions']} insertions(+), "
    assert total in copy.tool("diff", "--stat").out


def test_stat_fits_the_terminal(copy):
    """What names and words leave of the width is for the graph, which shows a line where there is one."""
    copy.run("truncate -s 123456789 bin; mkdir -p 目录; seq 9999 >目录/" + "字" * 40 + "; echo x >>noend; chmod +x prog.sh; "
             "seq 1000000 >many; sed -i 1d a")
    for width in (50, 60, 80, 200):
        lines = lines_of(shown(copy, "--stat", "--no-pager", size=(24, width), NO_COLOR="1"))
        rows = lines[:-1]
        assert max(map(columns, rows)) <= width, lines
        assert len({columns(row.split("|")[0]) for row in rows}) == 1, lines
        assert any("Bin 3 -> 123456789 bytes" in line for line in lines), lines
        assert any(re.fullmatch(r" a +\|       1 -", line) for line in lines), lines
        assert any(re.fullmatch(r" (目录|\.\.\.).*字 +\|    9999 \++", line) for line in lines), lines


def test_stat_of_a_part_and_of_nothing(copy):
    copy.run("echo x >>a; mkdir -p d; chmod 600 noend; rm gone; echo y >>typ")
    assert copy.tool("diff", "--stat", "a").out == " a | 1 +\n 1 file changed, 1 insertion(+)\n"
    assert copy.tool("diff", "--stat", "gone").out == " gone | 7 -------\n 1 file changed, 7 deletions(-)\n"
    # A directory, and permissions that git does not know, have no place in a patch either.
    assert copy.tool("diff", "--stat", "d", "noend").out == " 0 files changed\n"
    both = copy.tool("diff", "--stat", "-p", "a").out
    assert both == copy.tool("diff", "--stat", "a").out + "\n" + copy.tool("diff", "-p", "a").out
    assert copy.tool("diff", "-p").out == copy.tool("diff", "--patch").out != ""


def test_names_cannot_move_the_cursor(copy):
    copy.run(ODD)
    for text in (copy.tool("diff", "--stat").stdout, shown(copy, "--stat", "--no-pager", NO_COLOR="1").stdout):
        assert re.search(rb"^ esc\\x1b\[31m\\x0aline +\|   1 \+\r?$", text, re.M) and rb" bad\xffutf " in text, text
        assert not re.search(rb"[^\n\r -~\xc2-\xf4\x80-\xbf]|\xff", text), text


# ---- patches that git refused ----

def test_a_link_cannot_add_to_the_patch(copy, need_program):
    """Its target may hold line ends, and behind them what looks like a patch."""
    need_program("git")
    copy.run(ODD + "seq 0 299 >a; t=$(printf 'p\\nq\\n.'); ln -sfn \"${t%.}\" pointer")
    place = copy.atoll.base / "applied"
    shutil.copytree(copy.root, place, symlinks=True)
    git(place, "apply", "-", input=copy.tool("diff", "-p").stdout)
    assert (place / "a").read_text() == TREE["a"]
    assert os.readlink(place / "tricky").endswith("\n-0\n+evil") and os.readlink(place / "pointer") == "p\nq\n"


def test_a_binary_file_is_refused_by_its_name(copy, need_program):
    """git says which, and takes the rest: what is not its own heading would spoil the next file's."""
    need_program("git")
    copy.run("printf c >>bin; echo new >binary-is-before-me")
    patch = copy.tool("diff", "-p").stdout
    refused = subprocess.run(["git", "apply", "--check", "-"], cwd=copy.root, input=patch, stderr=subprocess.PIPE,
                             check=False, env=runner.command_environment())
    assert refused.returncode == 1 and b"cannot apply binary patch to 'bin'" in refused.stderr
    git(copy.root, "apply", "--exclude=bin", "-", input=patch)
    assert (copy.root / "binary-is-before-me").read_text() == "new\n"


# ---- colours ----

@pytest.mark.parametrize("words", [[], ["-p"], ["--stat"]])
def test_colours(copy, words):
    copy.run("echo x >>a; rm gone")
    assert b"\033[32m" in shown(copy, *words).stdout or not words
    assert b"\033[3" in shown(copy, *words, NO_COLOR="").stdout
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        plain = shown(copy, *words, **variables)
        assert b"\033" not in plain.stdout and plain.status == 0, (variables, plain)
    assert b"\033" not in copy.tool("diff", *words).stdout


# ---- the pager ----

class Pager:
    """A program that notes how it was called and what it was given."""

    def __init__(self, base, name="pager"):
        self.base, self.seen = base, base / "seen"
        (base / "bin").mkdir(exist_ok=True)
        self.program = base / "bin" / name
        self.program.write_text(f"""#!/bin/sh
printf '%s|%s|%s\\n' "$*" "$LESS" "$OWN" >{base}/how
cat >{self.seen}
""")
        self.program.chmod(0o755)

    def how(self):
        return (self.base / "how").read_text().strip()

    def forget(self):
        for name in ("how", "seen"):
            (self.base / name).unlink(missing_ok=True)


@pytest.fixture
def pager(base):
    return Pager(base)


def many(copy, n):
    copy.run(f"for i in $(seq {n}); do echo $i >new$i; done")
    return sorted(f"new{i}" for i in range(1, n + 1))


@pytest.mark.asan
def test_paged_when_longer_than_the_screen(copy, pager):
    """Not what fits above the prompt, not in a pipe, not as JSON or for programs."""
    names = many(copy, 24)
    with_pager = {"ATOLL_PAGER": str(pager.program)}
    for rows, paged in ((26, False), (25, False), (24, True), (3, True)):
        pager.forget()
        done = shown(copy, "--name-only", size=(rows, 80), **with_pager)
        assert done.status == 0 and pager.seen.exists() == paged, rows
        if paged:
            assert done.stdout == b"" and pager.seen.read_text().splitlines() == names
        else:
            assert lines_of(done) == names
    pager.forget()
    # A line that is wider than the terminal takes several of its rows; a colour takes none.
    wide = shown(copy, "--name-only", size=(40, 3), **with_pager)
    assert wide.stdout == b"" and pager.seen.exists()
    pager.forget()
    for words in (["--name-only", "--no-pager"], ["--json"], ["--zero"]):
        assert shown(copy, *words, size=(3, 80), **with_pager).stdout != b"" and not pager.seen.exists(), words
    piped = runner.capture([copy.atoll.binary, "diff", copy.id], env=copy.atoll.environment(with_pager))
    assert len(piped.out.splitlines()) == 24 and not pager.seen.exists()
    assert b"\033[32mA  new1\033[0m\n" in (shown(copy, size=(25, 9), **with_pager).stdout.replace(b"\r", b""))


def test_which_pager(copy, pager, base):
    names = many(copy, 30)
    here = copy.atoll.workspace
    own, less = str(pager.program), Pager(base, "less")
    path = {"PATH": f"{base}/bin:/usr/bin:/bin"}
    rows = [({"PAGER": own}, "||"), ({"PAGER": "false", "ATOLL_PAGER": f"{own} -a 'b c'"}, "-a b c||"),
            ({"ATOLL_PAGER": own, "LESS": "", "OWN": "1"}, "||1"), ({**path}, "|FRX|"),
            ({**path, "LESS": "R", "OWN": "2"}, "|R|2"), ({**path, "PAGER": "pager"}, "||"),
            ({"PAGER": "", "ATOLL_PAGER": own}, "||")]
    for variables, how in rows:
        pager.forget()
        done = shown(copy, "--name-only", **variables)
        assert done.status == 0 and done.stdout == b"", (variables, done)
        assert pager.how() == how.replace("||", "|FRX|") if "LESS" not in variables else pager.how() == how, variables
        assert less.seen.read_text().splitlines() == names
    pager.forget()
    for variables in ({**path, "PAGER": ""}, {**path, "ATOLL_PAGER": "", "PAGER": own}, {**path, "PAGER": "cat"},
                      {**path, "TERM": "dumb"}, {"PATH": f"{base}/none"}):
        assert lines_of(shown(copy, "--name-only", **variables)) == names, variables
        assert not pager.seen.exists()
    # The directory that the caller is in may be one that a payload writes to.
    shutil.copy(less.program, here / "less")
    assert lines_of(shown(copy, "--name-only", PATH=".::bin")) == names
    assert not pager.seen.exists()


def test_a_pager_that_cannot_be_had(copy, base):
    names = many(copy, 30)
    lines = lines_of(shown(copy, "--name-only", PAGER="no-such-pager"))
    assert lines == ["atoll: cannot start the pager 'no-such-pager': No such file or directory", *names]
    write(base / "plain", "text", mode=0o644)
    lines = lines_of(shown(copy, "--name-only", PAGER=str(base / "plain")))
    assert "Permission denied" in lines[0] and lines[1:] == names
    lines = lines_of(shown(copy, "--name-only", PAGER="no-such-pager -x"))
    assert lines[-1] == "atoll: the pager 'no-such-pager -x' could not be run; --no-pager shows it without"


def test_exit_status_is_that_of_the_diff(copy, base):
    """Whatever becomes of the pager: left early, ended with an error, or killed."""
    copy.run("for i in $(seq 3000); do echo $i >new$i; done; seq 50000 >a")
    for command in ("head -n 1", "exit 3", "kill -9 $$", "head -n 1; exit 127"):
        for words in ([], ["-p"], ["--stat"]):
            done = shown(copy, *words, PAGER=command)
            assert done.status == 0, (command, words, done)
            assert ("cannot write" not in done.err) and (b"could not be run" in done.stdout) == ("127" in command)
    wrong = shown(copy, "nothing-here", PAGER="cat -u")
    assert wrong.status == 125
    failed = runner.on_terminal([copy.atoll.binary, "diff", copy.id, "nothing-here"], env=copy.atoll.environment(
        {"TERM": "xterm", "PAGER": "cat -u"}))
    assert failed.status == 125 and b"nothing is different at 'nothing-here'" in failed.stdout


def test_the_keyboard_is_the_pagers(copy, base):
    """An interrupt while the pager runs is for it: the diff goes on, and waits for its end."""
    many(copy, 3000)
    done = shown(copy, "-p", PAGER=f"trap '' INT QUIT; kill -INT 0; kill -QUIT 0; cat >{base}/seen; echo left")
    assert done.status == 0 and done.stdout == b"left\r\n", done
    assert (base / "seen").read_text().count("diff --git") == 3000


def test_the_copy_is_let_go_while_a_pager_is_open(copy, base):
    """Whoever reads does not keep others from taking the changes over."""
    many(copy, 30)
    done = shown(copy, PAGER=f"cat >/dev/null; ATOLL_HOME={copy.atoll.home} {copy.atoll.binary} apply {copy.id} new1; echo $?")
    assert done.stdout.replace(b"\r", b"").endswith(b"\n0\n"), done
    assert (copy.root / "new1").exists()
