# SPDX-License-Identifier: Apache-2.0
"""A sandbox that lives: create, exec, shell, ps, inspect, events, pause, stop, rm."""
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest

from harness import runner
from harness.live import is_dead, running

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
    asked = [atoll.tool("inspect", *flag, "work") for flag in ([], ["--json"])]
    assert asked[0].status == asked[1].status == 0 and asked[0].out == asked[1].out, "it is JSON in any case"
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
    assert names == ["created", "receipt", "exec", "program", "exec_ended", "exec_failed"]
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


BUSY = {"output": "import time\nwhile True: print(flush=True); time.sleep(0.3)", "cpu": "while True: pass",
        "exec": "import time; time.sleep(60)"}  # beside which the test begins others


@pytest.mark.parametrize("signal_of", sorted(BUSY))
def test_what_keeps_it_from_being_idle(live, signal_of):
    """What is busy in one way is idle where only the others count, and is not where that one does."""
    others = [word for other in sorted(BUSY) if other != signal_of for word in ("--idle-signal", other)]
    ends, lives = live("--idle", "1s", *others), live("--idle", "1s", "--idle-signal", signal_of)
    for box in ends, lives:
        box.start("/usr/bin/python3", "-c", BUSY[signal_of], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def over():
        """In the other one nothing begins, once its command runs: what it does may not matter."""
        if signal_of == "exec":
            lives.run("true")
        return ends.is_gone()
    assert runner.eventually(over, 20)
    assert ends.events()[-2]["data"]["reason"] == "limit:idle"
    assert not lives.is_gone()
    [row] = [r for r in ends.events()[1]["data"]["receipt"]["limits"] if r["name"] == "idle_ms"]
    assert row["mechanism"] == "keeper, by " + {"output": "cpu and exec", "cpu": "output and exec",
                                                "exec": "output and cpu"}[signal_of]


def test_memory_of_all_commands_together(live):
    box = live("--memory", "64MiB")
    hold = "x = b'x' * (40 << 20); print('held', flush=True); input()"
    first = box.start("/usr/bin/python3", "-c", hold)
    assert first.stdout.readline() == b"held\n"
    second = box.run("/usr/bin/python3", "-c", "x = b'x' * (60 << 20); input()")
    assert second.status == 137 and "memory limit" in second.err
    assert first.wait(timeout=20) == 137
    assert runner.eventually(box.is_gone, 10)


def wakes(pid):
    """How often a process has waited for something."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M).group(1))


def test_nobody_is_looked_at_who_can_do_nothing(live):
    """Hundreds that wait cost no processor time; a limit of time holds all the same, and a command wakes it."""
    box = live("--idle", "20s")
    assert box.run("true").status == 0
    time.sleep(1)
    before = wakes(box.keeper())
    time.sleep(2)
    assert wakes(box.keeper()) - before <= 2, "looked at four times a second"
    box.start("sleep", "60")
    assert runner.eventually(lambda: wakes(box.keeper()) - before > 8, 20)


def test_one_that_rests_is_idle_in_time(live):
    box = live("--idle", "3s")
    begin = time.monotonic()
    assert runner.eventually(box.is_gone, 30)
    assert 2 < time.monotonic() - begin < 4 * runner.SLOW + 2
    assert box.events()[-2]["data"]["reason"] == "limit:idle"


def test_what_a_command_left_behind_is_looked_at(live):
    """No command is there any more, but a process that uses the processor."""
    box = live("--cpu-time", "1s", "--idle", "60s")
    assert box.shell("setsid sh -c 'while :; do :; done' >/dev/null 2>&1 </dev/null &").status == 0
    assert running(box.atoll)[box.id]["commands"] == 0
    assert runner.eventually(box.is_gone, 6), "one at rest is looked at every ten seconds"
    assert box.events()[-2]["data"]["reason"] == "limit:cpu"


def test_nobody_hops_into_a_rest(live, atoll):
    """A process that starts the next one and ends is no moment alone to be missed: its memory counts as ever."""
    hog = str(atoll.probe("hog"))
    for _ in range(8):
        box = live("--memory", "64MiB", "--starts", "100000")
        assert box.run(hog, "hopping", "256").status == 0
        assert runner.eventually(box.is_gone, 4), "nobody looked at what it took"


def test_a_paused_one_is_looked_at_again(live, atoll):
    """Frozen it uses nothing, even with a process inside; its processor time is limited before and after."""
    box = live("--cpu-time", "2s", "--idle", "60s")
    process = box.start("/bin/sh", "-c", "echo ready; while :; do :; done")
    assert process.stdout.readline() == b"ready\n"
    if can_pause(box):
        time.sleep(0.5)
        before = wakes(box.keeper())
        time.sleep(2)
        assert wakes(box.keeper()) - before <= 2
        assert atoll.tool("resume", box.id).status == 0
    assert process.wait(timeout=30) == 137 and b"cpu limit" in process.stderr.read()


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


@pytest.mark.parametrize("command, where", [
    *[(c, "'atoll ps' shows their") for c in ("exec", "shell", "pause", "resume", "stop")],
    *[(c, "'atoll ps' and 'atoll ps --kept' show their") for c in ("inspect", "events", "rm", "diff")],
    *[(c, "'atoll ps --kept' shows their") for c in ("apply", "discard")]])
def test_no_sandbox_named(atoll, command, where):
    refused = atoll.tool(command)
    assert (refused.status, refused.out) == (125, "")
    assert refused.err == f"atoll: {command}: which sandbox? {where} ids and names\n"


@pytest.mark.parametrize("command, said", [
    ("stop", "there is no sandbox 'absent'"), ("rm", "there is no sandbox 'absent'"),
    ("pause", "there is no sandbox 'absent'"), ("inspect", "there is no sandbox 'absent'")])
def test_one_that_fails_keeps_none_of_the_others(live, atoll, command, said):
    box = live("--name", "there")
    done = atoll.tool(command, *(("--force",) if command == "rm" else ()), "absent", "there")
    assert done.status == 125 and said in done.err, done
    if command in ("stop", "rm"):
        assert box.is_gone()
    elif command == "inspect":
        assert done.out == "", "a list with a gap is no answer"
    elif can_pause(box):
        assert running(atoll)[box.id]["state"] == "paused"


def test_words_of_ps(live, atoll):
    """Ids, names, or both, one a line: running ones, and with --kept those that have ended."""
    named, unnamed = live("--name", "first", "--workspace", ".:copy"), live()
    named.shell("echo x >new")
    assert sorted(atoll.tool("ps", "--quiet").out.split()) == sorted([named.id, unnamed.id])
    assert atoll.tool("ps", "--names").out == "first\n"
    assert sorted(atoll.tool("ps", "--quiet", "--names").out.split()) == sorted([named.id, "first", unnamed.id])
    assert atoll.tool("stop", "first").status == 0
    assert atoll.tool("ps", "--names").out == ""
    assert atoll.tool("ps", "--kept", "--names").out == "first\n"
    assert atoll.tool("ps", "--kept", "--names", "--quiet").out == f"{named.id}\nfirst\n"
    assert atoll.tool("rm", "first").status == 0


def test_ended_meanwhile_is_not_running(live, atoll):
    """A sandbox that is there, as a copy, but does not run: the same sentence from every command."""
    box = live("--name", "ended", "--workspace", ".:copy")
    box.shell("echo x >new")
    assert atoll.tool("stop", "ended").status == 0
    for command in (("exec", "ended", "true"), ("shell", "ended"), ("pause", "ended"), ("stop", "ended")):
        refused = atoll.tool(*command)
        assert (refused.status, refused.err) == (125, "atoll: sandbox 'ended' is not running\n"), command
    assert atoll.tool("rm", "ended").status == 0


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

    os.set_blocking(process.stdout.fileno(), False)

    def count():
        """Lines since the last look."""
        return (process.stdout.read() or b"").count(b"\n")
    assert runner.eventually(lambda: count() == 0 and count() == 0)
    time.sleep(3)  # longer than it may be idle
    assert count() == 0 and box.id in running(atoll)
    assert atoll.tool("resume", box.id).status == 0
    assert runner.eventually(lambda: count() > 0)
    assert box.run("true").status == 0
    assert [e["event"] for e in box.events() if e["event"] in ("paused", "resumed")] == ["paused", "resumed"]
    assert atoll.tool("pause", "no-such").status == 125
    process.kill()
    process.wait()


def test_pauses_are_bounded_in_number(live, atoll):
    box = live("--pauses", "2")
    if not can_pause(box):
        return
    assert atoll.tool("pause", box.id).status == 0, "once more is no pause"
    for _ in range(2):
        assert atoll.tool("resume", box.id).status == 0
        last = atoll.tool("pause", box.id)
    assert last.status == 125 and "has been paused 2 times" in last.err and "time.pauses" in last.err
    row = running(atoll)[box.id]
    assert (row["state"], row["pauses"]) == ("waiting", 2) and row["paused_ms"] > 0
    assert box.run("true").status == 0
    none = live("--pauses", "0")
    refused = atoll.tool("pause", none.id)
    assert refused.status == 125 and "paused 0 times" in refused.err


def test_pauses_are_bounded_in_time(live, atoll):
    """All of them together, and no other time; a sandbox that is paused for longer ends."""
    box = live("--paused", "700ms")
    process = box.start("/bin/sh", "-c", "echo runs; exec sleep 60")
    assert process.stdout.readline() == b"runs\n"
    if not can_pause(box):
        process.kill()
        process.wait()
        return
    assert atoll.tool("resume", box.id).status == 0
    so_far = running(atoll)[box.id]["paused_ms"]
    assert box.run("sleep", "0.8").status == 0
    assert running(atoll)[box.id]["paused_ms"] == so_far, "what it runs for is no pause"
    begin = time.monotonic()
    assert atoll.tool("pause", box.id).status == 0
    assert process.wait(timeout=30) == 124
    assert time.monotonic() - begin < 0.7 * runner.SLOW + 2
    assert b"paused limit of 700 ms" in process.stderr.read()
    assert runner.eventually(box.is_gone, 10)
    assert box.events()[-2]["data"]["reason"] == "limit:paused"
    assert [e["data"]["limit"] for e in box.events() if e["event"] == "limit"] == ["paused"]


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
    assert [line.split()[1] for line in shown.out.splitlines()] == ["created", "receipt", "exec", "program", "exec_ended"]
    assert 'reason="exited"' in shown.out and "plan={...}" in shown.out
    assert atoll.tool("rm", "--force", "told").status == 0
    followed = follower.communicate(timeout=20)[0].splitlines()
    assert [line.split()[1] for line in followed][-2:] == ["ended", "torn_down"] and follower.returncode == 0
    record = atoll.home / "trail" / f"{box.id}.jsonl"
    shown = runner.eventually(lambda: [line for line in [atoll.tool("events", box.id[:8]).out.splitlines()]
                                       if line[-1].split()[1] == "checkpoint"])[0]
    assert shown[:-1] == followed, "the seal comes when the end has been told"
    assert atoll.tool("events", "--json", box.id).stdout == record.read_bytes(), "also when it is gone"
    assert atoll.tool("events", "s-no").status == 125


def test_long_words_in_the_record(live):
    box = live()
    assert box.run("true", "x" * 100_000, "y").status == 0
    assert box.events()[2]["data"]["argv"] == ["true", "..."]
