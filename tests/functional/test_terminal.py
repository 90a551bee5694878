# SPDX-License-Identifier: Apache-2.0
"""On a terminal, `atoll run` is a command like any other: raw mode, sizes, keys, jobs, hang-up."""
import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from harness import runner

SECONDS = 20 * runner.SLOW
CTRL_C, CTRL_BACKSLASH, CTRL_Z = b"\x03", b"\x1c", b"\x1a"
READY = "echo rea''dy; "  # the word as it is typed is not the word as it is printed
PROMPT = b"prompt> "


class Terminal:
    """A pseudo-terminal, and whatever is started on it as the leader of a session of its own."""

    def __init__(self, atoll):
        self.atoll = atoll
        self.master, self.slave = os.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""
        self.process = None

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def start(self, argv, **streams):
        how = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, **streams}
        self.process = subprocess.Popen(
            [str(a) for a in argv], cwd=self.atoll.workspace,
            env=self.atoll.environment({"TERM": "xterm", "PS1": PROMPT.decode()}),
            preexec_fn=lambda: runner.become_session(self.slave), **how)
        return self

    def run(self, script, *options, **streams):
        return self.start([*self.atoll.arguments(["/bin/sh", "-c", script], options)], **streams)

    def shell(self):
        """An interactive shell with job control."""
        self.start(["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.expect(PROMPT)
        return self

    def command(self, script, *options):
        words = self.atoll.arguments(["/bin/sh", "-c", script], options)
        return " ".join("'" + str(w).replace("'", "'\\''") + "'" for w in words)

    def type(self, data):
        os.write(self.master, data.encode() if isinstance(data, str) else data)

    def more(self, seconds):
        """Takes what is shown within so long; False when there was nothing."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            self.shown += os.read(self.master, 65536)
        except OSError:
            return False
        return True

    def expect(self, pattern, seconds=SECONDS):
        """Waits until it is shown, and takes everything up to there."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.shown)
            if found:
                self.shown = self.shown[found.end():]
                return found
            assert time.monotonic() < end, f"{pattern} is not in {self.shown}"
            self.more(0.1)

    def wait(self):
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            self.more(0.02)
            assert time.monotonic() < end, f"it does not end: {self.shown}"
        while self.more(0.05):
            pass
        return self.process.returncode

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def keeper(self):
        [name] = os.listdir(self.atoll.home / "sandboxes")
        note = self.atoll.home / "sandboxes" / name / "sandbox.json"
        return json.loads(note.read_text())["keeper"]

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def terminal(atoll, world):
    made = Terminal(atoll)
    yield made
    made.close()


def test_payload_sees_a_terminal(terminal):
    # The process tier shows no processes, so ps has nothing to say there.
    terminal.run("tty; test -t 0 && test -t 1 && test -t 2 && echo three" +
                 ("" if runner.TIER else "; ps -o tpgid= -p $$"))
    assert terminal.wait() == 0
    assert terminal.expect(rb"/dev/pts/\d+\r\nthree\r\n")


@pytest.mark.parametrize("script, how, status", [
    ("cat", lambda t: t.type("\x04"), 0),
    ("sleep 60", lambda t: t.process.send_signal(signal.SIGTERM), -signal.SIGTERM),
    ("sleep 60", lambda t: t.process.send_signal(signal.SIGHUP), -signal.SIGHUP),
    ("trap '' TERM; sleep 60", lambda t: os.kill(t.keeper(), signal.SIGTERM), 125),
    ("sleep 60", lambda t: os.kill(t.keeper(), signal.SIGKILL), 125),
    ("kill -SEGV $$", lambda t: None, 128 + signal.SIGSEGV),
], ids=["end of input", "SIGTERM", "SIGHUP", "keeper asked to end", "keeper killed", "crash"])
def test_raw_mode_ends_with_the_run(terminal, script, how, status):
    terminal.run(f"{READY}read word; {script}")
    terminal.expect(b"ready")
    assert terminal.is_raw()
    terminal.type("go\r")
    terminal.expect(b"go\r\n")
    how(terminal)
    assert terminal.wait() == status
    assert terminal.is_as_before()
    if status == 125:
        assert terminal.atoll.tool("run", "--", "true").status == 0


def test_raw_mode_ends_with_a_limit(terminal):
    terminal.run(f"{READY}sleep 60", "--wall", "1s")
    terminal.expect(b"ready")
    assert terminal.is_raw()
    assert terminal.wait() == 124
    assert terminal.is_as_before()


def test_raw_mode_after_a_failed_start(terminal):
    terminal.start(terminal.atoll.arguments(["/nonexistent"], []))
    assert terminal.wait() == 127
    assert terminal.is_as_before()


def test_window_size(terminal):
    terminal.resize(31, 97)
    terminal.run(f"stty size; trap 'stty size; exit 3' WINCH; {READY}while :; do sleep 0.05; done")
    terminal.expect(rb"31 97\r\n")
    terminal.expect(b"ready")
    terminal.resize(50, 132)
    terminal.expect(rb"50 132\r\n")
    assert terminal.wait() == 3


@pytest.mark.parametrize("key, name", [(CTRL_C, "INT"), (CTRL_BACKSLASH, "QUIT")])
def test_keys_that_end(terminal, key, name):
    terminal.run(f"{READY}exec sleep 60")
    terminal.expect(b"ready")
    terminal.type(key)
    assert terminal.wait() == 128 + getattr(signal, f"SIG{name}")
    assert terminal.is_as_before()


@pytest.mark.parametrize("key, name", [(CTRL_C, "INT"), (CTRL_BACKSLASH, "QUIT")])
def test_keys_that_are_caught(terminal, key, name):
    terminal.run(f"trap 'echo caught; exit 9' {name}; {READY}while :; do sleep 0.05; done")
    terminal.expect(b"ready")
    terminal.type(key)
    terminal.expect(b"caught")
    assert terminal.wait() == 9


def test_stop_and_foreground(terminal):
    """Ctrl-Z stops the job and gives the shell a sane terminal; fg goes on where it was."""
    terminal.shell()
    terminal.type(terminal.command(f"{READY}read word; echo got $word") + "\r")
    terminal.expect(b"ready")
    terminal.type(CTRL_Z)
    terminal.expect(rb"Stopped")
    terminal.expect(PROMPT)
    assert not terminal.is_raw()
    terminal.type("echo shell $((40 + 2))\r")
    terminal.expect(b"shell 42")
    terminal.expect(PROMPT)
    terminal.type("fg\r")
    terminal.expect(rb"fg\r\n")
    assert runner.eventually(terminal.is_raw)
    terminal.type("word\r")
    terminal.expect(b"got word")
    terminal.expect(PROMPT)
    terminal.type("echo status $?; exit\r")
    terminal.expect(b"status 0")
    terminal.wait()


def test_stop_twice_and_kill(terminal):
    terminal.shell()
    terminal.type(terminal.command(f"{READY}exec sleep 60") + "\r")
    terminal.expect(b"ready")
    for _ in range(2):
        terminal.type(CTRL_Z)
        terminal.expect(rb"Stopped")
        terminal.expect(PROMPT)
        terminal.type("fg\r")
        terminal.expect(rb"fg\r\n")
        assert runner.eventually(terminal.is_raw)
    terminal.type(CTRL_C)
    terminal.expect(PROMPT)
    terminal.type("echo status $?; exit\r")
    terminal.expect(b"status 130")
    terminal.wait()


def test_background_job(terminal):
    """A job in the background is not stopped by starting, by printing, or by not reading."""
    terminal.shell()
    terminal.type(terminal.command(f"sleep 0.3; {READY}exit 5") + " & wait $!; echo status $?\r")
    terminal.expect(b"ready")
    terminal.expect(b"status 5")
    assert not terminal.is_raw()
    terminal.type("exit\r")
    terminal.wait()


def test_streams_stay_apart(terminal):
    """With the terminal on descriptor 0 alone, output arrives byte for byte on its own stream."""
    script = "printf 'out\\n\\000\\377\\r\\n'; printf 'err\\n\\001\\t' >&2; test -t 0 && echo tty"
    terminal.run(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = terminal.process.communicate(timeout=SECONDS)
    assert terminal.process.returncode == 0
    notes = [line for line in err.splitlines(keepends=True) if line.startswith(b"atoll: note: ")]
    assert len(notes) == bool(runner.TIER)
    assert (out, err) == (b"out\n\0\377\r\ntty\n", b"".join(notes) + b"err\n\1\t")


def test_output_on_a_terminal_is_exact(terminal):
    """A payload that switches its terminal to raw sends every byte as it is."""
    script = ("stty raw -echo; /usr/bin/python3 -c \"import os; "
              "os.write(1, b'<' + bytes(range(256)) * 64 + b'>')\"")
    terminal.run(script)
    found = terminal.expect(re.compile(rb"<((?:[\x00-\xff]{256}){64})>", re.S))
    assert found.group(1) == bytes(range(256)) * 64
    assert terminal.wait() == 0


def test_hang_up(terminal):
    """The terminal goes away: so does the sandbox."""
    terminal.run(f"{READY}exec sleep 60")
    terminal.expect(b"ready")
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.master = terminal.slave = -1
    assert terminal.process.wait(timeout=SECONDS) != 0
    assert runner.eventually(lambda: not os.listdir(terminal.atoll.home / "sandboxes"))


def test_pipeline(terminal):
    """head(1) leaves: the run ends, and the terminal is the shell's again."""
    terminal.shell()
    terminal.type(terminal.command("yes") + " | head -n 2; echo status $?\r")
    terminal.expect(rb"\r\ny\r\ny\r\n")
    terminal.expect(b"status 0")
    terminal.expect(PROMPT)
    assert not terminal.is_raw()
    terminal.type("exit\r")
    terminal.wait()


def test_vim(terminal, need_program):
    need_program("vim")
    if runner.TIER and os.geteuid() == 0:
        pytest.skip("needs an unprivileged user")  # root has no direct workspace at that tier
    terminal.start(terminal.atoll.arguments(
        ["vim", "-T", "vt100", "-u", "NONE", "-N", "-n", "text"], ["--workspace", ".:direct"]))
    terminal.expect(re.escape(b'"text" [New]'))
    assert terminal.is_raw()
    terminal.type("ihello")
    terminal.expect(b"hello")
    terminal.type("\x1b")
    terminal.resize(40, 100)
    # The new size travels by signals, the question by the terminal: whichever is first.

    def columns():
        terminal.type(":set columns?\r")
        return terminal.expect(rb"columns=(\d+)").group(1)
    assert runner.eventually(lambda: columns() == b"100", SECONDS), "the size never arrived"
    terminal.type(":wq\r")
    assert terminal.wait() == 0
    assert (terminal.atoll.workspace / "text").read_text() == "hello\n"
    assert terminal.is_as_before()


FOREGROUND = """
import fcntl, os, signal, termios, time
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.tcsetpgrp(0, os.getpgid(os.getppid()))
print('rea' + 'dy', flush=True)
while fcntl.ioctl(0, termios.FIONREAD, bytes(4)) == bytes(4):
    time.sleep(0.01)
print('ali' + 've')
"""


def test_keys_do_not_reach_the_parent_of_the_payload(terminal):
    """The payload says which group is in front, and may name that of atoll-init."""
    terminal.run(f'exec /usr/bin/python3 -c "{FOREGROUND}"').expect(b"ready")
    terminal.type(CTRL_C + CTRL_BACKSLASH + CTRL_Z + b"typed\r")
    terminal.expect(b"alive")
    assert terminal.wait() == 0
