# SPDX-License-Identifier: Apache-2.0
"""Runs `atoll`, or a command without it, and keeps everything that can be seen from outside."""
import dataclasses
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

BIN = pathlib.Path(os.environ.get("ATOLL_BIN", "build/src/atoll")).resolve()
PROBES = pathlib.Path(os.environ.get("ATOLL_PROBES", "build/tests/probes")).resolve()
MUTANTS = pathlib.Path(os.environ.get("ATOLL_MUTANTS", "build/src/mutants")).resolve()
EXAMPLES = pathlib.Path(os.environ.get("ATOLL_EXAMPLES", "examples")).resolve()
# The tier that everything runs at which does not say another; the product's default where it is empty.
TIER = os.environ.get("ATOLL_TEST_TIER", "")
# How much longer everything takes here than on a machine of its own (an emulated one sets it).
SLOW = float(os.environ.get("ATOLL_TEST_SLOW", "1"))
TIMEOUT = 60 * SLOW


@dataclasses.dataclass
class Result:
    argv: list
    status: int  # as subprocess has it: negative for a signal
    stdout: bytes
    stderr: bytes
    seconds: float
    document: dict = None  # what --json wrote, None when nothing was written
    receipt: dict = None
    timed_out: bool = False
    injected: bytes = b""  # on a terminal: input that is waiting there after the end

    @property
    def out(self):
        return self.stdout.decode(errors="replace")

    @property
    def err(self):
        return self.stderr.decode(errors="replace")

    @property
    def said(self):
        """Standard error without Atoll's notes about the policy, which differ by tier."""
        return "".join(line for line in self.err.splitlines(keepends=True)
                       if not line.startswith("atoll: note: "))

    @property
    def reason(self):
        return (self.document or {}).get("reason")

    def probes(self):
        """{probe: errno name} from the JSON lines of a probe; a name seen twice keeps the worst."""
        seen = {}
        for line in self.stdout.splitlines():
            try:
                entry = json.loads(line[line.index(b"{"):])  # a terminal may echo before it
                name, word = entry["probe"], entry["errno"]
            except (ValueError, KeyError, TypeError):
                continue
            if seen.get(name) != "OK":
                seen[name] = word
        return seen

    def mechanism(self, limit):
        """What armed a limit, as the result document says."""
        return next((row["mechanism"] for row in (self.document or {}).get("limits", [])
                     if row["name"] == limit), None)

    def denied(self):
        """What the result document says was refused."""
        return [d.get("what", "") for d in (self.document or {}).get("denials", [])]

    def __str__(self):
        return (f"status {self.status}{' (timed out)' if self.timed_out else ''}, "
                f"{self.seconds:.2f} s\nargv {self.argv}\nstdout {self.out[-2000:]}\n"
                f"stderr {self.err[-2000:]}\nresult {self.document}")


def command_environment(extra=None):
    """A small, known environment; nothing of the test run leaks into it."""
    env = {k: os.environ[k] for k in ("PATH", "HOME", "USER", "LOGNAME", "LANG",
                                      "ASAN_OPTIONS", "UBSAN_OPTIONS") if k in os.environ}
    env.update(extra or {})
    return env


def kill_tree(process):
    """Ends a process group that the harness has started itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def capture(argv, stdin=b"", timeout=TIMEOUT, **how):
    """Runs a command in a session of its own; never waits longer than `timeout`."""
    begin = time.monotonic()
    feed = {"stdin": stdin} if isinstance(stdin, int) else {"stdin": subprocess.PIPE}
    process = subprocess.Popen([os.fsencode(a) for a in argv], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, **feed, **how)
    timed_out = False
    try:
        out, err = process.communicate(None if isinstance(stdin, int) else stdin, timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        kill_tree(process)
        out, err = process.communicate()
    return Result([str(a) for a in argv], process.returncode, out, err,
                  time.monotonic() - begin, timed_out=timed_out)


def unread(slave):
    """The input that waits in a terminal; nobody typed it."""
    os.set_blocking(slave, False)
    try:
        return os.read(slave, 65536)
    except OSError:
        return b""


def become_session(slave):
    """In the child: the terminal becomes its controlling one, as a login shell has it."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def on_terminal(argv, typed=b"", timeout=TIMEOUT, env=None, cwd=None, size=(24, 80)):
    """Runs a command on a terminal of its own. Result.stdout is what the terminal showed."""
    begin = time.monotonic()
    master, slave = os.openpty()
    raw = termios.tcgetattr(slave)
    raw[3] &= ~(termios.ICANON | termios.ECHO)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave,
                               env=env or command_environment(), cwd=cwd,
                               preexec_fn=lambda: become_session(slave))
    if typed:
        os.write(master, typed)
    shown, timed_out = b"", False
    while True:
        ready, _, _ = select.select([master], [], [], 0.02)
        if ready:
            shown += os.read(master, 65536)
        elif process.poll() is not None:
            break
        elif time.monotonic() > begin + timeout:
            timed_out = True
            process.kill()
    termios.tcsetattr(slave, termios.TCSANOW, raw)
    injected = unread(slave)
    os.close(slave)
    os.close(master)
    return Result([str(a) for a in argv], process.returncode, shown, b"",
                  time.monotonic() - begin, timed_out=timed_out, injected=injected)


def text_of(path):
    """The text of a file, None when it cannot be read."""
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return None


def read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


# Takes user namespaces away from a command, which stays the user that it is.
WITHOUT_USERNS = ("unshare", "--user", "--map-current-user", "--keep-caps", "/bin/sh", "-c",
                  "echo 0 >/proc/sys/user/max_user_namespaces && "
                  "exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all \"$@\"", "sh")


def tier_options(tier):
    """What chooses a tier: container, process, or guarded, the latter without user namespaces."""
    return ["--accept-tier", "process"] if tier in ("process", "guarded") else []


def tier_wrap(tier):
    return WITHOUT_USERNS if tier == "guarded" and has_userns() else ()


def has_userns():
    """False on a host that has none to take away."""
    return text_of("/proc/sys/user/max_user_namespaces") != "0\n"


class Atoll:
    """One binary with a state directory of its own, and a workspace that is the default one."""

    def __init__(self, base, binary=BIN, tier=TIER):
        self.tier = tier
        self.binary = pathlib.Path(binary)
        self.base = pathlib.Path(base)
        self.home = self.base / "state"
        self.workspace = self.base / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.count = 0
        self.started = []

    def environment(self, extra=None):
        return command_environment({"ATOLL_HOME": str(self.home), **(extra or {})})

    def probe(self, name):
        """The path of a probe, copied to where the sandbox can see it."""
        target = self.workspace / f"probe-{name}"
        if not target.exists():
            shutil.copy(PROBES / f"probe-{name}", target)
            target.chmod(0o755)
        return target

    def arguments(self, command, options):
        self.count += 1
        self.document = self.base / f"result-{self.count}.json"
        self.receipt = self.base / f"receipt-{self.count}.json"
        return [*tier_wrap(self.tier), self.binary, "run", "--json", self.document, "--receipt",
                self.receipt, *tier_options(self.tier), *options, "--", *command]

    def finish(self, result):
        result.document = read_json(self.document)
        result.receipt = read_json(self.receipt)
        return result

    def run(self, *command, options=(), env=None, cwd=None, **how):
        argv = self.arguments(command, options)
        return self.finish(capture(argv, env=self.environment(env), cwd=cwd or self.workspace, **how))

    def run_on_terminal(self, *command, options=(), env=None, cwd=None, **how):
        argv = self.arguments(command, options)
        return self.finish(on_terminal(argv, env=self.environment({"TERM": "xterm", **(env or {})}),
                                       cwd=cwd or self.workspace, **how))

    def start(self, *command, options=(), env=None, **how):
        """Starts without waiting; the caller ends it (finish() reads the documents then)."""
        argv = [str(a) for a in self.arguments(command, options)]
        how.setdefault("stdin", subprocess.PIPE)
        process = subprocess.Popen(argv, env=self.environment(env), cwd=self.workspace,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True, **how)
        self.started.append(process)
        return process

    def end(self):
        """Ends what a test that failed has left running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

    def tool(self, *arguments, **how):
        """Any other subcommand."""
        return capture([self.binary, *arguments], env=self.environment(), cwd=self.workspace, **how)


def eventually(condition, seconds=5.0):
    """The first true value of condition(), or its last value after so many seconds."""
    end = time.monotonic() + seconds * SLOW
    pause = 0.002
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(pause)  # polling what has no event: another program's processes and files
        pause = min(pause * 2, 0.1)
