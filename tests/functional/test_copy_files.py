# SPDX-License-Identifier: Apache-2.0
"""A copy of every file (`--copy-by files`): what there is where no overlay can be made."""
import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
import time

import pytest

from harness import runner
from test_copy import AFTER_WORK, SECOND, WORK, Copy, after_work, picture, write
from test_crash import children
from test_terminal import Terminal

MANY = 3000


class Files(Copy):
    def run(self, script, *options, **how):
        return super().run(script, "--copy-by", "files", *options, **how)


@pytest.fixture
def copy(atoll):
    return Files(atoll)


@pytest.mark.asan
def test_from_start_to_end(copy, world):
    before = copy.tree()
    result = copy.run(WORK + "cat a; grep -c ' - overlay ' /proc/self/mountinfo || :")
    assert result.status == 0 and result.out == "one\ntwo\nthree\n0\n", result
    assert result.mechanism("copy") == "keeper, sampler" and picture(copy.root) == before
    found = {path: c["kind"] for path, c in copy.changes().items()}
    assert found == AFTER_WORK
    assert copy.tool("apply").status == 0
    after = picture(copy.root)
    shutil.rmtree(copy.root)
    copy.root.mkdir()
    copy.tree()
    assert after == after_work(copy.root) and copy.state() == []


def test_what_is_copied(copy):
    """Holes, several names of one file, modes, links, and what only its owner may read; no set-id bits of files."""
    copy.tree()
    os.truncate(copy.root / "kept", 64 << 20)
    os.link(copy.root / "a", copy.root / "second")
    (copy.root / "prog.sh").chmod(0o4755)
    (copy.root / "sub/b").chmod(0o600)
    (copy.root / "new\nline").write_text("")
    os.mkfifo(copy.root / "pipe")
    before = picture_of_names(copy.root)
    result = copy.run("stat -c %h,%a a prog.sh sub/b; cat sub/b; echo more >>second; cat a; du -k kept | cut -f1; "
                      "find . | wc -l; test -p pipe && echo pipe")
    assert result.out.splitlines() == ["2,644", "1,755", "1,600", "b", "one", "two", "more", "4",
                                       str(len(before) + 1 + 1), "pipe"], result  # a name of two lines, and "."
    assert sorted(copy.changes()) == ["a", "second"] and picture_of_names(copy.root) == before


def picture_of_names(root):
    return sorted(str(path) for path in root.rglob("*"))


def test_a_view_of_the_start(copy):
    """What the host does meanwhile is no change of the payload's, nor in its way."""
    copy.tree()
    process = copy.atoll.start("/bin/sh", "-c", "echo ready; read x; cat a; ls; echo mine >>kept; rm moved; mkdir d; cat",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    (copy.root / "a").write_text("the host's\n")
    (copy.root / "late").write_text("the host's\n")
    (copy.root / "sub/b").unlink()
    out, _ = process.communicate(b"\n", timeout=20)
    [copy.id] = copy.kept()
    assert out.startswith(b"one\ntwo\n") and b"late" not in out
    assert {p: c["kind"] for p, c in copy.changes().items()} == {"kept": "modified", "moved": "deleted", "d": "added"}
    assert copy.tool("apply").status == 0
    assert (copy.root / "a").read_text() == "the host's\n" and (copy.root / "late").exists()
    assert not (copy.root / "sub/b").exists() and not (copy.root / "moved").exists()


def test_directories_that_are_moved(copy):
    """What lies in them has the times that it had."""
    copy.tree()
    write(copy.root / "old/x", "of old\n")
    write(copy.root / "src/x", "of src\n")
    time.sleep(SECOND)
    copy.run("mv src t; mv old src; mv t old; mv sub elsewhere")
    found = {p: (c["kind"], c.get("from")) for p, c in copy.changes().items()}
    assert found["old/x"][0] == found["src/x"][0] == "modified" or {found[p][0] for p in ("old/x", "src/x")} == {"renamed"}
    assert "elsewhere/b" in found and "elsewhere/deep/c" in found
    assert copy.tool("apply").status == 0
    assert (copy.root / "old/x").read_text() == "of src\n" and (copy.root / "src/x").read_text() == "of old\n"
    assert (copy.root / "elsewhere/b").read_text() == "b\n" and not (copy.root / "sub").exists() and copy.state() == []


def test_directories_that_the_host_moves(copy):
    """They are not taken for what the payload has removed, nor removed by an apply."""
    copy.tree()
    write(copy.atoll.base / "other/f", "older than the start\n")
    write(copy.root / "d/a", "one\n")
    write(copy.root / "e/a", "another\n")
    write(copy.root / "e/b", "only here\n")
    process = copy.atoll.start("/bin/sh", "-c", "echo ready; read x; echo mine >>kept; cat",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    os.rename(copy.atoll.base / "other", copy.root / "new")
    os.rename(copy.root / "sub", copy.root / "sub2")
    os.rename(copy.root / "d", copy.root / "d.bak")
    os.rename(copy.root / "e", copy.root / "d")
    process.communicate(b"\n", timeout=20)
    [copy.id] = copy.kept()
    assert [*copy.changes()] == ["kept"]
    assert copy.tool("apply").status == 0
    assert (copy.root / "new/f").exists() and (copy.root / "sub2/b").exists() and (copy.root / "d/b").exists()
    assert (copy.root / "d/a").read_text() == "another\n" and (copy.root / "d.bak/a").read_text() == "one\n"


def meanwhile(copy, script, change):
    """A payload's script, after the host has changed something."""
    process = copy.atoll.start("/bin/sh", "-c", f"echo ready; read x; {script}; cat",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    change()
    process.communicate(b"\n", timeout=20)
    [copy.id] = copy.kept()
    return {p: c["kind"] for p, c in copy.changes().items()}


def test_removed_where_the_host_was_at_work(copy):
    """What stood in a directory before the start, and is not in the copy, was removed; what has come since was not."""
    copy.tree()
    write(copy.root / "whole/old", "there before\n")
    write(copy.root / "whole/in/old", "there before\n")
    time.sleep(SECOND)

    def change():
        write(copy.root / "sub/late", "the host's\n")
        write(copy.root / "sub/deep/late", "the host's\n")
        write(copy.root / "gone/late", "the host's\n")
        write(copy.root / "whole/in/old", "the host's, by now\n")
        write(copy.root / "whole/later/still", "the host's\n")
    found = meanwhile(copy, "rm sub/b sub/deep/c; rm -r gone whole", change)
    assert found == {"sub/b": "deleted", "sub/deep/c": "deleted", "gone": "deleted", "gone/1": "deleted",
                     "whole": "deleted", "whole/old": "deleted", "whole/in": "deleted"}
    refused = copy.tool("apply")
    assert refused.status == 1 and (copy.root / "gone/1").exists()
    for name in ("gone", "whole", "whole/in"):
        assert f"{name}: conflict: it holds something that the policy hides from the sandbox, or that has come since" in refused.err, refused
    assert copy.tool("apply", "sub/b").status == 0
    assert not (copy.root / "sub/b").exists() and (copy.root / "sub/late").exists()
    assert "sub/deep/c" in copy.changes() and "sub/b" not in copy.changes(), "an apply of a part hides nothing"
    for name in ("gone/late", "whole/in/old", "whole/later/still"):
        (copy.root / name).unlink()
    (copy.root / "whole/later").rmdir()
    assert copy.tool("apply").status == 0
    assert sorted(picture_of_names(copy.root)) == sorted(str(copy.root / name) for name in (
        "a", "kept", "moved", "pointer", "prog.sh", "sub", "sub/deep", "sub/deep/late", "sub/late"))


def test_moved_and_removed(copy):
    """What lies in a directory that the host has moved there was never in the copy."""
    copy.tree()
    write(copy.root / "e/b", "only here\n")
    write(copy.root / "e/in/c", "only here\n")
    write(copy.atoll.base / "other/f", "older than the start\n")
    time.sleep(SECOND)

    def change():
        os.rename(copy.root / "sub", copy.root / "e/was-sub")
        os.rename(copy.root / "e", copy.root / "sub")
        os.rename(copy.atoll.base / "other", copy.root / "gone/other")
    assert meanwhile(copy, "rm -r gone/1 sub; rm -r e", change) == {"gone/1": "deleted"}
    assert copy.tool("apply").status == 0
    assert (copy.root / "sub/was-sub/b").exists() and (copy.root / "sub/in/c").exists() and (copy.root / "gone/other/f").exists()


def test_its_directory_is_gone(copy):
    """What the payload changed in a directory that the host has removed since waits for somebody to decide."""
    copy.tree()
    found = meanwhile(copy, "echo x >>sub/b; echo x >>a", lambda: shutil.rmtree(copy.root / "sub"))
    assert found == {"a": "modified", "sub/b": "added"}
    refused = copy.tool("apply")
    assert refused.status == 1 and "sub/b: conflict: the directory that it is in was removed outside" in refused.err
    assert copy.tool("apply", "a").status == 0 and [*copy.changes()] == ["sub/b"]
    (copy.root / "sub").mkdir()
    assert copy.tool("apply").status == 0 and (copy.root / "sub/b").read_text() == "b\nx\n"


def test_a_copy_that_does_not_know(copy):
    """As those of before, which did not note which directories there were: nothing is taken for removed by mistake."""
    copy.tree()
    found = meanwhile(copy, "rm sub/b a", lambda: write(copy.root / "sub/late", "the host's\n"))
    assert found == {"a": "deleted", "sub/b": "deleted"}
    for damage in (lambda p: p.write_text("odd"), os.unlink):
        damage(copy.atoll.home / "sandboxes" / copy.id / "copy/dirs")
        assert [*copy.changes()] == ["a"]


def test_both_move_things(copy):
    """What lies in a directory that the payload has moved is told by its content, also where the host was at work."""
    copy.tree()
    write(copy.root / "old/x", "of old\n")
    write(copy.root / "src/x", "of src\n")
    time.sleep(SECOND)
    process = copy.atoll.start("/bin/sh", "-c", "mv src t; mv old src; mv t old; echo ready; cat",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    write(copy.root / "old/late", "the host's\n")
    write(copy.root / "src/late", "the host's\n")
    process.communicate(timeout=20)
    [copy.id] = copy.kept()
    assert sorted(copy.changes()) == ["old/x", "src/x"]
    assert copy.tool("apply").status == 0
    assert (copy.root / "old/x").read_text() == "of src\n" and (copy.root / "old/late").exists()


def test_both_changed_it(copy):
    copy.tree()
    process = copy.atoll.start("/bin/sh", "-c", "echo ready; read x; echo mine >>a; cat",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    (copy.root / "a").write_text("the host's\n")
    process.communicate(b"\n", timeout=20)
    [copy.id] = copy.kept()
    refused = copy.tool("apply")
    assert refused.status == 1 and "a: conflict" in refused.err and (copy.root / "a").read_text() == "the host's\n"


def test_nothing_was_changed(copy, live):
    """Whatever was read, and whoever asks: a run, or a sandbox that lived."""
    copy.tree()
    assert copy.run("cat a; find .").document["copy_kept"] is False and copy.state() == []
    box = live("--workspace", f"{copy.root}:copy", "--copy-by", "files")
    assert box.run("/bin/sh", "-c", f"cat {copy.root}/a").out == "one\ntwo\n"
    assert copy.atoll.tool("stop", box.id).status == 0 and copy.state() == []


def test_denied(copy):
    """What is denied is not copied; what is made at its name stays in the copy."""
    copy.tree()
    write(copy.root / ".env", "a secret of the host's\n")
    write(copy.root / "sub/.ENV", "another\n")
    result = copy.run("ls -A . sub; cat .env; echo mine >.env; echo x >>a", "--deny", "**/.env")
    assert ".env" not in result.out.lower() and "secret" not in result.out
    found = copy.changes()
    assert sorted(found) == [".env", "a"] and found[".env"]["hazards"][0]["code"] == "denied-path"
    assert copy.tool("apply", "a").status == 0
    assert (copy.root / ".env").read_text() == "a secret of the host's\n"


def test_larger_than_it_may_be(copy):
    copy.tree()
    write(copy.root / "big", b"x" * (3 << 20))
    result = copy.run("true", "--copy", "2MiB")
    assert result.status == 125 and "larger than its copy may be" in result.err and "--copy" in result.err
    assert copy.state() == []


def test_its_growth_is_limited(copy):
    """The limit is for what comes to it."""
    copy.tree()
    write(copy.root / "big", b"x" * (3 << 20))
    assert copy.run("head -c 2M /dev/zero >more; rm more", "--copy", "4MiB").reason == "exited"
    result = copy.run("head -c 32M /dev/zero >more; sleep 30", "--copy", "4MiB")
    assert result.status == 137 and result.reason == "limit:copy", result


def test_what_may_not_be_read(copy, need_user):
    """A file that cannot be copied would be taken for one that the payload has removed."""
    copy.tree()
    (copy.root / "kept").chmod(0)
    result = copy.run("true")
    (copy.root / "kept").chmod(0o600)
    assert result.status == 125 and "cannot copy 'kept'" in result.err and copy.state() == []


def test_a_device(copy, need_root):
    copy.tree()
    os.mknod(copy.root / "sub/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    result = copy.run("true")
    assert result.status == 125 and "cannot copy 'null'" in result.err and copy.state() == []


def test_a_keeper_that_is_killed(copy):
    copy.tree()
    process = copy.atoll.start("/bin/sh", "-c", "echo x >>a; rm kept; echo ready; sleep 60",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    [copy.id] = copy.state()
    note = runner.read_json(copy.atoll.home / "sandboxes" / copy.id / "sandbox.json")
    os.kill(note["keeper"], 9)
    process.communicate(timeout=20)
    assert runner.eventually(lambda: copy.kept() == [copy.id])
    assert sorted(copy.changes()) == ["a", "kept"] and copy.tool("discard").status == 0 and copy.state() == []


def test_killed_before_it_was_whole(copy):
    """Nothing of the payload's had run: what has been copied by then is nobody's work."""
    copy.tree()
    process = copy.atoll.start("/bin/sh", "-c", "echo x >>a; echo ready; sleep 60",
                               options=("--workspace", f"{copy.root}:copy", "--copy-by", "files"))
    assert process.stdout.readline() == b"ready\n"
    [copy.id] = copy.state()
    home = copy.atoll.home / "sandboxes" / copy.id
    os.kill(runner.read_json(home / "sandbox.json")["keeper"], 9)
    process.communicate(timeout=20)
    if (home / "copy").exists() and (home / "sandbox.json").exists():  # as it was a moment earlier
        (home / "copy/whole").unlink()
        assert runner.eventually(lambda: copy.kept() == [] and copy.state() == [])
    else:
        copy.tool("discard")
        pytest.fail("another command was faster")


def test_group_limits_ask_for_another(copy):
    copy.tree()
    result = copy.run("true", "--limits", "group")
    assert result.status == 125 and "copy_by" in result.err and copy.state() == []


def test_where_no_overlay_can_be_made(copy, need_root):
    """Named, it is one of every file, and a note says so; the state is on an overlay, as inside containers."""
    copy.tree()
    place = copy.atoll.base / "o"
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir(parents=True)
    script = (f"mount -t overlay none -o lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work "
              f"{place}/merged; export ATOLL_HOME={place}/merged; \"$1\" run --workspace {copy.root}:copy -- sh -c "
              "'echo x >>a; rm -r gone; mkdir made' && id=$(\"$1\" ps --kept --quiet) && \"$1\" diff $id && \"$1\" apply $id; ls \"$ATOLL_HOME/sandboxes\"")
    result = runner.capture(["unshare", "--mount", "sh", "-c", script, "sh", copy.atoll.binary],
                            env=copy.atoll.environment(), cwd=copy.root)
    assert "Every file of the workspace is copied before the start" in result.err, result
    assert result.out.splitlines() == ["M  a", "D  gone", "D  gone/1", "A  made (directory)"], result
    assert (copy.root / "a").read_text() == "one\ntwo\nx\n" and not (copy.root / "gone").exists()


def test_changes_right_after_the_start(copy):
    """The clock that stamps files has gone on before anything of the payload runs: nothing is missed."""
    copy.tree()
    for _ in range(5):
        copy.run("echo x >>a; rm kept; chmod 700 prog.sh")
        assert sorted(copy.changes()) == ["a", "kept", "prog.sh"]
        assert copy.tool("discard").status == 0


# ---- copies that take their time ----

@pytest.fixture
def large(copy):
    for i in range(MANY):
        write(copy.root / f"d{i % 30}/{i}", f"{i}\n")
    return copy


def keeper_of(process):
    """As soon as it is one."""
    def find():
        return [pid for pid in children(process.pid) if (runner.text_of(f"/proc/{pid}/comm") or "") == "atoll-keeper\n"]
    [keeper] = runner.eventually(find)
    return keeper


# A moment for one that has to end as well: beside other load shorter ones are often over before they begin.
ENDING = 0.01


@contextlib.contextmanager
def slowed(pid, pause=0.2, moment=0.002):
    """A process that gets a moment now and then."""
    over = threading.Event()

    def hold():
        try:
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                over.wait(pause)
                os.kill(pid, signal.SIGCONT)
                time.sleep(moment)
        except ProcessLookupError:
            pass
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def begin(copy, *options, script="ls | wc -l"):
    return copy.atoll.start("/bin/sh", "-c", script, options=("--workspace", f"{copy.root}:copy", "--copy-by", "files", *options))


def being_copied(copy):
    return runner.eventually(lambda: [*copy.atoll.home.glob("sandboxes/*/copy/part/d*")])


def events(copy):
    [record] = (copy.atoll.home / "trail").iterdir()
    return [json.loads(line) for line in record.read_text().splitlines()]


@pytest.fixture
def terminal(atoll):
    t = Terminal(atoll)
    yield t
    t.close()


def begin_on_terminal(large, terminal, *options):
    terminal.start([*large.atoll.arguments(["/bin/sh", "-c", "ls | wc -l"],
                                           ["--workspace", f"{large.root}:copy", "--copy-by", "files", *options])])
    return keeper_of(terminal.process)


def test_how_far_it_is(large, terminal, world):
    """On a terminal, in a line that goes before anything else is said."""
    with slowed(begin_on_terminal(large, terminal)):
        [first, second] = [int(terminal.expect(rb"\r\x1b\[Katoll: copying the workspace: (\d+) files, \d+ MiB").group(1)) for _ in range(2)]
    assert 0 < first < second <= MANY + 30
    assert terminal.wait() == 0
    assert re.search(rb"; \^C ends it\r\x1b\[K(atoll: note: .*\r\n)?30\r\n\Z", terminal.shown), terminal.shown


def test_nobody_is_told_who_did_not_ask(large, terminal, world):
    with slowed(begin_on_terminal(large, terminal, "--quiet")):
        time.sleep(2)  # a terminal that wants it has been told by then
    assert terminal.wait() == 0 and b"copying" not in terminal.shown
    process = begin(large)
    with slowed(keeper_of(process)):
        time.sleep(2)
    out, err = process.communicate(timeout=runner.TIMEOUT)
    assert process.returncode == 0 and out == b"30\n" and b"copying" not in err


def test_an_interrupt_ends_it(large, terminal, world):
    """And leaves nothing: no copy, no sandbox, and whoever waits sees by what it ended."""
    with slowed(begin_on_terminal(large, terminal), moment=ENDING):
        terminal.expect(b"copying the workspace")
        terminal.type("\x03")
        terminal.expect(rb"\r\x1b\[Katoll: the sandbox was stopped\r\n")
        assert terminal.wait() == -signal.SIGINT
    assert terminal.is_as_before() and large.state() == [] and large.kept() == []
    [ended] = [e["data"] for e in events(large) if e["event"] == "ended"]
    assert ended["reason"] == "stopped" and "started" not in [e["event"] for e in events(large)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
def test_a_signal_ends_it(large, number, world):
    """The front that is told to end it, or is killed, and then nobody asks for it any more."""
    process = begin(large)
    with slowed(keeper_of(process), moment=ENDING):
        assert being_copied(large)
        process.send_signal(number)
        process.communicate(timeout=runner.TIMEOUT)
        assert process.returncode == -number
        assert runner.eventually(lambda: large.state() == [], 20)
    document = runner.read_json(large.atoll.document)
    assert number == signal.SIGKILL or (document["reason"] == "stopped" and document["torn_down"] is True)


def test_a_creator_that_is_gone_ends_it(large, world):
    """Nobody would know of the sandbox."""
    argv = [large.atoll.binary, "create", "--workspace", f"{large.root}:copy", "--copy-by", "files"]
    process = subprocess.Popen(argv, env=large.atoll.environment(), cwd=large.root, stdout=subprocess.PIPE)
    large.atoll.started.append(process)
    process.stdin = process.stderr = None
    with slowed(keeper_of(process), moment=ENDING):
        assert being_copied(large)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=runner.TIMEOUT) == -signal.SIGINT
        assert runner.eventually(lambda: large.state() == [], 20)


def test_other_signals_do_not(large, world):
    """What would tell or stop a command finds none yet."""
    process = begin(large)
    with slowed(keeper_of(process)):
        assert being_copied(large)
        for number in (signal.SIGUSR1, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            process.send_signal(number)
        time.sleep(2)
    out, _ = process.communicate(timeout=runner.TIMEOUT)
    assert process.returncode == 0 and out == b"30\n"


@pytest.mark.long
def test_longer_than_a_start_may_hang(large, world):
    """It takes as long as it takes."""
    process, begun = begin(large, script="find . -type f | wc -l"), time.monotonic()
    with slowed(keeper_of(process), pause=2):
        while time.monotonic() - begun < 75:
            time.sleep(1)
            assert process.poll() is None, process.communicate()
    out, err = process.communicate(timeout=runner.TIMEOUT)
    assert process.returncode == 0 and out == f"{MANY}\n".encode(), err
    assert runner.read_json(large.atoll.document)["durations_ms"]["setup"] > 70000
