# SPDX-License-Identifier: Apache-2.0
"""Refusals: recorded, or with `denials: end` the end of everything."""
import platform

import pytest

from harness import runner, trail

if platform.machine() != "x86_64":  # the calls below are its numbers
    pytest.skip("this processor is no x86-64", allow_module_level=True)

END = ("--denials", "end", "--wall", "20s")

# One refused call by number and arguments; "after" is only said when it returns.
CALL = ("import ctypes, os\n"
        "os.write(1, b'before\\n')\n"
        "ctypes.CDLL(None, use_errno=True).syscall({})\n"
        "os.write(1, b'after\\n')\n")
CONNECT = ("import socket\n"
           "try: socket.create_connection(('192.0.2.1', 80))\n"
           "except OSError as error: print(error.strerror, flush=True)\n")

# (x86-64 call and arguments, what, code)
CALLS = [
    ("165, 8, 8, 8, 0, 0", "mount", "mount.refused"),
    ("272, 0x40000000", "unshare", "namespace.new"),
    ("41, 17, 3, 0", "socket", "socket.family"),
    ("310, -1, 0, 0, 0, 0, 0", "process_vm_readv", "trace.refused"),
    ("16, 0, 0x5412, 8", "ioctl", "terminal.input"),
    ("321, 0, 8, 8", "bpf", "kernel.surface"),
    ("133, b'/tmp/x', 0o020600, 259", "mknod", "device.node"),
    ("90, b'/tmp', 0o4755", "chmod", "file.set-id"),
    ("141, 0, 1, 19", "setpriority", "process.init"),
    ("170, 8, 1", "sethostname", "syscall.refused"),
]


def python(script):
    return "/usr/bin/python3", "-c", script


def events(atoll, result):
    """[(event, data)] of the trail of a run."""
    path = atoll.home / "trail" / f"{result.document['sandbox']}.jsonl"
    return [(event["event"], event["data"]) for event in trail.read(path)]


def check_end(atoll, result, code):
    """All that a run which a refusal ended has to say."""
    assert (result.status, result.reason) == (137, f"denied:{code}"), result
    first = result.document["denials"][0]
    assert first["code"] == code and first["request_id"] == f"{result.document['sandbox']}.1"
    assert result.document["error"] is None and result.document["torn_down"] is True
    said = [line for line in result.err.splitlines() if line.startswith("atoll: stopped")]
    assert said == [f"atoll: stopped by the first refusal: {first['what']} ({code}); to widen: "
                    f"{first['remedy']}; to go on after refusals: execution: {{denials: record}} or "
                    "--denials record"], result
    assert result.err.count(code) == 1, result
    told = events(atoll, result)
    names = [name for name, _ in told if name in ("denied", "denial", "ended", "torn_down")]
    assert names == ["denied"] * len(result.document["denials"]) + ["denial", "ended", "torn_down"]
    data = dict(reversed(told))
    assert data["denied"]["code"] == code
    assert data["denial"] == {"denial": code, "request_id": first["request_id"]}
    assert data["ended"]["reason"] == f"denied:{code}"
    assert data["created"]["plan"]["denials"] == "end"


@pytest.mark.asan
@pytest.mark.parametrize("call, what, code", CALLS, ids=[code for _, _, code in CALLS])
def test_first_refusal_ends_the_run(atoll, world, call, what, code):
    """At once: the call that is refused never returns."""
    result = atoll.run(*python(CALL.format(call)), options=END)
    check_end(atoll, result, code)
    assert result.stdout == b"before\n", result
    assert result.document["exit"] is None
    assert [(d["what"], d["count"]) for d in result.document["denials"]] == [(what, 1)]


@pytest.mark.parametrize("options", [(), ("--denials", "record")], ids=["default", "named"])
@pytest.mark.parametrize("call, what, code", CALLS, ids=[code for _, _, code in CALLS])
def test_refusals_are_only_recorded_otherwise(atoll, call, what, code, options):
    result = atoll.run(*python(CALL.format(call)), options=options)
    assert (result.status, result.reason, result.stdout) == (0, "exited", b"before\nafter\n"), result
    assert [(d["what"], d["code"]) for d in result.document["denials"]] == [(what, code)]
    assert "denial" not in [name for name, _ in events(atoll, result)]


def test_foreign_abi(atoll, world):
    result = atoll.run(atoll.probe("abi"), options=END)
    check_end(atoll, result, "syscall.abi")
    assert "OK" not in result.probes().values(), result


def test_calls_that_are_too_new_end_nothing(atoll):
    """They get ENOSYS and no record, so that libraries fall back."""
    result = atoll.run(*python("import ctypes, errno\n"
                               "libc = ctypes.CDLL(None, use_errno=True)\n"
                               "for call in (457, 999):\n"
                               "    print(libc.syscall(call), ctypes.get_errno() == errno.ENOSYS)\n"),
                       options=END)
    assert (result.status, result.out) == (0, "-1 True\n-1 True\n"), result
    assert result.reason == "exited" and result.document["denials"] == []


@pytest.mark.asan
def test_without_a_refusal_nothing_changes(atoll):
    result = atoll.run("/bin/sh", "-c", "ls /usr >/dev/null; cat; exit 3", stdin=b"x", options=END)
    assert (result.status, result.reason, result.stdout) == (3, "exited", b"x"), result
    assert result.said == ""
    assert atoll.run("no-such-program", options=END).reason == "error:exec"


def test_everything_inside_ends(atoll, world):
    """Whoever made the call: a grandchild in a session of its own, while others work."""
    script = ("import ctypes, os, time\n"
              "for i in range(8):\n"
              "    if os.fork() == 0:\n"
              "        while True: time.sleep(0.01)\n"
              "if os.fork() == 0:\n"
              "    os.setsid()\n"
              "    if os.fork() == 0:\n"
              "        ctypes.CDLL(None).syscall(165, 8, 8, 8, 0, 0)\n"
              "        os.write(1, b'after\\n')\n"
              "time.sleep(60)\n")
    result = atoll.run(*python(script), options=END)
    check_end(atoll, result, "mount.refused")
    assert result.stdout == b"" and result.seconds < 10, result


def test_many_refusals_at_once(atoll, world):
    """No thread gets further than its own call, and one of them is the first."""
    script = ("import ctypes, os, threading\n"
              "libc = ctypes.CDLL(None)\n"
              "gate = threading.Barrier(32)\n"
              "def ask():\n"
              "    gate.wait()\n"
              "    libc.syscall(165, 8, 8, 8, 0, 0)\n"
              "    os.write(1, b'after\\n')\n"
              "for i in range(32): threading.Thread(target=ask).start()\n")
    for _ in range(5):
        result = atoll.run(*python(script), options=END)
        check_end(atoll, result, "mount.refused")
        assert result.stdout == b"", result


def test_on_a_terminal(atoll, world):
    result = atoll.run_on_terminal(*python(CALL.format("165, 8, 8, 8, 0, 0")), options=END)
    assert (result.status, result.reason) == (137, "denied:mount.refused"), result
    assert "before" in result.out.splitlines() and "after" not in result.out.splitlines()
    assert "atoll: stopped by the first refusal: mount (mount.refused)" in result.out


@pytest.mark.parametrize("family, address", [("AF_INET", "192.0.2.1"), ("AF_INET6", "2001:db8::1")])
def test_counters_are_looked_at(atoll, world, family, address):
    """What only the sandbox's own counters show ends a run that goes on within moments."""
    script = ("import socket, time\n"
              f"s = socket.socket(socket.{family}, socket.SOCK_DGRAM)\n"
              f"try: s.sendto(b'x', ('{address}', 53))\n"
              "except OSError as error: print(error.strerror, flush=True)\n"
              "time.sleep(60)\n")
    result = atoll.run(*python(script), options=END)
    check_end(atoll, result, "network.none")
    # At the process tier there is no socket to try it with, and that is the refusal.
    assert result.out == ("" if runner.TIER else "Network is unreachable\n"), result
    assert result.document["exit"] is None
    assert result.seconds < 5, result


def test_counters_count_once(atoll):
    """However often they are looked at."""
    for options in (END, ("--denials", "record")):
        result = atoll.run(*python(CONNECT * 3), options=options)
        denial, = result.document["denials"]
        assert 1 <= denial["count"] <= 3, result
        assert options is END or denial["count"] == 3


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"],
                         ids=["exits", "kills itself"])
def test_counters_at_the_end(atoll, world, end):
    """A command that is done before the next look does not get away with it."""
    result = atoll.run(*python(CONNECT + end), options=END)
    check_end(atoll, result, "network.none")
    assert result.document["exit"] in (None, {"status": 3}, {"signal": 9}), result


def test_process_limit(atoll, world):
    """Counted by a control group, or by a keeper that lets each start: an rlimit does not count."""
    script = ("import os, time\n"
              "try:\n"
              "    while os.fork(): pass\n"
              "except OSError: pass\n"
              "time.sleep(60)\n")
    result = atoll.run(*python(script), options=("--denials", "end", "--wall", "3s",
                                                 "--processes", "8"))
    if result.mechanism("processes").startswith(("cgroup", "keeper")):
        check_end(atoll, result, "limit.processes")
    else:
        assert (result.status, result.reason) == (124, "limit:wall"), result


def test_quiet_says_why_it_ended(atoll):
    result = atoll.run(*python(CALL.format("165, 8, 8, 8, 0, 0")), options=(*END, "--quiet"))
    assert result.err.count("\n") == 1 and "(mount.refused); to widen: " in result.err, result


def test_a_limit_keeps_its_reason(atoll):
    """The first reason stands."""
    result = atoll.run("/bin/sh", "-c", "sleep 30", options=("--denials", "end", "--wall", "300ms"))
    assert (result.status, result.reason) == (124, "limit:wall"), result


def test_what_a_template_demands(atoll):
    template = atoll.base / "strict.yaml"
    template.write_text("version: 1\nexecution: {denials: end}\n")
    template.chmod(0o644)
    command = python(CALL.format("165, 8, 8, 8, 0, 0"))
    check_end(atoll, atoll.run(*command, options=("--template", template)), "mount.refused")
    result = atoll.run(*command, options=("--template", template, "--denials", "record"))
    assert result.status == 125 and result.stdout == b"", result
    assert result.err == (f"atoll: --denials: execution.denials: 'record' is refused: 'end' is the "
                          f"most allowed by {template}:2:22, which takes precedence\n"), result
    policy = atoll.base / "policy.yaml"
    policy.write_text("version: 1\nexecution: {denials: record}\n")
    checked = atoll.tool("policy", "check", "--floor", template, policy)
    assert checked.status == 125 and f"most allowed by {template}:2:22" in checked.err, checked
    policy.write_text("version: 1\nexecution: {denials: never}\n")
    checked = atoll.tool("policy", "check", policy)
    assert f"{policy}:2:22: execution.denials: 'never' is not one of end or record" in checked.err
    said = atoll.tool("policy", "explain", "--template", template)
    assert f"fact        The first refusal that is recorded ends it.  [{template}:2:22]" in said.out
