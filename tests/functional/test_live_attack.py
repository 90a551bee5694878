# SPDX-License-Identifier: Apache-2.0
"""Whoever gets in the way of commands in a sandbox that lives: inside, outside, and at any moment."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest

from harness import runner
from harness.live import is_dead, running


START_SECONDS = 10  # as long as a command may take to begin (keeper/exec.c)


# ---- in the way ----

HUNT = r"""
import os, signal, sys, time
me, what = os.getpid(), getattr(signal, sys.argv[1])
print("hunting", flush=True)
while True:
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (1, me):
            try:
                os.kill(int(name), what)
            except OSError:
                pass
"""


@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
def test_whoever_hunts_newcomers(live, what):
    """They may never come to run; but each attempt ends, and the keeper hears everybody."""
    box = live("--starts", "1000")
    hunter = box.start("/usr/bin/python3", "-c", HUNT, what)
    assert hunter.stdout.readline() == b"hunting\n"
    for _ in range(5 if what == "SIGKILL" else 1):
        options = ("--timeout", "1s")
        result = box.run("/bin/echo", "hello", options=options, timeout=(START_SECONDS + 20) * runner.SLOW)
        assert not result.timed_out, result
        assert result.status in (0, 124, 125, 137, 128 + 19), result
        assert box.id in running(box.atoll), "the keeper answers"
    hunter.kill()
    assert runner.eventually(lambda: box.run("true").status == 0, 20), "when the hunter is gone it is as before"


def test_no_process_left(live):
    """At its limit of processes a sandbox takes no command, and says so at once."""
    box = live("--processes", "20")
    fill = "import os, time\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(600)\nexcept OSError:\n  pass\nprint('full', flush=True); time.sleep(600)"
    filler = box.start("/usr/bin/python3", "-c", fill)
    assert filler.stdout.readline() == b"full\n"
    begin = time.monotonic()
    result = box.run("true")
    assert result.status == 125 and time.monotonic() - begin < START_SECONDS, result
    filler.kill()
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 0, 10)


def ask(directory, message, fds=()):
    """A message to the control socket, and its reply."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        where = os.open(directory, os.O_PATH)
        try:
            s.connect(f"/proc/self/fd/{where}/control")
        finally:
            os.close(where)
        socket.send_fds(s, [message], list(fds))
        try:
            data, got, _, _ = socket.recv_fds(s, 65536, 4)
        except ConnectionResetError:
            return b""
        for fd in got:
            os.close(fd)
        return data


def memfd(data):
    fd = os.memfd_create("request")
    os.write(fd, data)
    return fd


EXEC, LAST, RESULT = 7, 8, 106  # keeper/control.h, keeper/message.h


@pytest.mark.parametrize("document, argv", [
    (b"", b"true\0"), (b"{}", b"true\0"), (b"[1]", b"true\0"), (b"not json", b"true\0"),
    (b'{"command":{}}', b"true\0"), (b'{"command":null}', b"true\0"),
    (b'{"command":{"tty":8,"one_output":false,"own":false,"detached":false,"wall_ns":0}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":-1}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":0,"cwd":"relative"}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":0,"env":[1]}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":0,"env":["=x"]}}', b"true\0"),
    (b'{"command":{"tty":1,"one_output":false,"own":false,"detached":true,"wall_ns":0}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":1,"wall_ns":0}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":0}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":0}}', b""),
    (b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":0}}', b"no end"),
])
def test_malformed_requests(live, document, argv):
    box = live()
    fds = [memfd(document), os.pidfd_open(os.getpid()), memfd(argv)]
    reply = ask(box.directory(), struct.pack("Iii", EXEC, 0, 0), fds)
    for fd in fds:
        os.close(fd)
    assert reply == b"" or struct.unpack("Iii", reply)[0] == RESULT
    assert box.run("true").status == 0


def test_messages_of_other_shapes(live):
    box = live()
    fd = memfd(b"x")
    for message in (b"", b"x", struct.pack("I", EXEC), struct.pack("Iiii", EXEC, 0, 0, 0), struct.pack("Iii", 0, 0, 0),
                    struct.pack("Iii", LAST + 1, 0, 0), struct.pack("Iii", 0xFFFFFFFF, 0, 0), b"x" * 70000):
        for n in (0, 1, 3, 8):
            if message:
                assert ask(box.directory(), message, [fd] * n) in (b"",) or n == 3
    os.close(fd)
    assert ask(box.directory(), struct.pack("Iii", 1, 0, 0), []).startswith(b"{")
    assert box.run("true").status == 0
    keeper = box.keeper()
    assert runner.eventually(lambda: len(os.listdir(f"/proc/{keeper}/fd")) < 60), "and keeps none of the descriptors"


def test_nothing_is_left_of_many(live):
    """Neither the keeper nor pid 1 keeps anything of commands that are over."""
    box = live()
    box.run("true")
    keeper, init = box.keeper(), box.init()
    def held():
        return len(os.listdir(f"/proc/{keeper}/fd")), len(os.listdir(f"/proc/{init}/task"))
    before = min(held() for _ in range(20))  # the last descriptors of a command go when its front has gone, so at most
    for i in range(40):
        assert box.run(*[["true"], ["no-such"], ["sh", "-c", "kill -9 $$"]][i % 3]).status in (0, 127, 137)
    assert runner.eventually(lambda: held() <= before), (before, held())
    assert pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split() == [str(init)]
    assert pathlib.Path(f"/proc/{init}/task/{init}/children").read_text() == ""


# ---- death at any moment ----

def strike(process, after):
    """Kills what a process is, so long after its start."""
    time.sleep(after)
    process.kill()
    process.communicate(timeout=30)


@pytest.mark.parametrize("step", [1.5, pytest.param(0.05, marks=pytest.mark.long)])
def test_exec_whose_front_is_killed(live, atoll, step):
    """At any moment of it: the command ran once or not at all, and nothing of it goes on."""
    box = live("--workspace", ".:direct")
    marker, moment, ran = atoll.workspace / "marker", 0.0, 0
    while moment < 25:
        strike(box.start("/bin/sh", "-c", "echo x >>marker; exec sleep 600"), moment / 1000 * runner.SLOW)
        assert runner.eventually(lambda: running(atoll)[box.id]["commands"] == 0, 15), moment
        assert (runner.text_of(marker) or "") in ("", "x\n"), moment
        ran += marker.exists()
        marker.unlink(missing_ok=True)
        moment += step
    assert ran > 0
    assert box.shell("ps -e -o comm= | grep -c sleep").out == "0\n"


@pytest.mark.parametrize("step", [3.0, pytest.param(0.1, marks=pytest.mark.long)])
def test_exec_whose_keeper_is_killed(live, atoll, step):
    moment = 0.0
    while moment < 25:
        box = live("--name", "swept", "--workspace", ".:copy")
        box.shell("echo kept >kept")
        init, keeper = box.init(), box.keeper()
        process = box.start("/bin/sh", "-c", "echo y >more; exec sleep 600")
        time.sleep(moment / 1000 * runner.SLOW)
        os.kill(keeper, signal.SIGKILL)
        assert process.wait(timeout=30) == 125, moment
        assert runner.eventually(lambda: is_dead(init), 10), moment
        assert "removed what 1 sandbox left" in atoll.tool("ps").err, moment
        changed = atoll.tool("diff", "--name-only", "swept").out.split()
        assert "kept" in changed, moment
        assert atoll.tool("rm", "swept").status == 0
        moment += step


@pytest.mark.parametrize("step", [1.0, pytest.param(0.05, marks=pytest.mark.long)])
@pytest.mark.parametrize("words", [("stop",), ("rm", "--force")], ids=lambda words: words[0])
def test_end_whose_front_is_killed(live, atoll, step, words):
    """Whoever asks for the end may die of it; the end comes, or the sandbox is as it was."""
    moment = 0.0
    while moment < 12:
        box = live("--workspace", ".:copy")
        box.shell("echo kept >kept")
        process = subprocess.Popen([str(atoll.binary), *words, box.id], env=atoll.environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        strike(process, moment / 1000 * runner.SLOW)
        def settled():
            return box.id not in running(atoll) or box.run("true").status == 0
        assert runner.eventually(settled, 10), moment
        again = atoll.tool("rm", "--force", box.id)
        assert again.status == 0 or "no sandbox" in again.err, (moment, again)
        assert box.is_gone(), moment
        moment += step


# ---- what a second look found ----

def test_a_report_is_not_written_through_the_workspace(live, atoll):
    box = live("--workspace", ".:direct")
    victim = atoll.base / "victim"
    victim.write_text("mine\n")
    assert box.shell(f"ln -s {victim} link; mkfifo pipe").status == 0
    for name in ("link", "pipe"):
        result = box.run("true", options=("--json", name))
        assert result.status == 125 and "is not written" in result.err and not result.timed_out, result
    assert victim.read_text() == "mine\n"
    assert box.run("true", options=("--json", "plain")).status == 0


def test_a_policy_that_says_which_variables_there_are(live, atoll):
    (atoll.base / "policy.yaml").write_text("version: 1\ndata: {env: {MODE: safe}}\n")
    box = live("--policy", atoll.base / "policy.yaml")
    for setting in ("MODE=evil", "NEW=1"):
        refused = box.run("env", options=("--env", setting))
        assert refused.status == 125 and "says which variables there are" in refused.err, setting
    assert "MODE=safe\n" in box.run("env", options=("--env", "MODE=safe")).out
    assert box.inspect()["plan"]["env_fixed"] is True


def test_a_front_that_does_not_read_holds_up_nobody(live, atoll):
    main = atoll.start("sleep", "3")
    [name] = runner.eventually(lambda: list(running(atoll)))
    silent = subprocess.Popen([str(atoll.binary), "exec", name, "yes"], env=atoll.environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    assert runner.eventually(lambda: running(atoll)[name]["commands"] == 2)
    assert main.wait(timeout=20) == 0
    assert runner.eventually(lambda: not (atoll.home / "sandboxes" / name).exists(), 10)
    out, err = silent.communicate(timeout=20)
    assert silent.returncode == 137 and b"was stopped" in err and out.replace(b"y\n", b"") in (b"", b"y")


def test_a_session_ends_although_nobody_reads(live):
    box = live("--session", "2s")
    process = box.start("yes")
    assert runner.eventually(box.is_gone, 15)
    process.communicate(timeout=20)
    assert process.returncode in (124, 137)


def test_who_takes_the_last_output_away(live):
    """What was counted in the pipe is read by somebody inside; the end is told all the same."""
    box = live()
    script = ("import os, time\nos.set_blocking(1, False)\ntry:\n  while True: os.write(1, b'x' * 4096)\n"
              "except BlockingIOError: pass\nif os.fork() == 0:\n  os.setsid(); f = os.open('/proc/self/fd/1', os.O_RDONLY)\n"
              "  while True: os.read(f, 65536)\ntime.sleep(0.5)\n")
    process = box.start("/usr/bin/python3", "-c", script)
    time.sleep(2)  # until it has ended, while nobody reads here
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and set(out) <= {ord("x")}


def test_a_stopped_leader(live, atoll):
    box = live()
    result = runner.on_terminal(box.argv("/bin/sh", "-c", "kill -STOP $PPID; exit 0"), env=atoll.environment({"TERM": "xterm"}),
                                cwd=atoll.workspace, timeout=20)
    assert not result.timed_out and result.status in (0, 128 + 9), result
    assert box.run("true").status == 0


ESCAPE = """
import os, time
child = os.fork()
if child == 0:
    os.setpgid(0, 0); time.sleep(600)
time.sleep(0.1)
os.setpgid(0, child)
print('out', flush=True)
time.sleep(600)
"""


def test_out_of_its_group(live):
    """Who leaves the group that is killed dies all the same."""
    box = live()
    begin = time.monotonic()
    result = box.run("/usr/bin/python3", "-c", ESCAPE, options=("--timeout", "1s"))
    assert result.status == 124 and time.monotonic() - begin < 4 * runner.SLOW, result
    process = box.start("/usr/bin/python3", "-c", ESCAPE)
    assert process.stdout.readline() == b"out\n"
    process.kill()
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 0, 10)
    assert box.shell("ps -e -o stat=,args= | grep -v ^Z | grep -c '[o]s.setpgid(0, child)'").out == "2\n", "the children stay"


def test_output_that_is_cut_is_no_success(live):
    box = live("--output", "64KiB")
    for _ in range(5):
        over = box.run("head", "-c", "80000", "/dev/zero")
        assert over.status == 137 and len(over.stdout) == 65536, over.status
    process = box.start("head", "-c", "80000", "/dev/zero")
    time.sleep(0.5)  # ended by now, and nobody has read
    assert len(process.stdout.read()) == 65536 and process.wait(timeout=20) == 137
    box = live()
    process = box.start("head", "-c", "150000", "/dev/zero")
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 1)
    time.sleep(0.3)  # until it waits for its reader
    assert box.atoll.tool("stop", box.id).status == 0
    out, err = process.communicate(timeout=20)
    assert process.returncode == 137 or len(out) == 150000, (process.returncode, len(out), err)


def test_a_signal_before_the_first_instruction(live):
    box = live()
    keeper = box.keeper()
    os.kill(keeper, signal.SIGSTOP)
    process = box.start("sleep", "60")
    time.sleep(0.3)  # until it has asked
    process.send_signal(signal.SIGTERM)
    os.kill(keeper, signal.SIGCONT)
    assert process.wait(timeout=20) == -signal.SIGTERM


def test_a_creator_that_cannot_tell(live, atoll):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([str(atoll.binary), "create", "--quiet"], stdout=full, stderr=subprocess.PIPE,
                              env=atoll.environment(), cwd=atoll.workspace, check=False)
    assert done.returncode == 125
    assert runner.eventually(lambda: not running(atoll), 10)
    for wait in (0.001, 0.004, 0.008, 0.02):
        process = subprocess.Popen([str(atoll.binary), "create", "--quiet"], stdout=subprocess.PIPE, text=True,
                                   env=atoll.environment(), cwd=atoll.workspace)
        time.sleep(wait)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[0].split()
        assert process.returncode in ((0, -signal.SIGTERM) if said else (-signal.SIGTERM,))  # said, and ended before its own end
        if said:
            assert atoll.tool("rm", "--force", *said).status == 0
        assert runner.eventually(lambda: not running(atoll), 10), wait


def test_denials_of_each_command(live):
    box = live("--denials", "end")
    ended = box.shell("mount -t tmpfs none /tmp; sleep 30")
    assert ended.status == 137 and "stopped by the first refusal: mount" in ended.err and "(null)" not in ended.err, ended
    box = live()
    assert "refused: mount" in box.shell("mount -t tmpfs none /tmp; true").err
    assert "refused: mount" not in box.run("true").err
    assert "1 times" in box.shell("mount -t tmpfs none /tmp; true").err


def test_the_record_has_every_way_out(live):
    box = live()
    box.run("no-such-program")
    box.run("true", options=("--cwd", "/no/such"))
    process = box.start("sleep", "600")
    # One that is counted may still be on its way; it runs when the record says so.
    record = box.atoll.home / "trail" / f"{box.id}.jsonl"
    assert runner.eventually(lambda: '"event":"program"' in runner.text_of(record))
    box.atoll.tool("stop", box.id)
    process.wait(timeout=20)
    events = [(e["event"], e["data"].get("command"), e["data"].get("kind"), e["data"].get("reason")) for e in box.events()[2:]]
    assert events == [("exec_failed", 1, "exec", None), ("exec_failed", 2, "system", None), ("exec", 3, None, None),
                      ("program", 3, None, None), ("exec_ended", 3, None, "stopped"), ("ended", None, None, "stopped"), ("torn_down", None, None, None)]


def test_a_stop_at_any_moment_leaves_no_command_out_of_the_record(live, atoll):
    """What is asked for while the sandbox ends has run and ended, or has failed; each number once."""
    on_its_way = 0
    for turn in range(400):
        if turn >= 24 and on_its_way > 0:
            break
        box = live()
        fronts = [box.start("true", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
        time.sleep(turn % 24 * 0.0015)
        assert atoll.tool("rm", "--force", box.id).status == 0
        for front in fronts:
            front.wait(timeout=20)
        events = [(e["event"], e["data"].get("command"), e["data"].get("message", "")) for e in box.events()]
        begun = sorted(number for event, number, _ in events if event in ("exec", "exec_failed"))
        assert begun == list(range(1, len(begun) + 1)), events
        assert sorted(n for event, n, _ in events if event == "exec") == \
            sorted(n for event, n, _ in events if event == "exec_ended"), events
        on_its_way += sum(text == "the sandbox ended before it ran" for _, _, text in events)
    assert on_its_way > 0, "no stop came at such a moment"


# ---- what an attacker found ----

HOLD = r"""
import os, signal, time
print("holding", flush=True)
me = os.getpid()
while True:
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        if pid in (1, me):
            continue
        try:
            if "atoll-init" not in open(f"/proc/{pid}/cmdline").read():
                continue
            for _ in range(400):
                os.kill(pid, signal.SIGSTOP)
                os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGSTOP)
        except OSError:
            pass
"""


def test_news_that_nobody_reads(live, atoll):
    """Stops and continuations of a newcomer, and a flood of requests whose fronts leave at once."""
    box = live("--session", "20s")
    hunter = box.start("/usr/bin/python3", "-c", HOLD)
    assert hunter.stdout.readline() == b"holding\n"
    document = b'{"command":{"tty":0,"one_output":false,"own":false,"detached":false,"wall_ns":0}}'
    for _ in range(300):
        fds = [memfd(document), os.pidfd_open(os.getpid()), memfd(b"true\0")]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            where = os.open(box.directory(), os.O_PATH)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 10, 0))  # blocking, for so long
            s.connect(f"/proc/self/fd/{where}/control")
            socket.send_fds(s, [struct.pack("Iii", EXEC, 0, 0)], fds)
            os.close(where)
        for fd in fds:
            os.close(fd)
    assert box.id in running(atoll), "the keeper answers"
    assert atoll.tool("stop", box.id).status == 0
    assert hunter.wait(timeout=20) == 137


@pytest.mark.parametrize("kind", ["eventfd", "pipe", "file"])
def test_documents_that_are_no_memory(live, base, kind):
    box = live()
    fd = os.eventfd(0) if kind == "eventfd" else os.pipe()[0] if kind == "pipe" else os.open(__file__, os.O_RDONLY)
    reply = ask(box.directory(), struct.pack("Iii", EXEC, 0, 0), [fd, os.pidfd_open(os.getpid()), memfd(b"true\0")])
    assert struct.unpack("Iii", reply)[0] == RESULT
    assert box.run("true").status == 0
    os.close(fd)


def test_very_many_variables(live):
    box = live()
    words = json.dumps({"command": {"tty": 0, "one_output": False, "own": False, "detached": False, "wall_ns": 0, "env": [f"A{i}=x" for i in range(60_000)]}})
    begin = time.monotonic()
    ask(box.directory(), struct.pack("Iii", EXEC, 0, 0), [memfd(words.encode()), os.pidfd_open(os.getpid()), memfd(b"true\0")])
    assert box.run("true").status == 0 and time.monotonic() - begin < 5 * runner.SLOW


def test_stopped_at_the_last_moment(live, atoll):
    """The front takes an old stop for news, and has its result already: it is woken."""
    box = live()
    script = ("import os, signal\nc = os.getpid()\nif os.fork() == 0:\n"
              "  for n in (signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP, signal.SIGKILL): os.kill(c, n)\n"
              "  os._exit(0)\nsignal.pause()\n")
    for _ in range(8):
        result = runner.on_terminal(box.argv("/usr/bin/python3", "-c", script), env=atoll.environment({"TERM": "xterm"}),
                                    cwd=atoll.workspace, timeout=20)
        assert not result.timed_out and result.status == 128 + 9, result


def test_a_terminal_that_is_written_to_for_ever(live, atoll):
    box = live()
    begin = time.monotonic()
    result = runner.on_terminal(box.argv("/bin/sh", "-c", "trap '' HUP; (while :; do echo more; done) & exit 3"),
                                env=atoll.environment({"TERM": "xterm"}), cwd=atoll.workspace, timeout=30)
    assert result.status == 3 and time.monotonic() - begin < 10 * runner.SLOW, result.status


def test_an_empty_name(live):
    assert live().run("").status == 127


LOWER = r"""
import os, resource
print("lowering", flush=True)
last = os.getpid()
while True:
    for pid in range(last + 1, last + 6):
        try:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))
            last = pid
        except OSError:
            pass
"""


def test_a_newcomer_that_is_not_as_planned(live):
    """Somebody inside takes a limit of its own: what is read before the first instruction differs, and it does not run."""
    box = live()
    hunter = box.start("/usr/bin/python3", "-c", LOWER)
    assert hunter.stdout.readline() == b"lowering\n"
    refused = 0
    for _ in range(60):
        result = box.run("/bin/sh", "-c", "ulimit -f")
        if result.status == 125:
            assert "read-back does not match the plan" in result.err and result.out == "", result
            refused += 1
    assert refused > 0
    assert [e for e in box.events() if e["event"] == "exec_failed"]
    hunter.kill()
    assert runner.eventually(lambda: box.run("true").status == 0)
