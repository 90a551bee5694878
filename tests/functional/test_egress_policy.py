# SPDX-License-Identifier: Apache-2.0
"""Egress by name: what is denied whatever is allowed, every host but those, how much of it, what would be needed, and
what the payload is told."""
import json
import re
import time

import pytest

from harness import outside, runner

GOOD, OTHER, PRIVATE = "11.22.40.1", "11.22.40.2", "10.1.2.3"
NAMES = {"good.example": [GOOD], "a.good.example": [GOOD], "evil.example": [OTHER], "x.evil.example": [OTHER],
         "alias.example": [OTHER], "in.example": [PRIVATE], "ttl": 30}
HIGH = ("--provenance", "reviewed", "--trust", "high", "--open-files", "1024")
READ = "cat </dev/tcp/{}/{}"


@pytest.fixture
def make_outside(atoll, world):
    made = []

    def make(serve=None, names=None):
        serve = {f"{a}:{p}": k for a in (GOOD, OTHER, PRIVATE) for p, k in ((7, "echo"), (8080, "hello"), (80, "http"), (8, "hello"))
                 } | (serve or {})
        made.append(outside.Outside(atoll, {**NAMES, **(names or {})}, serve))
        return made[-1]
    yield make
    for one in made:
        one.end()


def codes(result):
    return {(d["code"], d["what"]) for d in result.document["denials"]}


# ---- every host but those that are denied ----

def test_every_host_but_those(make_outside):
    out = make_outside()
    script = "; ".join(READ.format(*at) + " 2>&1 | tail -1" for at in (
        ("good.example", 8080), ("evil.example", 8080), ("x.evil.example", 8080), ("alias.example", 8080)))
    result = out.shell(script, options=(*HIGH, "--deny-host", "*.evil.example", "--deny-host", "evil.example"))
    assert result.out.count("hello from outside") == 2, result
    assert codes(result) == {("network.denied", "evil.example"), ("network.denied", "x.evil.example")}
    assert out.accepted() == [f"{GOOD}:8080", f"{OTHER}:8080"]
    assert {c["rule"] for c in out.events(result, "connection")} == {"*:8080"}
    assert "evil.example" not in out.asked()


def test_a_denied_address_is_not_dialled(make_outside):
    """By no name, and not by a rule for it either."""
    out = make_outside()
    result = out.shell("; ".join(READ.format(h, 8080) for h in ("alias.example", "good.example", OTHER)) + "; true",
                       f"{OTHER}:8080", options=(*HIGH, "--deny-host", OTHER))
    assert result.out == "hello from outside\n" and out.accepted() == [f"{GOOD}:8080"], result
    assert ("network.denied", "alias.example:8080") in codes(result)
    assert {code for code, _ in codes(result)} == {"network.denied"}


def test_a_denied_address_is_told_as_one(make_outside):
    """Also where no rule names it, and nothing is learned of it."""
    out = make_outside()
    result = out.shell(READ.format(OTHER, 8080) + "; true", "good.example:8", options=("--deny-host", OTHER, "--learn"))
    assert codes(result) == {("network.denied", f"{OTHER}:8080")} and result.document["learned"] == [], result


def test_denied_although_a_rule_allows_it(make_outside):
    out = make_outside()
    result = out.shell("; ".join(READ.format(h, 8) for h in ("good.example", "a.good.example")) + "; true",
                       "*.good.example:8", "good.example:8", options=("--deny-host", "a.good.example"))
    assert result.out == "hello from outside\n" and out.asked() == ["good.example"], result
    assert codes(result) == {("network.denied", "a.good.example")}


def test_everything_is_not_what_is_inside(make_outside):
    """Every host: no private address, no literal one, no port but the usual ones and those that a rule adds."""
    out = make_outside()
    tried = (("in.example", 8080, "network.private"), ("good.example", 7, "network.address"), (GOOD, 8080, "network.address"))
    script = "; ".join(READ.format(h, p) for h, p, _ in tried) + "; true"
    result = out.shell(script, options=HIGH)
    assert codes(result) == {(code, f"{h}:{p}") for h, p, code in tried} and out.accepted() == [], result
    result = out.shell("exec 3<>/dev/tcp/good.example/7; echo one >&3; head -1 <&3", "*:7", options=HIGH)
    assert (result.out, result.document["denials"]) == ("one\n", []), result


def test_many_names_at_once_where_every_name_is_allowed(make_outside):
    """There is no pace to hold: whoever is told anything may be the payload's own server."""
    many = {f"n{i}.many.example": [GOOD] for i in range(150)}
    out = make_outside(names=many)
    result = out.shell("for i in $(seq 0 149); do getent hosts n$i.many.example; done | wc -l", options=HIGH)
    assert (result.out.strip(), len(out.asked())) == ("150", 150), result


PLANS = [
    # options, what is said
    (("--network", "allow"), "network.default: 'allow' is refused: trust medium allows 'deny'"),
    (("--network", "open"), "network.default: 'open' is refused: trust medium allows 'deny'"),
    (("--network", "none", "--allow", "a.example"), "network.default is 'none'"),
    (("--allow", "*:443"), "'*:443' is every host"),
    (("--allow", "*"), "'*:443' is every host"),
    (("--deny-host", "*"), "network.deny: '*'"),
    (("--deny-host", "a.example:443"), "network.deny: 'a.example:443'"),
    (("--learn", "--network", "none"), "--learn: network.default is 'none'"),
    (("--learn", "--accept-tier", "process"), "the process tier has no network"),
    (("--learn", "--syscalls", "strict"), "'strict', which has no connections"),
    ((*HIGH, "--tier", "process", "--network", "allow"), "network.default: the process tier has no network"),
    ((*HIGH, "--syscalls", "file", "--network", "allow"), "'file', which has no connections"),
    (("--connections", "0"), "must be at least 1"), (("--connections", "1025"), "at most 1024"),
    (("--requests", "0"), "must be at least 1"), (("--net-bytes", "0"), "must be at least 1"),
    (("--cooldown", "2d"), "may be at most 1d"),
    (("--cooldown", "0s", "--template", "{T}"), "time.cooldown: '0ms' is refused"),
    (("--requests", "11", "--template", "{T}"), "network.limits.requests: '11' is refused"),
    (("--network", "deny", "--template", "{N}"), "network.default: 'deny' is refused: 'none' is the most allowed"),
    (("--allow", "b.example", "--template", "{N}"), "network.default is 'none'"),
]


def templates(base):
    for name, text in (("T", "version: 1\nnetwork: {limits: {requests: 10}, deny: [x.example]}\ntime: {cooldown: 3s}\n"),
                       ("N", "version: 1\nnetwork: {default: none}\n"), ("A", "version: 1\nnetwork: {allow: [b.example]}\n"),
                       ("E", "version: 1\nnetwork: {default: allow, allow: ['*:443', b.example]}\n")):
        (base / f"{name}.yaml").write_text(text)
    return {name: str(base / f"{name}.yaml") for name in "TNAE"}


@pytest.mark.asan
@pytest.mark.parametrize("options, said", PLANS)
def test_policies_that_are_refused(atoll, base, options, said):
    made = templates(base)
    result = atoll.tool("run", *(o.format(**made) for o in options), "--workspace", ":none", "--plan-only", "--", "true")
    assert result.status == 125 and said in result.err, result


def plan(atoll, *options):
    result = atoll.tool("run", *options, "--workspace", ":none", "--plan-only", "--", "true")
    assert result.status == 0, result
    return json.loads(result.out)


def test_policies_that_are_kept(atoll, base):
    made = templates(base)
    usual = plan(atoll)
    assert (usual["net_default"], usual["net"], usual["net_deny"], usual["learn"]) == ("deny", [], [], False)
    high = plan(atoll, *HIGH, "--allow", "*:443,private")
    assert high["net_default"] == "allow" and high["net"][:2] == ["*:443,private", "*:22"] and len(high["net"]) == 12
    # What cannot have connections has none, where nobody has asked for them by name.
    assert plan(atoll, *HIGH, "--tier", "process")["net"] == plan(atoll, *HIGH, "--syscalls", "strict")["net"] == []
    below = plan(atoll, "--template", made["T"], "--deny-host", "y.example", "--requests", "9", "--cooldown", "4s")
    assert below["net_deny"] == ["x.example", "y.example"]
    assert (below["limits"]["net_requests"], below["limits"]["cooldown_ns"]) == (9, 4 * 10**9)
    assert plan(atoll, "--template", made["A"], "--network", "none")["net"] == []
    # A rule for every host goes with the word that it needs.
    assert plan(atoll, "--template", made["E"], "--network", "deny", *HIGH)["net"] == ["b.example:443"]
    assert plan(atoll, "--trust", "none", "--accept-tier", "container")["net_default"] == "none"


# ---- how much of it ----

def test_bytes_to_one_host(make_outside):
    """Not one more than may go, both ways together; a connection that is open then is cut, and another one is refused."""
    out = make_outside(serve={f"{GOOD}:9": "source:1000000", f"{OTHER}:9": "source:1000"})
    result = out.shell(f"{READ.format('good.example', 9)} | wc -c; {READ.format('good.example', 8)}; "
                       f"{READ.format('alias.example', 9)} | wc -c",
                       "good.example:9", "good.example:8", "alias.example:9", options=("--host-bytes", "100000"))
    events = out.events(result, "connection")
    first, second, third = events[0], events[1], events[-1]
    assert (first["bytes_down"], first["end"]) == (100000, "refused") and int(result.out.split()[0]) <= 100000, result
    assert (second["bytes_down"], second["end"], second["port"]) == (0, "refused", 8)
    assert (third["bytes_down"], third["end"]) == (1000, "closed") and result.out.split()[-1] == "1000"
    assert codes(result) == {("network.limit", "good.example:9"), ("network.limit", "good.example:8")}


def test_bytes_in_all_and_what_is_just_enough(make_outside):
    out = make_outside(serve={f"{GOOD}:9": "source:50000", f"{OTHER}:9": "source:50000"})
    script = f"{READ.format('good.example', 9)} | wc -c; {READ.format('alias.example', 9)} | wc -c"
    result = out.shell(script, "good.example:9", "alias.example:9", options=("--net-bytes", "100000"))
    assert (result.out.split(), result.document["denials"]) == (["50000", "50000"], []), result
    assert {c["end"] for c in out.events(result, "connection")} == {"closed"}
    result = out.shell(script, "good.example:9", "alias.example:9", options=("--net-bytes", "99999"))
    assert sum(c["bytes_down"] for c in out.events(result, "connection")) == 99999
    assert codes(result) == {("network.limit", "alias.example:9")}


def test_bytes_to_an_address_are_those_of_all_its_ports(make_outside):
    out = make_outside(serve={f"{GOOD}:9": "source:600", f"{GOOD}:10": "source:600"})
    result = out.shell(f"{READ.format(GOOD, 9)} | wc -c; {READ.format(GOOD, 10)} | wc -c", f"{GOOD}:9", f"{GOOD}:10",
                       options=("--host-bytes", "1000"))
    assert sum(c["bytes_down"] for c in out.events(result, "connection")) == 1000, result


FETCH = """
import http.client, json
c = None
for i in range(9):
    c = c or http.client.HTTPConnection("good.example", 80)
    try:
        c.request("GET", f"/{i}")
        r = c.getresponse()
        body = r.read().decode()
        print(r.status, r.getheader("retry-after"), json.loads(body)["code"] if r.status == 429 else None, flush=True)
        c = c if r.status == 200 else None
    except ConnectionResetError:
        print("reset", flush=True)
        c = None
"""


def test_requests_in_a_minute(make_outside):
    """Each request of one connection counts. After an answer of the server ours would be taken for one of its own, so it
    is reset; then who is refused is told when to come back."""
    out = make_outside()
    result = out.run("/usr/bin/python3", "-c", FETCH, options=("--allow", "good.example:80", "--requests", "5", "--cooldown", "30s"))
    lines = result.out.splitlines()
    assert lines[:6] == ["200 None None"] * 5 + ["reset"] and len(lines) == 9, result
    for line in lines[6:]:
        assert re.fullmatch("429 (5[0-9]|60|61) network.limit", line), result
    [denial] = result.document["denials"]
    assert (denial["code"], denial["what"], denial["count"]) == ("network.limit", "good.example:80", 4)


PIPELINE = """
import socket
s = socket.create_connection(("good.example", 80), 10)
s.sendall(b"".join(b"GET /%d HTTP/1.1\\r\\nHost: good.example\\r\\n\\r\\n" % i for i in range(50)))
got = b""
try:
    while data := s.recv(65536):
        got += data
except ConnectionResetError:
    pass
print(b"429" in got, got.count(b"200 OK") <= 20)
"""


def test_no_words_of_ours_in_another_answers_place(make_outside):
    """Of many requests at once, the answer to one too many could be taken for that to the first."""
    out = make_outside()
    result = out.run("/usr/bin/python3", "-c", PIPELINE, options=("--allow", "good.example:80", "--requests", "20"))
    assert result.out == "False True\n" and codes(result) == {("network.limit", "good.example:80")}, result


def test_after_the_time_to_cool_down(make_outside):
    """It is over after its time, and then the minute counts."""
    out = make_outside()
    script = (f"for i in 1 2 3 4; do {READ.format('good.example', 8)} 2>/dev/null; done; sleep 2.5; "
              f"{READ.format('good.example', 8)}; true")
    result = out.shell(script, "good.example:8", options=("--requests", "3", "--cooldown", "2s"))
    assert result.out.count("hello") == 3 and out.accepted() == [f"{GOOD}:8"] * 3, result
    assert result.document["denials"][0]["count"] == 2
    assert [c["end"] for c in out.events(result, "connection")].count("refused") == 2


def test_connections_at_one_time(make_outside):
    out = make_outside()
    script = ("for i in 3 4 5; do eval \"exec $i<>/dev/tcp/good.example/7\" || break; echo $i >&$i; head -1 <&$i; done; "
              "exec 3>&-; until exec 6<>/dev/tcp/good.example/7 && echo 6 >&6 && head -1 <&6 | grep 6; do sleep 0.05; done") 
    result = out.shell(script, "good.example:7", options=("--connections", "2"))
    assert result.out.split() == ["3", "4", "6"], result  # 5 was reset
    assert codes(result) == {("network.limit", "good.example:7")}


# ---- what would be needed ----

def rules_of(out, result):
    [learned] = out.events(result, "learned")
    assert learned["rules"] == result.document["learned"]
    return learned["rules"]


def test_learning_lets_nothing_through(make_outside):
    """Hosts with their ports are known afterwards, and nobody outside has heard of any of it."""
    out = make_outside()
    tried = (("good.example", 443), ("good.example", 8), ("x.evil.example", 80), ("9.9.9.9", 53), ("10.1.2.3", 5432))
    begin = time.monotonic()
    result = out.shell("; ".join(READ.format(*at) for at in tried) + "; true", options=("--learn",))
    assert time.monotonic() - begin < 10 * runner.SLOW
    assert rules_of(out, result) == sorted(["good.example:443", "good.example:8", "x.evil.example:80", "9.9.9.9:53",
                                            "10.1.2.3:5432,private"])
    assert out.log() == [] and ("network.name", "good.example:443") in codes(result)
    assert 'learned: it would need network: {allow: ["10.1.2.3:5432,private", 9.9.9.9:53, good.example:443, ' in result.err
    # With those rules it works.
    words = [w for r in result.document["learned"] for w in ("--allow", r)]
    result = out.shell(READ.format("good.example", 8), options=("--learn", *words))
    assert (result.out, rules_of(out, result)) == ("hello from outside\n", [])
    assert "it tried to reach no host that no rule names" in result.err


def test_learning_where_everything_is_allowed(make_outside):
    out = make_outside()
    script = "; ".join(READ.format(*at) for at in (("good.example", 8080), ("alias.example", 8080), ("in.example", 8080),
                                                    ("x.evil.example", 8080))) + "; true"
    result = out.shell(script, "alias.example:8080", options=(*HIGH, "--learn", "--deny-host", "*.evil.example"))
    assert result.out.count("hello") == 2, result
    assert rules_of(out, result) == ["good.example:8080", "in.example:8080,private"]


def test_learning_what_is_spoken(make_outside):
    out = make_outside(serve={f"{GOOD}:443": "echo"})
    result = out.shell("exec 3<>/dev/tcp/good.example/443; echo no tls >&3; cat <&3; true", "good.example", options=("--learn",))
    assert rules_of(out, result) == ["good.example:443/tcp"], result
    # Beside the rule that there is, too.
    result = out.shell("exec 3<>/dev/tcp/good.example/443; echo no tls >&3; head -1 <&3", "good.example", "good.example:443/tcp")
    assert (result.out, result.document["denials"]) == ("no tls\n", []), result


def test_without_learning_there_is_none(make_outside):
    out = make_outside()
    result = out.shell("getent hosts good.example; true")
    assert result.document["learned"] is None and out.events(result, "learned") == []
    assert "learned" not in result.err


# ---- what the payload is told ----

# The text of the extended error (RFC 8914) in the answer to a question with an OPT record.
ASK_BAD = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
head = bytes([171, 205, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
s.sendto(head + b"\\3bad\\7example\\0" + bytes([0, 1, 0, 1]) + bytes([0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]), ("198.18.0.2", 53))
answer = s.recv(4096)
print(answer[answer.rindex(b"network."):].decode())
"""


def test_denials_inside(make_outside):
    """Code, host, how to go on, and the request's id, as DNS and HTTP said it; never how the wall is widened."""
    out = make_outside()
    ask = (f"python3 -c '{ASK_BAD}'; curl -sS -H 'Host: bad.example' http://good.example/; "
           "until [ $(wc -l </run/atoll/denials) -ge 2 ]; do sleep 0.05; done; cat /run/atoll/denials")
    result = out.shell(ask, "good.example:80")
    ede, http, *lines = result.out.splitlines()
    told = [json.loads(line) for line in lines]
    assert [(t["code"], t["what"]) for t in told] == [("network.name", "bad.example"), ("network.protocol", "good.example:80")]
    assert all(set(t) == {"code", "what", "rule", "agent", "request_id"} for t in told)
    assert told[0]["request_id"] in ede and json.loads(http)["request_id"] == told[1]["request_id"], result
    assert [d["request_id"] for d in result.document["denials"]] == [t["request_id"] for t in told]
    assert [d["request_id"] for d in out.events(result, "denied")] == [t["request_id"] for t in told]
    remedies = [d["remedy"] for d in result.document["denials"]]
    assert not any(r in result.out for r in remedies) and all(r in result.err for r in remedies)


def test_the_same_refusal_has_one_id(make_outside):
    out = make_outside()
    result = out.shell("for i in 1 2 3; do curl -sS -H 'Host: bad.example' http://good.example/; done", "good.example:80")
    ids = {json.loads(line)["request_id"] for line in result.out.splitlines()}
    [denial] = result.document["denials"]
    assert ids == {denial["request_id"]} and denial["count"] == 3, result


def test_ids_are_those_of_the_record(make_outside):
    """Of more refusals than are told apart, those that are have one, and no others."""
    out = make_outside()
    ask = "for i in $(seq 60); do curl -sS -H \"Host: x$i.example\" http://good.example:$((8000 + i))/; done"
    result = out.shell(ask, *(f"good.example:{8000 + i}/http" for i in range(1, 61)), options=("--requests", "1000"))
    told = [json.loads(line)["request_id"] for line in result.out.splitlines()]
    kept = [d["request_id"] for d in result.document["denials"]]
    assert len(told) == 60 and len(kept) == 48 and told == kept + [""] * 12, result


SPOIL = ("echo x >>/run/atoll/denials; true >/run/atoll/denials; rm -f /run/atoll/denials; mv /run/atoll/denials /run/atoll/x; "
         "chmod 777 /run/atoll/denials; ln /run/atoll/denials /tmp/x; mount -o remount,rw / ; mount -t tmpfs x /run/atoll; ")


@pytest.mark.parametrize("calls", ["default", "nested"])
def test_denials_inside_are_the_keepers(atoll, world, calls):
    """The payload reads the file and changes nothing of it, nor what is written to it: not even as root of a namespace."""
    nested = "unshare -Ur " if calls == "nested" else ""
    script = (f"{nested}sh -c '{SPOIL} python3 -c \"import os; os.mkdir(\\\"/tmp/d\\\"); os.mknod(\\\"/tmp/d/n\\\", 0o20666, 259)\"' 2>/dev/null; "
              "until [ -s /run/atoll/denials ]; do sleep 0.05; done; cat /run/atoll/denials; wc -l </run/atoll/denials")
    result = atoll.run("/bin/sh", "-c", script, options=("--syscalls", calls))
    *lines, count = result.out.splitlines()
    assert len(lines) == int(count) >= 1, result
    assert {json.loads(line)["code"] for line in lines} == {d["code"] for d in result.document["denials"]}


def test_denials_of_every_sandbox(atoll, world):
    """One that lives, and one without a network: the file is there, and empty as long as nothing is refused."""
    result = atoll.run("/bin/sh", "-c", "cat /run/atoll/denials; stat -c %s /run/atoll/denials")
    assert (result.status, result.out) == (0, "0\n"), result
