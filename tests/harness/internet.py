# SPDX-License-Identifier: Apache-2.0
"""An Internet of the test's own: run in a network namespace of its own, it answers for every address.

    internet.py PID CONFIG LOG      in a process that may make network namespaces

It makes a namespace, waits until the one of process PID has a link to it, and serves what CONFIG (JSON) says:
{"names": {NAME: [ADDRESS, ...]}, "serve": {"ADDRESS:PORT": KIND}, "run": {"ADDRESS:PORT": COMMAND}}. KIND: "echo",
"hello", "tls:CERT:KEY", "sink", "reset", "http", "source:BYTES", "drip:BYTES", "digest", "late", "half", "collect", "enough". Every
question and every connection is a line of LOG. COMMAND is a server that listens there; it is ended with us.
"""
import contextlib
import ctypes
import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

HERE, THERE = "11.22.33.1", "11.22.33.2"


class Log:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def say(self, **what):
        os.write(self.fd, (json.dumps(what) + "\n").encode())


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def link(pid):
    """A namespace of our own, and a pair of ends between the two. What servers share by System V goes with us, too."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x48000000) != 0:  # CLONE_NEWNET | CLONE_NEWIPC
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")
    ip("link", "add", "inner", "type", "veth", "peer", "name", "outer", "netns", str(pid))
    ip("address", "add", f"{THERE}/24", "dev", "inner")
    ip("link", "set", "inner", "up")
    ip("route", "add", "local", "0.0.0.0/0", "dev", "lo")


def labels(message, at):
    name = []
    while message[at]:
        name.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    return ".".join(name).lower(), at + 1


def answer(message, names, log, how):
    ident, _, questions = struct.unpack(">HHH", message[:6])
    name, end = labels(message, 12)
    kind, _ = struct.unpack(">HH", message[end:end + 4])
    log.say(asked=name, type=kind, how=how)
    found = names.get(name)
    if found == "silent":
        return None
    if callable(getattr(found, "pop", None)) and found and isinstance(found[0], list):
        found = found.pop(0) if len(found) > 1 else found[0]  # each list once: an answer that changes
    records = [a for a in found or [] if (":" in a) == (kind == 28)] if kind in (1, 28) else []
    rcode = 3 if found is None else 0
    out = struct.pack(">HHHHHH", ident, 0x8180 | rcode, 1, len(records), 0, 0) + message[12:end + 4]
    for a in records:
        data = socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a)
        out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, names.get("ttl", 30), len(data)) + data
    return out


def serve_names(names, log):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((THERE, 53))
    while True:
        message, peer = udp.recvfrom(4096)
        reply = answer(message, names, log, "udp")
        if reply:
            udp.sendto(reply, peer)


def echo(c):
    while True:
        data = c.recv(65536)
        if not data:
            return
        c.sendall(data)


def http(c):
    stream = c.makefile("rb")
    while True:
        head = []
        while True:
            line = stream.readline()
            if not line:
                return
            if line == b"\r\n":
                break
            head.append(line.decode().rstrip())
        fields = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in head[1:])}
        body = stream.read(int(fields.get("content-length", 0)))
        reply = f"{head[0]} for {fields.get('host')}: {len(body)}\n".encode()
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(reply), reply))


# A HelloRetryRequest (RFC 8446, 4.1.3): TLS 1.3, and a group that is to be tried.
RETRY = bytes.fromhex("0303cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c00130100"
                      "000c002b0002030400330002001e")


def retry(c):
    """Asks for another ClientHello, and says what came of it."""
    c.recv(65536)
    message = b"\x02" + len(RETRY).to_bytes(3, "big") + RETRY
    c.sendall(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message)
    c.sendall(c.recv(65536)[:5])


def digest(c):
    """What came until the other side had said everything, or was reset."""
    h, n, end = hashlib.sha256(), 0, "closed"
    try:
        while data := c.recv(262144):
            h.update(data)
            n += len(data)
    except ConnectionResetError:
        end = "reset"
    return {"bytes": n, "sha256": h.hexdigest(), "end": end}


def handle(kind, c):
    """Serves one connection; what it returns is written down."""
    word, _, rest = kind.partition(":")
    if word == "tls":
        cert, key = rest.split(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        c = context.wrap_socket(c, server_side=True)
        http(c)
    elif word == "hello":
        c.sendall(b"hello from outside\n")
    elif word == "echo":
        echo(c)
    elif word == "http":
        http(c)
    elif word == "retry":
        retry(c)
    elif word == "sink":
        while c.recv(65536):
            pass
    elif word == "source":
        left, piece = int(rest), bytes(range(256)) * 256
        while left > 0:
            c.sendall(piece[:left])
            left -= min(left, len(piece))
    elif word == "drip":
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(int(rest)):
            c.sendall(bytes([i]))
            time.sleep(0.1)  # what is served is this slowness
    elif word == "digest":
        got = digest(c)
        c.sendall(json.dumps(got).encode())
        return got
    elif word == "late":
        time.sleep(0.3)  # until then the buffers on the way fill up
        return digest(c)
    elif word == "half":
        c.sendall(b"no more from here\n")
        c.shutdown(socket.SHUT_WR)
        return digest(c)
    elif word == "collect":
        c.sendall(b"say\n")
        return digest(c)
    elif word == "enough":
        c.recv(1)
        c.sendall(b"no more than this\n")  # and what comes is not read, so that it ends in a reset
    elif word == "reset":
        c.recv(1)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif word == "hang":
        time.sleep(3600)
    c.close()
    return None


def one(kind, c, place, log):
    try:
        got = handle(kind, c)
        if got:
            log.say(got=got, at=place)
    except OSError as e:
        log.say(failed=str(e), at=place)
    finally:
        c.close()


def listen(place, kind, log):
    address, _, port = place.rpartition(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(port)))
    s.listen(1024)
    while True:
        c, _ = s.accept()
        log.say(accepted=place, local=c.getsockname()[0])
        threading.Thread(target=one, args=(kind, c, place, log), daemon=True).start()


@contextlib.contextmanager
def running(commands, path):
    """Servers that are programs of their own: all of them listen, and none is left."""
    started = []
    try:
        with open(path, "wb") as said:
            for command in commands.values():
                started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True))
        for place, process in zip(commands, started):
            address, _, port = place.rpartition(":")
            end = time.monotonic() + 120
            while True:
                try:
                    socket.create_connection((address, int(port))).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > end:
                        raise
                    time.sleep(0.02)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(4)
            except subprocess.TimeoutExpired:
                process.kill()


def main():
    pid, config, path = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    log = Log(path)
    link(pid)
    for place, kind in config["serve"].items():
        threading.Thread(target=listen, args=(place, kind, log), daemon=True).start()
    threading.Thread(target=serve_names, args=(config["names"], log), daemon=True).start()
    with running(config["run"], path + ".servers"):
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
