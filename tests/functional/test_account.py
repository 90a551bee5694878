# SPDX-License-Identifier: Apache-2.0
"""Accounts: what sandboxes reserve, spend and give back, with real ones; on SQLite and on PostgreSQL."""
import glob
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import threading

import pytest

from harness import groups, runner
from harness.books import Books

PG = max(glob.glob("/usr/lib/postgresql/*/bin"), default="/usr/lib/postgresql/bin")
OTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []

class Server:
    """PostgreSQL in a directory of its own, on a socket of its own."""

    def __init__(self, base):
        self.dir = base / "pg"
        self.dir.mkdir()
        if OTHER:
            os.chown(self.dir, 65534, 65534)
        subprocess.run([*OTHER, f"{PG}/initdb", "-D", self.dir / "data", "-U", "atoll", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"],
                       cwd=self.dir, check=True, capture_output=True)
        self.begin()

    def begin(self):
        settings = {"unix_socket_directories": self.dir, "listen_addresses": "", "fsync": "off", "shared_buffers": "16MB",
                    "dynamic_shared_memory_type": "mmap"}
        self.log = open(self.dir.parent / "pg.log", "ab")
        self.process = subprocess.Popen([*OTHER, f"{PG}/postgres", "-D", self.dir / "data", *(w for k, v in settings.items() for w in ("-c", f"{k}={v}"))],
                                        cwd=self.dir, stdout=self.log, stderr=self.log)
        assert runner.eventually(lambda: subprocess.run([f"{PG}/pg_isready", "-q", "-h", self.dir]).returncode == 0)

    def end(self):
        self.process.send_signal(2)
        self.process.wait(timeout=runner.TIMEOUT)
        self.log.close()

    @property
    def url(self):
        return f"postgres://atoll@/postgres?host={self.dir}"


@pytest.fixture
def server(base, need_program):
    need_program(f"{PG}/initdb")
    made = Server(base)
    yield made
    made.end()


@pytest.fixture(params=["sqlite", "postgres"])
def books(request, base, atoll):
    ledger = request.param
    if ledger == "postgres":
        ledger = request.getfixturevalue("server").url
    return Books(atoll, base, f"version: 1\nledger: {ledger}\nsettle_every: 1s\n")


@pytest.fixture
def file(base, atoll):
    """The one in a file alone."""
    return Books(atoll, base, "version: 1\nsettle_every: 1s\n")


def test_from_start_to_end(books, world):
    """Reserved before anything runs, settled at the end, and in the record and the result."""
    books.account("org", "wall 1h")
    books.account("team", "cpu 1h --per day", parent="org")
    books.ok("account", "price", "--set", "wall=3.6", "--set", "cpu=1")
    policy = books.policy("team", "time: {wall: 10m}\n")
    result = books.run(policy, "sh", "-c", "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done")
    assert result.status == 0, result
    events = {e["event"]: e["data"] for e in books.events(result.document["sandbox"])}
    assert events["reserved"]["amounts"]["wall"] == 600000 and events["reserved"]["currency"] == "USD"
    spent = events["settled"]["amounts"]
    assert 0 < spent["wall"] < 60000 and 0 < spent["cpu"] < 60000 and spent["memory"] > 0 and spent["money"] > 0
    assert result.document["account"] == {"account": "team", "spent": spent, "currency": "USD", "why": None}
    names = [e["event"] for e in books.events(result.document["sandbox"])]
    assert names.index("reserved") < names.index("receipt") < names.index("settled") < names.index("ended")
    assert books.stands("org", "wall") == (spent["wall"], 0)
    assert books.stands("team", "cpu") == (spent["cpu"], 0)
    report = {a["account"]: a for a in json.loads(books.ok("account", "report", "--json").out)}
    assert report["org"]["money"] == report["team"]["money"] == spent["money"]
    assert (report["team"]["users"], report["team"]["sandboxes"], report["team"]["orphans"]) == (1, 0, 0)


def test_refusals(books, world):
    """An account that is unknown, closed, or has no room: nothing starts, and what can be done is said."""
    marker = books.atoll.workspace / "ran"
    books.account("org", "wall 5m")
    for account, options, said in (("nobody", (), "there is no account 'nobody'"), ("org", ("--wall", "6m"), "atoll account set-budget org wall"),
                                   ("closed", (), "is closed")):
        if account == "closed":
            books.account("closed")
            books.ok("account", "close", "closed")
        result = books.run(books.policy(account), "touch", marker, options=(*options, "--workspace", f"{books.atoll.workspace}:direct"))
        assert (result.status, result.reason) == (125, "error:policy") and said in result.err, result
        assert not marker.exists()
    assert books.run(books.policy("org"), "true", options=("--wall", "5m")).status == 0


def test_parallel_starts(books, world):
    """Twelve at the same time, room for five: five."""
    books.account("org", "sandboxes 5", "wall 1h")
    policy = books.policy("org", "time: {wall: 10m}\n")
    started = [books.start(policy, "sh", "-c", "echo up; exec sleep 300") for _ in range(12)]
    ended = lambda: [p for p in started if p.poll() is not None]  # noqa: E731
    assert runner.eventually(lambda: len(ended()) == 7 and books.stands("org", "sandboxes")[1] == 5)
    for process in ended():
        assert process.returncode == 125 and b"account 'org'" in process.stderr.read()
    assert books.stands("org", "sandboxes") == (0, 5)
    running = [p for p in started if p.poll() is None]
    assert all(p.stdout.readline() == b"up\n" for p in running)
    for process in running:
        process.terminate()
    for process in running:
        process.wait(timeout=runner.TIMEOUT)
    assert books.stands("org", "sandboxes") == (0, 0) and books.stands("org", "wall")[1] == 0


def test_exhausted(books, world):
    """A budget that is lowered under a sandbox ends it within a settlement, and says why."""
    books.account("org", "wall 1h")
    process = books.start(books.policy("org", "time: {wall: 10m}\n"), "sleep", "300")
    assert runner.eventually(lambda: books.stands("org", "wall")[0] > 0)
    books.ok("account", "set-budget", "org", "wall", "1s")
    assert process.wait(timeout=runner.TIMEOUT) == 137
    result = runner.read_json(process.document)
    assert result["reason"] == "limit:account" and "nothing is left of the budget of account 'org' of wall" in result["account"]["why"]
    assert b"stopped for its account: nothing is left" in process.stderr.read()
    events = [(e["event"], e["data"]) for e in books.events(result["sandbox"])]
    [limit] = [data for name, data in events if name == "limit"]
    assert limit["limit"] == "account"
    answers = [data["answer"] for name, data in events if name == "budget"]
    assert answers[-1] == "exhausted" and books.stands("org", "wall")[1] == 0


def test_a_warning_once(file, world):
    file.account("org", "wall 10s --warn 10")
    result = file.run(file.policy("org", "time: {wall: 5s}\n"), "sleep", "3.5")
    assert result.status == 0, result
    warned = [e["data"] for e in file.events(result.document["sandbox"]) if e["event"] == "budget"]
    assert [w["answer"] for w in warned] == ["warn"] and "little is left" in warned[0]["why"]


def keeper_of(books):
    [name] = runner.eventually(lambda: os.listdir(books.atoll.home / "sandboxes"))
    note = runner.eventually(lambda: runner.read_json(books.atoll.home / f"sandboxes/{name}/sandbox.json"))
    return name, note["keeper"]


def test_a_killed_keeper(books, world):
    """What it held is returned by the next command: what it can have used since the last settlement is spent."""
    books.account("org", "wall 1h", "sandboxes 1")
    process = books.start(books.policy("org", "time: {wall: 10m}\n"), "sleep", "300")
    assert runner.eventually(lambda: books.stands("org", "wall")[0] > 0)
    name, keeper = keeper_of(books)
    os.kill(keeper, 9)
    process.wait(timeout=runner.TIMEOUT)
    spent, reserved = books.stands("org", "wall")
    assert reserved > 0 and books.stands("org", "sandboxes") == (0, 1)
    assert books.ok("reap").out.startswith("removed: 1 ")
    assert books.stands("org", "wall") == (spent + 1000, 0) and books.stands("org", "sandboxes") == (0, 0)
    [reaped] = [e["data"] for e in books.events(name) if e["event"] == "reaped"]
    assert reaped["account"] == "org" and reaped["returned"] is True
    assert books.run(books.policy("org", "time: {wall: 10m}\n"), "true").status == 0


def test_what_is_not_gone_holds_on(file, world, need_root):
    """A group that cannot be removed may have somebody in it: nothing is given back before it is gone."""
    if groups.missing():
        pytest.skip(f"this host has no cgroup controller '{groups.missing()}'")
    file.account("org", "wall 1h")
    process = file.start(file.policy("org", "time: {wall: 10m}\n"), "sleep", "2")
    assert runner.eventually(lambda: file.stands("org", "wall")[0] > 0)
    name, _ = keeper_of(file)
    [group, *_] = runner.read_json(file.atoll.home / f"sandboxes/{name}/sandbox.json")["groups"]
    inner = pathlib.Path(group) / "held"
    inner.mkdir()
    try:
        process.wait(timeout=runner.TIMEOUT)
        assert runner.read_json(process.document)["account"]["spent"] is None
        spent, reserved = file.stands("org", "wall")
        assert spent >= 2000 and reserved > 0
    finally:
        inner.rmdir()
    assert file.ok("reap").out.startswith("removed: 1 ")
    assert file.stands("org", "wall") == (spent + 1000, 0)


def test_a_server_that_goes(world, server, base, atoll):
    """It cannot be asked: what runs is ended, nothing starts, and what was reserved waits."""
    books = Books(atoll, base, f"version: 1\nledger: {server.url}\nsettle_every: 1s\n")
    books.account("org", "wall 1h")
    policy = books.policy("org", "time: {wall: 10m}\n")
    process = books.start(policy, "sleep", "300")
    assert runner.eventually(lambda: books.stands("org", "wall")[0] > 0)
    server.end()
    assert process.wait(timeout=runner.TIMEOUT) in (125, 137)
    result = runner.read_json(process.document)
    assert "it cannot be settled" in result["account"]["why"], result
    refused = books.run(policy, "true")
    assert refused.status == 125 and "cannot open the ledger" in refused.err, refused
    server.begin()
    assert books.ok("reap").out.startswith("removed: 1 ")
    assert books.stands("org", "wall")[1] == 0
    assert books.run(policy, "true").status == 0


def test_a_server_that_stands_still(world, server, base, atoll):
    """The keeper goes on while a settlement is on its way: a limit of time is kept."""
    books = Books(atoll, base, f"version: 1\nledger: {server.url}\nsettle_every: 1s\n")
    books.account("org", "wall 1h")
    process = books.start(books.policy("org", "time: {wall: 4s}\n"), "sh", "-c", "for i in $(seq 300); do echo; sleep 0.1; done")
    assert runner.eventually(lambda: books.stands("org", "wall")[0] > 0)
    name, keeper = keeper_of(books)
    [asked] = [int(pid) for pid in runner.text_of(f"/proc/{keeper}/task/{keeper}/children").split()
               if runner.text_of(f"/proc/{pid}/cmdline") == "atoll-ledger\0"]
    os.kill(asked, 19)
    said = process.stdout.read()
    process.wait(timeout=runner.TIMEOUT)
    [limit] = [e["data"]["limit"] for e in books.events(name) if e["event"] == "limit"]
    assert limit == "wall" and len(said) < 45, (limit, len(said))
    os.kill(asked, 18)  # that it is to end it hears when it goes on
    assert runner.eventually(lambda: not os.path.exists(f"/proc/{asked}"))
    assert books.ok("reap").out.startswith("removed: 1 ")
    assert books.stands("org", "wall")[1] == 0


# Between a keeper and atoll-ledger: it ends when it has the answer to a reservation, which nobody else gets.
THIEF = """#!/usr/bin/python3
import socket, struct, subprocess, sys
front, (ours, theirs) = socket.socket(fileno=0), socket.socketpair()
subprocess.Popen([{real!r}], stdin=theirs)
theirs.close()
def move(a, b):
    head = a.recv(4, socket.MSG_WAITALL)
    text = a.recv(struct.unpack("=I", head)[0], socket.MSG_WAITALL) if len(head) == 4 else sys.exit()
    return text, lambda: b.sendall(head + text)
while True:
    asked, send = move(front, ours)
    send()
    _, send = move(ours, front)
    if b'"reserve"' in asked:
        sys.exit()
    send()
"""


def test_an_answer_that_is_lost(world, server, base, atoll):
    """The ledger has reserved, and the keeper has not heard of it: nothing starts, and the next command gives it back."""
    books = Books(atoll, base, f"version: 1\nledger: {server.url}\nsettle_every: 1s\n")
    books.account("org", "wall 1h")
    real = next(p for p in (atoll.binary.parent / "../libexec/atoll/atoll-ledger", atoll.binary.parent / "atoll-ledger") if p.exists())
    (base / "bin").mkdir()
    shutil.copy(atoll.binary, base / "bin/atoll")
    (base / "bin/atoll-ledger").write_text(THIEF.format(real=str(real.resolve())))
    (base / "bin/atoll-ledger").chmod(0o755)
    own, atoll.binary = atoll.binary, base / "bin/atoll"
    result = books.run(books.policy("org", "time: {wall: 10m}\n"), "true")
    atoll.binary = own
    assert (result.status, result.reason) == (125, "error:system") and "atoll-ledger does not answer" in result.err, result
    assert books.stands("org", "wall") == (0, 600000)
    assert books.ok("reap").out.startswith("removed: 1 ")
    assert books.stands("org", "wall") == (1000, 0)


@pytest.mark.parametrize("wall, reason", [("3s", "limit:wall"), ("60s", "limit:account")])
def test_a_ledger_that_is_locked(file, world, wall, reason):
    """Who waits for the ledger looks at the limits meanwhile, and who does not get it in five seconds has not agreed."""
    file.account("org", "wall 1h")
    process = file.start(file.policy("org", f"time: {{wall: {wall}}}\n"), "sh", "-c",
                         "for i in $(seq 120); do echo; sleep 0.1; done; sleep 60")
    assert runner.eventually(lambda: file.stands("org", "wall")[0] > 0)
    with sqlite3.connect(file.atoll.home / "ledger/ledger.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stdout.read()))
        reader.start()
        reader.join(4 if reason == "limit:wall" else 8)
        other.execute("ROLLBACK")
    assert process.wait(timeout=runner.TIMEOUT) == (124 if reason == "limit:wall" else 137)
    reader.join()
    result = runner.read_json(process.document)
    assert result["reason"] == reason, result
    if reason == "limit:wall":
        assert len(said[0]) < 35, "it ran on while its keeper waited"
    else:
        assert "it cannot be settled" in result["account"]["why"]
    assert file.stands("org", "wall")[1] == 0


def test_no_room_for_the_ledger(file, world, need_user):
    """A ledger that cannot be written: nothing starts with an account, and everything without one."""
    file.account("org", "wall 1h")
    ledger = file.atoll.home / "ledger"
    for path in ledger.iterdir():
        path.chmod(0o400)
    result = file.run(file.policy("org"), "true")
    assert (result.status, result.reason) == (125, "error:system") and "the ledger" in result.err, result
    assert file.atoll.run("true").status == 0
    (ledger / "ledger.db").chmod(0o600)


def test_a_ledger_that_is_damaged(file, world):
    file.account("org", "wall 1h")
    (file.atoll.home / "ledger/ledger.db").write_bytes(b"no database" * 1000)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (file.atoll.home / "ledger" / name).unlink(missing_ok=True)
    result = file.run(file.policy("org"), "true")
    assert (result.status, result.reason) == (125, "error:system") and "not a database" in result.err, result


def test_without_an_account(file, world):
    """No ledger is opened, nor made; the configuration is not even read."""
    file.write("what: is this\n")
    result = file.run(file.plain(), "true")
    assert result.status == 0 and result.document["account"] is None, result
    assert not (file.atoll.home / "ledger").exists()


@pytest.mark.parametrize("text, said", [
    ("ledger: sqlite\n", "config.yaml:1:1: version is missing"), ("version: 2\n", "config.yaml:1:10: version"),
    ("version: 1\nledgre: sqlite\n", "config.yaml:2:1: unknown key 'ledgre'"), ("version: 1\nversion: 1\n", "config.yaml:2:1: duplicate key"),
    ("version: 1\nledger: mysql://x\n", "config.yaml:2:9: ledger: expected 'sqlite', 'system', 'unix:/PATH' or 'postgres://"),
    ("version: 1\nledger: [sqlite]\n", "config.yaml:2:9: ledger: expected a single value, found a list"),
    ("version: 1\nsettle_every: 1ms\n", "config.yaml:2:15: settle_every"), ("- x\n", "config.yaml:1:1: "), ("", "config.yaml:1:1: "),
])
def test_configurations_that_are_none(file, text, said):
    file.write(text)
    result = file.tool("account", "list")
    assert result.status == 125 and said in result.err, result


def test_a_configuration_that_others_could_write(file):
    file.write("version: 1\n").chmod(0o666)
    result = file.tool("account", "list")
    assert result.status == 125 and "writable by nobody else" in result.err, result


def test_the_command_line(file, world, base):
    file.account("org", "money 12.5 --per month", "cpu 90s", "memory 1.5", "egress 10GiB", "tokens 1000 --model m --per day")
    shown = json.loads(file.ok("account", "show", "org", "--json").out)
    assert {b["dimension"]: b["amount"] for b in shown["budgets"]} == {
        "money": 12500000, "cpu": 90000, "memory": 1536, "egress": 10 << 30, "tokens": 1000}
    assert "12.50 USD" in file.ok("account", "show", "org").out
    file.ok("account", "set-budget", "org", "cpu", "none")
    assert "cpu" not in file.ok("account", "show", "org").out
    for words in (("set-budget", "org", "cpu", "1.x"), ("set-budget", "org", "food", "1"), ("set-budget", "org", "cpu"), ("create",),
                  ("set-budget", "org", "money", "-1"), ("set-budget", "org", "money", "1.1234567"), ("show", "nobody"), ("create", "a b"),
                  ("usage", "--since", "yesterday"), ("price", "--set", "cpu"), ("price", "--set", "model:m=1"), ("price", "--set", "food=1")):
        result = file.tool("account", *words)
        assert result.status == 125 and result.err.startswith("atoll: ") and result.err.count("\n") == 1 and result.out == "", result
    # A model has the name that somebody has given it.
    file.ok("account", "price", "--set", "model:m\x1b[2K\u202em=1/1")
    file.ok("account", "set-budget", "org", "tokens", "1", "--model", "m\u202e\u009b2K")
    for shown in (file.ok("account", "price").out, file.ok("account", "show", "org").out):
        assert r"\u{202e}" in shown and not {"\x1b", "\u202e", "\u009b"} & set(shown), shown
    metrics = base / "atoll.prom"
    file.ok("account", "report", "--prometheus", metrics)
    assert 'atoll_account_sandboxes{account="org",currency="USD"} 0\n' in metrics.read_text() and os.stat(metrics).st_mode & 0o777 == 0o644
    assert [p.name for p in base.glob("atoll.prom*")] == ["atoll.prom"]


def test_a_sandbox_that_lives(file, world):
    """It reserves for its session, and is idle where nothing happens."""
    file.account("org", "wall 2h")
    policy = file.policy("org", "time: {session: 1h}\n")
    result = file.tool("create", "--policy", policy, "--name", "work", "--quiet")
    result = result if result.status == 0 else file.tool("create", "--policy", policy, "--name", "work")
    assert result.status == 0, result
    assert sum(file.stands("org", "wall")) == 3600000
    idle = lambda: json.loads(file.ok("account", "report", "--json").out)[0]["idle"]  # noqa: E731
    assert runner.eventually(lambda: idle() == 1)
    assert file.tool("exec", "work", "true").status == 0
    assert file.tool("stop", "work").status == 0
    spent, reserved = file.stands("org", "wall")
    assert spent > 1000 and reserved == 0
    file.tool("rm", "--force", "work")


def test_modes(file):
    file.account("org")
    ledger = file.atoll.home / "ledger"
    assert {pathlib.Path(p).name: os.stat(p).st_mode & 0o777 for p in (ledger, *ledger.iterdir())} == {
        "ledger": 0o700, **{p.name: 0o600 for p in ledger.iterdir()}}
    with sqlite3.connect(ledger / "ledger.db") as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
