# SPDX-License-Identifier: Apache-2.0
"""E and B9: what takes too much is ended, the result says by which limit, and nothing survives."""
import json
import pathlib
import subprocess
import time

import pytest

from harness import runner

MIB = 1 << 20


@pytest.mark.parametrize("kind", ["anonymous", "memfd", "file", "pipes", "sockets"])
def test_memory(atoll, world, kind):
    """E2: whatever the disguise, either the limit ends the run or the probe is refused more."""
    directory = "/tmp"
    result = atoll.run(atoll.probe("hog"), kind, "512", directory,
                       options=("--memory", "64MiB", "--scratch", "48MiB", "--wall", "30s"))
    said = result.probes()
    if result.mechanism("memory") == "sampler" and kind in ("memfd", "pipes", "sockets"):
        return  # what nobody maps escapes the sampler: the receipt says so
    assert "OK" not in said.values(), result
    assert result.reason == "limit:memory" and result.status == 137 or said, result
    assert result.document["memory_peak_bytes"] < 160 * MIB, result.document


def test_memory_limit_is_named(atoll, world):
    result = atoll.run(atoll.probe("hog"), "anonymous", "512",
                       options=("--memory", "64MiB", "--wall", "30s"))
    assert (result.status, result.reason) == (137, "limit:memory"), result
    named = {limit["name"]: limit for limit in result.document["limits"]}
    assert named["memory"]["mechanism"], named


LIFT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
NEW_NS, NEW_CGROUP, NEW_USER = 0x00020000, 0x02000000, 0x10000000
assert libc.unshare(NEW_USER | NEW_NS | NEW_CGROUP) == 0
for name, text in ("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"):
    with open(f"/proc/self/{name}", "w") as f:
        f.write(text)
def put(name, text):
    try:
        with open(f"/tmp/groups/{name}", "w") as f:
            f.write(text)
        print("wrote", name, flush=True)
    except OSError:
        pass
def lift():
    for name in ("memory.max", "memory.swap.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        put(name, "max" if name.endswith(".max") else "-1")
os.mkdir("/tmp/groups")
for kind, options in (b"cgroup2", None), (b"cgroup", b"memory"):
    if libc.mount(b"none", b"/tmp/groups", kind, 0, options) == 0:
        lift()
        try:  # from a group below, whose namespace begins there
            os.mkdir("/tmp/groups/below")
        except OSError:
            pass
        put("below/cgroup.procs", str(os.getpid()))
        libc.unshare(NEW_CGROUP)
        lift()
full = bytearray(300 << 20)
for i in range(0, len(full), 4096):
    full[i] = 1
print("300 MiB")
"""


def test_a_payload_cannot_lift_its_limit(atoll, world):
    """C10: a nested sandbox may mount the control groups, and their files belong to its user."""
    result = atoll.run("/usr/bin/python3", "-c", LIFT,
                       options=("--syscalls", "nested", "--memory", "96MiB", "--wall", "60s"))
    assert "300 MiB" not in result.out, result
    assert (result.status, result.reason) == (137, "limit:memory"), result


def test_processes_that_are_refused_are_told(atoll, world):
    script = "import os, time\nfor _ in range(40):\n  if os.fork() == 0:\n    time.sleep(5)\n"
    result = atoll.run("/usr/bin/python3", "-c", script, options=("--processes", "12"))
    if result.mechanism("processes").startswith("cgroup"):
        codes = [denial["code"] for denial in result.document["denials"]]
        assert codes == ["limit.processes"], result


@pytest.mark.parametrize("kind", ["bomb", "threads", "chain"])
def test_process_bombs(atoll, world, canaries, kind):
    """E1: the host can still fork, the canary keeps counting, and the end is a clean one."""
    process = atoll.start(atoll.probe("storm"), kind, options=("--processes", "48", "--wall", "2s"))
    slowest, end = 0.0, time.monotonic() + 1.5
    while time.monotonic() < end and process.poll() is None:
        begin = time.monotonic()
        subprocess.run(["/bin/true"], check=True)
        slowest = max(slowest, time.monotonic() - begin)
    process.communicate(timeout=30)
    result = runner.read_json(atoll.document)
    assert process.returncode in (124, 137), result
    assert slowest < 1.0
    assert canaries.breaches() == []


@pytest.mark.parametrize("kind", ["bomb", "chain", "stopped", "vforked", "traced", "fifo", "daemons"])
def test_trees_that_do_not_want_to_end(atoll, world, kind):
    """B9: two seconds of wall clock, then everything is gone within five more."""
    command = [atoll.probe("storm"), kind]
    if kind == "daemons":
        command = ["/bin/sh", "-c", f"{command[0]} daemons; exec sleep 60"]
    result = atoll.run(*command, options=("--processes", "64", "--wall", "2s"), timeout=30)
    assert result.status in (124, 137), result
    assert result.seconds < 8, result


@pytest.mark.parametrize("options, command, reason, status", [
    (["--wall", "300ms"], "sleep 30", "limit:wall", 124),
    (["--cpu-time", "300ms"], "while :; do :; done", "limit:cpu", 137),
    (["--idle", "300ms"], "sleep 30", "limit:idle", 124),
    (["--output", "64KiB"], "yes", "limit:output", 137),
    (["--starts", "5"], "while :; do /bin/true; done", "limit:starts", 137),
], ids=lambda v: v.split()[0] if isinstance(v, str) else None)
def test_each_limit(atoll, world, options, command, reason, status):
    result = atoll.run("/bin/sh", "-c", command, options=(*options, *([] if options[0] == "--wall"
                                                                      else ["--wall", "20s"])))
    assert (result.reason, result.status) == (reason, status), result
    assert result.seconds < 10 * runner.SLOW, result
    assert reason.partition(":")[2] in result.err, result


def test_cpu_time_of_children_that_nobody_waits_for(atoll, world):
    """With SIGCHLD ignored the kernel adds a dead child's time to nobody's account."""
    script = ("import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
              "while True:\n"
              "    if os.fork() == 0:\n"
              "        while time.process_time() < 0.3: pass\n"
              "        os._exit(0)\n"
              "    time.sleep(0.35)\n")
    result = atoll.run("/usr/bin/python3", "-c", script,
                       options=("--cpu-time", "1s", "--wall", "20s"))
    assert (result.reason, result.status) == ("limit:cpu", 137), result


def test_output_is_cut_where_it_says(atoll, world):
    """E5: one endless line; no more than the limit comes out."""
    result = atoll.run(atoll.probe("hog"), "line", "1024", options=("--output", "1MiB", "--wall", "20s"))
    assert result.reason == "limit:output", result.document
    assert len(result.stdout) + len(result.stderr) <= MIB + 4096


def test_a_million_tiny_writes(atoll, world):
    result = atoll.run(atoll.probe("hog"), "tiny", "1", options=("--output", "4MiB", "--wall", "60s"))
    assert result.status == 0, result.err[-300:]
    assert len(result.stdout) == 500000 and result.stderr.count(b"x") == 500000


def test_slow_reader_holds_the_writer(atoll, world):
    """What nobody reads is not kept in memory: the payload waits."""
    process = atoll.start(atoll.probe("hog"), "line", "64", options=("--output", "1GiB", "--wall", "20s"))
    for _ in range(8):
        process.stdout.read(65536)
        time.sleep(0.05)  # a reader that takes its time is the subject
    rest, _ = process.communicate(timeout=20)
    result = runner.read_json(atoll.document)
    assert len(rest) + 8 * 65536 >= 63 * MIB
    assert result["reason"] == "exited", result


@pytest.mark.parametrize("what, options, command", [
    ("open files", ["--open-files", "32"],
     "import os\nn=0\ntry:\n  while True: os.dup(0); n+=1\nexcept OSError as e: print(n < 32, e.strerror)"),
    ("file size", ["--file-size", "1MiB"],
     "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nf=open('/tmp/f','wb',0)\n"
     "try:\n  while True: f.write(bytes(65536))\nexcept OSError as e: print(f.tell() <= 1<<20, e.strerror)"),
    ("scratch", ["--scratch", "8MiB"],
     "f=open('/tmp/f','wb',0)\ntry:\n  while True: f.write(bytes(65536))\n"
     "except OSError as e: print(f.tell() <= 8<<20, e.strerror)"),
], ids=lambda v: v if isinstance(v, str) and " " not in v else None)
def test_limits_that_refuse(atoll, world, what, options, command):
    result = atoll.run("/usr/bin/python3", "-c", command, options=options)
    assert result.status == 0 and result.out.startswith("True "), (what, result)


def test_every_limit_is_in_the_receipt_and_the_result(atoll):
    result = atoll.run("/bin/true")
    named = {limit["name"].removesuffix("_ms") for limit in result.document["limits"]}
    assert named >= {"memory", "cpus", "processes", "open_files", "file_size", "scratch", "output",
                     "starts", "wall", "cpu", "idle"}, named
    assert all(limit["mechanism"] and limit["value"] for limit in result.document["limits"])
    assert "limits" in json.dumps(result.receipt)


def test_io_is_held_or_refused(atoll, world):
    """A limit of I/O is armed by a group that holds it; else nothing starts, with the remedy."""
    result = atoll.run("/bin/echo", "ran", options=("--io", "20MiB/s"))
    if result.status == 0:
        assert result.mechanism("io").startswith("cgroup v2"), result
        return
    assert (result.status, result.out, result.reason) == (125, "", "error:policy"), result
    assert "execution.limits.io: " in result.err, result
    assert any(remedy in result.err for remedy in (
        "systemd.unified_cgroup_hierarchy=1", "run as root", "Delegate=cpu memory pids io")), result


def test_ten_at_once_do_not_share_a_limit(atoll, base):
    """One that breaks its limit does not take the others along."""
    (atoll.workspace / "go").write_text("")
    bad = [runner.Atoll(base / f"bad{n}") for n in range(2)]
    good = [runner.Atoll(base / f"good{n}") for n in range(8)]
    started = [a.start(a.probe("hog"), "anonymous", "512", options=("--memory", "64MiB")) for a in bad]
    started += [a.start("/bin/sh", "-c", "sleep 1; echo well", options=("--memory", "64MiB")) for a in good]
    ended = [p.communicate(timeout=60) for p in started]
    assert [p.returncode for p in started] == [137] * 2 + [0] * 8, ended
    assert all(out == b"well\n" for out, _ in ended[2:])


def test_host_memory_stays(atoll):
    """E2, from outside: what a bomb took is given back."""
    def available():
        return int(next(line.split()[1] for line in
                        pathlib.Path("/proc/meminfo").read_text().splitlines()
                        if line.startswith("MemAvailable"))) << 10
    before = available()
    atoll.run(atoll.probe("hog"), "anonymous", "512", options=("--memory", "128MiB",))
    assert runner.eventually(lambda: available() > before - 256 * MIB)
