# SPDX-License-Identifier: Apache-2.0
"""Canaries planted outside the sandbox; from them alone it is decided whether a wall held.

READ   files, an environment and a memory with fresh 128-bit secrets
WRITE  a tree with a manifest of hashes
PROC   a process outside that counts upwards
SOCK   listeners that must accept nobody
"""
import hashlib
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import threading

from . import runner

# Counts for as long as its standard input is open, and holds a secret in memory and environment.
COUNTER = """
import sys, threading
secret = bytearray(sys.argv[1].encode()[::-1])[::-1]
def count():
    n = 0
    while True:
        n += 1
        sys.stdout.write("%d\\n" % n)
        sys.stdout.flush()
        gate.wait(0.01)
gate = threading.Event()
threading.Thread(target=count, daemon=True).start()
sys.stdin.read()
"""


def manifest(directory):
    """{path: what it is} of a tree, without following a link."""
    found = {}
    for path in sorted(directory.rglob("*")):
        info = path.lstat()
        content = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(directory))] = (info.st_mode, info.st_uid, info.st_gid,
                                                   info.st_nlink, content)
    return found


class Listener:
    """Accepts whoever comes and counts them."""

    def __init__(self, family, kind, address):
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)
        if kind == socket.SOCK_STREAM:
            self.socket.listen(64)
        self.kind, self.address = kind, self.socket.getsockname()
        self.accepted = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                if self.kind == socket.SOCK_STREAM:
                    self.socket.accept()[0].close()
                else:
                    self.socket.recvfrom(64)
            except OSError:
                return
            self.accepted += 1

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def lan_address():
    """An address of this host that is not loopback, if it has one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("198.51.100.1", 9))
            return s.getsockname()[0]
        except OSError:
            return None


class Canaries:
    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.base.mkdir(parents=True)
        self.secrets = {}
        self.listeners = {}
        self.files = {}
        self.plant_files()
        self.plant_tree()
        self.plant_listeners()
        self.plant_process()

    def token(self, name):
        self.secrets[name] = secrets.token_hex(16)
        return self.secrets[name]

    def plant(self, name, path, mode=0o600):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.token(name)}\n")
        path.chmod(mode)
        self.files[name] = path

    def plant_files(self):
        self.made = pathlib.Path.home() / f".atoll-canary-{secrets.token_hex(4)}"
        self.plant("a file of the user", self.made / "id_ed25519")
        self.plant("a file that anybody may read", self.base / "open/notes.txt", 0o644)
        self.plant("a private file", self.base / "private/key.pem")
        for path in (self.base, self.base / "open"):
            path.chmod(0o755)

    def plant_tree(self):
        self.tree = self.base / "tree"
        (self.tree / "src").mkdir(parents=True)
        (self.tree / "src/main.c").write_text("int main(void) { return 0; }\n")
        (self.tree / "README").write_text("precious\n")
        (self.tree / "link").symlink_to("README")
        for path in (self.tree, self.tree / "src", self.tree / "README"):
            path.chmod(0o777 if path.is_dir() else 0o666)
        self.before = manifest(self.tree)

    def listen(self, name, family, kind, address):
        try:
            self.listeners[name] = Listener(family, kind, address)
        except OSError:
            if family == socket.AF_UNIX:
                raise

    def plant_listeners(self):
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.listen("tcp4", socket.AF_INET, stream, ("127.0.0.1", 0))
        self.listen("tcp6", socket.AF_INET6, stream, ("::1", 0))
        self.listen("udp4", socket.AF_INET, datagram, ("127.0.0.1", 0))
        lan = lan_address()
        if lan:
            self.listen("lan", socket.AF_INET, stream, (lan, 0))
        self.listen("unix", socket.AF_UNIX, stream, str(self.base / "open/socket"))
        os.chmod(self.base / "open/socket", 0o777)
        self.abstract = f"atoll-canary-{secrets.token_hex(8)}"
        self.listen("abstract", socket.AF_UNIX, stream, f"\0{self.abstract}")

    def plant_process(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", COUNTER, self.token("the memory of a process")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "CANARY": self.token("the environment of a process")})
        self.counted = 0
        self.reader = threading.Thread(target=self.count, daemon=True)
        self.reader.start()
        runner.eventually(lambda: self.counted > 0)

    def count(self):
        for line in self.process.stdout:
            self.counted = int(line)

    def addresses(self):
        """Arguments for probe-connect: every listener, and what has the same meaning."""
        arguments = []
        for name, listener in self.listeners.items():
            if name == "unix":
                arguments += ["unix", listener.address]
            elif name == "abstract":
                arguments += ["abstract", self.abstract]
            else:
                protocol = "udp" if name.startswith("udp") else "tcp"
                arguments += [protocol, f"{listener.address[0]} {listener.address[1]}"]
        return arguments

    def breaches(self, result=None):
        """What happened outside that should not have; an empty list is a wall that held."""
        found = []
        said = b"" if result is None else result.stdout + result.stderr
        for name, secret in self.secrets.items():
            if secret.encode() in said:
                found.append(f"read {name}")
        after = manifest(self.tree)
        if after != self.before:
            found.append(f"changed {sorted(set(after.items()) ^ set(self.before.items()))}")
        for name, path in self.files.items():
            if not path.exists() or self.secrets[name] not in path.read_text():
                found.append(f"changed {name}")
        seen = self.counted
        if self.process.poll() is not None or \
                not runner.eventually(lambda: self.counted > seen, 2):
            found.append("ended or stopped a process")
        for name, listener in self.listeners.items():
            if listener.accepted:
                found.append(f"connected to {name}")
        return found

    def close(self):
        for listener in self.listeners.values():
            listener.close()
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        shutil.rmtree(self.made, ignore_errors=True)
