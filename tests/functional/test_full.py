# SPDX-License-Identifier: Apache-2.0
"""Trust full: a program as the user, without a wall; what it starts is recorded, and all of it ends."""
import http.server
import json
import os
import pathlib
import signal
import threading

import pytest

from harness import runner, trail

FULL = ("--trust", "full")
WIDE = "tier none has no wall to hold it with"


@pytest.fixture
def full(base):
    """Its own options choose the tier, whatever the run of the tests is at."""
    product = runner.Atoll(base / "product", tier="")
    yield product
    product.end()


def ok(result):
    assert result.status == 0, result
    return result.out


def events_of(full, kind):
    path, = (full.home / "trail").glob("s-*.jsonl")
    return [event["data"] for event in trail.read(path) if event["event"] == kind]


# ---- as the user ----

def test_it_is_the_user(full, base, world):
    (base / "elsewhere").mkdir()
    script = "id -u; id -g; pwd; echo $HOME; echo done >../elsewhere/f; readlink /proc/self/ns/*"
    result = full.run("/bin/sh", "-c", script, options=FULL, cwd=base / "product")
    uid, gid, cwd, home, *namespaces = ok(result).split("\n")[:-1]
    assert (int(uid), int(gid)) == (os.geteuid(), os.getegid())
    assert (cwd, home) == (str(base / "product"), os.environ["HOME"])
    assert (base / "elsewhere" / "f").read_text() == "done\n"
    assert (base / "elsewhere" / "f").stat().st_uid == os.geteuid()
    # readlink(1) runs as the payload's child, all of whose namespaces are the host's.
    assert namespaces == [os.readlink(p) for p in sorted(pathlib.Path("/proc/self/ns").iterdir())]


def test_the_network_is_the_hosts_own(full, world):
    """A server on this host's loopback, which no other level lets a payload reach."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask = f"import socket; s = socket.create_connection(('127.0.0.1', {server.server_port})); print(s.getpeername()[0])"
    try:
        assert ok(full.run("/usr/bin/python3", "-c", ask, options=FULL)) == "127.0.0.1\n"
        assert full.run("/usr/bin/python3", "-c", ask, options=("--workspace", ".:read-only")).status != 0
    finally:
        server.shutdown()
        server.server_close()


def test_the_environment_is_declared_all_the_same(full, world):
    told = ok(full.run("/usr/bin/env", options=(*FULL, "--env", "ASKED=yes"), env={"A_SECRET": "x", "PATH": "/usr/bin:/nowhere"}))
    lines = told.splitlines()
    assert "ASKED=yes" in lines and "PATH=/usr/bin:/nowhere" in lines and "A_SECRET" not in told, told


def test_receipt(full, world):
    result = full.run("/bin/true", options=FULL)
    assert result.status == 0 and result.document["tier"] == "none", result
    value = {name: entry["value"] for name, entry in result.receipt.items() if isinstance(entry, dict)}
    assert value["walls"] == "none: the files, processes and network of the user"
    assert value["namespaces"] == {} and value["no_new_privs"] is True
    assert value["capabilities"] == "the user's" and value["program_starts"]["observed"] == "seccomp notification"
    assert "landlock" not in value and "network" not in value
    armed = {row["name"] for row in result.receipt["limits"]}
    assert {"memory", "processes", "cpus", "wall_ms"} <= armed and "scratch" not in armed


def test_nothing_gains_rights(full, need_user, world):
    """no_new_privs, which the record of program starts needs: set-user-ID programs stay the user's."""
    assert ok(full.run("/bin/sh", "-c", "grep NoNewPrivs /proc/self/status", options=FULL)).split()[1] == "1"


def test_descriptors_are_not_inherited(full, world):
    told = ok(full.run("/bin/sh", "-c", "ls /proc/self/fd | wc -l", options=FULL))
    assert int(told) == 4, told  # its own three, and the directory that ls reads


# ---- the record ----

def test_what_it_starts_is_in_the_record(full, world):
    ok(full.run("/bin/sh", "-c", "/bin/true one; /usr/bin/python3 -c 'import os; os.system(\"/bin/echo two\")'", options=FULL))
    started = [event["argv"] for event in events_of(full, "program")]
    assert ["/bin/true", "one"] in started and ["/bin/echo", "two"] in started, started
    plan = events_of(full, "created")[0]["plan"]
    assert (plan["trust"], plan["tier"], plan["net_default"], plan["workspace_mode"]) == ("full", "none", "open", "none")
    assert runner.eventually(lambda: full.tool("audit", "verify").status == 0)
    row, = json.loads(ok(full.tool("audit", "report", "--json")))
    assert row["paths"] == [{"path": "/", "mode": "direct"}] and row["hosts"] == ["*"], row


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="has no second ABI")
def test_no_program_starts_past_the_record(full, world):
    """getpid(2) by int 0x80: what could start programs by another ABI would be in no record."""
    (full.workspace / "c.c").write_text(
        "#include <errno.h>\n#include <stdio.h>\n"
        "int main(void) { long r; asm volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20L) : \"memory\");"
        " printf(\"%d\\n\", r == -ENOSYS); }\n")
    result = full.run("/bin/sh", "-c", "gcc -o c c.c && ./c", options=FULL)
    assert ok(result) == "1\n" and "foreign ABI" in result.denied(), result


# ---- limits, and the end ----

LEFT = """import os, subprocess, sys
for how in range(3):
    if os.fork() == 0:
        if how: os.setsid()
        if how == 2 and os.fork(): os._exit(0)
        os.execv('/bin/sleep', ['sleep', sys.argv[1]])
"""


def sleepers(mark):
    return [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if runner.text_of(p) == f"sleep\0{mark}\0"]


def test_everything_ends(full, world):
    """Children, a session of its own, an orphan of an orphan."""
    mark = f"71{os.getpid()}"
    assert full.run("/usr/bin/python3", "-c", LEFT, mark, options=FULL).status == 0
    assert sleepers(mark) == []


def test_a_limit_of_time(full, world):
    result = full.run("/bin/sh", "-c", "setsid sleep 61 & sleep 60", options=(*FULL, "--wall", "300ms"))
    assert (result.status, result.reason) == (124, "limit:wall"), result


def test_a_limit_of_processes(full, world):
    fork = ("import os, time\nn = 0\ntry:\n  while n < 100:\n    if os.fork() == 0: time.sleep(9)\n    n += 1\n"
            "except OSError as e: print(n, e.errno)")
    n, code = ok(full.run("/usr/bin/python3", "-c", fork, options=(*FULL, "--processes", "20"))).split()
    assert 10 < int(n) <= 20 and int(code) == 11


def test_the_front_is_killed(full, world):
    mark = f"72{os.getpid()}"
    front = full.start("/usr/bin/python3", "-c", LEFT + "import time; time.sleep(60)", mark, options=FULL)
    assert runner.eventually(lambda: len(sleepers(mark)) == 3)
    front.send_signal(signal.SIGKILL)
    assert runner.eventually(lambda: sleepers(mark) == []), sleepers(mark)


def test_the_keeper_is_killed(full, need_root):
    """Without a pid namespace it is the control group by which the next command ends what is left."""
    mark = f"73{os.getpid()}"
    front = full.start("/usr/bin/python3", "-c", LEFT + "import time; time.sleep(60)", mark, options=FULL)
    assert runner.eventually(lambda: len(sleepers(mark)) == 3)
    state, = (full.home / "sandboxes").glob("s-*/sandbox.json")
    os.kill(json.loads(state.read_text())["keeper"], signal.SIGKILL)
    front.wait()
    assert full.tool("reap").status == 0 and sleepers(mark) == []


def test_exit_codes(full, world):
    assert [full.run(*argv, options=FULL).status for argv in (("/bin/sh", "-c", "exit 7"), ("nowhere",), ("/etc/passwd",))] == [7, 127, 126]


def test_on_a_terminal(full, world):
    result = full.run_on_terminal("/bin/bash", "--norc", "-i", typed=b"tty; sleep 50 & kill %1; wait; echo d${x}one\rexit\r",
                                  options=(*FULL, "--wall", "20s"))
    assert result.status == 0 and b"done" in result.stdout and b"/dev/pts/" in result.stdout, result


def test_graduated_it_can_be_run_again(full, base, world):
    first = full.run("/bin/true", options=FULL)
    assert full.tool("graduate", first.document["sandbox"], base / "out").status == 0
    assert "--policy policy.yaml --trust full --" in (base / "out" / "README.md").read_text()
    again = ("--policy", base / "out" / "policy.yaml")
    assert ok(full.run("/usr/bin/id", "-u", options=(*FULL, *again))) == f"{os.geteuid()}\n"
    assert full.run("/usr/bin/id", options=again).status == 125


# ---- naming it ----

@pytest.mark.parametrize("text", ["version: 1\ntrust: full\n", "version: 1\nprofile: trust-full\n"])
def test_no_document_can_ask_for_it(full, text):
    (full.base / "p.yaml").write_text(text)
    refused = full.run("/bin/true", options=("--policy", full.base / "p.yaml"))
    assert refused.status == 125 and "may only be named on the command line" in refused.err, refused


def test_a_profile_is_not_naming_it(full):
    refused = full.run("/bin/true", options=("--profile", "trust-full"))
    assert refused.status == 125 and "--trust full" in refused.err, refused


@pytest.mark.parametrize("text, message", [
    ("trust: high", "'full' is refused: 'high' is the most allowed by"),
    ("provenance: external", "provenance: 'external' is not for trust full"),
    ("provenance: agent", "provenance: 'agent' is not for trust full"),
    ("filesystem: {workspace: {mode: read-only}}", "filesystem.workspace.mode: " + WIDE),
    ("filesystem: {read: [/etc]}", "filesystem.read: " + WIDE),
    ("filesystem: {deny: ['**/.env']}", "filesystem.deny: " + WIDE),
    ("network: {default: deny}", "network.default: " + WIDE),
    ("network: {allow: [a.example]}", "network.allow: " + WIDE),
    ("network: {deny: [a.example]}", "network.deny: " + WIDE),
    ("network: {limits: {bytes: 1MiB}}", "network.limits.bytes: " + WIDE),
    ("execution: {allow: [sh]}", "execution.allow: " + WIDE),
    ("execution: {syscalls: default}", "execution.syscalls: " + WIDE),
    ("execution: {limits: {scratch: 1MiB}}", "execution.limits.scratch: " + WIDE),
])
def test_a_floor_that_it_cannot_hold_refuses_it(full, text, message):
    """Whoever wrote it meant it: nothing of it is passed over."""
    (full.base / "floor.yaml").write_text("version: 1\n" + text + "\n")
    for options in ((), ("--accept-tier", "none")):
        refused = full.run("/bin/true", options=(*FULL, *options, "--policy", full.base / "floor.yaml"))
        assert refused.status == 125 and message in refused.err, refused


@pytest.mark.parametrize("options, message", [
    (("--accept-tier", "none"), "it comes with trust full"),
    (("--tier", "none", "--accept-tier", "none"), "it comes with trust full"),
    (("--network", "open"), "network.default: 'open' is refused: trust medium allows 'deny'"),
    ((*FULL, "--learn"), "tier none has no gateway"),
    ((*FULL, "--allow", "a.example"), WIDE),
    ((*FULL, "--workspace", ".:copy"), WIDE),
    ((*FULL, "--tier", "container", "--network", "open"), "which tier container does not share"),
])
def test_refusals(full, options, message):
    refused = full.run("/bin/true", options=options)
    assert refused.status == 125 and message in refused.err, refused


def test_a_sandbox_that_waits_needs_walls(full):
    refused = full.tool("create", *FULL)
    assert refused.status == 125 and "needs tier container" in refused.err, refused


def test_with_a_stronger_tier_it_is_one(full, world):
    result = full.run("/bin/sh", "-c", "readlink /proc/self/ns/net", options=(*FULL, "--tier", "container", "--workspace", ".:read-only"))
    assert ok(result).strip() != os.readlink("/proc/self/ns/net")
    assert result.document["tier"] == "container"


def test_the_policy_says_what_it_means(full):
    said = {row["key"]: row for row in json.loads(ok(full.tool("policy", "explain", "--json", "--trust", "full")))}
    assert said["tier"]["class"] == said["network.default"]["class"] == said["filesystem.root"]["class"] == "fact"
    assert "host's own network" in said["network.default"]["text"] and "whatever the user can" in said["filesystem.root"]["text"]
    assert "filesystem.workspace.mode" not in said and "execution.limits.scratch" not in said
    assert "trust: full" in ok(full.tool("policy", "show", "--trust", "full"))


def test_the_user_is_told(full, world):
    result = full.run("/bin/true", options=FULL)
    assert "There is no wall (trust full)" in result.err, result
