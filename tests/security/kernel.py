# SPDX-License-Identifier: Apache-2.0
"""A: the kernel's entry surface. Each attempt returns what got through."""
import os
import pathlib
import stat

from harness import runner
from harness.arms import REFUSED, Check

FILTERED = {"EPERM", "ENOSYS"}
# The one table of what a payload may open under the default profile.
FAMILIES = {1: "unix", 2: "inet", 10: "inet6"}
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "shm", "pts", "fd", "stdin",
           "stdout", "stderr", "console"}
NO_PRIVILEGE = {"Seccomp:": "2", "NoNewPrivs:": "1", "CapInh:": "0", "CapPrm:": "0", "CapEff:": "0",
                "CapBnd:": "0", "CapAmb:": "0"}


def succeeded(result, *prefixes):
    """The probes that went through."""
    return [f"{name} went through" for name, word in result.probes().items()
            if word == "OK" and name.startswith(prefixes or ("",))]


def system_calls(t):
    """A1, A5, A7, A10, A11: with harmless arguments, so that only a filter answers EPERM."""
    result = t.run(t.probe("syscalls"))
    return [f"{name}: {word}" for name, word in result.probes().items() if word not in FILTERED]


def foreign_abi(t):
    """A2, A3: the 32-bit entry and the x32 numbers."""
    shut = ("EPERM", "ENOSYS", "signal 31")
    result = t.run(t.probe("abi"))
    through = [f"{name}: {word}" for name, word in result.probes().items() if word not in shut]
    if t.run(t.probe("ia32"), quiet=True).status == 42:
        through.append("a 32-bit program ran")
    if t.sandboxed and not t.refused() and not any("ABI" in what.upper() or "32" in what
                                                   for what in result.denied()):
        through.append("nobody recorded it")
    return through


def socket_families(t):
    """A4: exactly the families and protocols of the table."""
    through = []
    if t.tier != "container" and t.sandboxed:  # the host's listeners are one connect(2) away
        return [f"socket {name}: {word}" for name, word in t.run(t.probe("sockets")).probes().items()
                if word not in FILTERED | {"EAFNOSUPPORT"}]
    for name, word in t.run(t.probe("sockets")).probes().items():
        family, kind, protocol = name.split(":")
        family, protocol = int(family), int(protocol)
        plain = protocol == 0 and (family in FAMILIES or family == 16)
        if not plain and word not in FILTERED:
            through.append(f"socket {name}: {word}")
        if plain and kind in ("STREAM", "DGRAM") and family != 16 and word != "OK":
            through.append(f"socket {name} is allowed and gave {word}")
    return through


def namespaces(t):
    """A6: new namespaces by clone, clone3 and unshare; entering those in sight."""
    result = t.run(t.probe("namespaces"))
    return succeeded(result, "clone:", "unshare:", "setns:") + \
        [f"{name}: {word}" for name, word in result.probes().items()
         if name.startswith("clone3:") and word != "ENOSYS"]


def mounts(t):
    """A7, C11, C12: mounting, unmounting, remounting; the host's own table is compared after."""
    (t.workspace / "point").mkdir()
    result = t.run(t.probe("mounts"), "/tmp", os.readlink("/proc/self/ns/mnt"),
                   wrap=("unshare", "--map-root-user", "--mount", "--propagation", "private"))
    return succeeded(result)


def terminal(t):
    """A8, B5: input pushed into the terminal, another terminal taken."""
    result = t.run(t.probe("terminal"), "INJECTED", "/dev/tty", "/dev/pts/0", "/dev/pts/1",
                   "/dev/console", "/dev/tty1", terminal=True)
    through = succeeded(result, "TIOCSTI", "TIOCLINUX", "TIOCCONS", "TIOCSETD")
    if result.injected:
        through.append(f"input appeared on the terminal: {result.injected!r}")
    return through


def spying(t):
    """A9: reading and tracing init, the canary process and whoever started all this."""
    result = t.run(t.probe("neighbours"), "spy", "1", str(t.canaries.process.pid), str(os.getpid()),
                   stdin=b"")
    return succeeded(result, "PTRACE_SEIZE", "process_vm", "pidfd_getfd", "kcmp", "mem", "maps",
                     "environ")


def thread_status(t):
    """A13: what the kernel says of every thread."""
    through = []
    if t.tier != "container" and t.sandboxed:
        return thread_status_from_outside(t)
    for name, value in t.run(t.probe("status")).probes().items():
        field = name.partition(":")[2]
        if field in NO_PRIVILEGE and value.lstrip("0") != NO_PRIVILEGE[field].lstrip("0"):
            through.append(f"{name} {value}")
    return through


THREADS = ("import ctypes, sys, threading\n"
           "ctypes.CDLL(None).prctl(15, sys.argv[1].encode())\n"
           "for _ in range(3): threading.Thread(target=threading.Event().wait).start()\n"
           "print('up', flush=True)\n")


def thread_status_from_outside(t):
    """Where the payload sees no /proc of itself."""
    name = f"t{t.canaries.token('a name')[:12]}"
    process = t.atoll.start("/usr/bin/python3", "-c", THREADS, name)
    line = process.stdout.readline()
    if not line:
        t.results.append(t.atoll.finish(runner.Result([name], process.wait(), b"", b"", 0.0)))
        return []
    found, through = named(name), []
    tasks = [path for pid in found for path in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    for path in tasks:
        for row in (path / "status").read_text().splitlines():
            field, value = row.split(":", 1)
            wanted = NO_PRIVILEGE.get(field + ":")
            if field == "CapBnd" and t.tier == "guarded" and os.geteuid() != 0:
                continue  # nobody has the privilege; no_new_privs, which is asked for, makes up for it
            if wanted is not None and value.strip().lstrip("0") != wanted.lstrip("0"):
                through.append(f"{field}: {value.strip()}")
    process.kill()
    process.wait()
    t.atoll.end()
    runner.eventually(lambda: not named(name))
    return through if len(tasks) == 4 else [f"{len(tasks)} threads are there"]


def named(name):
    """The pids of processes with this command name."""
    return [int(p) for p in filter(str.isdigit, os.listdir("/proc"))
            if (runner.text_of(f"/proc/{p}/comm") or "").strip() == name]


def denied_files(t):
    """A18: every way to a file that is not in the view."""
    paths = [str(p) for p in t.canaries.files.values()]
    t.run(t.probe("files"), "read", *paths)
    t.run(t.probe("files"), "move", *paths)
    t.run(t.probe("files"), "write", *paths, *[str(t.canaries.tree / n) for n in ("README", "new")])
    return []


def device_names():
    found = set()
    for directory, _, names in os.walk("/dev"):
        for name in names:
            path = pathlib.Path(directory, name)
            try:
                mode = path.stat().st_mode
            except OSError:
                continue
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                found.add(str(path))
    return found


def devices(t):
    """A20: every device of this host and the usual ones of others."""
    usual = ("kvm mem kmsg port fuse cuse net/tun vhost-net vhost-vsock vsock loop-control loop0 "
             "nvidia0 nvidiactl dri/card0 snd/seq uinput hpet sda vda nvme0 btrfs-control mapper/control "
             "userfaultfd dma_heap/system tty0 tty1 ttyS0 hwrng rtc0 watchdog cpu/0/msr bsg")
    allowed = {f"/dev/{name}" for name in DEVICES}
    names = device_names() | {f"/dev/{name}" for name in usual.split()}
    names = sorted(n for n in names - allowed
                   if not n.startswith("/dev/pts/") and os.path.realpath(n) not in allowed)
    result = t.run(t.probe("files"), "device", *names)
    # Without a view of its own there is the host's /dev, and no right to any of it.
    shut = {"ENOENT"} if t.tier == "container" else {"ENOENT", "EACCES"}
    return [f"{name}: {word}" for name, word in result.probes().items() if word not in shut]


def nodes(t):
    """A21: device nodes in everything that can be written."""
    if t.tier != "container" and t.sandboxed:
        return succeeded(t.run("/bin/sh", "-c", f"{t.probe('files')} node $TMPDIR"), "mknod:")
    result = t.run(t.probe("files"), "node", str(t.workspace), "/tmp",
                   options=("--workspace", f"{t.workspace}:direct"))
    through = succeeded(result, "mknod:")
    for path in t.workspace.rglob("node-*"):
        through.append(f"there is {path.name}")
        path.unlink()
    for path in pathlib.Path("/tmp").glob("node-*"):
        if not t.sandboxed:
            path.unlink()
    return through


CHECKS = [
    Check("A1-system-calls", system_calls, {
        "seccomp": REFUSED, "seccomp+receipt_compare": "red"},
        process={"seccomp": REFUSED, "seccomp+receipt_compare": "red"}, guarded={}),
    Check("A2-foreign-abi", foreign_abi, {
        "seccomp+receipt_compare": "red"}, process={}, guarded={}),
    Check("A4-socket-families", socket_families, {
        "seccomp+receipt_compare": "red"},
        process={"seccomp+receipt_compare": "red"}, guarded={}),
    Check("A6-namespaces", namespaces, {
        "seccomp+receipt_compare": "red"},
        process={"seccomp+receipt_compare": "red"}, guarded={}),
    Check("A7-mounts", mounts, {}, process={}, guarded={}),
    Check("A8-terminal", terminal, {
        "seccomp+receipt_compare": "red"}, control="root", process={}, guarded={}),
    Check("A9-spying", spying, {
        "init_nondumpable": "red"}, process={}, guarded={}),
    Check("A13-thread-status", thread_status, {
        "no_new_privs": REFUSED, "no_new_privs+receipt_compare": "red",
        "capabilities": REFUSED, "capabilities+receipt_compare": "red",
        "gid_map": (REFUSED, None)},  # an ordinary user cannot map another group
        process={"no_new_privs": REFUSED, "capabilities": REFUSED}, guarded={}),
    Check("A18-denied-files", denied_files, {}, process={"landlock+receipt_compare": "red"},
          guarded={}),
    Check("A20-devices", devices, {
        "dev_minimal": REFUSED, "dev_minimal+receipt_compare": "red"}, process={}, guarded={}),
    Check("A21-nodes", nodes, {}, control="root", process={}, guarded={}),
]
