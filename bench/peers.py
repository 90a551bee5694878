# SPDX-License-Identifier: Apache-2.0
"""The contenders of bench/start: how each is started, and whether it works on this host at all."""
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


@dataclasses.dataclass
class Peer:
    name: str
    argv: list = None
    files: dict = dataclasses.field(default_factory=dict)  # descriptor: path, opened for each run
    absent: str = None  # why it takes no part
    version: str = ""

    def command(self):
        """What stands after RUNS PARALLEL on bench-spawn's command line."""
        opened = [part for fd, path in self.files.items() for part in ("-f", f"{fd}={path}")]
        return [*opened, "--", *map(str, self.argv)]


def version(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else ""


def budget(what, value, most):
    """Prints whether a figure is within its budget, and returns it. None, or 0: it could not be measured."""
    held = bool(value) and value <= most
    print(f"  {what}: {value if value else float('nan'):.2f} (at most {most:.2f}): {'held' if held else 'MISSED'}")
    return held


def unescape(path):
    for escape, char in ESCAPES.items():
        path = path.replace(escape, char)
    return path


def inside(atoll, *command):
    """What a command prints when it runs in the product, as bytes."""
    return subprocess.run([*atoll, *command], capture_output=True, check=True).stdout


def bwrap_mounts(mountinfo, empty, nothing):
    """The same mounts for bubblewrap, what lies above first; masks are an empty file or directory."""
    arguments = []
    for line in sorted(mountinfo.splitlines(), key=lambda line: line.split()[4]):
        fields, _, rest = line.partition(" - ")
        point, options = unescape(fields.split()[4]), fields.split()[5].split(",")
        kind = rest.split()[0]
        if point == "/" or point == "/dev" or point.startswith("/dev/") and point != "/dev/shm":
            continue  # bubblewrap's own root, and --dev, which has the same nodes
        if point == "/proc":
            arguments += ["--proc", "/proc"]
        elif point.startswith("/proc/") and kind == "tmpfs":
            arguments += ["--ro-bind", nothing if fields.split()[3].endswith(".d") else empty, point]
        elif kind == "tmpfs":
            arguments += ["--tmpfs", point]
        else:
            arguments += ["--ro-bind" if "ro" in options else "--bind", point, point]
    return arguments


def bwrap_root(atoll):
    """The links of the root and the contents of /etc, as the product shows them."""
    arguments, files = [], {}
    script = ("cd / && for f in * etc/* etc/ssl/*; do if [ -L $f ]; then echo link $f $(readlink $f);"
              " elif [ -f $f ]; then echo file $f; fi; done")
    for line in inside(atoll, "/bin/sh", "-c", script).decode().splitlines():
        kind, path, *target = line.split()
        if kind == "link":
            arguments += ["--symlink", target[0], f"/{path}"]
        elif path.startswith("etc/"):
            files[100 + len(files)] = path
    return arguments, files


def bubblewrap_same(atoll, work, payload):
    peer = Peer("bubblewrap, the same walls", version=version("bwrap", "--version"))
    if not shutil.which("bwrap"):
        peer.absent = "not installed"
        return peer
    empty = work / "empty"
    empty.write_text("")
    nothing = work / "nothing"
    nothing.mkdir()
    copies = work / "etc-copies"
    copies.mkdir()
    links, files = bwrap_root(atoll)
    etc = []
    for fd, path in files.items():
        copy = copies / path.replace("/", "_")
        copy.write_bytes(inside(atoll, "/bin/cat", f"/{path}"))
        etc += ["--file", str(fd), f"/{path}"]
        peer.files[fd] = copy
    mounts = bwrap_mounts(inside(atoll, "/bin/cat", "/proc/self/mountinfo").decode(), empty, nothing)
    peer.argv = ["bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000",
                 "--hostname", "atoll", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
                 "--clearenv", "--dev", "/dev", *mounts, *links, *etc,
                 "--chdir", str(payload.parent), str(payload)]
    return peer


def bubblewrap_one(payload):
    peer = Peer("bubblewrap, one bind", version=version("bwrap", "--version"))
    if not shutil.which("bwrap"):
        peer.absent = "not installed"
    peer.argv = ["bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/", "/", str(payload)]
    return peer


def crun(work, payload):
    peer = Peer("crun", version=version("crun", "--version"))
    if not shutil.which("crun"):
        peer.absent = "not installed"
        return peer
    bundle = work / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    shutil.copy(payload, bundle / "rootfs/true")
    subprocess.run(["crun", "spec", *([] if os.geteuid() == 0 else ["--rootless"])], cwd=bundle,
                   check=True, capture_output=True)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"].update(terminal=False, args=["/true"])
    (bundle / "config.json").write_text(json.dumps(spec))
    # A container's name must be new each time; the shell's pid is.
    peer.argv = ["/bin/sh", "-c", f"exec crun --root {work}/crun run -b {bundle} bench-$$"]
    return peer


def nspawn(work, payload):
    peer = Peer("systemd-nspawn", version=version("systemd-nspawn", "--version"))
    if not shutil.which("systemd-nspawn"):
        peer.absent = "not installed"
    elif os.geteuid() != 0:
        peer.absent = "needs root"
    else:
        tree = work / "tree"
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp"):
            (tree / name).mkdir(parents=True)
        (tree / "etc/os-release").write_text("ID=bench\n")
        shutil.copy(payload, tree / "usr/true")
        peer.argv = ["systemd-nspawn", "--quiet", "--pipe", "--read-only", "--private-network",
                     "--register=no", "--keep-unit", f"--directory={tree}", "/usr/true"]
    return peer


# What systemd.exec(5) has for services that are to be shut in, with limits like the product's.
SYSTEMD_PROPERTIES = (
    "NoNewPrivileges=yes PrivateUsers=yes PrivateNetwork=yes PrivateIPC=yes PrivateTmp=yes "
    "PrivateDevices=yes ProtectSystem=strict ProtectHome=tmpfs ProtectProc=invisible ProcSubset=pid "
    "ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes ProtectControlGroups=yes "
    "ProtectHostname=yes ProtectClock=yes RestrictNamespaces=yes RestrictRealtime=yes "
    "RestrictSUIDSGID=yes LockPersonality=yes CapabilityBoundingSet= SystemCallArchitectures=native "
    "SystemCallFilter=@system-service MemoryMax=2G MemorySwapMax=0 TasksMax=512 CPUQuota=200%").split()


def systemd_run(payload):
    """A transient service: made by the service manager, root's or the user's own."""
    peer = Peer("systemd-run", version=version("systemd-run", "--version"))
    if not pathlib.Path("/run/systemd/system").is_dir():
        peer.absent = "systemd does not run here"
    properties = [f"--property={p}" for p in SYSTEMD_PROPERTIES]
    peer.argv = ["systemd-run", *([] if os.geteuid() == 0 else ["--user"]), "--quiet", "--wait", "--pipe",
                 "--collect", *properties, f"--property=BindReadOnlyPaths={payload.parent}", str(payload)]
    return peer


def firejail(payload):
    peer = Peer("firejail", version=version("firejail", "--version"))
    if not shutil.which("firejail"):
        peer.absent = "not installed"
    peer.argv = ["firejail", "--quiet", "--noprofile", "--net=none", "--seccomp", "--caps.drop=all",
                 "--private-dev", str(payload)]
    return peer


def sandbox_runtime(work, payload):
    peer = Peer("sandbox-runtime")
    program = os.environ.get("SRT") or shutil.which("srt")
    if not program:
        peer.absent = ("not installed (npm install @anthropic-ai/sandbox-runtime, then put srt on "
                       "PATH or name it in SRT)")
        return peer
    settings = work / "srt.json"
    settings.write_text(json.dumps({
        "network": {"allowedDomains": [], "deniedDomains": []},
        "filesystem": {"denyRead": [], "allowWrite": [], "denyWrite": []}}))
    peer.version = version(program, "--version")
    peer.argv = [program, "--settings", str(settings), str(payload)]
    return peer


PROCESS_TIER = "atoll run, process tier"
ACCOUNT = "atoll run, with an account"
WALLS_ALONE = "its walls and nothing else"


def with_account(atoll, payload):
    """The same, reserved from budgets, settled and priced: the ledger in its file."""
    def account(*words):
        subprocess.run([atoll[0], "account", *words], check=True, capture_output=True)

    account("create", "bench")
    account("price", "default", "--set", "cpu=0.04", "--set", "memory=0.005")
    account("set-budget", "bench", "money", "1000000")
    account("set-budget", "bench", "cpu", "1000000h", "--per", "month")
    return Peer(ACCOUNT, [*atoll[:2], "--account", "bench", *atoll[2:], payload])


def contenders(atoll, programs, work, payload):
    """`atoll` is the whole command up to the payload. A peer that fails once is absent."""
    def attempt(make, name, *arguments):
        try:
            return make(*arguments)
        except (OSError, subprocess.CalledProcessError) as problem:
            return Peer(name, absent=f"cannot be set up: {problem}")

    found = [
        Peer("posix_spawn", [payload]),
        Peer("atoll version", [atoll[0], "version"]),
        Peer("atoll run", [*atoll, payload], version=version(atoll[0], "version")),
        Peer("atoll run, on a copy", [*(a.replace(":read-only", ":copy") if isinstance(a, str) else a for a in atoll),
                                      payload]),
        attempt(with_account, ACCOUNT, atoll, payload),
        Peer(PROCESS_TIER, [*atoll[:2], "--quiet", "--accept-tier", "process", *atoll[2:], payload]),
        Peer(WALLS_ALONE, [programs / "bench-wrapper", payload]),
        attempt(bubblewrap_same, "bubblewrap, the same walls", atoll, work, payload),
        bubblewrap_one(payload),
        attempt(crun, "crun", work, payload),
        attempt(nspawn, "systemd-nspawn", work, payload),
        systemd_run(payload),
        firejail(payload),
        sandbox_runtime(work, payload),
    ]
    return found


def works(peer, spawn):
    """Tries it once; notes the reason when that fails."""
    if peer.absent:
        return False
    try:
        done = subprocess.run([spawn, "1", "1", *peer.command()], capture_output=True, text=True,
                              timeout=60, check=False)
    except subprocess.TimeoutExpired:
        peer.absent = "does not end within a minute"
        return False
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("spawn:")]
        peer.absent = "fails here: " + (lines[-1].strip() if lines else "no message")
    return done.returncode == 0


def host_facts():
    cpu = next((line.partition(":")[2].strip()
                for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "unknown")
    release = pathlib.Path("/etc/os-release").read_text()
    system = next((line.partition("=")[2].strip('"') for line in release.splitlines()
                   if line.startswith("PRETTY_NAME")), "unknown")
    load = os.getloadavg()[0]
    return (f"{system}, Linux {os.uname().release}, {os.cpu_count()} CPUs ({cpu}), "
            f"uid {os.geteuid()}, load {load:.2f}")
