# SPDX-License-Identifier: Apache-2.0
"""Exit codes, streams, the result document, and what is left behind: nothing."""
import hashlib
import os
import signal

import pytest

from harness import runner

ID_KEYS = {"sandbox", "command", "exit", "reason", "durations_ms", "cpu_ms", "memory_peak_bytes",
           "bytes", "tier", "receipt_digest", "denials", "limits"}


@pytest.mark.asan
@pytest.mark.parametrize("command, status", [
    (["/bin/true"], 0),
    (["/bin/false"], 1),
    (["/bin/sh", "-c", "exit 42"], 42),
    (["true"], 0),
    (["/nonexistent/program"], 127),
    (["no-such-program-anywhere"], 127),
    (["/etc/hostname"], 126),
    (["/"], 126),
], ids=lambda v: "-".join(v).replace("/", "_") if isinstance(v, list) else str(v))
def test_exit_code(atoll, world, command, status):
    result = atoll.run(*command)
    assert result.status == status, result
    if status < 126:
        assert result.reason == "exited"
        assert result.document["exit"] == {"status": status}
    else:
        assert result.err.startswith("atoll: ")


@pytest.mark.asan
def test_signalled(atoll, world):
    result = atoll.run("/bin/sh", "-c", "kill -SEGV $$")
    assert result.status == 128 + signal.SIGSEGV, result
    assert result.document["exit"] == {"signal": "SIGSEGV"} or \
        result.document["exit"] == {"signal": signal.SIGSEGV}
    assert result.reason == "signalled"


@pytest.mark.asan
def test_document(atoll, world):
    result = atoll.run("/bin/sh", "-c", "cat; echo out; echo err >&2", stdin=b"four")
    assert result.status == 0, result
    assert set(result.document) >= ID_KEYS
    assert result.stdout == b"fourout\n"
    assert result.document["bytes"] == {"stdin": 4, "stdout": 8, "stderr": 4, "terminal": 0}
    assert result.document["tier"] == ("process" if runner.TIER else "container")
    assert result.document["command"] == ["/bin/sh", "-c", "cat; echo out; echo err >&2"]
    assert len(result.document["receipt_digest"]) == 64
    assert result.receipt


def test_document_on_standard_output(atoll):
    result = atoll.tool("run", "--json", "-", "--", "/bin/true")
    assert result.status == 0, result
    assert b'"reason"' in result.stdout


def test_arguments_arrive_exactly(atoll):
    """B13: hyphens, newlines, 32 KiB, 1,024 of them."""
    hard = [b"-rf", b"--", b"", b"a\nb", b"$(id)", b"'", b"x" * 32768, "ü".encode()]
    many = [str(n).encode() for n in range(1024)]
    script = "import os,sys,hashlib; a=[os.fsencode(x) for x in sys.argv[1:]]; " \
             "print(len(a), hashlib.sha256(b'\\0'.join(a)).hexdigest())"
    for arguments in (hard, many):
        result = atoll.run("/usr/bin/python3", "-c", script, *arguments)
        want = hashlib.sha256(b"\0".join(arguments)).hexdigest()
        assert result.out == f"{len(arguments)} {want}\n", result


def test_an_argument_that_is_no_text(atoll):
    """Exactly, or not at all: bytes that are no UTF-8 are never changed on the way."""
    result = atoll.run("/usr/bin/printf", "%s", b"\xff\xfe")
    assert (result.status, result.stdout) == (0, b"\xff\xfe") or \
        result.status == 125 and "UTF-8" in result.err, result


@pytest.mark.asan
@pytest.mark.parametrize("options", [
    ["--memory", "0"], ["--memory", "-1"], ["--memory", "99999999999999999999G"], ["--memory", "lots"],
    ["--wall", "0s"], ["--wall", "-5s"], ["--wall", "5 parsecs"], ["--processes", "0"],
    ["--processes", "-1"], ["--cpus", "0"], ["--cpus", "nan"], ["--open-files", ""],
    ["--workspace", "/nonexistent"], ["--workspace", ".:sideways"], ["--workspace", ""],
    ["--read", "/nonexistent/path"], ["--trust", "much"], ["--tier", "bunker"],
    ["--policy", "/nonexistent.yaml"], ["--syscalls", "all"], ["--no-such-option"], ["--env", "=x"],
], ids=lambda o: " ".join(o) or "empty")
def test_bad_options(atoll, world, options):
    """Nothing starts, and one line says why."""
    marker = atoll.workspace / "started"
    result = atoll.run("/bin/touch", marker, options=options)
    assert result.status == 125, result
    assert not marker.exists()
    assert result.stdout == b""
    assert result.err.startswith("atoll: ") and result.err.count("\n") >= 1


def test_no_command(atoll):
    result = atoll.tool("run")
    assert result.status == 125 and result.err.startswith("atoll: "), result


@pytest.mark.asan
def test_large_output_is_exact(atoll, world):
    """Both streams, byte for byte, in order within each."""
    script = ("import hashlib,sys\n"
              "block=bytes(range(256))*256\n"
              "h=hashlib.sha256()\n"
              "for i in range(512):\n"
              "    data=i.to_bytes(4,'big')+block\n"
              "    h.update(data); sys.stdout.buffer.write(data)\n"
              "sys.stdout.flush()\n"
              "sys.stderr.write(h.hexdigest())\n")
    result = atoll.run("/usr/bin/python3", "-c", script, options=("--output", "1GiB"))
    assert result.status == 0, result.err
    assert hashlib.sha256(result.stdout).hexdigest() == result.said


@pytest.mark.long
def test_a_gibibyte_of_output(atoll, base):
    """1 GiB through the pumps with a checksum, without growing in memory."""
    argv = atoll.arguments(["/bin/sh", "-c", "head -c 1073741824 /dev/zero"],
                           ["--output", "2GiB", "--wall", "5m"])
    quoted = " ".join(f"'{a}'" for a in argv)
    result = runner.capture(["/bin/bash", "-c", f"set -o pipefail; {quoted} | sha256sum"],
                            env=atoll.environment(), cwd=atoll.workspace, timeout=300)
    want = hashlib.sha256()
    for _ in range(1024):
        want.update(bytes(1 << 20))
    assert result.out.split()[0] == want.hexdigest(), result


def test_reader_that_goes_away(atoll, world):
    """head(1) closes the pipe: the run ends instead of waiting for ever."""
    argv = atoll.arguments(["/bin/sh", "-c", "yes"], ["--wall", "30s"])
    quoted = " ".join(f"'{a}'" for a in argv)
    result = runner.capture(["/bin/bash", "-c", f"{quoted} | head -n 3; echo ${{PIPESTATUS[0]}}"],
                            env=atoll.environment(), cwd=atoll.workspace, timeout=40)
    lines = result.out.split()
    assert lines[:3] == ["y", "y", "y"] and not result.timed_out, result
    assert lines[3] not in ("0", "124"), result


def test_standard_input_at_its_end(atoll, world):
    assert atoll.run("/bin/cat", stdin=b"").stdout == b""
    data = os.urandom(1 << 20)
    assert atoll.run("/bin/cat", stdin=data, options=("--output", "64MiB")).stdout == data


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_reach_the_payload(atoll, world, name):
    # No shell: bash(1) loses a SIGINT now and then (2 of 2,000, no sandbox about) when its child
    # ends as the signal comes.
    script = ("import os, signal, time\n"
              "def got(*_):\n    os.write(1, b'got\\n')\n    os._exit(7)\n"
              f"signal.signal(signal.{name}, got)\nos.write(1, b'ready\\n')\n"
              "while True:\n    time.sleep(0.05)")
    process = atoll.start("/usr/bin/python3", "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == (b"got\n", 7), err


def test_caller_directory_and_workspace_path(atoll):
    """The workspace is at its own path, and the payload starts there."""
    result = atoll.run("/bin/pwd")
    assert result.out.strip() == str(atoll.workspace.resolve()), result


@pytest.mark.parametrize("escape", ["\033]0;title\a", "\033[2J", "\u202etxt", "\rX", "\u009b31m"])
def test_escapes_are_neutralised(atoll, escape):
    """E6: names that Atoll prints itself cannot drive the terminal."""
    result = atoll.run(f"/nonexistent/{escape}")
    assert result.status == 127, result
    forbidden = [c for c in result.err if (ord(c) < 32 and c not in "\t\n") or
                 127 <= ord(c) < 160 or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
    assert forbidden == [], result.stderr


def test_the_callers_cpus(atoll):
    """What the start does to spread its processes is undone: the payload has its caller's CPUs."""
    show = "import os; print(sorted(os.sched_getaffinity(0)))"
    own = os.sched_getaffinity(0)
    for cpus in (own, {max(own)}):
        os.sched_setaffinity(0, cpus)
        try:
            result = atoll.run("/usr/bin/python3", "-c", show, options=("--cpus", str(len(cpus))))
        finally:
            os.sched_setaffinity(0, own)
        assert (result.status, result.out.strip()) == (0, str(sorted(cpus))), result
