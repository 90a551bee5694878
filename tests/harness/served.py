# SPDX-License-Identifier: Apache-2.0
"""A ledger that `atoll-ledger serve` keeps for several users, and people who use it."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess

from . import books, runner

ROOT = os.geteuid() == 0
# Ids that nobody on a host has; where a test is not root there is only who runs it.
WRITER, ALICE, BOB = (65534, 41001, 41002) if ROOT else (os.geteuid(),) * 3


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if ROOT and uid else []


def program(atoll):
    places = (atoll.binary.parent / "../libexec/atoll/atoll-ledger", atoll.binary.parent / "atoll-ledger")
    return next(p for p in places if p.exists()).resolve()


def packed(**request):
    text = json.dumps(request).encode()
    return struct.pack("=I", len(text)) + text


def read_reply(sock):
    """None: the other end is closed."""
    try:
        head = sock.recv(4, socket.MSG_WAITALL)
        text = sock.recv(struct.unpack("=I", head)[0], socket.MSG_WAITALL) if len(head) == 4 else b""
    except ConnectionResetError:
        return None
    return json.loads(text) if text else None


# Asks as somebody who has no atoll: each line of its input, one connection for all.
CLIENT = """
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
for line in sys.stdin.buffer:
    text = line.strip()
    s.sendall(struct.pack("=I", len(text)) + text)
    head = s.recv(4, socket.MSG_WAITALL)
    print(s.recv(struct.unpack("=I", head)[0], socket.MSG_WAITALL).decode() if len(head) == 4 else "null", flush=True)
"""


class Writer:
    """atoll-ledger serve."""

    def __init__(self, base, atoll):
        self.directory, self.socket = base / "served", base / "run/ledger.sock"
        self.program, self.log = program(atoll), open(base / "writer.log", "ab")
        self.process = None
        self.begin()

    def command(self, *more):
        return [self.program, "serve", "--directory", self.directory, *(["--user", str(WRITER)] if ROOT else []), *more]

    def begin(self):
        self.process = subprocess.Popen([str(w) for w in self.command("--socket", self.socket)], stderr=self.log, stdout=self.log)
        assert runner.eventually(self.answers), self.said()

    def answers(self):
        try:
            return self.ask(op="list") is not None
        except OSError:
            return False

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(timeout=runner.TIMEOUT)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(runner.TIMEOUT)
        sock.connect(str(self.socket))
        return sock

    def ask(self, **request):
        """As whoever runs the test."""
        with self.connect() as sock:
            sock.sendall(packed(**request))
            return read_reply(sock)

    def client(self, uid):
        """As somebody else, over one connection."""
        return subprocess.Popen([*as_user(uid), "/usr/bin/python3", "-c", CLIENT, self.socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask_as(self, uid, **request):
        with self.client(uid) as client:
            out, _ = client.communicate(json.dumps(request).encode() + b"\n", timeout=runner.TIMEOUT)
        return json.loads(out)


class Person(books.Books):
    """Somebody with a state directory of their own, on a host whose configuration is root's."""

    def __init__(self, base, uid, config, own=""):
        base.mkdir()
        self.uid = uid
        atoll = runner.Atoll(base / "product")
        super().__init__(atoll, base, config)
        if ROOT:
            (base / "own/atoll").mkdir(parents=True)
            (base / "own/atoll/config.yaml").write_text(own or "version: 1\n")
            subprocess.run(["chown", "-R", f"{uid}:{uid}", base], check=True)
            subprocess.run(["chown", "-R", "0:0", base / "config"], check=True)

    def policy(self, account, text=""):
        path = super().policy(account, text)
        path.chmod(0o644)
        return path

    def wrap(self, argv):
        wrapped, env = super().wrap([*as_user(self.uid), *argv])
        return wrapped, {**env, "HOME": str(self.base), **({"XDG_CONFIG_HOME": str(self.base / "own")} if ROOT else {})}
