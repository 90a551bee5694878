# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of front, keeper and init at every system call: nothing survives, nothing is left.

probe-killer does the killing and is the subreaper of all that it starts, so it sees whatever
survives. The next command must then succeed and remove what the dead keeper could not.
"""
import fcntl
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess

import pytest

from harness import runner, trail

CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")
# (whose system calls are counted, who is killed)
PAIRS = [("front", "front"), ("keeper", "keeper"), ("init", "init"), ("init", "keeper"),
         ("keeper", "front"), ("init", "front"), ("keeper", "init")]
# These alone also in the short sweep; the others add the same deaths at other moments.
SHORT = PAIRS[:4]
# Where everything takes longer, a sweep that is short strikes less often: its time grows with the
# length of a run and once more with the number of moments in it.
STEP = 9 * round(max(1, runner.SLOW / 2))
MOMENT = 3 * round(max(1, runner.SLOW))
LATE = 40  # steps beyond the count of an undisturbed run: no two runs are the same


def own_groups():
    """This process's groups in the hierarchies of version 1, where sandboxes get theirs."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in set(controllers.split(",")) & set(CONTROLLERS):
            yield pathlib.Path(f"/sys/fs/cgroup/{name}{path}")


def mounts():
    return runner.text_of("/proc/self/mountinfo")


class Sweep:
    """One state directory, many deaths."""

    def __init__(self, atoll):
        self.atoll = atoll
        self.groups = list(own_groups())
        self.marker = atoll.workspace / "marker"
        self.report = atoll.base / "killer.json"
        self.mounts = mounts()
        self.deaths = self.reaped = 0
        first = self.kill("front", "front", 0)
        assert first["survivors"] == [] and not first["killed"], first
        assert (runner.text_of(self.marker) or "") == self.written()
        self.settle("an undisturbed run")

    def written(self):
        return "x\n"

    def command(self):
        return ["run", "--quiet", *runner.tier_options(self.atoll.tier), "--workspace", ".:direct", "--",
                "/bin/sh", "-c", "echo x >>marker"]

    def kill(self, clock, victim, step):
        self.marker.unlink(missing_ok=True)
        argv = [runner.PROBES / "probe-killer", self.report, clock, victim, str(step),
                self.atoll.binary, *self.command()]
        result = runner.capture(argv, env=self.atoll.environment({"ATOLL_TEST_SLOW": str(runner.SLOW)}),
                                cwd=self.atoll.workspace)
        report = json.loads(self.report.read_text()) if result.status in (0, 1) else None
        assert report, f"{clock} {victim} {step}: {result}"
        self.deaths += report["killed"]
        return report

    def settle(self, what):
        """The next command, then a look at everything that may not be there."""
        after = self.atoll.tool("run", "--", "true")
        assert after.status == 0, f"{what}: the next command: {after}"
        self.reaped += "removed what" in after.err
        assert sorted(os.listdir(self.atoll.home / "sandboxes")) == [], what
        assert runner.eventually(lambda: mounts() == self.mounts), what
        written = runner.text_of(self.marker) or ""
        assert written in ("", "x\n"), f"{what}: the payload ran more than once: {written!r}"
        for path in (self.atoll.home / "trail").iterdir():
            assert not pathlib.Path(f"/tmp/atoll-{path.stem}").exists(), f"{what}: {path.stem}"
            left = [g for g in self.groups if (g / f"atoll-{path.stem}").exists()]
            assert left == [], f"{what}: {left} of {path.stem}"
            events = trail.life(path)
            assert events[-1] in ("torn_down", "reaped"), f"{what}: {path.stem} {events}"
            assert events.count("started") <= 1, f"{what}: {path.stem} {events}"
            path.unlink()

    def strike(self, clock, victim, step):
        what = f"{victim} killed at step {step} of {clock}"
        report = self.kill(clock, victim, step)
        assert report["survivors"] == [], f"{what}: {report}"
        if report["killed"]:
            self.settle(what)
        return report

    def every(self, clock, victim, stride):
        total = self.kill(clock, victim, 0)["steps"]
        assert total > 50, f"{clock} makes {total} steps"
        begin = random.randrange(stride) + 1
        print(f"{victim} at each {stride}. of {total} steps of {clock}, from {begin}")
        for step in range(begin, total + LATE, stride):
            self.strike(clock, victim, step)
        # A role that counts its own steps dies at nearly all of them, another while it lives.
        least = total // stride * 3 // 4 if clock == victim else 1
        assert self.deaths >= least, f"{self.deaths} deaths in {total} steps"

    def over_time(self, victim, stride):
        """Until the run is over before the moment comes, three times in a row."""
        begin, missed = random.randrange(stride) + 1, 0
        print(f"{victim} at each {stride}. quarter of a millisecond, from {begin}")
        quarter = begin
        while missed < 3:
            missed = missed + 1 if self.strike("time", victim, quarter)["ended"] else 0
            quarter += stride
            assert quarter < 40000, "the run does not end"
        assert self.deaths > 0


class Creation(Sweep):
    """The same for a sandbox that waits for commands, until its time is up; it has a name."""

    def command(self):
        beside = self.atoll.base / "beside"
        beside.mkdir(exist_ok=True)
        return ["create", "--quiet", "--name", "swept", "--session", "100ms", "--workspace", ".:copy", "--copy-of", beside]

    def written(self):
        return ""

    def settle(self, what):
        super().settle(what)
        names = self.atoll.home / "names"
        for name in os.listdir(names) if names.exists() else []:
            assert not (self.atoll.home / "sandboxes" / os.readlink(names / name)).exists(), what


class Spending(Sweep):
    """The same for a sandbox that spends of an account: nothing stays reserved, and no sum is another one's."""

    def __init__(self, atoll):
        assert atoll.tool("account", "create", "org").status == 0
        assert atoll.tool("account", "set-budget", "org", "wall", "1000h").status == 0
        self.spent = 0
        super().__init__(atoll)

    def command(self):
        run, *rest = super().command()
        return [run, "--account", "org", "--wall", "10m", *rest]

    def settle(self, what):
        super().settle(what)
        with sqlite3.connect(self.atoll.home / "ledger/ledger.db") as ledger:
            def ask(question):
                return ledger.execute(question).fetchone()[0] or 0
            assert ask("select count(*) from reservation where state = 'open'") == 0, what
            spent = ask("select sum(amount) from used where dimension = 'wall'")
            assert spent == ask("select sum(settled) from hold where dimension = 'wall'"), what
            assert ask("select count(*) from hold") == 7 * ask("select count(*) from reservation"), what
            assert ask("select sum(amount) from used where dimension = 'sandboxes'") == ask("select count(*) from reservation"), what
        # Of a dead one one settlement period counts, ten seconds, and what it had lived.
        assert self.spent <= spent <= self.spent + 30000, what
        self.spent = spent


@pytest.fixture
def spending(atoll):
    return Spending(atoll)


@pytest.fixture
def creation(atoll):
    return Creation(atoll)


@pytest.fixture
def sweep(atoll):
    """Does its own looking; over the minutes of a full sweep, the host changes by itself."""
    return Sweep(atoll)


@pytest.mark.parametrize("clock, victim", SHORT)
def test_kill_at_some_system_calls(sweep, world, clock, victim):
    sweep.every(clock, victim, STEP)


def test_spending_killed_at_some_system_calls(spending, world):
    spending.every("keeper", "keeper", 3 * STEP)  # each of them opens the ledger several times


@pytest.mark.long
@pytest.mark.parametrize("clock, victim", PAIRS)
def test_spending_killed_at_every_system_call(spending, clock, victim):
    spending.every(clock, victim, 1)


@pytest.mark.parametrize("victim", ["front", "keeper", "init"])
def test_kill_at_some_moments(sweep, world, victim):
    sweep.over_time(victim, MOMENT)


@pytest.mark.parametrize("clock, victim", [("front", "front"), ("keeper", "keeper")])
def test_create_killed_at_some_system_calls(creation, world, clock, victim):
    creation.every(clock, victim, 3 * STEP)  # each of them waits for the end of a sandbox


@pytest.mark.long
@pytest.mark.parametrize("clock, victim", PAIRS)
def test_create_killed_at_every_system_call(creation, clock, victim):
    creation.every(clock, victim, 1)


@pytest.mark.long
@pytest.mark.parametrize("clock, victim", PAIRS)
def test_kill_at_every_system_call(sweep, clock, victim):
    sweep.every(clock, victim, 1)


@pytest.mark.long
@pytest.mark.parametrize("victim", ["front", "keeper", "init"])
def test_kill_at_every_moment(sweep, victim):
    for _ in range(5):
        sweep.over_time(victim, 1)


def test_a_dead_keeper_is_told_and_reaped(atoll, world):
    """Killed while the payload runs: the front says so, the next command removes and tells."""
    process = atoll.start("/bin/sh", "-c", "echo ready; cat")
    assert process.stdout.readline() == b"ready\n"
    [name] = os.listdir(atoll.home / "sandboxes")
    keeper = json.loads((atoll.home / "sandboxes" / name / "sandbox.json").read_text())["keeper"]
    os.kill(keeper, 9)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 125 and b"keeper ended" in err, err
    after = atoll.run("/bin/true")
    assert after.status == 0 and "removed what 1 sandbox left" in after.err, after
    assert trail.names(atoll.home / "trail" / f"{name}.jsonl")[-1] == "reaped"


ADOPT = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
for _ in range(5):
    status = subprocess.run(sys.argv[1:]).returncode
    try:
        print(status, os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print(status, "nobody")
"""


@pytest.mark.parametrize("command, wanted", [("exit 3", "3 nobody"), ("kill -STOP $$", "124 nobody")])
def test_nobody_is_left_to_be_collected(atoll, world, command, wanted):
    """Process 1 of a container often waits for no child but its own."""
    argv = [str(a) for a in atoll.arguments(["/bin/sh", "-c", command], ("--wall", "1s"))]
    result = runner.capture(["/usr/bin/python3", "-c", ADOPT, *argv], env=atoll.environment(),
                            cwd=atoll.workspace)
    assert result.out.splitlines() == [wanted] * 5, result


@pytest.mark.parametrize("words, wanted", [
    (["run", "--trust", "nonsense", "--", "/bin/true"], "125 nobody"),
    (["run", "--policy", "/does/not/exist", "--", "/bin/true"], "125 nobody"),
    (["run", "--help"], "0 nobody"),
    (["run", "--plan-only", "--", "/bin/true"], "0 nobody"),
    (["create", "--trust", "nonsense"], "125 nobody"),
])
def test_nobody_is_left_by_a_session_that_never_was(atoll, world, words, wanted):
    """The keeper is started before main(), when nobody knows yet whether it will be needed."""
    result = runner.capture(["/usr/bin/python3", "-c", ADOPT, str(atoll.binary), *words], env=atoll.environment(),
                            cwd=atoll.workspace)
    assert result.out.splitlines()[-1:] == [wanted] and result.out.count("nobody") == 5, result


def children(pid):
    return [int(p) for p in (runner.text_of(f"/proc/{pid}/task/{pid}/children") or "").split()]


def test_a_refused_policy_waits_for_nobody(atoll, world):
    """A keeper that hangs before it has a request, as on a dead file server, holds up no front that has none."""
    os.mkfifo(atoll.base / "policy")
    process = atoll.start("/bin/true", options=("--policy", str(atoll.base / "policy")))
    with open(atoll.base / "policy", "w", encoding="utf-8") as policy:  # from here on somebody reads it
        [keeper] = children(process.pid)
        os.kill(keeper, signal.SIGSTOP)
        policy.write("nonsense: 1\n")
    _, err = process.communicate(timeout=15)
    assert process.returncode == 125 and b"nonsense" in err, err


@pytest.fixture
def hung(request, atoll):
    """A start whose keeper or front waits for a lock, as for a dead file server."""
    sandboxes = atoll.home / "sandboxes"
    sandboxes.mkdir(parents=True, mode=0o700)
    if request.param == "front":
        (sandboxes / "s-orphan").mkdir()  # which it looks at before anything else
    held = os.open(sandboxes, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)
    process = atoll.start("/bin/true")
    assert runner.eventually(lambda: children(process.pid))
    yield process, children(process.pid)[0], held
    os.close(held)


def waits_for_a_lock(pid):
    """Blocked in flock(2), as /proc/locks shows it."""
    return any(words[1] == "->" and str(pid) in words
               for words in map(str.split, (runner.text_of("/proc/locks") or "").splitlines()))


SAYS = b"could not be started within 60 seconds"


@pytest.mark.parametrize("hung", ["keeper"], indirect=True)
def test_a_start_that_hangs_says_so(atoll, hung):
    """The guard of the start ends a keeper that waits for something outside; the cause is named."""
    process, keeper, held = hung
    assert runner.eventually(lambda: waits_for_a_lock(keeper))
    os.kill(keeper, signal.SIGALRM)
    _, err = process.communicate(timeout=30)
    fcntl.flock(held, fcntl.LOCK_UN)
    assert process.returncode == 125 and SAYS in err, err
    assert atoll.run("/bin/true").status == 0


def test_a_caller_that_ignores_its_children(atoll):
    """As some daemons do. Their setting is neither the front's nor the keeper's."""
    process = atoll.start("/bin/sh", "-c", "echo ready; exec sleep 60",
                          preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert process.stdout.readline() == b"ready\n"
    [keeper] = children(process.pid)
    ignored = runner.text_of(f"/proc/{keeper}/status").partition("SigIgn:")[2].split()[0]
    assert not int(ignored, 16) & 1 << (signal.SIGCHLD - 1)
    os.kill(keeper, signal.SIGALRM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 125 and SAYS in err, err
    assert atoll.run("/bin/true").status == 0


@pytest.mark.parametrize("hung", ["front"], indirect=True)
def test_a_front_that_hangs_says_so(atoll, hung):
    """The same, when the keeper has waited for its front."""
    process, keeper, held = hung
    os.kill(keeper, signal.SIGALRM)
    status = f"/proc/{keeper}/status"
    assert runner.eventually(lambda: "State:\tZ" in (runner.text_of(status) or ""))
    fcntl.flock(held, fcntl.LOCK_UN)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 125 and SAYS in err, err


@pytest.mark.long
@pytest.mark.parametrize("hung", ["keeper"], indirect=True)
def test_a_start_that_no_signal_ends_says_so(atoll, hung):
    """The keeper, or what it has started, may be where no signal reaches it."""
    process, keeper, _ = hung
    os.kill(keeper, signal.SIGSTOP)
    _, err = process.communicate(timeout=90)
    os.kill(keeper, signal.SIGKILL)
    assert process.returncode == 125 and SAYS in err, err


@pytest.mark.long
def test_a_stopped_keeper_does_not_hold_anybody(atoll):
    """More questions than its socket's backlog takes: each gives up by itself."""
    process = atoll.start("/bin/sleep", "60")
    assert runner.eventually(lambda: list((atoll.home / "sandboxes").glob("*/control")))
    keeper = children(process.pid)[0]
    os.kill(keeper, signal.SIGSTOP)
    try:
        asking = [subprocess.Popen([atoll.binary, "ps"], env=atoll.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(14)]
        said = [p.communicate(timeout=30)[1] for p in asking]
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert all("does not answer" in text or "cannot reach the keeper" in text for text in said), said
    atoll.end()
