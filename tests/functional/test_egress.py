# SPDX-License-Identifier: Apache-2.0
"""Egress by name: what the rules allow gets out with no proxy set, and nothing else does."""
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from harness import outside, runner
from harness.live import is_dead

GOOD = "11.22.40.1"
PRIVATE = "10.1.2.3"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """For good.example and all names directly below pat.example."""
    return outside.certificates(tmp_path_factory.mktemp("ca"), "good.example", "*.pat.example")


@pytest.fixture
def world_outside(atoll, world):
    """The Internet of these tests; what a test adds goes on top of it."""
    made = []

    def make(names=None, serve=None, hosts=None):
        names = {"good.example": [GOOD], "a.pat.example": [GOOD], "b.pat.example": [GOOD], "ttl": 30, **(names or {})}
        serve = {f"{GOOD}:7": "echo", f"{GOOD}:8": "hello", f"{GOOD}:80": "http", **(serve or {})}
        one = outside.Outside(atoll, names, serve, hosts)
        made.append(one)
        return one
    yield make
    for one in made:
        one.end()


def tls(certificates):
    return {f"{GOOD}:443": f"tls:{certificates}/cert.pem:{certificates}/key.pem"}


def codes(result):
    return {(d["code"], d["what"]) for d in result.document["denials"]}


READ = "cat </dev/tcp/{}/{}"


def test_by_name(world_outside):
    """A program that knows of no proxy connects, and it is written down."""
    out = world_outside()
    result = out.shell(READ.format("good.example", 8), "good.example:8")
    assert (result.status, result.out) == (0, "hello from outside\n"), result
    assert out.asked() == ["good.example"] and out.accepted() == [f"{GOOD}:8"]
    [c] = out.events(result, "connection")
    assert (c["host"], c["port"], c["rule"], c["address"], c["end"], c["bytes_down"]) == (
        "good.example", 8, "good.example:8", f"{GOOD}:8", "closed", 19)
    assert result.receipt["network"]["value"] == "its own loopback, and the gateway for 1 destination"
    assert result.document["denials"] == []


def test_no_rule_no_gateway(world_outside):
    out = world_outside()
    result = out.shell("getent hosts good.example; cat /etc/resolv.conf; " + READ.format("9.9.9.9", 9))
    assert result.out == "# no network\n" and "Network is unreachable" in result.err, result
    assert out.log() == [] and out.events(result, "gateway_started") == []


def test_one_that_is_not_used_has_none(world_outside):
    out = world_outside()
    result = out.shell("sleep 0.2", "good.example:8")
    assert result.status == 0 and out.events(result, "gateway_started", "connection") == []


ELSEWHERE = [
    # where, port, code
    ("other.example", 8, "network.name"),
    ("good.example.other.example", 8, "network.name"),
    ("evilgood.example", 8, "network.name"),
    ("good.example", 9, "network.address"),
    (GOOD, 8, "network.address"),
    ("198.51.100.7", 8, "network.address"),
    (outside.OWN, 2222, "network.address"),
    (outside.NEAR, 53, "network.address"),
    ("169.254.169.254", 80, "network.address"),
    ("100.100.100.200", 80, "network.address"),
    ("0.0.0.0", 2222, None),
    ("127.0.0.1", 2222, None),
    ("127.0.0.2", 2222, None),
    ("::1", 2222, None),
    ("2620:fe::fe", 443, "network.none"),
    ("fd00:ec2::254", 80, "network.none"),
]


def test_nothing_else_gets_out(world_outside):
    """By another name, at another port, by address, to the host itself: refused at once, and recorded (F1, F4, F5)."""
    out = world_outside(serve={"0.0.0.0:2222": "hello", "198.51.100.7:8": "hello"})
    here = subprocess.Popen([*out.enter(), "python3", "-c", """
import socket
for family, where in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
    s = socket.socket(family); s.bind((where, 2222)); s.listen()
    globals()[where] = s
print("here", flush=True); input()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert here.stdout.readline() == b"here\n"
    script = "; ".join(f"timeout 5 bash -c '{READ.format(w, p)}' 2>/dev/null; echo {w} {p} $?" for w, p, _ in ELSEWHERE)
    begin = time.monotonic()
    result = out.shell(script, "good.example:8")
    assert time.monotonic() - begin < 10 * runner.SLOW
    here.communicate(b"\n")
    # 1 of bash: it was refused, not left to run into its time.
    assert result.out.splitlines() == [f"{w} {p} 1" for w, p, _ in ELSEWHERE], result
    assert out.accepted() == [] and out.asked() == ["good.example"]
    found = codes(result)
    for where, port, code in ELSEWHERE:
        if code == "network.name":
            assert (code, where) in found
        elif code == "network.address":
            assert (code, f"{where}:{port}") in found
    assert any(code == "network.none" for code, _ in found)


def test_a_host_that_is_somewhere_else_by_now(world_outside, atoll):
    """Where no name server answers any more, those that the host has now are asked."""
    out = world_outside()
    servers = atoll.base / "outside/resolv.conf"
    servers.write_text("nameserver 11.22.44.44\n")
    process = out.start("/bin/bash", "-c", "read; getent hosts good.example; echo first $?; read; "
                        "until getent hosts good.example >/dev/null; do sleep 0.2; done; " + READ.format("good.example", 8),
                        options=("--allow", "good.example:8"))
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"first 2\n"
    servers.write_text(f"# moved\nnameserver {outside.NEAR}\n")
    result, _ = process.communicate(b"\n", timeout=60)
    assert result == b"hello from outside\n" and out.asked() == ["good.example"]


def test_what_was_said_last_arrives(world_outside):
    """The payload ends right after it has written, and the server takes its time: it has all of it, and an end."""
    out = world_outside(serve={f"{GOOD}:9": "late"})
    for _ in range(3):
        result = out.shell("head -c 3000000 /dev/zero >/dev/tcp/good.example/9", "good.example:9")
        assert result.status == 0, result
        [c] = out.events(result, "connection")
        assert c["bytes_up"] == 3000000, c
    assert runner.eventually(lambda: len([line for line in out.log() if "got" in line]) == 3, 10)
    assert {(line["got"]["bytes"], line["got"]["end"]) for line in out.log() if "got" in line} == {(3000000, "closed")}


def test_who_takes_nothing_does_not_hold_the_end_up(world_outside):
    out = world_outside(serve={f"{GOOD}:9": "hang"})
    begin = time.monotonic()
    result = out.shell("timeout 1 head -c 30000000 /dev/zero >/dev/tcp/good.example/9; true", "good.example:9")
    assert result.status == 0 and time.monotonic() - begin < 6 * runner.SLOW, result
    [c] = out.events(result, "connection")
    assert c["end"] == "stopped" and c["bytes_up"] < 30000000
    assert result.document["torn_down"] is True and result.document["gateway"] == "served"


def test_one_that_is_ended_says_no_more(world_outside):
    """What is on its way when a refusal ends the sandbox goes nowhere any more, and is not waited for."""
    out = world_outside(serve={f"{GOOD}:9": "hang"})
    took = []
    for _ in range(4):
        result = out.shell("head -c 30000000 /dev/zero >/dev/tcp/good.example/9 & sleep 0.3; getent hosts bad.example; sleep 30",
                           "good.example:9", options=("--denials", "end"))
        assert result.document["reason"] == "denied:network.name", result
        events = [json.loads(line) for line in (out.atoll.home / "trail" / f"{result.document['sandbox']}.jsonl").read_text().splitlines()]
        at = {e["event"]: datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")) for e in events}
        took.append((at["torn_down"] - at["denial"]).total_seconds())
        [c] = out.events(result, "connection")
        assert c["end"] == "stopped" and c["bytes_up"] < 30000000
    assert min(took) < 0.45, took  # by itself, it would have had half a second


LAST = "exec 3<>/dev/tcp/good.example/9; head -c 30000000 /dev/zero >&3 & sleep 0.2; echo ready; read"


def test_one_that_dies_before_it_has_told_everything(world_outside):
    """While it passes on the last words of a payload that has ended: what it did not tell is missed, and that is said."""
    out = world_outside(serve={f"{GOOD}:9": "hang"})
    for _ in range(4):  # it has half a second, of which a slow host may take all
        process = out.start("/bin/bash", "-c", LAST, options=("--allow", "good.example:9"))
        assert process.stdout.readline() == b"ready\n"
        gateway, _ = gateway_of(process.pid)
        process.stdin.close()
        time.sleep(0.15)
        killed = not is_dead(gateway)
        if killed:
            os.kill(gateway, signal.SIGKILL)
        err = process.stderr.read()
        process.wait(timeout=30)
        if killed:
            break
    assert killed and runner.read_json(out.atoll.document)["gateway"] == "ended" and b"the gateway ended" in err, err


SIGNALS = ("output", "cpu", "exec", "connection")


def idle_by(*words, limit="1s"):
    return ("--idle", limit, *(word for one in words for word in ("--idle-signal", one)))


def test_an_open_connection_is_not_idle(world_outside):
    """Nothing moves in it; once it has ended, the time that it may be idle begins."""
    out = world_outside()
    script = "exec 3<>/dev/tcp/good.example/7; sleep 3; exec 3>&-; sleep 60"
    begin = time.monotonic()
    result = out.shell(script, "good.example:7", options=idle_by())
    assert result.document["reason"] == "limit:idle" and 4 <= time.monotonic() - begin < 40 * runner.SLOW, result
    [c] = out.events(result, "connection")
    assert c["end"] == "closed" and c["duration_ms"] >= 3000
    # Where connections do not count, it is ended with it.
    result = out.shell(script, "good.example:7", options=idle_by(*SIGNALS[:3]))
    assert result.document["reason"] == "limit:idle"
    [c] = out.events(result, "connection")
    assert c["duration_ms"] < 3000
    [row] = [r for r in result.receipt["limits"] if r["name"] == "idle_ms"]
    assert row["mechanism"] == "keeper, by output, cpu and exec"


def test_short_connections_are_not_idle(world_outside):
    """Each is over before the keeper could be told that there is one."""
    out = world_outside()
    again = f"for i in 1 2 3 4 5 6; do {READ.format('good.example', 8)}; sleep 0.7; done"
    result = out.shell(again, "good.example:8", options=idle_by("connection", limit="2s"))
    assert (result.status, result.out) == (0, 6 * "hello from outside\n"), result
    result = out.shell("sleep 60", "good.example:8", options=idle_by("connection"))
    assert result.document["reason"] == "limit:idle"


def test_datagrams(world_outside):
    out = world_outside()
    result = out.shell(f"echo x >/dev/udp/{GOOD}/443; echo x >/dev/udp/good.example/53; true", "good.example:8")
    assert {("network.udp", f"{GOOD}:443"), ("network.udp", "good.example:53")} <= codes(result), result
    assert out.accepted() == []


@pytest.mark.parametrize("spelling", ["good.example", "GOOD.example", "Good.Example.", "gOOD.eXAMPLE."])
def test_one_name_however_it_is_spelt(world_outside, spelling):
    out = world_outside()
    assert out.shell(READ.format(spelling, 8), "gooD.EXAMPLE.:8").out == "hello from outside\n"


NO_NAMES = ["127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "good.example..", ".good.example", "good..example",
            "go_od.example", "a" * 64 + ".example", "xn--.example", "good.example:8", "good.example%2e",
            "*.example", "-good.example", ("a" * 60 + ".") * 5 + "example"]


def test_what_is_no_name(world_outside):
    """F6, F8: no spelling of an address, and none that two could read in two ways."""
    out = world_outside()
    program = f"""
import socket
for name in {NO_NAMES!r}:
    try:
        s = socket.create_connection((name, 8), 3)
        print(name, s.recv(10))
    except (OSError, UnicodeError) as e:
        pass
print("all")
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:8", "--allow", "*.example.org:8"))
    assert result.out == "all\n", result
    assert out.accepted() == [] and set(out.asked()) <= {"good.example"}


def test_patterns(world_outside):
    """F9: labels below a name, never the name itself nor another that ends alike."""
    out = world_outside(names={"pat.example": [GOOD], "evilpat.example": [GOOD], "x.y.pat.example": [GOOD]})
    names = ["a.pat.example", "x.y.pat.example", "pat.example", "evilpat.example", "a.pat.example.good.example"]
    result = out.shell("; ".join(f"{READ.format(n, 8)} 2>/dev/null || echo no" for n in names), "*.pat.example:8")
    assert result.out.splitlines() == ["hello from outside", "hello from outside", "no", "no", "no"], result
    assert out.asked() == ["a.pat.example", "x.y.pat.example"]


def test_names_under_a_pattern_are_no_way_out_for_data(world_outside):
    """F15: few, short, and slowly; what is denied never reaches a server outside."""
    out = world_outside()
    program = """
import socket
long = "d" * 40 + "." + "d" * 40
for name in [f"canary{i}.denied.example" for i in range(20)] + [long + ".pat.example"] + [f"n{i}.pat.example" for i in range(200)]:
    try:
        socket.getaddrinfo(name, 8, socket.AF_INET)
    except OSError:
        pass
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "*.pat.example:8"))
    assert result.status == 0
    asked = out.asked()
    assert not [n for n in asked if "denied" in n or "ddd" in n] and 60 <= len(asked) <= 80, len(asked)
    assert ("network.name", "canary0.denied.example") in codes(result)


def test_types_that_are_answered_empty(world_outside):
    """No HTTPS record, whose keys would hide the name; nothing but A is asked of a server for the payload."""
    out = world_outside()
    program = """
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("198.18.0.2", 53))
for kind in (1, 28, 65, 64, 16, 15, 33, 10, 255, 2):
    s.send(struct.pack(">HHHHHH", kind, 0x0100, 1, 0, 0, 0) + b"\\x04good\\x07example\\0" + struct.pack(">HH", kind, 1))
    reply = s.recv(4096)
    _, flags, _, answers, _, _ = struct.unpack(">HHHHHH", reply[:12])
    print(kind, flags & 15, answers)
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:8"))
    rows = [tuple(map(int, line.split())) for line in result.out.splitlines()]
    assert rows[0] == (1, 0, 1) and all(answers == 0 for _, _, answers in rows[1:]) and len(rows) == 10, result
    assert {line["type"] for line in out.log() if "asked" in line} <= {1, 28}


def curl(certificates, *words):
    return " ".join(["curl -sS --max-time 10 --cacert", f"{certificates}/ca.pem", *words])


def test_tls(world_outside, certificates):
    """To the name that was dialled, and to no other; what is no TLS does not begin (F11)."""
    out = world_outside(serve=tls(certificates))
    read = ("--read", certificates)
    result = out.shell(curl(certificates, "https://good.example/x https://a.pat.example/y"),
                       "good.example", "*.pat.example", options=read)
    assert result.out == "GET /x HTTP/1.1 for good.example: 0\nGET /y HTTP/1.1 for a.pat.example: 0\n", result
    assert {c["tls"] for c in out.events(result, "connection")} == {"1.3"}
    before = out.accepted()
    tries = [curl(certificates, "--connect-to good.example:443:a.pat.example:443 https://good.example/"),
             "openssl s_client -connect good.example:443 -noservername </dev/null",
             "openssl s_client -connect good.example:443 -servername GOOD.example.other </dev/null",
             "exec 3<>/dev/tcp/good.example/443; echo GET / HTTP/1.0 >&3; cat <&3 | od -c",
             "exec 3<>/dev/tcp/good.example/443; printf '\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00' >&3; cat <&3 | od -c",
             "exec 3<>/dev/tcp/good.example/443; printf 'SSH-2.0-x\\r\\n' >&3; cat <&3 | od -c"]
    result = out.shell("; ".join(f"({t}); echo" for t in tries), "good.example", "*.pat.example", options=read)
    assert out.accepted() == before, result
    assert ("network.protocol", "good.example:443") in codes(result)
    assert "GET /" not in result.out


HTTP = """
import socket, sys
def go(request, *more):
    s = socket.create_connection(("good.example", 80), 5)
    s.settimeout(5)
    try:
        s.sendall(request)
        for part in more:
            s.sendall(part)
        s.shutdown(socket.SHUT_WR)
        reply = b""
        while True:
            data = s.recv(65536)
            if not data:
                break
            reply += data
    except OSError as e:
        reply = str(e).encode()
    print(reply.split(b"\\r\\n")[0].decode(), reply.count(b"HTTP/1.1 200"), b"evil" in reply)
H = b"Host: good.example\\r\\n"
"""

REQUESTS = [
    # what is sent, and how many answers of the server there are
    ('b"GET /a HTTP/1.1\\r\\n" + H + b"\\r\\n"', 1),
    ('b"GET http://good.example/a HTTP/1.1\\r\\n" + H + b"\\r\\n"', 1),
    ('b"GET /a HTTP/1.1\\r\\nHost: GOOD.example.:80\\r\\n\\r\\n"', 1),
    ('b"POST /a HTTP/1.1\\r\\n" + H + b"Content-Length: 3\\r\\n\\r\\nabcGET /b HTTP/1.1\\r\\n" + H + b"\\r\\n"', 2),
    ('b"GET /a HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n"', 0),
    ('b"GET http://evil.example/a HTTP/1.1\\r\\n" + H + b"\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\n\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\n" + H + H + b"\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\nHost: good.example:8080\\r\\n\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\nHost: good.example:x@evil.example\\r\\n\\r\\n"', 0),
    ('b"CONNECT evil.example:443 HTTP/1.1\\r\\nHost: evil.example:443\\r\\n\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\n" + H + b"Upgrade: h2c\\r\\nConnection: Upgrade\\r\\n\\r\\n"', 0),
    ('b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"', 0),
    ('b"POST /a HTTP/1.1\\r\\n" + H + b"Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n"', 0),
    ('b"POST /a HTTP/1.1\\r\\n" + H + b"Content-Length: 3\\r\\nContent-Length: 4\\r\\n\\r\\nabcd"', 0),
    ('b"GET /a HTTP/1.1\\n" + H + b"\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\nX : y\\r\\n" + H + b"\\r\\n"', 0),
    ('b"GET /a HTTP/1.1\\r\\n" + H + b"X: a\\r\\n b\\r\\n\\r\\n"', 0),
    ('b"\\x16\\x03\\x01\\x02\\x00"', 0),
]


def test_http(world_outside):
    """Each request of a connection is for the host that was dialled, or it does not go (F18, F19, F21)."""
    out = world_outside()
    program = HTTP + "\n".join(f"go({request})" for request, _ in REQUESTS)
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:80"))
    lines = [line.rsplit(" ", 2) for line in result.out.splitlines()]
    assert [int(n) for _, n, _ in lines] == [n for _, n in REQUESTS], result
    assert all(evil == "False" for (_, _, evil), (request, n) in zip(lines, REQUESTS) if n)
    assert lines[4][0] == "HTTP/1.1 403 Forbidden"
    assert len([c for c in out.accepted() if c.endswith(":80")]) == sum(n > 0 for _, n in REQUESTS)
    assert ("network.protocol", "good.example:80") in codes(result)


def test_a_second_request_is_for_the_same_host(world_outside):
    """On the same connection, behind one that was good: it does not go (F21)."""
    out = world_outside()
    program = HTTP + """
go(b"GET /a HTTP/1.1\\r\\n" + H + b"\\r\\nGET /evil HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n")
s = socket.create_connection(("good.example", 80), 5)
f = s.makefile("rb")
s.sendall(b"GET /a HTTP/1.1\\r\\n" + H + b"\\r\\n")
print(f.readline().decode().strip(), f.readline(), f.readline(), f.readline().decode().strip())
try:
    s.sendall(b"GET /evil HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n")
    print(f.read())
except ConnectionResetError:
    print("reset")
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:80"))
    assert result.out.count("GET /a HTTP/1.1 for good.example: 0") == 1 and "/evil" not in result.out, result
    assert result.out.endswith("reset\n") and ("network.protocol", "good.example:80") in codes(result)


def test_the_agent_is_told_in_band(world_outside):
    """Promise 13: a code and the reason to the agent; how to widen it to the human alone."""
    out = world_outside()
    result = out.shell("curl -sS -H 'Host: evil.example' http://good.example/", "good.example:80")
    problem = json.loads(result.out)
    assert (problem["status"], problem["code"], problem["host"]) == (403, "network.protocol", "good.example")
    assert "allow" not in result.out and "to widen" in result.err


PLACES = [
    # what the name leads to, whether a rule with private would let it through
    (["10.1.2.3"], True), (["192.168.0.1"], True), (["172.31.0.1"], True), (["100.64.0.1"], True),
    (["127.0.0.1"], True), (["127.9.9.9"], True), (["0.0.0.0"], True), (["169.254.7.7"], True), (["224.0.0.1"], False),
    (["169.254.169.254"], False), (["100.100.100.200"], False), ([outside.OWN], True),
    (["::1"], True), (["fd00::1"], True), (["fe80::1"], False), (["::ffff:10.1.2.3"], True), (["64:ff9b::a01:203"], False),
    (["2002:a01:203::1"], False), (["fd00:ec2::254"], False),
]


@pytest.mark.parametrize("place", [p[0] for p, _ in PLACES])
def test_where_a_name_may_not_lead(world_outside, place):
    """F4, F5, F12, F14: an address that is nobody's on the Internet, or this machine's own, for any name."""
    out = world_outside(names={"in.example": [place]}, serve={"10.1.2.3:2222": "hello"})
    here = subprocess.Popen([*out.enter(), "python3", "-c", """
import socket
s = socket.create_server(("", 2222)); print("here", flush=True)
s.settimeout(60)
try:
    c, _ = s.accept(); print("taken", flush=True); c.close()
except OSError:
    pass
"""], stdout=subprocess.PIPE)
    assert here.stdout.readline() == b"here\n"
    result = out.shell(READ.format("in.example", 2222), "in.example:2222")
    here.kill()
    assert here.communicate()[0] == b"" and out.accepted() == []
    assert result.status == 1 and ("network.private", "in.example:2222") in codes(result), result


def test_a_mixed_set(world_outside):
    """Of several addresses those that may be dialled are."""
    out = world_outside(names={"mixed.example": [PRIVATE, "127.0.0.1", GOOD]})
    result = out.shell(READ.format("mixed.example", 8), "mixed.example:8")
    assert result.out == "hello from outside\n" and out.accepted() == [f"{GOOD}:8"], result


def test_private_by_rule(world_outside):
    """For those that are meant; metadata services are none."""
    out = world_outside(names={"in.example": [PRIVATE], "meta.example": ["169.254.169.254"]},
                        serve={f"{PRIVATE}:8": "hello", "169.254.169.254:80": "hello"})
    result = out.shell(READ.format("in.example", 8) + "; " + READ.format("meta.example", 80),
                       "in.example:8,private", "meta.example:80/tcp,private")
    assert result.out == "hello from outside\n" and out.accepted() == [f"{PRIVATE}:8"], result
    assert ("network.private", "meta.example:80") in codes(result)


def test_a_name_that_changes_what_it_leads_to(world_outside):
    """F14: what is dialled is what was looked at, each time."""
    out = world_outside(names={"turns.example": [[GOOD], [GOOD], [PRIVATE]], "ttl": 0}, serve={f"{PRIVATE}:8": "hello"})
    result = out.shell(f"{READ.format('turns.example', 8)}; sleep 1.2; {READ.format('turns.example', 8)}", "turns.example:8")
    assert result.out == "hello from outside\n" and out.accepted() == [f"{GOOD}:8"], result
    assert ("network.private", "turns.example:8") in codes(result)


def test_addresses_by_rule(world_outside):
    """A literal address is reached where a rule names it, at its port; it needs no name server."""
    out = world_outside(serve={"9.9.9.9:8": "hello"})
    result = out.shell(READ.format("9.9.9.9", 8) + "; " + READ.format("9.9.9.9", 9), "9.9.9.9:8")
    assert result.out == "hello from outside\n" and out.asked() == [] and out.accepted() == ["9.9.9.9:8"], result
    assert ("network.address", "9.9.9.9:9") in codes(result)
    refused = out.shell("true", "10.1.2.3:8")
    assert refused.status == 125 and "is a private address" in refused.err and "10.1.2.3:8,private" in refused.err


def test_hosts_of_the_host(world_outside):
    """What its hosts file says of a name is where the name leads."""
    out = world_outside(hosts=f"127.0.0.1 localhost\n{GOOD} listed.example # a comment\n")
    assert out.shell(READ.format("listed.example", 8), "listed.example:8").out == "hello from outside\n"
    assert out.asked() == []


def test_names_that_lead_nowhere(world_outside):
    out = world_outside(names={"empty.example": [], "silent.example": "silent", "dead.example": ["11.22.40.9"]})
    result = out.shell("for n in gone empty dead; do timeout 9 bash -c \"cat </dev/tcp/$n.example/8\" 2>&1; done",
                       "gone.example:8", "empty.example:8", "dead.example:8")
    assert result.document["denials"] == [] and "hello" not in result.out, result
    assert [c["end"] for c in out.events(result, "connection")] == ["unreachable"]


def test_the_name_server_of_a_tcp_client(world_outside):
    out = world_outside()
    program = """
import socket, struct
def ask(name):
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"".join(bytes([len(x)]) + x for x in name.split(b".")) + b"\\0\\0\\1\\0\\1"
s = socket.create_connection(("198.18.0.2", 53), 5)
both = b"".join(struct.pack(">H", len(m)) + m for m in (ask(b"good.example"), ask(b"bad.example")))
for b in both:
    s.sendall(bytes([b]))
f = s.makefile("rb")
for _ in range(2):
    n, = struct.unpack(">H", f.read(2))
    r = f.read(n)
    print(r[3] & 15, struct.unpack(">H", r[6:8])[0])
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:8"))
    assert result.out == "0 1\n3 0\n", result


def test_a_wildcard_bind_takes_nothing(world_outside):
    """A server of the payload on all addresses does not get what is meant for a name; one on its own address may be."""
    out = world_outside()
    program = """
import socket
for where in ("", "198.18.0.1"):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind((where, 8080)); print("bound")
    except OSError as e:
        print(e.strerror)
s = socket.create_server(("127.0.0.1", 8080)); print("own")
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:8080"))
    assert result.out == "Address already in use\nAddress already in use\nown\n", result


def gateway_of(process):
    """The gateway below a front, and its keeper."""
    [keeper] = [int(p) for p in runner.text_of(f"/proc/{process}/task/{process}/children").split()]
    for pid in runner.text_of(f"/proc/{keeper}/task/{keeper}/children").split():
        if (runner.text_of(f"/proc/{pid}/comm") or "").strip() == "atoll-gateway":
            return int(pid), keeper
    return None, keeper


TALK = """
exec 3<>/dev/tcp/good.example/7; echo one >&3; head -1 <&3; read go
echo two >&3; head -1 <&3 || echo cut
(exec 4<>/dev/tcp/good.example/7) 2>/dev/null || echo no more
getent hosts good.example || echo no names; exit 5
"""


def test_the_gateway_is_killed(world_outside):
    """F29: there is no way out any more, at once; the run goes on, says so, and ends clean."""
    out = world_outside()
    process = out.start("/bin/bash", "-c", TALK, options=("--allow", "good.example:7"))
    assert process.stdout.readline() == b"one\n"
    gateway, _ = gateway_of(process.pid)
    os.kill(gateway, signal.SIGKILL)
    assert runner.eventually(lambda: is_dead(gateway))
    begin = time.monotonic()
    rest, err = process.communicate(b"go\n", timeout=30)
    assert rest.split(b"\n")[-3:] == [b"no more", b"no names", b""] and process.returncode == 5, (rest, err)
    assert time.monotonic() - begin < 15 * runner.SLOW
    result = out.atoll.finish(runner.Result([], 5, b"", err, 0))
    assert [e["why"] for e in out.events(result, "gateway_ended")] == ["the gateway ended"]
    assert len(out.events(result, "gateway_started")) == 1 and b"the gateway ended" in err, err
    assert result.document["gateway"] == "ended"


def test_the_keeper_is_killed(world_outside):
    out = world_outside()
    process = out.start("/bin/bash", "-c", TALK, options=("--allow", "good.example:7"))
    assert process.stdout.readline() == b"one\n"
    gateway, keeper = gateway_of(process.pid)
    os.kill(keeper, signal.SIGKILL)
    assert runner.eventually(lambda: is_dead(gateway) and is_dead(keeper))
    process.communicate(timeout=20)
    assert process.returncode == 125 and out.tool("ps").status == 0


def test_walls_around_the_gateway(world_outside):
    """It has no files, no rights, its own namespaces but the host's network, and a filter."""
    out = world_outside()
    process = out.start("/bin/bash", "-c", TALK, options=("--allow", "good.example:7"))
    assert process.stdout.readline() == b"one\n"
    gateway, keeper = gateway_of(process.pid)
    status = dict(line.split(":\t", 1) for line in runner.text_of(f"/proc/{gateway}/status").splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[c], 16) == 0 for c in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"))
    if os.geteuid() == 0:
        assert int(status["Uid"].split()[0]) >= 0x70000000 and status["Groups"].strip() == ""
        for kind in ("pid", "mnt", "ipc", "uts"):
            assert os.readlink(f"/proc/{gateway}/ns/{kind}") != os.readlink(f"/proc/{keeper}/ns/{kind}")
        assert os.readlink(f"/proc/{gateway}/ns/net") == os.readlink(f"/proc/{keeper}/ns/net")
        assert os.listdir(f"/proc/{gateway}/root") == []
        assert not [p for p in map(os.readlink, (f"/proc/{gateway}/fd/{n}" for n in os.listdir(f"/proc/{gateway}/fd")))
                    if p.startswith("/") and not p.endswith("null")]
    process.communicate(b"go\n", timeout=20)


def test_both_directions_end_by_themselves(world_outside):
    """A half that is closed is closed outside, too, and the other one goes on."""
    out = world_outside(serve={f"{GOOD}:10": "reset", f"{GOOD}:11": "source:70000000", f"{GOOD}:12": "sink"})
    program = """
import hashlib, socket
s = socket.create_connection(("good.example", 7), 5)
sent = b"0123456789" * 100000
import threading
t = threading.Thread(target=lambda: (s.sendall(sent), s.shutdown(socket.SHUT_WR))); t.start()
back = b"".join(iter(lambda: s.recv(65536), b""))
print(back == sent)
s = socket.create_connection(("good.example", 10), 5)
s.send(b"x")
try:
    print(s.recv(1))
except ConnectionResetError:
    print("reset")
s = socket.create_connection(("good.example", 11), 5)
h, n = hashlib.sha256(), 0
while True:
    data = s.recv(262144)
    if not data:
        break
    h.update(data); n += len(data)
want = hashlib.sha256(); piece = bytes(range(256)) * 256; left = 70000000
while left: want.update(piece[:left]); left -= min(left, len(piece))
print(n, h.digest() == want.digest())
"""
    result = out.run("/usr/bin/python3", "-c", program, timeout=60 * runner.SLOW, options=(
        "--allow", "good.example:7", "--allow", "good.example:10", "--allow", "good.example:11"))
    assert result.out == "True\nreset\n70000000 True\n", result
    by_port = {c["port"]: c for c in out.events(result, "connection")}
    assert by_port[7]["bytes_up"] == by_port[7]["bytes_down"] == 1000000 and by_port[7]["end"] == "closed"
    assert by_port[10]["end"] == "reset" and by_port[11]["bytes_down"] == 70000000


def test_a_slow_reader_holds_nobody_up(world_outside):
    out = world_outside(serve={f"{GOOD}:11": "source:50000000"})
    program = """
import socket, time
slow = socket.create_connection(("good.example", 11), 5)
slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
time.sleep(0.3)
for _ in range(20):
    s = socket.create_connection(("good.example", 7), 5)
    s.sendall(b"ping"); assert s.recv(4) == b"ping"; s.close()
print("served", len(slow.recv(1000)) > 0)
"""
    result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example:7", "--allow", "good.example:11"))
    assert result.out == "served True\n", result


def test_many_at_once(world_outside):
    """As many as there may be, all alive; those beyond are refused and recorded."""
    out = world_outside()
    program = """
import socket
held = []
for i in range(1000):
    s = socket.create_connection(("good.example", 7), 10)
    held.append(s)
for i, s in enumerate(held):
    s.sendall(b"%06d" % i)
print(all(s.recv(6) == b"%06d" % i for i, s in enumerate(held)))
lost = 0
for _ in range(60):
    try:
        s = socket.create_connection(("good.example", 7), 10); held.append(s)
        s.sendall(b"x"); s.recv(1) or 1/0
    except (OSError, ZeroDivisionError):
        lost += 1
print(lost)
"""
    result = out.run("/usr/bin/python3", "-c", program, timeout=60 * runner.SLOW,
                     options=("--allow", "good.example:7", "--open-files", "4096", "--connections", "1024"))
    assert result.out == "True\n36\n", result
    assert ("network.limit", "good.example:7") in codes(result)


def test_in_a_sandbox_that_lives(world_outside):
    out = world_outside()
    made = out.tool("create", "--workspace", ":none", "--allow", "good.example:8")
    assert made.status == 0, made
    sandbox = made.out.strip()
    for _ in range(2):
        said = out.tool("exec", sandbox, "--", "/bin/bash", "-c", READ.format("good.example", 8))
        assert said.out == "hello from outside\n", said
    assert out.tool("stop", sandbox).status == 0
    events = [json.loads(line)["event"] for line in out.tool("events", "--json", sandbox).out.splitlines()]
    assert events.count("gateway_started") == 1 and events.count("connection") == 2 and events.count("name") == 1
    assert "torn_down" in events
    assert out.tool("rm", sandbox).status in (0, 125)


def test_a_denial_that_ends_it(world_outside):
    out = world_outside()
    result = out.shell("getent hosts bad.example; sleep 20; echo alive", "good.example:8", options=("--denials", "end"))
    assert result.status == 137 and result.document["reason"] == "denied:network.name" and "alive" not in result.out, result


HELLO = """
import socket, ssl
def hello(name):
    context, out = ssl.create_default_context(), ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()
s = socket.create_connection(("good.example", 443), 5)
s.settimeout(5)
s.sendall(hello("good.example"))
if s.recv(65536)[5:6] == b"\\x02":
    s.sendall(b"\\x14\\x03\\x03\\x00\\x01\\x01" * SKIP + hello(SECOND))
    print(s.recv(65536))
"""


@pytest.mark.parametrize("skip", [0, 1])
def test_a_second_hello(world_outside, skip):
    """A server may ask for one; what it says is judged like the first (RFC 8446, 4.1.2)."""
    out = world_outside(serve={f"{GOOD}:443": "retry"})
    for second, said in (("good.example", "b'\\x14" if skip else "b'\\x16"), ("evil.example", None)):
        program = HELLO.replace("SKIP", str(skip)).replace("SECOND", repr(second))
        result = out.run("/usr/bin/python3", "-c", program, options=("--allow", "good.example"))
        assert (said in result.out) if said else ("x14" not in result.out and "x16" not in result.out), result
        assert bool(result.document["denials"]) == (said is None)


def walls_of(out):
    process = out.start("/bin/bash", "-c", TALK, options=("--allow", "good.example:7"))
    assert process.stdout.readline() == b"one\n"
    gateway, _ = gateway_of(process.pid)
    status = runner.text_of(f"/proc/{gateway}/status")
    process.communicate(b"go\n", timeout=20)
    return "Seccomp:\t0" in status


def told(script, *allow):
    return lambda out: "hello from outside" in out.shell(script, *allow).out


# What one of the judgements keeps from happening: true where it happened.
JUDGEMENTS = {
    "egress_name": told(READ.format("bad.example", 8), "good.example:8"),
    "egress_sni": lambda out: "x16" in out.run(
        "/usr/bin/python3", "-c", HELLO.replace("SKIP", "0").replace("SECOND", "'bad.example'")
        .replace('hello("good', 'hello("bad'), options=("--allow", "good.example")).out,
    "egress_host": lambda out: "for bad.example" in out.shell("curl -sS -H 'Host: bad.example' http://good.example/", "good.example:80").out,
    "egress_private": told(READ.format("in.example", 8), "in.example:8"),
    "egress_pace": lambda out: bool(out.shell("for i in $(seq 100); do getent hosts n$i.pat.example; done", "*.pat.example:8")) and
    len(out.asked()) > 90,
    "egress_hello": lambda out: "x16" in out.run(
        "/usr/bin/python3", "-c", HELLO.replace("SKIP", "0").replace("SECOND", "'evil.example'"), options=("--allow", "good.example")).out,
    "egress_confine": walls_of,
    "egress_requests": lambda out: out.shell(
        "for i in 1 2 3 4; do " + READ.format("good.example", 8) + "; done; true", "good.example:8",
        options=("--requests", "2")).out.count("hello") > 2,
    "egress_bytes": lambda out: len(out.shell(READ.format("good.example", 8), "good.example:8", options=("--net-bytes", "5")).out) > 5,
    "egress_deny": lambda out: "hello" in out.shell(READ.format("good.example", 8), "good.example:8",
                                                    options=("--deny-host", "good.example")).out,
    "egress_deny_address": lambda out: "hello" in out.shell(READ.format("good.example", 8), "good.example:8",
                                                            options=("--deny-host", GOOD)).out,
}


@pytest.mark.parametrize("mutant", [False, True])
@pytest.mark.parametrize("judgement", JUDGEMENTS)
def test_each_judgement_is_needed(world_outside, atoll, base, judgement, mutant):
    """It holds, and with a gateway that lacks it, it does not."""
    if mutant:
        alone = base / "alone"
        alone.mkdir()
        for name, source in (("atoll", atoll.binary), ("atoll-gateway", runner.MUTANTS / f"atoll-gateway-{judgement}")):
            shutil.copy(source, alone / name)
        atoll.binary = alone / "atoll"
    out = world_outside(names={"bad.example": [GOOD], "in.example": [PRIVATE]},
                        serve={f"{PRIVATE}:8": "hello", f"{GOOD}:443": "retry"})
    assert JUDGEMENTS[judgement](out) is mutant


def test_every_mutant_of_the_gateway_is_used():
    listed = pathlib.Path(__file__).parent.parent / "security/gateway-mutants.txt"
    assert {line for line in listed.read_text().splitlines() if line and line[0] != "#"} == set(JUDGEMENTS)


CLIENTS = {
    "curl": "curl -sS --cacert {ca}/ca.pem https://good.example/",
    "wget": "wget -q -O - --ca-certificate={ca}/ca.pem https://good.example/",
    "python3": "python3 -c 'import ssl, urllib.request as u; "
               "print(u.urlopen(\"https://good.example/\", context=ssl.create_default_context(cafile=\"{ca}/ca.pem\"))"
               ".read().decode(), end=\"\")'",
    "node": "NODE_EXTRA_CA_CERTS={ca}/ca.pem node -e 'fetch(\"https://good.example/\").then(r => r.text())"
            ".then(t => process.stdout.write(t))'",
    "openssl": "(printf \"GET / HTTP/1.1\\r\\nHost: good.example\\r\\n\\r\\n\"; sleep 1) | timeout 3 openssl s_client -quiet -verify_return_error "
               "-CAfile {ca}/ca.pem -connect good.example:443 -servername good.example 2>/dev/null | tail -1",
    "git": "git -c http.sslCAInfo={ca}/ca.pem ls-remote https://good.example/x.git 2>&1 | grep -c 'not valid\\|not found'; "
           "echo 'GET / HTTP/1.1 for good.example: 0'",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_that_know_nothing_of_it(world_outside, certificates, need_program, client):
    need_program(client)
    out = world_outside(serve=tls(certificates))
    result = out.shell(CLIENTS[client].format(ca=certificates), "good.example", options=("--read", certificates))
    assert result.out.splitlines()[-1:] == ["GET / HTTP/1.1 for good.example: 0"], result
    assert f"{GOOD}:443" in out.accepted() and result.document["denials"] == []


REFUSED = [
    (("--accept-tier", "process"), "tier container"),
    (("--syscalls", "strict"), "execution.syscalls is 'strict'"),
]


@pytest.mark.parametrize("options, why", REFUSED)
def test_where_there_is_no_network_a_rule_is_refused(atoll, options, why):
    result = atoll.run("true", options=("--allow", "good.example", *options))
    assert result.status == 125 and why in result.err, result


def test_without_the_program(atoll, base):
    """What a rule needs is there before anything starts."""
    alone = base / "alone"
    alone.mkdir()
    (alone / "atoll").write_bytes(atoll.binary.read_bytes())
    (alone / "atoll").chmod(0o755)
    atoll.binary = alone / "atoll"
    assert atoll.run("true").status == 0
    refused = atoll.run("true", options=("--allow", "good.example"))
    assert refused.status == 125 and "atoll-gateway is not installed beside atoll" in refused.err


def test_the_last_refusals_count(world_outside):
    """What the gateway tells when the command has ended already is suspicious, too."""
    names = [f"p{n}.example" for n in range(8)]
    out = world_outside(names={name: [PRIVATE] for name in names})
    script = f"""
import os, socket, threading
def go(name):
    try:
        socket.create_connection((name, 8), 5)
    except OSError:
        pass
ts = [threading.Thread(target=go, args=(n,)) for n in {names!r}]
[t.start() for t in ts]
[t.join() for t in ts]
os._exit(0)
"""
    lost = 0
    for _ in range(12):
        result = out.run("/usr/bin/python3", "-c", script, options=[w for n in names for w in ("--allow", f"{n}:8")])
        lost += len([c for c, _ in codes(result) if c == "network.private"]) >= 6 and not result.document["escape_suspected"]
    assert lost == 0, "twice in twelve, where nobody looked again at the end"
