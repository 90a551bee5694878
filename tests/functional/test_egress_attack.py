# SPDX-License-Identifier: Apache-2.0
"""Egress by name against a payload that means ill: what broke the gateway once."""
import errno
import json
import os
import signal
import subprocess
import time

import pytest

from harness import outside, runner

GATEWAY_STALE = 5.1  # seconds between two of its questions for name servers
GOOD = "11.22.40.1"
OWN_TOO = "11.22.33.9"  # a second address of the host's only link


@pytest.fixture
def make_outside(atoll, world):
    made = []

    def make(names, serve):
        made.append(outside.Outside(atoll, names, serve))
        return made[-1]
    yield make
    for one in made:
        one.end()


def run(out, script, *allow):
    words = [word for one in allow for word in ("--allow", one)]
    result = out.run("python3", "-c", script, options=words)
    assert result.status == 0, (result.out, result.err)
    return result


DIAL = """
import socket, time
def dial(port, host="good.example"):
    s = socket.create_connection((host, port), 10)
    return s
"""


def test_a_name_with_many_ports(make_outside):
    """All of a plan's ports may be one name's: more than its listeners fitted into one message."""
    out = make_outside({"good.example": [GOOD]}, {f"{GOOD}:8": "hello"})
    result = run(out, DIAL + "print(dial(8).recv(5))", "good.example:8",
                 *(f"good.example:{port}" for port in range(1000, 1060)))
    assert result.out == "b'hello'\n" and out.events(result, "gateway_ended") == []


def test_an_own_address_that_is_secondary(make_outside, need_root):
    """What is sent there comes from the first address of the link, and it is the host's all the same."""
    out = make_outside({"own.example": [OWN_TOO], "mapped.example": [f"::ffff:{OWN_TOO}"]}, {})
    subprocess.run([*out.enter(), "ip", "address", "add", f"{OWN_TOO}/24", "dev", "outer"], check=True)
    result = run(out, DIAL + """
for name in "own.example", "mapped.example":
    try:
        print(dial(8, name).recv(9))
    except ConnectionResetError:
        print("reset")
""", "own.example:8", "mapped.example:8")
    assert result.out == "reset\nreset\n"
    assert {(d["code"], d["what"]) for d in result.document["denials"]} == {
        ("network.private", "own.example:8"), ("network.private", "mapped.example:8")}


def test_half_a_request(make_outside):
    """One that ends in the middle of what has to be judged ends the connection, now or behind another."""
    out = make_outside({"good.example": [GOOD]}, {f"{GOOD}:80": "http"})
    result = run(out, DIAL + """
for before in b"", b"GET / HTTP/1.1\\r\\nHost: good.example\\r\\n\\r\\n":
    s = dial(80)
    s.sendall(before)
    if before:
        s.recv(9999)
    s.sendall(b"GET /")
    s.shutdown(socket.SHUT_WR)
    try:
        print(s.recv(9))
    except ConnectionResetError:
        print("reset")
""", "good.example:80")
    assert result.out == "reset\nb''\n", result
    assert [c["end"] for c in out.events(result, "connection")] == ["closed", "closed"]


def test_many_at_once(make_outside):
    """Of connections that were opened while the name was resolved, all but 64 were cut off."""
    out = make_outside({"good.example": [GOOD], "ttl": 0}, {f"{GOOD}:7": "echo"})
    result = run(out, DIAL + """
address = socket.gethostbyname("good.example")
time.sleep(1.5)
all = [socket.socket() for i in range(150)]
for s in all:
    s.setblocking(False)
    s.connect_ex((address, 7))
for s in all:
    s.settimeout(10)
    s.sendall(b"x")
print(sum(s.recv(1) == b"x" for s in all))
""", "good.example:7")
    assert result.out == "150\n", result


def test_an_address_that_is_taken(make_outside):
    """A payload that listens where a name will be harms itself, and only as long as it does."""
    out = make_outside({"good.example": [GOOD]}, {f"{GOOD}:8080": "hello"})
    result = run(out, DIAL + """
taken = socket.socket()
taken.bind(("198.18.1.0", 8080))
for i in range(1000):
    try:
        print(socket.gethostbyname("good.example"))
    except OSError:
        pass
taken.close()
time.sleep(1.1)
print(dial(8080).recv(5))
""", "good.example:8080")
    assert result.out == "b'hello'\n", result


def test_what_is_open_at_the_end(make_outside):
    """It is in the trail, too: the gateway tells it before it goes."""
    out = make_outside({"good.example": [GOOD]}, {f"{GOOD}:7": "echo"})
    for _ in range(5):
        result = out.run("python3", "-c", DIAL + """
import errno
import json
import os
s = dial(7)
s.sendall(b"x")
s.recv(1)
os.kill(os.getpid(), 9)
""", options=("--allow", "good.example:7"))
        assert len(out.events(result, "connection")) == 1
        assert out.events(result, "gateway_ended") == []


@pytest.mark.parametrize("lease", ["F_RDLCK", "F_WRLCK"])
def test_a_lease_on_the_file_of_denials(atoll, world, lease):
    """The file is the payload's own, though it cannot write it: with a lease it could make who opens it to write wait for 45
    seconds, and all limits with it. There is none, for the file is open as long as the sandbox lives."""
    result = atoll.run("python3", "-c", f"""
import ctypes, fcntl, os, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
try:
    fcntl.fcntl(os.open("/run/atoll/denials", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.{lease})
except OSError as problem:
    print(problem.errno)
ctypes.CDLL(None).mount(b"x", b"/tmp", b"tmpfs", 0, None)
while not os.path.getsize("/run/atoll/denials"):
    pass
print(open("/run/atoll/denials").read())
""", options=("--workspace", ":none", "--wall", "10s"))
    problem, line = result.out.split("\n", 1)
    assert (result.status, int(problem)) == (0, errno.EAGAIN), result
    assert json.loads(line)["code"] == "mount.refused"


MAPPED = [
    # denied, allowed, what the name leads to
    (GOOD, f"[::ffff:{GOOD}]:8", GOOD),
    (f"[::ffff:{GOOD}]", f"{GOOD}:8", GOOD),
    (f"[::ffff:{GOOD}]", "good.example:8", GOOD),
    (f"[::ffff:{GOOD}]", "good.example:8", f"::ffff:{GOOD}"),
    (GOOD, "good.example:8", f"::ffff:{GOOD}"),
]


@pytest.mark.parametrize("denied, allowed, leads", MAPPED)
def test_a_denied_address_in_its_other_spelling(make_outside, denied, allowed, leads):
    """An IPv6 address that means an IPv4 one is that one, in a rule as well as in an answer."""
    out = make_outside({"good.example": [leads]}, {f"{GOOD}:8": "hello"})
    host = allowed.rsplit(":", 1)[0].strip("[]")
    result = out.run("python3", "-c", DIAL + f"""
try:
    print(dial(8, {host!r}).recv(5))
except OSError as error:
    print("refused")
""", options=("--allow", allowed, "--deny-host", denied))
    assert result.out == "refused\n" and out.accepted() == [], result


def test_learning_after_many_refusals(make_outside):
    """What is new is told, however often something else was refused before."""
    out = make_outside({}, {})
    result = out.run("python3", "-c", DIAL + """
def refused(host):
    try:
        dial(443, host)
    except OSError:
        pass
for i in range(300):
    refused("first.example")
refused("second.example")
refused("third.example")
for i in range(3):
    refused("first.example")
""", options=("--learn",))
    assert result.document["learned"] == ["first.example:443", "second.example:443", "third.example:443"], result
    assert {d["what"] for d in result.document["denials"]} == {
        "first.example:443", "second.example:443", "third.example:443"}
    assert sum(d["count"] for d in result.document["denials"]) == 305


def test_name_servers_that_are_none_for_a_moment(make_outside, atoll):
    """A resolv.conf that was read while it was written: the gateway asked nobody any more, and not for another one."""
    out = make_outside({"good.example": [GOOD]}, {f"{GOOD}:8": "hello"})
    path = atoll.base / "outside/resolv.conf"
    path.write_text("nameserver 127.0.0.1\n")
    process = out.start("python3", "-u", "-c", DIAL + """
for line in iter(input, "end"):
    until = time.monotonic() + 30
    while line:
        try:
            print(dial(8).recv(5))
            break
        except OSError as error:
            if line == "once" or time.monotonic() > until:
                print("none")
                break
            time.sleep(0.5)
""", options=("--allow", "good.example:8"))
    def say(word):
        process.stdin.write(word + b"\n")
        process.stdin.flush()
        return process.stdout.readline()
    assert say(b"once") == b"none\n"
    path.write_text("nameserver 11.22.33.\n")
    time.sleep(GATEWAY_STALE)
    assert say(b"once") == b"none\n"
    path.write_text(f"nameserver {outside.NEAR}\n")
    assert say(b"again") == b"b'hello'\n"
    process.stdin.write(b"end\n")
    process.stdin.close()
    assert process.wait(20) == 0, process.stderr.read()


ASKING = """
import socket, time
def ask():
    try:
        socket.gethostbyname("good.example")
    except OSError:
        pass
for line in iter(input, "end"):
    ask()
    time.sleep(1.1)  # so long it is not asked again
    print("asked")
"""


def descendants(pid):
    for child in (runner.text_of(f"/proc/{pid}/task/{pid}/children") or "").split():
        yield (runner.text_of(f"/proc/{child}/comm") or "").strip(), int(child)
        yield from descendants(child)


@pytest.fixture
def asking(make_outside, atoll):
    """A run whose host has no name server, and its processes by name; a question is asked after the other."""
    out = make_outside({}, {})
    (atoll.base / "outside/resolv.conf").write_text("nameserver 127.0.0.1\n")
    process = out.start("python3", "-u", "-c", ASKING, options=("--allow", "good.example:8"))

    def ask(wait=True):
        process.stdin.write(b"ask\n")
        process.stdin.flush()
        assert not wait or process.stdout.readline() == b"asked\n"
    ask()
    return process, dict(descendants(process.pid)), ask


@pytest.mark.long
def test_a_gateway_that_dies_while_it_asks(asking):
    """The keeper could not answer its question for name servers, and ended the run for it."""
    process, pids, ask = asking
    time.sleep(GATEWAY_STALE)
    ask(False)
    time.sleep(0.5)  # the payload has what it was sent
    os.kill(pids["atoll-keeper"], signal.SIGSTOP)
    time.sleep(8)  # until c-ares has given up, and the gateway has asked
    os.kill(pids["atoll-gateway"], signal.SIGKILL)
    assert runner.eventually(lambda: ") Z " in runner.text_of(f"/proc/{pids['atoll-gateway']}/stat"))
    os.kill(pids["atoll-keeper"], signal.SIGCONT)
    assert runner.eventually(lambda: runner.text_of(f"/proc/{pids['atoll-gateway']}/comm") is None)
    assert process.stdout.readline() == b"asked\n"
    _, said = process.communicate(b"end\n", 20)
    assert process.returncode == 0 and b"the gateway ended before the sandbox did" in said, said


@pytest.mark.long
def test_a_keeper_that_hears_late(asking):
    """Two questions for name servers, of which the first waited: the gateway was ended for the second."""
    process, pids, ask = asking
    time.sleep(GATEWAY_STALE - 1.1)
    ask(False)
    ask(False)
    time.sleep(0.5)
    os.kill(pids["atoll-keeper"], signal.SIGSTOP)
    time.sleep(7)  # c-ares takes four seconds
    os.kill(pids["atoll-keeper"], signal.SIGCONT)
    assert [process.stdout.readline() for _ in range(2)] == [b"asked\n"] * 2
    _, said = process.communicate(b"end\n", 20)
    assert process.returncode == 0 and said == b"", said
