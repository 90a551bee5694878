# SPDX-License-Identifier: Apache-2.0
"""A payload that works with what it may do: modes of files, pid 1, links, signals, descriptors."""
import os
import signal
import stat
import subprocess

import pytest

from harness import runner

PYTHON = "/usr/bin/python3"

SET_ID = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == "x86_64"
here = os.open(".", os.O_RDONLY)
class How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]
def attempt(name, call):
    try:
        call(name)
    except OSError as e:
        print(name, e.errno)
def plain(name):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o755))
    return name
def raw(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def temporary(name, mode):
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, mode)
    os.link(f"/proc/self/fd/{fd}", name, follow_symlinks=True)
for bits in (0o4755, 0o2755, 0o6755):
    os.umask(0)
    attempt(f"chmod-{bits:o}", lambda n: os.chmod(plain(n), bits))
    attempt(f"fchmod-{bits:o}", lambda n: os.fchmod(os.open(plain(n), os.O_RDONLY), bits))
    attempt(f"fchmodat-{bits:o}", lambda n: os.chmod(plain(n), bits, dir_fd=here))
    attempt(f"fchmodat2-{bits:o}", lambda n: raw(452, here, plain(n).encode(), bits, 0))
    attempt(f"openat-{bits:o}", lambda n: os.open(n, os.O_CREAT | os.O_RDWR, bits))
    attempt(f"openat2-{bits:o}",
            lambda n: raw(437, here, n.encode(), ctypes.byref(How(os.O_CREAT | os.O_RDWR, bits, 0)),
                          24))
    attempt(f"tmpfile-{bits:o}", lambda n: temporary(n, bits))
    attempt(f"mknod-{bits:o}", lambda n: os.mknod(n, 0o100000 | bits))
    if x86:
        attempt(f"open-{bits:o}", lambda n: raw(2, n.encode(), os.O_CREAT | os.O_RDWR, bits))
        attempt(f"creat-{bits:o}", lambda n: raw(85, n.encode(), bits))
        attempt(f"chmod90-{bits:o}", lambda n: raw(90, plain(n).encode(), bits))
os.chmod(plain("ordinary"), 0o751)
"""


@pytest.mark.parametrize("profile", ["file", "strict", "default", "nested"])
def test_no_file_with_a_set_id_bit(atoll, world, profile):
    """C13, C19: in a direct workspace such a file is the caller's on the host, for everybody."""
    atoll.workspace.chmod(0o777)
    result = atoll.run(PYTHON, "-c", SET_ID,
                       options=("--workspace", f"{atoll.workspace}:direct", "--syscalls", profile))
    assert result.status == 0, result
    made = {p.name: stat.S_IMODE(p.lstat().st_mode) for p in atoll.workspace.iterdir()}
    assert made["ordinary"] == 0o751, result
    assert [n for n, mode in made.items() if mode & 0o6000] == [], result
    assert "file.set-id" in {d["code"] for d in result.document["denials"]}, result


CAPABILITIES = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
os.close(os.open("capable", os.O_CREAT | os.O_WRONLY, 0o755))
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    if libc.unshare(0x10000000) != 0:
        os._exit(1)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    value = struct.pack("<IIIII", 0x02000001, 0xffffffff, 0, 0x1ff, 0)
    try:
        os.setxattr("capable", "security.capability", value)
    except OSError as e:
        print("refused", e.errno, flush=True)
    os._exit(0)
os.read(ready[0], 1)
for name, text in ("setgroups", "deny"), ("uid_map", f"0 {os.getuid()} 1"), \
                  ("gid_map", f"0 {os.getgid()} 1"):
    with open(f"/proc/{child}/{name}", "w") as f:
        f.write(text)
os.write(go[1], b"x")
os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_no_file_with_capabilities(atoll, world):
    """C19: a nested user namespace may set them; on the host they would count for everybody."""
    atoll.workspace.chmod(0o777)
    result = atoll.run(PYTHON, "-c", CAPABILITIES, options=(
        "--workspace", f"{atoll.workspace}:direct", "--syscalls", "nested"))
    assert result.status == 0 and "refused" in result.out, result
    assert "security.capability" not in os.listxattr(atoll.workspace / "capable"), result


def test_pid_1_is_out_of_reach(atoll, world):
    """The payload has the same user id as init; the kernel alone would let it do all of this."""
    script = """
import ctypes, os, platform, resource
def attempt(name, call):
    try:
        call()
        print(name)
    except OSError:
        pass
attempt("prlimit", lambda: resource.prlimit(1, resource.RLIMIT_CPU, (1, 1)))
attempt("scheduler", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))
attempt("param", lambda: os.sched_setparam(1, os.sched_param(0)))
attempt("affinity", lambda: os.sched_setaffinity(1, {0}))
attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
attempt("nice group", lambda: os.setpriority(os.PRIO_PGRP, 1, 19))
attempt("nice user", lambda: os.setpriority(os.PRIO_USER, 0, 19))
attempt("nice this user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (251, 252), "aarch64": (30, 31)}[platform.machine()]
def io_priority(which, who):
    if libc.syscall(numbers[0], which, who, 3 << 13) < 0:
        raise OSError(ctypes.get_errno(), "")
for which, who in (1, 1), (2, 1), (3, 0), (3, os.getuid()):
    attempt(f"io {which} {who}", lambda: io_priority(which, who))
def in_group_of_1(call):
    if os.fork() == 0:
        os.setpgid(0, 1)
        attempt("joined", call)
        os._exit(0)
    os.wait()
in_group_of_1(lambda: os.setpriority(os.PRIO_PGRP, 0, 19))
in_group_of_1(lambda: io_priority(2, 0))
resource.prlimit(0, resource.RLIMIT_CPU, (100, 100))
resource.prlimit(os.getpid(), resource.RLIMIT_CPU, (90, 90))
os.setpriority(os.PRIO_PROCESS, 0, 1)
io_priority(1, 0)
"""
    result = atoll.run(PYTHON, "-c", script)
    assert result.status == 0 and result.out == "", result


@pytest.mark.parametrize("option", ["--json", "--receipt"])
@pytest.mark.parametrize("trap", ["link", "directory link", "pipe", "hard link"])
def test_a_report_is_not_written_through_the_workspace(atoll, world, option, trap):
    """What the payload left at the report's name is not followed by the side without walls."""
    precious = atoll.base / "precious"
    precious.write_text("mine\n")
    atoll.workspace.chmod(0o777)
    script = {"link": f"ln -s {precious} precious",
              "directory link": f"ln -s {atoll.base} out",
              "hard link": "echo theirs > other && ln other precious",
              "pipe": "mkfifo precious"}[trap]
    name = "out/precious" if trap == "directory link" else "precious"
    result = atoll.tool("run", "--workspace", f"{atoll.workspace}:direct", option, name, "--",
                        "/bin/sh", "-c", script, timeout=20)
    assert result.status == 125 and "workspace" in result.err, result
    assert precious.read_text() == "mine\n"
    if trap == "hard link":
        assert (atoll.workspace / "other").read_text() == "theirs\n"


def test_a_report_in_a_direct_workspace(atoll, world):
    result = atoll.tool("run", "--workspace", f"{atoll.workspace}:direct", "--json", "result.json",
                        "--", "/bin/true")
    assert result.status == 0, result
    assert runner.read_json(atoll.workspace / "result.json")["reason"] == "exited"


def test_an_allow_list_without_its_wall(atoll, world):
    """'syscalls: nested' switches Landlock off, which alone keeps execution.allow."""
    result = atoll.run("/bin/true", options=("--syscalls", "nested", "--allow-program", "true"))
    assert result.status == 125 and "nested" in result.err, result


def test_a_stopped_payload_does_not_outlive_its_limit(atoll, world):
    """The front stops with its payload; the end of the sandbox wakes it up."""
    result = atoll.run("/bin/sh", "-c", "echo before; kill -STOP $$", options=("--wall", "1s"),
                       timeout=15)
    assert (result.status, result.out) == (124, "before\n"), result
    assert result.reason == "limit:wall"


STOPS = """
import os, signal, time
if os.fork() == 0:
    for _ in range(200):
        for number in signal.SIGSTOP, signal.SIGCONT:
            os.kill(os.getppid(), number)
            time.sleep(0.002)
else:
    time.sleep(60)
"""


def test_a_payload_that_stops_again_and_again(atoll, world):
    """As many stops are told as there were; the caller does not have to continue us as often."""
    result = atoll.run(PYTHON, "-c", STOPS, options=("--wall", "3s"), timeout=15)
    assert (result.status, result.reason) == (124, "limit:wall"), result


HOLD = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind("hold.sock")
s.listen(1)
print("ready", flush=True)
kept = socket.recv_fds(s.accept()[0], 10, 4)
time.sleep(60)
"""
GIVE = """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("hold.sock")
socket.send_fds(s, [b"x"], [1, 2])
print("given")
"""


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_output_that_somebody_else_holds_open(atoll, world, terminal):
    """A descriptor that went out through a socket in the workspace does not hold up the end."""
    atoll.workspace.chmod(0o777)
    options = ("--workspace", f"{atoll.workspace}:direct", "--quiet")
    holder = subprocess.Popen([PYTHON, "-c", HOLD], cwd=atoll.workspace, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"ready\n"
        (atoll.workspace / "hold.sock").chmod(0o777)
        run = atoll.run_on_terminal if terminal else atoll.run
        result = run(PYTHON, "-c", GIVE, options=options, timeout=20)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert result.status == 0 and "given" in result.out, result
    assert result.seconds < 10, result


def test_init_killed_from_outside_is_no_success(atoll, world):
    """Whoever kills pid 1, the memory killer of the host for one, has not made the command succeed."""
    mark = f"60.{os.getpid()}"
    process = atoll.start("/bin/sh", "-c", f"echo ready; sleep {mark}")
    assert process.stdout.readline() == b"ready\n"
    [name] = os.listdir(atoll.home / "sandboxes")
    keeper = runner.read_json(atoll.home / "sandboxes" / name / "sandbox.json")["keeper"]
    for child in runner.text_of(f"/proc/{keeper}/task/{keeper}/children").split():
        if (runner.text_of(f"/proc/{child}/cmdline") or "").startswith("atoll-init\0"):
            os.kill(int(child), signal.SIGKILL)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 125, (out, err)
    assert runner.read_json(atoll.document)["reason"] == "error:system"


def test_mounts_below_the_workspace_stay(atoll, need_root):
    """What a mount of the host hides in the workspace is hidden inside, also when root starts it."""
    below = atoll.workspace / "below"
    below.mkdir()
    (below / "hidden").write_text("secret\n")
    argv = " ".join(f"'{a}'" for a in atoll.arguments(["/bin/ls", str(below)], []))
    script = (f"mount --make-rprivate / && mount -t tmpfs none '{below}' && "
              f"touch '{below}/cover' && exec {argv}")
    result = runner.capture(["/usr/bin/unshare", "-m", "/bin/sh", "-c", script],
                            env=atoll.environment(), cwd=atoll.workspace)
    if "tmpfs from Linux 6.3" in result.err:
        pytest.skip("this kernel translates no owners on tmpfs")
    assert (result.status, result.out) == (0, "cover\n"), result
    assert "note: The workspace is read-only, no copy: something is mounted below it, at" in result.err
    named = runner.capture(["/usr/bin/unshare", "-m", "/bin/sh", "-c", script.replace(
        "'run'", f"'run' --workspace '{atoll.workspace}:copy'", 1)], env=atoll.environment(), cwd=atoll.workspace)
    assert named.status == 125 and "which a copy would uncover" in named.err, named


@pytest.mark.parametrize("options, how", [((), "read"), (("--allow-program", "true"), "probed")])
def test_the_receipt_reads_what_it_says(atoll, world, options, how):
    """Scratch size and CPUs come from the kernel; a list of programs is probed."""
    result = atoll.run("/bin/true", options=("--scratch", "12MiB", "--cpus", "1", *options))
    assert result.status == 0, result
    assert result.receipt["scratch"] == {"how": "read", "value": 12 << 20}
    assert result.receipt["execution"]["how"] == how
    if result.mechanism("cpus").startswith("affinity"):
        assert result.receipt["affinity"] == {"how": "read", "value": 1}
