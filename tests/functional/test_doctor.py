# SPDX-License-Identifier: Apache-2.0
"""`atoll doctor`: what it finds here, each gap by taking the mechanism away, and nothing left behind."""
import ctypes
import glob
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import jsonschema
import pytest

from harness import runner

SCHEMA = {
    "type": "object", "additionalProperties": False,
    "required": ["version", "default_policy", "rows"],
    "properties": {
        "version": {"const": 1},
        "default_policy": {"type": "boolean"},
        "rows": {"type": "array", "minItems": 20, "items": {
            "type": "object", "additionalProperties": False,
            "required": ["tier", "mechanism", "state", "found", "remedy"],
            "properties": {
                "tier": {"enum": ["process", "container", "microvm", "host"]},
                "mechanism": {"type": "string", "minLength": 1},
                "state": {"enum": ["ok", "missing", "weak", "info"]},
                "found": {"type": "string", "minLength": 1},
                "remedy": {"type": ["string", "null"], "minLength": 1},
            }}},
    }}
WALLS = ["user namespace", "mount namespace", "proc in a pid namespace", "pivot_root",
         "network namespace", "IPC, UTS, cgroup namespaces", "seccomp", "Landlock", "ptrace"]
NUMBERS = {"ptrace": 101, "pivot_root": 155, "mount": 165, "prctl": 157, "sethostname": 170, "seccomp": 317,
           "fsopen": 430, "clone3": 435, "mount_setattr": 442, "landlock_create_ruleset": 444,
           "landlock_restrict_self": 446}
EPERM, EACCES, ENOSYS, EOPNOTSUPP, KILL = 1, 13, 38, 95, None


def filtered(name, code):
    """For preexec_fn: from here on this system call fails with `code`, or kills."""
    action = 0x80000000 if code is KILL else 0x00050000 | code
    program = b"".join(struct.pack("HBBI", *i) for i in (
        (0x20, 0, 0, 0), (0x15, 0, 1, NUMBERS[name]), (0x06, 0, 0, action),
        (0x06, 0, 0, 0x7fff0000)))
    buffer = ctypes.create_string_buffer(program)
    bpf = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)

    def load():
        libc.prctl(38, 1, 0, 0, 0)
        if libc.prctl(22, 2, ctypes.c_char_p(bpf), 0, 0) != 0:
            os._exit(99)
    load.keep = buffer
    return load


def examine(atoll, *wrap, env=None, **how):
    """The document, its rows by name, and the exit status; --json is the only word on the way."""
    result = runner.capture([*wrap, atoll.binary, "doctor", "--json"],
                            env=atoll.environment(env), cwd=atoll.workspace, **how)
    assert not result.timed_out, result
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMA)
    assert result.stderr == b"", result
    assert result.status == (0 if document["default_policy"] else 1), result
    rows = {row["mechanism"]: row for row in document["rows"]}
    assert len(rows) == len(document["rows"])
    return document, rows


@pytest.mark.asan
def test_this_host(atoll, world):
    """Where the suites run, every wall of the default policy stands, and the doctor says so."""
    document, rows = examine(atoll)
    assert document["default_policy"] is True, document
    for name in WALLS:
        assert rows[name]["state"] in ("ok", "weak"), rows[name]
    assert rows["default policy"]["state"] == "ok"
    assert rows["idmapped mounts"]["state"] == ("ok" if os.geteuid() == 0 else "info")
    for row in document["rows"]:
        assert row["state"] in ("ok", "info") or row["remedy"], row
    if "ASAN_OPTIONS" not in os.environ:  # the gateway's filter has none of the calls of a sanitizer
        assert rows["network by name"]["state"] == "ok" and "served" in rows["network by name"]["found"]
    assert rows["default policy, accepted"]["state"] == "ok" and rows["processes"]["state"] == "ok"
    assert rows["Landlock ABI"]["found"].startswith("ABI ")
    assert all(row["state"] == "info" for row in document["rows"] if row["tier"] == "host")
    assert not atoll.home.exists()


@pytest.mark.asan
def test_the_mechanism_is_the_one_of_a_run(atoll, world):
    result = atoll.run("/bin/true")
    _, rows = examine(atoll)
    assert rows["default policy"]["found"].endswith(f"limits by {result.mechanism('memory')}")
    expected = "weak" if result.mechanism("memory") == "sampler" else "ok"
    assert rows["control groups"]["state"] == expected or "cpu controller" in rows["control groups"]["found"]


@pytest.mark.asan
def test_text(atoll, world):
    result = atoll.tool("doctor")
    assert result.status == 0, result
    assert "\033" not in result.out
    lines = result.out.splitlines()
    rows = [m for m in (re.match(r"  (ok|missing|weak|info) +(\S.*?)  +(\S.*)", line) for line in lines) if m]
    assert {m.group(2) for m in rows} >= set(WALLS) | {"default policy", "KVM", "swap"}
    assert [line for line in lines if line and not line.startswith(" ")][:-1] == \
        ["container:", "process:", "microvm:", "host:"]
    assert re.fullmatch(r"The default policy can run here, with limits by [a-z0-9, ]+\.", lines[-1])


def test_colours_on_a_terminal_only(atoll, world):
    argv = [atoll.binary, "doctor"]
    shown = runner.on_terminal(argv, env=atoll.environment({"TERM": "xterm"}), cwd=atoll.workspace)
    assert shown.status == 0 and b"\033[32mok" in shown.stdout, shown
    for plain in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = runner.on_terminal(argv, env=atoll.environment(plain), cwd=atoll.workspace)
        assert shown.status == 0 and b"\033" not in shown.stdout, shown


def test_help(atoll):
    for option in ("--help", "-h"):
        result = atoll.tool("doctor", option)
        assert result.status == 0 and "examples:" in result.out, result
    result = atoll.tool("doctor", "--jsn")
    assert result.status == 125 and result.err.startswith("atoll: "), result


def test_failures_of_its_own(atoll, world):
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([atoll.binary, "doctor"], stdout=full, stderr=subprocess.PIPE,
                                env=atoll.environment(), cwd=atoll.workspace, check=False)
    assert result.returncode == 125 and b"No space left" in result.stderr, result


def test_without_user_namespaces(atoll, world):
    """H12: none are left in the namespace around it."""
    script = ("import os,sys\n"
              "open('/proc/sys/user/max_user_namespaces','w').write('0')\n"
              "os.execv(sys.argv[1], sys.argv[1:])\n")
    document, rows = examine(atoll, "unshare", "--user", "--map-root-user", "/usr/bin/python3", "-c", script)
    assert document["default_policy"] is False
    for name in WALLS[:6]:
        assert rows[name]["state"] == "missing", rows[name]
        assert "sysctl user.max_user_namespaces=10000" in rows[name]["remedy"]
    assert rows["seccomp"]["state"] == "ok"


def test_without_a_whole_proc(atoll, world):
    """A file of /proc is covered, as container engines do it: the kernel then mounts no fresh one."""
    document, rows = examine(atoll, "unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c",
                             'mount --bind /dev/null /proc/cpuinfo && exec "$@"', "sh")
    assert rows["proc in a pid namespace"]["state"] == "missing", rows["proc in a pid namespace"]
    assert "systempaths=unconfined" in rows["proc in a pid namespace"]["remedy"]
    assert rows["mount namespace"]["state"] == "ok"
    assert document["default_policy"] is False


def left_over():
    """Scratch directories and control groups of sandboxes that are there, and older than a moment."""
    groups = (path for root, names, _ in os.walk("/sys/fs/cgroup") for path in
              (os.path.join(root, name) for name in names if name.startswith("atoll-s-")))
    return {*glob.glob("/tmp/atoll-s-*"), *groups}


@pytest.mark.parametrize("call, code, mechanism, found, remedy", [
    ("landlock_create_ruleset", EOPNOTSUPP, "Landlock", "switched off at boot", "lsm="),
    ("landlock_restrict_self", EPERM, "Landlock", "cannot enforce", "seccomp filter"),
    ("fsopen", EPERM, "mount namespace", "cannot open a new tmpfs", "seccomp filter"),
    ("pivot_root", EPERM, "pivot_root", "cannot change the root", "seccomp filter"),
    ("sethostname", EPERM, "IPC, UTS, cgroup namespaces", "cannot set the host name", "seccomp filter"),
    ("ptrace", EPERM, "ptrace", "cannot be traced", "seccomp filter"),
    ("ptrace", KILL, "ptrace", "killed by signal 31", "seccomp filter"),
    ("seccomp", EPERM, "seccomp", "cannot load", "seccomp filter"),
    ("clone3", EPERM, "user namespace", "cannot create", "seccomp filter"),
], ids=lambda v: str(v).replace(" ", "-"))
def test_one_mechanism_taken_away(atoll, world, call, code, mechanism, found, remedy):
    """A filter refuses one call: that row is missing, with a remedy, and the run fails, too."""
    if platform.machine() != "x86_64":
        pytest.skip("this processor is no x86-64")
    before = left_over()
    document, rows = examine(atoll, preexec_fn=filtered(call, code))
    # The trial's state was the doctor's own: nobody else would find what it leaves. What others have here
    # meanwhile goes by itself.
    left = left_over() - before
    runner.eventually(lambda: not left.intersection_update(left_over()) and not left, 20)
    assert left == set()
    row = rows[mechanism]
    assert row["state"] == "missing" and found in row["found"] and remedy in row["remedy"], row
    assert document["default_policy"] is False
    assert rows["default policy"]["state"] == "missing" and rows["default policy"]["remedy"]


@pytest.mark.parametrize("call, code, found", [
    ("clone3", EPERM, "cannot create namespaces"),
    ("mount", EACCES, "cannot make mounts private"),
    ("fsopen", EPERM, "cannot open a new tmpfs"),
    ("sethostname", EPERM, "cannot set the host name"),
    ("pivot_root", EACCES, "cannot change the root"),
])
def test_a_run_says_what_the_doctor_says(atoll, world, call, code, found):
    """The refusal names its cause; a clone that works and a mount that does not are told apart."""
    if platform.machine() != "x86_64":
        pytest.skip("this processor is no x86-64")
    document, rows = examine(atoll, preexec_fn=filtered(call, code))
    result = atoll.run("/bin/echo", "ran", preexec_fn=filtered(call, code))
    assert (result.status, result.out) == (125, ""), result
    assert found in result.err and "seccomp=unconfined" in result.err, result
    assert rows["user namespace"]["state"] == ("missing" if call == "clone3" else "ok")
    if call in ("clone3", "mount", "fsopen"):  # mediation as on Ubuntu 24.04 lets the clone through
        assert rows["mount namespace"]["state"] == "missing", rows["mount namespace"]
    assert found in rows["default policy"]["found"], rows["default policy"]
    assert "seccomp=unconfined" in rows["default policy"]["remedy"], rows["default policy"]


def test_a_filter_that_knows_only_clone(atoll, world):
    """As in containers, whose filters cannot look at the flags of clone3: the older call does it."""
    if platform.machine() != "x86_64":
        pytest.skip("this processor is no x86-64")
    document, rows = examine(atoll, preexec_fn=filtered("clone3", ENOSYS))
    assert document["default_policy"] is True and rows["user namespace"]["state"] == "ok", document
    result = atoll.run("/bin/echo", "ran", preexec_fn=filtered("clone3", ENOSYS))
    assert (result.status, result.out) == (0, "ran\n"), result


def test_in_a_chroot(atoll, world, need_root):
    """Refused by the kernel itself, with no filter around: it says what else it can be."""
    root = atoll.base / "root"
    root.mkdir()
    os.chown(atoll.workspace, 1234, 1234)
    script = ('mount --rbind / "$1" && cd "$2" && ATOLL_HOME=$2/../state && export ATOLL_HOME && '
              'install -d -o 1234 -g 1234 "$ATOLL_HOME" && shift 2 && '
              'exec chroot --userspec=1234:1234 "$0" /bin/sh -c \'cd "$0" && exec "$@"\' "$@"')
    result = runner.capture(["unshare", "--mount", "/bin/sh", "-c", script, root, root, atoll.workspace,
                             atoll.workspace, atoll.binary, "run", "--", "/bin/true"])
    assert result.status == 125 and "cannot create namespaces" in result.err, result
    assert "a security module, a container or a chroot" in result.err, result


def test_idmapped_mounts_taken_away(atoll, world, need_root):
    document, rows = examine(atoll, preexec_fn=filtered("mount_setattr", EPERM))
    assert rows["idmapped mounts"]["state"] == "missing" and rows["idmapped mounts"]["remedy"]
    assert document["default_policy"] is False


@pytest.mark.asan
def test_unusable_state(atoll, world):
    """The trial has a state directory of its own; the verdict is about the caller's."""
    atoll.home.mkdir(mode=0o777)
    atoll.home.chmod(0o777)
    for home in (str(atoll.home), "relative", "/proc/state"):
        document, rows = examine(atoll, env={"ATOLL_HOME": home})
        assert rows["state directory"]["state"] == "missing" and rows["state directory"]["remedy"]
        assert document["default_policy"] is False
    assert list(atoll.home.iterdir()) == []
    result = atoll.tool("doctor")
    assert result.status == 1 and "\nThe default policy cannot run here: the state directory" in result.out


def test_state_that_is_there_stays(atoll, world):
    atoll.run("/bin/true")
    before = sorted(str(p) for p in atoll.home.rglob("*"))
    examine(atoll)
    assert sorted(str(p) for p in atoll.home.rglob("*")) == before
    deep = atoll.base / "new/deep/state"
    examine(atoll, env={"ATOLL_HOME": str(deep)})
    assert not (atoll.base / "new").exists()


def test_inside_a_sandbox(atoll, world):
    """There is no way from inside to more walls, and the doctor says what stands around it."""
    shutil.copy(atoll.binary, atoll.workspace / "atoll")
    result = atoll.run(str(atoll.workspace / "atoll"), "doctor", "--json")
    assert result.status == 1, result
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMA)
    rows = {row["mechanism"]: row for row in document["rows"]}
    assert document["default_policy"] is False
    for name in [*WALLS[:7], "default policy"]:
        assert rows[name]["state"] == "missing", rows[name]
    for name in WALLS[:7]:
        assert "outside of that container or sandbox" in rows[name]["remedy"], rows[name]


@pytest.mark.parametrize("gateway, found", [(None, "atoll-gateway"), ("/bin/false", "did not serve")])
def test_without_the_gateway(atoll, base, world, gateway, found):
    """What was not installed, or does not work, is missed here, and not only by whoever allows a host."""
    alone = base / "alone"
    alone.mkdir()
    shutil.copy(atoll.binary, alone / "atoll")
    if gateway:
        shutil.copy(gateway, alone / "atoll-gateway")
    atoll.binary = alone / "atoll"
    document, rows = examine(atoll)
    assert document["default_policy"] is True
    row = rows["network by name"]
    assert row["state"] == "missing" and found in row["found"] and row["remedy"], row


def test_a_place_that_is_no_workspace(atoll, world):
    """Where the doctor is asked from is no property of the host: the verdict stands."""
    result = runner.capture([atoll.binary, "doctor", "--json"], env=atoll.environment(), cwd="/")
    document = json.loads(result.out)
    rows = {row["mechanism"]: row for row in document["rows"]}
    assert rows["workspace"]["state"] == "weak" and rows["workspace"]["remedy"], rows["workspace"]
    assert document["default_policy"] is True and result.status == 0


def test_programs_outside_usr(atoll, base, world):
    hidden = base / "tools"
    hidden.mkdir()
    for n in range(7):
        (hidden / f"tool-{n}").write_text("#!/bin/sh\n")
        (hidden / f"tool-{n}").chmod(0o755)
    (hidden / "no-program").write_text("")
    _, rows = examine(atoll, env={"PATH": f"{hidden}:/usr/bin:/bin"})
    assert "7 programs of PATH would not be visible" in rows["toolchains"]["found"]
    assert rows["toolchains"]["found"].count(f"{hidden}/tool-") == 5
    assert "--read" in rows["toolchains"]["remedy"]
    _, rows = examine(atoll, env={"PATH": "/usr/bin:/bin"})
    assert "every program of PATH is visible" in rows["toolchains"]["found"]


def test_a_name_cannot_move_the_cursor(atoll, base, world):
    hidden = base / "tools"
    hidden.mkdir()
    (hidden / "a\033[2Jb").write_text("")
    (hidden / "a\033[2Jb").chmod(0o755)
    result = runner.capture([atoll.binary, "doctor"], cwd=atoll.workspace,
                            env=atoll.environment({"PATH": f"{hidden}:/usr/bin"}))
    assert result.status == 0 and b"\033" not in result.stdout and b"a\\x1b[2Jb" in result.stdout


def test_ended_by_a_signal(atoll, world):
    """At any moment: the signal's status, and the trial's directory and sandbox are gone."""
    for n in range(12):
        process = subprocess.Popen([atoll.binary, "doctor"], env=atoll.environment(), cwd=atoll.workspace,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(n * 0.003 * runner.SLOW)
        process.send_signal(signal.SIGTERM)
        assert process.wait(runner.TIMEOUT) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert [p for p in pathlib.Path(tempfile.gettempdir()).glob("atoll-doctor-*")
            if p.stat().st_uid == os.geteuid()] == []
    assert not atoll.home.exists()
