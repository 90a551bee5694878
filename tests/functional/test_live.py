# SPDX-License-Identifier: Apache-2.0
"""A sandbox that lives: create, exec, shell, ps, inspect, stop, rm; and who gets in its way."""
import hashlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import runner, trail

START_SECONDS = 10  # as long as a command may take to begin (keeper/exec.c)


class Live:
    """One sandbox that lives, and commands in it."""

    def __init__(self, atoll, *options):
        self.atoll = atoll
        made = atoll.tool("create", *options)
        assert made.status == 0, made
        self.id = made.out.strip()
        assert made.out == f"{self.id}\n" and self.id.startswith("s-"), made
        self.options = list(options)

    def argv(self, *command, options=()):
        return [self.atoll.binary, "exec", *options, self.id, "--", *command]

    def run(self, *command, options=(), **how):
        how.setdefault("env", self.atoll.environment())
        how.setdefault("cwd", self.atoll.workspace)
        return runner.capture(self.argv(*command, options=options), **how)

    def shell(self, script, *options, **how):
        return self.run("/bin/sh", "-c", script, options=options, **how)

    def start(self, *command, options=(), **how):
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        process = subprocess.Popen([str(a) for a in self.argv(*command, options=options)],
                                   env=self.atoll.environment(), cwd=self.atoll.workspace, **streams)
        self.atoll.started.append(process)
        return process

    def inspect(self):
        [document] = json.loads(self.atoll.tool("inspect", self.id).out)
        return document

    def directory(self):
        return self.atoll.home / "sandboxes" / self.id

    def keeper(self):
        return json.loads((self.directory() / "sandbox.json").read_text())["keeper"]

    def init(self):
        """Pid 1, as this side sees it: the keeper's child."""
        keeper = self.keeper()
        children = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        return next(int(c) for c in children if (runner.text_of(f"/proc/{c}/cmdline") or "").startswith("atoll-init"))

    def events(self):
        return trail.read(self.atoll.home / "trail" / f"{self.id}.jsonl")

    def is_gone(self):
        return not self.directory().exists()


@pytest.fixture
def live(atoll, world):
    """Makes sandboxes that live; nothing of them may be left."""
    def make(*options):
        return Live(atoll, *options)
    yield make
    everything = atoll.tool("ps", "--quiet").out.split() + atoll.tool("ps", "--kept", "--quiet").out.split()
    if everything:
        assert atoll.tool("rm", "--force", *everything).status == 0
    assert os.listdir(atoll.home / "sandboxes") == []
    assert not (atoll.home / "names").exists() or os.listdir(atoll.home / "names") == []


def running(atoll):
    return {row["sandbox"]: row for row in json.loads(atoll.tool("ps", "--json").out)}


def is_dead(pid):
    """Gone, or waiting for whoever its parent is by now."""
    stat = runner.text_of(f"/proc/{pid}/stat")
    return not stat or stat.rpartition(")")[2].split()[0] in "ZX"


# ---- the life ----

def test_from_create_to_rm(live, atoll):
    box = live("--name", "work", "--label", "team=a", "--workspace", ".:copy")
    row = running(atoll)[box.id]
    assert (row["name"], row["state"], row["labels"], row["command"], row["commands"]) == \
        ("work", "waiting", {"team": "a"}, [], 0)
    assert box.shell("echo first >one; pwd").out == f"{atoll.workspace}\n"
    assert box.shell("cat one; echo more >>one").out == "first\n"
    assert box.shell("cat one").out == "first\nmore\n", "commands share their sandbox"
    assert not (atoll.workspace / "one").exists()
    by_name = atoll.tool("exec", "work", "cat", "one")
    assert (by_name.status, by_name.out) == (0, "first\nmore\n")
    by_prefix = atoll.tool("exec", box.id[:8], "cat", "one")
    assert by_prefix.out == by_name.out
    assert atoll.tool("stop", "work").status == 0
    assert running(atoll) == {}
    [kept] = json.loads(atoll.tool("ps", "--kept", "--json").out)
    assert (kept["sandbox"], kept["name"]) == (box.id, "work")
    assert atoll.tool("diff", "--name-only", "work").out == "one\n"
    assert atoll.tool("apply", "work").status == 0
    assert (atoll.workspace / "one").read_text() == "first\nmore\n"
    assert box.is_gone() and os.listdir(atoll.home / "names") == []


def test_exit_codes(live):
    box = live()
    assert box.shell("exit 7").status == 7
    assert box.shell("kill -TERM $$").status == 128 + signal.SIGTERM
    missing = box.run("no-such-program")
    assert missing.status == 127 and "not found in the sandbox" in missing.err
    assert box.run("/etc/passwd").status == 126
    assert box.run("true").status == 0, "and it lives on"


def test_streams_are_exact(live):
    box = live()
    data = os.urandom(3_000_000)
    result = box.run("cat", stdin=data)
    assert result.status == 0 and hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()
    both = box.shell("echo out; echo err >&2")
    assert (both.stdout, both.stderr) == (b"out\n", b"err\n")
    process = box.start("/bin/sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; done",
                        stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    assert process.communicate(timeout=30)[0] == b"out1\nerr1\nout2\nerr2\nout3\nerr3\n"


def test_last_output_is_whole_and_nothing_after_it(live):
    """What a command leaves running holds its pipes; the end of the command is the end of them."""
    box = live()
    result = box.shell("(while sleep 0.01; do echo late; done) & head -c 200000 /dev/zero", timeout=20)
    assert result.status == 0 and not result.timed_out
    assert result.stdout.replace(b"late\n", b"") == bytes(200000)
    assert box.shell("true").status == 0


def test_many_at_once(live):
    box = live()
    processes = [box.start("/bin/sh", "-c", f"read line; echo {i} $line; exit {i}") for i in range(24)]
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 24, 20)
    assert {c["command"][0] for c in box.inspect()["commands"]} == {"/bin/sh"}
    for i, process in reversed(list(enumerate(processes))):
        out, err = process.communicate(b"said\n", timeout=30)
        assert (out, err, process.returncode) == (f"{i} said\n".encode(), b"", i)
    assert running(box.atoll)[box.id]["commands"] == 0


def test_more_than_there_is_room_for(live):
    box = live()
    processes = [box.start("cat") for _ in range(60)]
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 60, 30)
    refused = box.run("true")
    assert refused.status == 125 and "60 commands already" in refused.err
    for process in processes:
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    assert box.run("true").status == 0


def test_environment_and_directory(live, atoll):
    box = live("--env", "A=policy", "--env", "B=policy", "--workspace", ".:direct")
    (atoll.workspace / "sub dir").mkdir()
    env = dict(line.split("=", 1) for line in box.run("env", options=("--env", "B=own", "--env", "C=own")).out.splitlines())
    assert (env["A"], env["B"], env["C"]) == ("policy", "own", "own")
    assert "B=policy" in box.run("env").out, "only that command has it"
    assert "ATOLL_HOME" not in env
    at = box.run("pwd", cwd=atoll.workspace / "sub dir").out
    assert at == f"{atoll.workspace}/sub dir\n", "where the caller is"
    assert box.run("pwd", cwd="/").out == f"{atoll.workspace}\n", "and else the workspace"
    assert box.run("pwd", options=("--cwd", "/usr")).out == "/usr\n"
    assert box.run("pwd", options=("--cwd", "sub dir")).out == at
    nowhere = box.run("pwd", options=("--cwd", "/no/such/place"))
    assert nowhere.status == 125 and "/no/such/place" in nowhere.err
    wrong = box.run("true", options=("--env", "1A=x"))
    assert wrong.status == 125 and "variable's name" in wrong.err


WALLS = r"""
import os
wanted = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
          "Seccomp_filters", "Cpus_allowed")
for line in open("/proc/self/status"):
    if line.split(":")[0] in wanted:
        print(line.strip())
for name in sorted(os.listdir("/proc/self/ns")):
    print(name, os.readlink("/proc/self/ns/" + name))
print(open("/proc/self/limits").read())
print(open("/proc/self/cgroup").read())
print(open("/proc/self/mountinfo").read())
print(os.listdir("/proc/self/fd")[:3], len(os.listdir("/proc/self/fd")))
print(os.umask(0))
try:
    open("/usr/bin/new", "w")
except OSError as e:
    print(e.errno)
try:
    open("/proc/self/comm", "w")
except OSError as e:
    print("landlock", e.errno)
"""


def test_behind_the_same_walls(live, atoll):
    """As the command of a run with the same policy, and as each other."""
    box = live()
    first, second = (box.run("/usr/bin/python3", "-c", WALLS) for _ in range(2))
    assert first.status == 0 and first.out == second.out
    alone = atoll.run("/usr/bin/python3", "-c", WALLS)

    def comparable(text):
        """Without what is each sandbox's own: numbers of namespaces, mounts, devices."""
        lines = [line for line in text.splitlines() if ":[" not in line]
        return sorted(" ".join(line.split()[4:6]) if " - " in line else line for line in lines)

    assert comparable(first.out) == comparable(alone.out)
    assert "landlock 13" in first.out
    inside = pathlib.Path(f"/proc/{box.init()}/ns")
    for line in first.out.splitlines():
        if ":[" in line and not line.startswith(("pid_for", "time")):
            name, link = line.split(" ")
            assert os.readlink(inside / name) == link, "in the namespaces of pid 1"


def test_each_is_read_before_it_runs(live):
    box = live()
    assert box.run("true", options=("--env", "X=1")).status == 0
    assert box.run("no-such-program").status == 127
    names = [event["event"] for event in box.events()]
    assert names == ["created", "receipt", "exec", "exec_ended", "exec_failed"]
    said = box.events()[2]["data"]
    assert said["argv"] == ["true"] and said["command"] == 1
    assert box.inspect()["receipt"]["seccomp"]["how"] == "read"
    assert box.inspect()["receipt_digest"] == box.events()[1]["data"]["digest"]


def test_denials_are_told(live):
    box = live()
    assert box.shell("mount -t tmpfs none /tmp; unshare -U true; true").status == 0
    assert {d["code"] for d in box.inspect()["denials"]} >= {"mount.refused"}
    box = live("--denials", "end")
    ended = box.shell("mount -t tmpfs none /tmp; sleep 30")
    assert ended.status == 137, ended
    assert runner.eventually(box.is_gone), "the first refusal ends the sandbox"


def test_result_document(live, tmp_path):
    box = live()
    box.run("/bin/sh", "-c", "echo hello; exit 3", options=("--json", tmp_path / "r.json"))
    document = runner.read_json(tmp_path / "r.json")
    assert (document["sandbox"], document["reason"], document["exit"]) == (box.id, "exited", {"status": 3})
    assert document["bytes"]["stdout"] == 6 and document["command"] == ["/bin/sh", "-c", "echo hello; exit 3"]
    assert document["durations_ms"]["run"] > 0
    assert json.loads(box.run("true", options=("--json", "-")).out)["exit"] == {"status": 0}


def test_a_command_beside_a_run(live, atoll):
    """A sandbox that was made for one command takes others, and ends with its own."""
    process = atoll.start("/bin/sh", "-c", "echo secret >/tmp/seen; read line")
    [name] = runner.eventually(lambda: list(running(atoll)))
    assert runner.eventually(lambda: atoll.tool("exec", name, "cat", "/tmp/seen").out == "secret\n")
    beside = subprocess.Popen([str(atoll.binary), "exec", name, "--", "sleep", "60"], env=atoll.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert runner.eventually(lambda: running(atoll)[name]["commands"] == 2)
    out, _ = process.communicate(b"\n", timeout=20)
    assert (out, process.returncode) == (b"", 0)
    _, err = beside.communicate(timeout=20)
    assert beside.returncode == 137 and b"the sandbox was stopped" in err


# ---- limits ----

def test_timeout_ends_the_command_alone(live):
    box = live()
    begin = time.monotonic()
    result = box.shell("sleep 60 & sleep 60", "--timeout", "300ms")
    assert result.status == 124 and "wall limit of 300 ms" in result.err, result
    assert time.monotonic() - begin < 10 * runner.SLOW
    assert box.shell("ps -e -o comm= | grep -c sleep").out == "0\n", "its group went with it"


def test_wall_of_the_policy_is_that_of_each_command(live):
    box = live("--wall", "700ms")
    for _ in range(3):
        assert box.run("sleep", "0.4").status == 0, "together they take longer"
    assert box.run("sleep", "60").status == 124
    longer = box.run("sleep", "60", options=("--timeout", "1h"))
    assert longer.status == 124 and "wall limit of 700 ms" in longer.err, "nobody gets more"
    assert box.run("true").status == 0


def test_output_is_limited_for_each(live):
    box = live("--output", "1MiB")
    for _ in range(2):
        assert len(box.run("head", "-c", "900000", "/dev/zero").stdout) == 900000
    over = box.run("head", "-c", "2000000", "/dev/zero")
    assert over.status == 137 and "output limit" in over.err and len(over.stdout) == 1 << 20
    assert box.run("true").status == 0


@pytest.mark.parametrize("option, words", [("--idle", "idle"), ("--session", "session")])
def test_time_of_the_sandbox(live, option, words):
    box = live(option, "1s")
    process = box.start("sleep", "60")
    assert process.wait(timeout=30) == 124
    assert f"{words} limit of 1000 ms".encode() in process.stderr.read()
    assert runner.eventually(box.is_gone, 10)
    assert [e["event"] for e in box.events()][-2:] == ["ended", "torn_down"]
    assert box.events()[-2]["data"]["reason"] == f"limit:{words}"


def test_commands_keep_it_from_being_idle(live):
    box = live("--idle", "2s")
    for _ in range(8):
        assert box.run("true").status == 0
        time.sleep(0.5)  # what is measured is the time between
    assert not box.is_gone()
    assert runner.eventually(box.is_gone, 20)


def test_memory_of_all_commands_together(live):
    box = live("--memory", "64MiB")
    hold = "x = b'x' * (40 << 20); print('held', flush=True); input()"
    first = box.start("/usr/bin/python3", "-c", hold)
    assert first.stdout.readline() == b"held\n"
    second = box.run("/usr/bin/python3", "-c", "x = b'x' * (60 << 20); input()")
    assert second.status == 137 and "memory limit" in second.err
    assert first.wait(timeout=20) == 137
    assert runner.eventually(box.is_gone, 10)


# ---- whoever ends ----

def test_front_killed_ends_the_command_alone(live):
    box = live()
    process = box.start("/bin/sh", "-c", "echo here; sleep 600")
    assert process.stdout.readline() == b"here\n"
    process.kill()
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 0, 10)
    assert box.shell("ps -e -o comm= | grep -c sleep").out == "0\n"
    assert [e["data"].get("reason") for e in box.events() if e["event"] == "exec_ended"] != []


def test_signals_are_passed_on(live):
    box = live()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        process = box.start("/bin/sh", "-c", f"trap 'echo got; exit 9' {int(number)}; echo ready; while :; do sleep 0.05; done")
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
        assert (out, process.returncode) == (b"got\n", 9)
    process = box.start("sleep", "600")
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 1)
    time.sleep(0.1)  # until it sleeps: before its exec the signal would wait
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == -signal.SIGTERM, "dies of what it passed on"


def test_stop_ends_its_commands(live):
    box = live("--workspace", ".:copy")
    process = box.start("/bin/sh", "-c", "echo x >new; echo ready; sleep 600")
    assert process.stdout.readline() == b"ready\n"
    assert box.atoll.tool("stop", box.id).status == 0
    assert process.wait(timeout=20) == 137 and b"was stopped" in process.stderr.read()
    assert box.atoll.tool("diff", "--name-only", box.id).out == "new\n", "at once"


def test_keeper_killed(live, atoll):
    box = live("--name", "gone", "--workspace", ".:copy")
    process = box.start("/bin/sh", "-c", "echo x >new; echo ready; sleep 600")
    assert process.stdout.readline() == b"ready\n"
    init = box.init()
    os.kill(box.keeper(), signal.SIGKILL)
    assert process.wait(timeout=20) == 125
    assert runner.eventually(lambda: is_dead(init), 10)
    again = atoll.tool("exec", "gone", "true")
    assert again.status == 125
    assert "removed what 1 sandbox left" in atoll.tool("ps").err
    assert atoll.tool("diff", "--name-only", "gone").out == "new\n", "by its name, too"
    assert live("--name", "other").run("true").status == 0
    taken = atoll.tool("create", "--name", "gone")
    assert taken.status == 125 and "has the name 'gone' already" in taken.err
    assert atoll.tool("rm", "gone").status == 0
    assert live("--name", "gone").run("true").status == 0


def test_creator_gone(live, atoll):
    """Nothing ties a sandbox to the terminal, the process or the directory it was made from."""
    place = atoll.base / "place"
    place.mkdir()
    script = f"'{atoll.binary}' create --workspace '{atoll.workspace}:read-only'; kill -9 0"
    made = subprocess.run(["setsid", "/bin/sh", "-c", script], cwd=place, env=atoll.environment(),
                          stdout=subprocess.PIPE, check=False)
    place.rmdir()
    name = made.stdout.decode().strip()
    assert atoll.tool("exec", name, "echo", "alive").out == "alive\n"
    keeper = json.loads((atoll.home / "sandboxes" / name / "sandbox.json").read_text())["keeper"]
    assert os.readlink(f"/proc/{keeper}/cwd") == "/"
    for fd in os.listdir(f"/proc/{keeper}/fd"):
        link = os.readlink(f"/proc/{keeper}/fd/{fd}")
        assert link in ("/dev/null", "/dev/pts/ptmx") or not link.startswith("/dev/"), link


# ---- names ----

def test_names(live, atoll):
    box = live("--name", "one")
    for wrong in ("s-abc", "A", "-x", "a/b", "..", "x" * 64, "a b", "ä"):
        refused = atoll.tool("create", "--name", wrong)
        assert refused.status == 125 and "cannot be a name" in refused.err, wrong
    taken = atoll.tool("create", "--name", "one")
    assert taken.status == 125 and f"sandbox {box.id} has the name 'one' already" in taken.err
    assert list(running(atoll)) == [box.id], "and nothing of it is left"
    for word in ("two", "s-", "../one", "s-0000000000", ".", "on"):
        unknown = atoll.tool("exec", word, "true")
        assert unknown.status == 125 and "no sandbox" in unknown.err, (word, unknown)


def test_races_for_a_name(live, atoll):
    """One of them has it, whoever it is; none is left without having said so."""
    made = []
    threads = [threading.Thread(target=lambda: made.append(atoll.tool("create", "--name", "race"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(m.status for m in made) == [0] + [125] * 7
    assert len(running(atoll)) == 1


def test_rm_does_not_end_what_runs(live, atoll):
    box = live("--workspace", ".:copy")
    box.shell("echo x >new")
    refused = atoll.tool("rm", box.id)
    assert refused.status == 125 and "is running" in refused.err and "--force" in refused.err
    assert box.run("true").status == 0
    assert atoll.tool("rm", "--force", box.id).status == 0
    assert box.is_gone() and atoll.tool("ps", "--kept", "--quiet").out == ""


# ---- on a terminal ----

def test_terminal(live, atoll):
    box = live()
    argv = box.argv("/bin/sh", "-c", "tty; stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all")
    shown = runner.on_terminal(argv, env=atoll.environment({"TERM": "vt220"}), cwd=atoll.workspace, size=(31, 99))
    assert shown.status == 0, shown
    assert shown.stdout.replace(b"\r", b"").split(b"\n") == [b"/dev/pts/0", b"31 99", b"vt220", b"all", b""], shown
    again = runner.on_terminal(argv, env=atoll.environment(), cwd=atoll.workspace)
    assert again.status == 0 and b"/dev/pts/0" in again.stdout, "the first one's is gone"


def test_shell(live, atoll):
    box = live("--workspace", ".:copy")
    result = runner.on_terminal([atoll.binary, "shell", box.id], b"echo $((6*7)); cat <<x >note\rwritten\rx\rexit 4\r",
                                env=atoll.environment({"TERM": "dumb"}), cwd=atoll.workspace)
    assert result.status == 4 and b"42" in result.stdout, result
    assert box.shell("cat note").out == "written\n"


def test_leader_killed_from_inside(live, atoll):
    """It takes its own command with it, and nobody else's."""
    box = live()
    other = box.start("cat")
    script = "echo rea''dy; read x; kill -9 $PPID; sleep 600"
    result = runner.on_terminal(box.argv("/bin/sh", "-c", script), b"\r", env=atoll.environment({"TERM": "xterm"}),
                                cwd=atoll.workspace, timeout=30)
    assert result.status in (128 + 9, 128 + 1) and not result.timed_out, result
    out, _ = other.communicate(b"still here", timeout=20)
    assert out == b"still here" and other.returncode == 0


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


EXEC, RESULT = 6, 106  # keeper/control.h, keeper/message.h


@pytest.mark.parametrize("document, argv", [
    (b"", b"true\0"), (b"{}", b"true\0"), (b"[1]", b"true\0"), (b"not json", b"true\0"),
    (b'{"command":{}}', b"true\0"), (b'{"command":null}', b"true\0"),
    (b'{"command":{"tty":8,"one_output":false,"wall_ns":0}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":-1}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":0,"cwd":"relative"}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":0,"env":[1]}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":0,"env":["=x"]}}', b"true\0"),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":0}}', b""),
    (b'{"command":{"tty":0,"one_output":false,"wall_ns":0}}', b"no end"),
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
                    struct.pack("Iii", EXEC + 1, 0, 0), struct.pack("Iii", 0xFFFFFFFF, 0, 0), b"x" * 70000):
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
    before = min(held() for _ in range(20))  # the last descriptors of a command go when its front has gone
    for i in range(40):
        assert box.run(*[["true"], ["no-such"], ["sh", "-c", "kill -9 $$"]][i % 3]).status in (0, 127, 137)
    assert runner.eventually(lambda: held() == before), (before, held())
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


# ---- pause and resume ----

def can_pause(box):
    """A control group holds it; else it is refused with the reason."""
    result = box.atoll.tool("pause", box.id)
    if result.status == 0:
        return True
    assert result.status == 125 and "control group" in result.err, result
    return False


def test_pause_and_resume(live, atoll):
    box = live("--idle", "2s")
    process = box.start("/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    assert process.stdout.readline() == b"1\n"
    if not can_pause(box):
        assert running(atoll)[box.id]["state"] == "running"
        process.kill()
        return
    assert running(atoll)[box.id]["state"] == "paused"
    assert atoll.tool("pause", box.id).status == 0, "once more is no mistake"
    refused = box.run("true")
    assert refused.status == 125 and "is paused" in refused.err

    def count():
        os.set_blocking(process.stdout.fileno(), False)
        return (process.stdout.read() or b"").count(b"\n")
    assert runner.eventually(lambda: count() == 0 and count() == 0)
    time.sleep(3)  # longer than it may be idle
    assert count() == 0 and box.id in running(atoll)
    assert atoll.tool("resume", box.id).status == 0
    assert runner.eventually(lambda: count() > 2)
    assert box.run("true").status == 0
    assert [e["event"] for e in box.events() if e["event"] in ("paused", "resumed")] == ["paused", "resumed"]
    assert atoll.tool("pause", "no-such").status == 125
    process.kill()


@pytest.mark.parametrize("words", [("stop",), ("rm", "--force")], ids=lambda words: words[0])
def test_a_paused_one_ends_like_any_other(live, atoll, words):
    box = live("--workspace", ".:copy")
    process = box.start("/bin/sh", "-c", "echo x >new; echo ready; while :; do :; done")
    assert process.stdout.readline() == b"ready\n"
    can_pause(box)
    assert atoll.tool(*words, box.id).status == 0
    assert process.wait(timeout=20) == 137
    assert atoll.tool("ps", "--kept", "--quiet").out.split() == ([box.id] if words == ("stop",) else [])


def test_a_paused_one_whose_keeper_is_killed(live, atoll):
    box = live()
    process = box.start("/bin/sh", "-c", "echo ready; while :; do :; done")
    assert process.stdout.readline() == b"ready\n"
    can_pause(box)
    init, keeper = box.init(), box.keeper()
    os.kill(keeper, signal.SIGKILL)
    assert process.wait(timeout=20) == 125 and runner.eventually(lambda: is_dead(keeper), 10)
    assert "removed what 1 sandbox left" in atoll.tool("ps").err
    assert runner.eventually(lambda: is_dead(init), 10)


def test_session_ends_a_paused_one(live):
    box = live("--session", "1500ms")
    can_pause(box)
    assert runner.eventually(box.is_gone, 20)


# ---- looking ----

def test_filters(live, atoll):
    one, two = live("--name", "one", "--label", "team=a"), live("--label", "team=b", "--label", "x=1")

    def listed(*filters):
        words = [word for f in filters for word in ("--filter", f)]
        return atoll.tool("ps", "--quiet", *words).out.split()
    assert listed("label=team=a") == [one.id] and listed("label=x") == [two.id]
    assert sorted(listed("label=team")) == sorted(listed("state=waiting", "tier=container")) == sorted([one.id, two.id])
    assert listed("name=one") == [one.id] and listed("name=one", "label=x") == [] and listed("state=paused") == []
    for wrong in ("team=a", "label", "name", "age=1", "="):
        refused = atoll.tool("ps", "--filter", wrong)
        assert refused.status == 125 and "--filter takes" in refused.err, wrong
    for wrong in ("x", "=x", "x=", "a b=c", "x=\x1b[31m"):
        refused = atoll.tool("create", "--label", wrong)
        assert refused.status == 125 and "--label" in refused.err and "\x1b" not in refused.err, wrong


def test_events(live, atoll):
    box = live("--name", "told")
    follower = subprocess.Popen([str(atoll.binary), "events", "--follow", "told"], env=atoll.environment(),
                                stdout=subprocess.PIPE, text=True)
    assert box.run("/bin/echo", "\x1b[31mred").status == 0
    shown = atoll.tool("events", "told")
    assert shown.status == 0 and "\x1b" not in shown.out
    assert [line.split()[1] for line in shown.out.splitlines()] == ["created", "receipt", "exec", "exec_ended"]
    assert 'reason="exited"' in shown.out and "plan={...}" in shown.out
    assert atoll.tool("rm", "--force", "told").status == 0
    followed = follower.communicate(timeout=20)[0].splitlines()
    assert [line.split()[1] for line in followed][-2:] == ["ended", "torn_down"] and follower.returncode == 0
    record = atoll.home / "trail" / f"{box.id}.jsonl"
    assert atoll.tool("events", "--json", box.id).stdout == record.read_bytes(), "also when it is gone"
    assert atoll.tool("events", box.id[:8]).out.splitlines() == followed
    assert atoll.tool("events", "s-no").status == 125


def test_long_words_in_the_record(live):
    box = live()
    assert box.run("true", "x" * 100_000, "y").status == 0
    assert box.events()[2]["data"]["argv"] == ["true", "..."]


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
        assert process.returncode == (0 if said else -signal.SIGTERM)
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
    assert runner.eventually(lambda: running(box.atoll)[box.id]["commands"] == 1)
    box.atoll.tool("stop", box.id)
    process.wait(timeout=20)
    events = [(e["event"], e["data"].get("command"), e["data"].get("kind"), e["data"].get("reason")) for e in box.events()[2:]]
    assert events == [("exec_failed", 1, "exec", None), ("exec_failed", 2, "system", None), ("exec", 3, None, None),
                      ("exec_ended", 3, None, "stopped"), ("ended", None, None, "stopped"), ("torn_down", None, None, None)]


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
    document = b'{"command":{"tty":0,"one_output":false,"wall_ns":0}}'
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
    words = json.dumps({"command": {"tty": 0, "one_output": False, "wall_ns": 0, "env": [f"A{i}=x" for i in range(60_000)]}})
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
