# SPDX-License-Identifier: Apache-2.0
"""A ledger for the users of a host: it binds who cannot write it, and nobody keeps others from it."""
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness import runner, served
from harness.served import ALICE, BOB, ROOT, WRITER, Person

CONFIG = "version: 1\nledger: unix:{socket}\nsettle_every: 1s\n"
DIGITS = "ab" * 32


@pytest.fixture
def writer(base, atoll):
    made = served.Writer(base, atoll)
    yield made
    made.end()
    made.log.close()


@pytest.fixture
def people(base, writer):
    """Makes persons; what they have left running is ended."""
    made = []

    def person(uid, name=None, config=CONFIG, own=""):
        made.append(Person(base / (name or f"person-{uid}"), uid, config.format(socket=writer.socket), own))
        return made[-1]
    yield person
    for somebody in made:
        somebody.atoll.end()


@pytest.fixture
def admin(people):
    """Root, or where there is none the writer's own user."""
    return people(0 if ROOT else WRITER, "admin")


def status_of(pid):
    return dict(re.findall(r"(\w+):[\t ]*(.*?) *\n", runner.text_of(f"/proc/{pid}/status")))


def test_its_walls(writer):
    """Nobody, with no rights, no more of the host's files than the ledger, and a filter."""
    status = status_of(writer.process.pid)
    assert status["Uid"].split() == [str(WRITER)] * 4 and (not ROOT or status["Groups"] == "")
    assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapEff"], 16), int(status["CapPrm"], 16)) == ("1", "2", 0, 0)
    assert not ROOT or int(status["CapBnd"], 16) == 0
    limits = runner.text_of(f"/proc/{writer.process.pid}/limits")
    assert re.search(r"Max core file size\s+0 +0", limits) and re.search(r"Max processes\s+0 +0", limits)
    if ROOT:  # not dumpable: what /proc has of it is root's
        assert os.stat(f"/proc/{writer.process.pid}/mem").st_uid == 0
    for path in (writer.directory, writer.directory / "ledger"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (WRITER, 0o700)
    assert {p.stat().st_mode & 0o777 for p in (writer.directory / "ledger").iterdir()} == {0o600}
    assert writer.socket.stat().st_mode & 0o777 == 0o666
    assert writer.end() == 0


def test_one_of_them(writer):
    again = subprocess.run([str(w) for w in writer.command("--socket", writer.socket)], capture_output=True, timeout=runner.TIMEOUT)
    assert again.returncode == 1 and b"another atoll-ledger serves" in again.stderr
    assert writer.answers()


@pytest.mark.parametrize("words, said", [
    (["--directory"], "'--directory' is no option, or has no value"), (["--food"], "'--food' is no option"), (["x"], "'x' is too much"),
    (["--user", "no-such-user"], "there is no user 'no-such-user'; make it"), (["--user", "0"], "not served as root"),
])
def test_words(base, atoll, words, said):
    result = runner.capture([served.program(atoll), "serve", *words], cwd=base)
    assert result.status == 1 and said in result.err and result.err.count("\n") == 1, result
    assert not any(base.glob("**/ledger.db"))


def test_a_directory_that_others_enter(base, atoll):
    open_to_all = base / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    if ROOT:
        os.chown(open_to_all, WRITER, WRITER)
    result = runner.capture([served.program(atoll), "serve", "--directory", open_to_all, "--socket", base / "run/s",
                             *(["--user", str(WRITER)] if ROOT else [])])
    assert result.status == 1 and "nobody else may enter it" in result.err, result


@pytest.mark.parametrize("mode, owner", [(0o777, None), (0o1777, None), (0o775, None), (0o755, ALICE)])
def test_a_socket_where_others_write(base, atoll, mode, owner):
    """Whoever connects would trust nobody there, and a name there is anybody's to change meanwhile."""
    if owner is not None and not ROOT:
        pytest.skip("needs root")
    place = base / "run"
    place.mkdir()
    place.chmod(mode)
    if owner is not None:
        os.chown(place, owner, owner)
    result = runner.capture([served.program(atoll), "serve", "--directory", base / "served", "--socket", place / "s",
                             *(["--user", str(WRITER)] if ROOT else [])])
    assert result.status == 1 and "nobody else may write there" in result.err and not list(place.iterdir()), result


def test_from_start_to_end(world, admin, people, writer):
    """Somebody who may use an account, as with any other ledger."""
    admin.account("org", "wall 1h")
    admin.account("team", parent="org")
    user = people(ALICE, "user")
    if ROOT:
        admin.ok("account", "allow", "org", "--user", ALICE)
    result = user.run(user.policy("team", "time: {wall: 10m}\n"), "sleep", "1.5")
    assert result.status == 0, result
    spent = result.document["account"]["spent"]
    assert spent["wall"] >= 1500 and admin.stands("org", "wall") == (spent["wall"], 0)
    assert user.ok("audit", "verify").status == 0
    shown = json.loads(user.ok("account", "list", "--json").out)
    assert [a["account"] for a in shown] == ["org", "team"]
    # Without an account nobody needs the ledger but for anchors.
    assert user.run(user.plain(), "true").status == 0


def test_two_users(world, admin, people, writer, need_root):
    """What is not allowed is refused by name, in the commands and at the socket."""
    admin.account("org", "wall 1h", "sandboxes 5")
    admin.account("team", parent="org")
    admin.account("other")
    admin.ok("account", "allow", "team", "--user", ALICE)
    admin.ok("account", "allow", "other", "--user", BOB)
    assert f"uid {ALICE} may use it, as 'team'" in admin.ok("account", "show", "team").out
    alice, bob = people(ALICE, own="version: 1\nledger: sqlite\n"), people(BOB)
    for account in ("other", "org", "nobody"):
        marker = alice.atoll.workspace / "ran"
        result = alice.run(alice.policy(account), "touch", marker, options=("--workspace", f"{alice.atoll.workspace}:direct"))
        assert (result.status, result.reason) == (125, "error:policy") and not marker.exists(), result
        assert f"there is no account '{account}' that uid {ALICE} may use; root allows it: 'atoll account allow {account} --user {ALICE}'" in result.err
    process = alice.start(alice.policy("team", "time: {wall: 10m}\n"), "sleep", "4")
    assert runner.eventually(lambda: admin.stands("org", "wall")[0] > 0)
    [sandbox] = os.listdir(alice.atoll.home / "sandboxes")
    before = admin.stands("org", "sandboxes")
    hexes = {"head": DIGITS, "root": DIGITS, "signature": DIGITS}
    for request in ({"op": "settle", "used": {"wall": 3600000}}, {"op": "release", "used": {}}, {"op": "return"},
                    {"op": "tokens", "model": "m", "in": 1, "out": 1}, {"op": "anchor", "size": 1, **hexes}, {"op": "retire", "why": ""},
                    {"op": "reserve", "account": "other", "most": {}, "step": {}}):
        error = writer.ask_as(BOB, sandbox=sandbox, **request)["error"]
        assert error["message"] == f"sandbox {sandbox} is another user's" and error["code"] == 1, request
    for words in (("create", "mine"), ("close", "team"), ("set-budget", "team", "wall", "9h"), ("price", "--set", "cpu=1"),
                  ("allow", "other", "--user", str(ALICE)), ("disallow", "team", "--user", str(ALICE))):
        for person in (alice, bob):
            result = person.tool("account", *words)
            assert result.status == 125 and "only root may ask it" in result.err, result
    assert json.loads(bob.ok("account", "report", "--json").out)[0]["account"] == "other"
    assert json.loads(bob.ok("account", "usage", "--json").out) == []
    assert bob.tool("account", "show", "team").status == 125 and bob.tool("account", "usage", "team").status == 125
    assert admin.stands("org", "sandboxes") == before
    assert process.wait(timeout=runner.TIMEOUT) == 0
    assert admin.stands("org", "sandboxes") == (0, 0)
    # Each sees their own rows of the anchors, and that the chain holds.
    assert alice.ok("audit", "verify").status == 0
    rows = writer.ask_as(BOB, op="anchors")["anchors"]
    assert rows and all(set(row) == {"n", "prev", "digest"} for row in rows if row.get("uid") != BOB)
    # What is taken back holds for what starts now.
    admin.ok("account", "disallow", "team", "--user", ALICE)
    assert alice.run(alice.policy("team"), "true").status == 125
    assert admin.tool("account", "disallow", "team", "--user", ALICE).status == 125


def test_its_own_clock(admin, writer, need_root):
    """Somebody without atoll, who says that nothing was used: it counts as the time it was held, and costs that."""
    admin.account("org", "wall 1h", "money 100")
    admin.ok("account", "price", "--set", "wall=3600")
    admin.ok("account", "allow", "org", "--user", ALICE)
    begin = time.monotonic()
    for sandbox in ("s-a", "s-b"):
        reply = writer.ask_as(ALICE, op="reserve", sandbox=sandbox, account="org", most={"wall": 20000}, step={"wall": 1})
        assert reply["reserved"]["wall"] == 20000, reply
    runner.eventually(lambda: time.monotonic() - begin > 2)
    assert writer.ask_as(ALICE, op="settle", sandbox="s-a", used={})["answer"] == "ok"
    for op, sandbox in (("release", "s-a"), ("return", "s-b")):
        spent = writer.ask_as(ALICE, op=op, sandbox=sandbox, used={})["spent"]
        assert 2000 <= spent["wall"] < 20000 and spent["money"] == spent["wall"] * 1000, spent
    # It cannot be taken back, nor begun anew.
    assert writer.ask_as(ALICE, op="release", sandbox="s-a", used={})["error"]["code"] == 116
    assert writer.ask_as(ALICE, op="reserve", sandbox="s-a", account="org", most={"wall": 1}, step={})["error"]["code"] == 17


def test_how_much_one_user_holds(admin, writer, need_root):
    """A thousand sandboxes of one user, and no more; others go on."""
    admin.account("org")
    for uid in (ALICE, BOB):
        admin.ok("account", "allow", "org", "--user", uid)
    asks = b"".join(json.dumps({"op": "reserve", "sandbox": f"s-{n}", "account": "org", "most": {"wall": 1}, "step": {}}).encode() + b"\n"
                    for n in range(1001))
    with writer.client(ALICE) as client:
        out, _ = client.communicate(asks, timeout=runner.TIMEOUT)
    replies = [json.loads(line) for line in out.splitlines()]
    assert all("reserved" in r for r in replies[:1000]) and "nobody may have more" in replies[1000]["error"]["message"]
    assert "reserved" in writer.ask_as(BOB, op="reserve", sandbox="s-bob", account="org", most={"wall": 1}, step={})


# Holds as many connections as it gets, each with its own kind of misbehaviour, until it is ended.
NUISANCE = """
import json, socket, struct, sys, time
kept = []
def add(data):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    try:
        s.connect(sys.argv[1])
        s.setblocking(False)
        s.send(data)
        kept.append(s)
    except OSError:
        pass
asked = json.dumps({"op": "usage"}).encode()
kinds = [b"", b"\\x10", struct.pack("=I", 5000) + b"{", struct.pack("=I", 0xffffffff), b"GET / HTTP/1.1\\r\\n\\r\\n",
         struct.pack("=I", 3) + b"[1]", struct.pack("=I", 4) + b"nul0", (struct.pack("=I", len(asked)) + asked) * 200]
for n in range(600):
    add(kinds[n % len(kinds)])
print("there", flush=True)
while True:
    for s in kept:
        try:
            s.send(b" ")
        except OSError:
            pass
    add(kinds[n % len(kinds)])
    n += 1
    time.sleep(0.001)
"""


def test_nuisances(world, admin, people, writer):
    """Half a message, garbage, floods and connections that are held: nobody else waits for that."""
    admin.account("org", "wall 1h")
    user = people(ALICE, "user")
    if ROOT:
        admin.ok("account", "allow", "org", "--user", ALICE)
    policy = user.policy("org", "time: {wall: 10m}\n")
    quiet = user.run(policy, "true")
    assert quiet.status == 0, quiet
    nuisance = subprocess.Popen([*served.as_user(BOB), "/usr/bin/python3", "-c", NUISANCE, writer.socket], stdout=subprocess.PIPE)
    try:
        assert nuisance.stdout.readline() == b"there\n"
        if ROOT:  # another user's; one's own connections are limited like anybody's
            for _ in range(3):
                loud = user.run(policy, "true")
                assert loud.status == 0 and loud.seconds < quiet.seconds + 2 * runner.SLOW, loud
            started = user.start(policy, "sleep", "3")
            assert started.wait(timeout=runner.TIMEOUT) == 0, started.stderr.read()
            assert admin.stands("org", "wall")[1] == 0
            assert len(os.listdir(f"/proc/{writer.process.pid}/fd")) < 256 + 32
    finally:
        nuisance.kill()
        nuisance.wait()
        nuisance.stdout.close()
    assert runner.eventually(lambda: writer.answers())
    # What was said of them is a few lines.
    assert 0 < writer.said().count("a client of uid") < 10 and writer.process.poll() is None


@pytest.mark.parametrize("data", [pytest.param(b"", marks=pytest.mark.long), b"\x02", struct.pack("=I", 9) + b"{"], ids=["nothing", "half a length", "half a request"])
def test_who_says_nothing_is_dropped(writer, data):
    with writer.connect() as sock:
        sock.sendall(data)
        begin = time.monotonic()
        assert sock.recv(1) == b""
        assert time.monotonic() - begin < (33 if not data else 8) * runner.SLOW


def test_killed_and_begun_again(world, admin, people, writer):
    """kill -9: what was acknowledged is there, and a sandbox that settles meanwhile goes on."""
    admin.account("org", "wall 1h")
    user = people(ALICE, "user")
    if ROOT:
        admin.ok("account", "allow", "org", "--user", ALICE)
    process = user.start(user.policy("org", "time: {wall: 10m}\n"), "sleep", "8")
    assert runner.eventually(lambda: admin.stands("org", "wall")[0] > 0)
    for _ in range(3):
        before = admin.stands("org", "wall")
        writer.end(signal.SIGKILL)
        refused = user.run(user.policy("org"), "true")
        assert refused.status == 125 and "cannot reach the ledger at" in refused.err and "is 'atoll-ledger serve' running?" in refused.err, refused
        writer.begin()
        after = admin.stands("org", "wall")
        assert after[0] >= before[0] and sum(after) == sum(before) == 600000
        assert runner.eventually(lambda: admin.stands("org", "wall")[0] > after[0])
    assert process.wait(timeout=runner.TIMEOUT) == 0, process.stderr.read()
    spent, reserved = admin.stands("org", "wall")
    assert spent >= 8000 and reserved == 0


# Holds as many connections as one user may have, until it is ended.
CROWD = """
import socket, sys
kept = [socket.socket(socket.AF_UNIX) for _ in range(256)]
for s in kept:
    s.connect(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
"""


def test_too_many_at_once(world, admin, people, writer, need_root):
    """Whoever settles while all of their user's connections are taken does so again."""
    admin.account("org", "wall 1h")
    user = people(ALICE, "user")
    admin.ok("account", "allow", "org", "--user", ALICE)
    process = user.start(user.policy("org", "time: {wall: 10m}\n"), "sleep", "8")
    assert runner.eventually(lambda: admin.stands("org", "wall")[0] > 0)
    with subprocess.Popen([*served.as_user(ALICE), "/usr/bin/python3", "-c", CROWD, writer.socket],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout.readline() == b"there\n"
        assert runner.eventually(lambda: len(os.listdir(f"/proc/{writer.process.pid}/fd")) > 256)
        before, begin = admin.stands("org", "wall"), time.monotonic()
        runner.eventually(lambda: time.monotonic() - begin > 2.5)
        assert process.poll() is None and admin.stands("org", "wall") == before
        crowd.stdin.close()
    assert runner.eventually(lambda: admin.stands("org", "wall")[0] > before[0])
    assert process.wait(timeout=runner.TIMEOUT) == 0, process.stderr.read()


def test_many_at_once(admin, writer, need_root):
    """200 at the same time, room for 37: 37, also where the writer is killed among them."""
    admin.account("org", "wall 37999ms")
    admin.ok("account", "allow", "org", "--user", ALICE)
    answers = []

    def one(n):
        with contextlib.suppress(OSError):
            answers.append(writer.ask_as(ALICE, op="reserve", sandbox=f"s-{n}", account="org", most={"wall": 1000, "sandboxes": 1}, step={}))
    # Everybody has a process; they are started in waves of what two CPUs can have at once.
    threads = [threading.Thread(target=one, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("reserved" in a for a in answers) == 37 and sum(a.get("error", {}).get("code") == 122 for a in answers) == 163
    assert admin.stands("org", "wall") == (0, 37000)


def test_who_listens(base, writer, people, admin, need_root):
    """A socket where everybody may write, or of somebody who is neither root nor its directory's owner, is no ledger."""
    shared = base / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    theirs = base / "theirs"
    theirs.mkdir()
    os.chown(theirs, ALICE, ALICE)
    # The last one: root has made the socket, and given it to a process of BOB's that listens.
    for where, uid in ((shared, BOB), (theirs, BOB)):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(where / "s"))
            os.chmod(where / "s", 0o666)
            listener = subprocess.Popen([*served.as_user(uid), "/usr/bin/python3", "-c",
                                         f"import socket; s = socket.socket(fileno={sock.fileno()}); s.listen(); print('up', flush=True); s.accept()[0].recv(1)"],
                                        pass_fds=[sock.fileno()], stdout=subprocess.PIPE)
            assert listener.stdout.readline() == b"up\n"
        person = people(ALICE, f"asks-{where.name}", f"version: 1\nledger: unix:{where}/s\n")
        result = person.run(person.policy("org"), "true")
        assert result.status == 125 and "is not to be trusted" in result.err, result
        listener.kill()
        listener.wait()
        listener.stdout.close()


def test_a_socket_that_is_passed(base, atoll, writer):
    """LISTEN_FDS, as a service manager has it."""
    writer.end()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(base / "run/passed"))
        sock.listen()
        os.dup2(sock.fileno(), 3) if sock.fileno() != 3 else None
        command = " ".join(str(w) for w in writer.command())
        process = subprocess.Popen(["/bin/sh", "-c", f"LISTEN_FDS=1 LISTEN_PID=$$ exec {command}"], pass_fds=[3])
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(runner.TIMEOUT)
            client.connect(str(base / "run/passed"))
            client.sendall(served.packed(op="list"))
            assert served.read_reply(client) == {"accounts": []}
    finally:
        process.terminate()
        assert process.wait(timeout=runner.TIMEOUT) == 0


def test_where_the_system_has_it(world, base, writer, people, admin, need_root):
    """`ledger: system` is the socket in /run/atoll, here one of a mount namespace; and where root has said so nobody has another."""
    admin.account("org")
    admin.ok("account", "allow", "org", "--user", ALICE)
    person = people(ALICE, config="version: 1\nledger: system\n", own="version: 1\nledger: sqlite\n")
    argv, env = person.wrap([person.atoll.binary, "account", "list", "--quiet"])
    over = 'mount -t tmpfs none /run && mkdir /run/atoll && mount --bind "$0" /run/atoll && exec "$@"'
    result = runner.capture(["unshare", "--mount", "--", "/bin/sh", "-c", over, base / "run", *argv], env=env, cwd=person.base)
    assert (result.status, result.out) == (0, "org\n"), result
    away = person.tool("account", "list")
    assert away.status == 125 and "cannot reach the ledger at '/run/atoll/ledger.sock'" in away.err, away


def test_strangers(world, writer, admin, need_root):
    """Who may use no account adds nothing, whoever of many they are."""
    for uid in (BOB, BOB + 1):
        for request in ({"op": "anchor", "sandbox": "s-1", "size": 1, "head": DIGITS, "root": DIGITS, "signature": DIGITS}, {"op": "report"},
                        {"op": "return", "sandbox": "s-1"}):
            assert "may use no account of this ledger" in writer.ask_as(uid, **request)["error"]["message"]
    assert writer.ask_as(BOB, op="anchors")["count"] == 0


@pytest.mark.parametrize("wall, reason", [("3s", "limit:wall"), ("60s", "limit:account")])
def test_a_writer_that_stands_still(world, admin, people, writer, wall, reason):
    """The keeper does not wait for it: a limit of time ends the sandbox when it is due, and eight seconds without an answer do."""
    admin.account("org", "wall 1h")
    user = people(ALICE, "user")
    if ROOT:
        admin.ok("account", "allow", "org", "--user", ALICE)
    process = user.start(user.policy("org", f"time: {{wall: {wall}}}\n"), "sh", "-c", "for i in $(seq 300); do echo; sleep 0.1; done; sleep 60")
    assert runner.eventually(lambda: admin.stands("org", "wall")[0] > 0)
    writer.process.send_signal(signal.SIGSTOP)
    said = process.stdout.read()
    # It could not be released either, which the next command does.
    assert process.wait(timeout=runner.TIMEOUT) == 125
    result = runner.read_json(process.document)
    [limit] = [e["data"]["limit"] for e in user.events(result["sandbox"]) if e["event"] == "limit"]
    assert f"limit:{limit}" == reason, result
    lines = len(said.splitlines())
    assert lines < 35 if reason == "limit:wall" else 60 < lines < 130, lines
    if reason == "limit:account":
        assert "it cannot be settled" in result["account"]["why"]
    writer.process.send_signal(signal.SIGCONT)
    assert writer.answers()
    user.ok("reap")
    assert admin.stands("org", "wall")[1] == 0


def kill_some(user, policy, n=1):
    """Sandboxes whose keepers are dead: their ids."""
    started = [user.start(policy, "sh", "-c", "echo up; exec sleep 300") for _ in range(n)]
    assert all(process.stdout.readline() == b"up\n" for process in started)
    names = os.listdir(user.atoll.home / "sandboxes")
    for name in names:
        os.kill(runner.read_json(user.atoll.home / f"sandboxes/{name}/sandbox.json")["keeper"], signal.SIGKILL)
    for process in started:
        process.wait(timeout=runner.TIMEOUT)
    return names


@pytest.fixture
def user(admin, people):
    admin.account("org", "wall 1h")
    person = people(ALICE, "user")
    if ROOT:
        admin.ok("account", "allow", "org", "--user", ALICE)
    return person


def test_orphans_of_a_silent_ledger(world, writer, admin, user):
    """Who looks for the dead asks a ledger that does not answer; nobody who starts something waits for that."""
    policy = user.policy("org", "time: {wall: 10m}\n")
    dead = kill_some(user, policy, 3)
    spent, held = admin.stands("org", "wall")
    assert spent + held == 1800000 and len(dead) == 3
    writer.process.send_signal(signal.SIGSTOP)
    argv, env = user.wrap([user.atoll.binary, "reap"])
    begin = time.monotonic()
    looks = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    asking = lambda: (user.atoll.home / "sandboxes").exists() and len(waiting()) < 3  # noqa: E731

    def waiting():
        """Those that nobody has locked."""
        free = []
        for name in dead:
            with contextlib.suppress(OSError):
                fd = os.open(user.atoll.home / f"sandboxes/{name}", os.O_RDONLY)
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    free.append(name)
                os.close(fd)
        return free
    assert runner.eventually(asking)
    seconds = []
    plain = user.plain()
    for _ in range(2):
        start = time.monotonic()
        process = user.start(plain, "echo", "up")
        assert process.stdout.readline() == b"up\n"
        seconds.append(time.monotonic() - start)
    out, err = looks.communicate(timeout=runner.TIMEOUT)
    assert looks.returncode == 125 and b"cannot return what sandbox" in err, err
    # Once, not for each of them; and nobody else in line behind that.
    assert 7 < time.monotonic() - begin < 15 * runner.SLOW
    assert max(seconds) < 3 * runner.SLOW, seconds
    assert set(dead) <= set(os.listdir(user.atoll.home / "sandboxes"))
    writer.process.send_signal(signal.SIGCONT)
    assert runner.eventually(writer.answers)
    # Killed while it returns, again and again: each is returned once in the end.
    for n in range(6):
        looks = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        threading.Event().wait(0.01 * (n + 1))
        runner.kill_tree(looks)
        looks.wait()
    user.ok("reap")
    spent, held = admin.stands("org", "wall")
    assert held == 0 and 3000 <= spent < 300000 and not set(dead) & set(os.listdir(user.atoll.home / "sandboxes"))
    for name in dead:
        reaped = [e["data"] for e in user.events(name) if e["event"] == "reaped"]
        assert reaped and sum(e["returned"] for e in reaped) <= 1, reaped


@pytest.mark.parametrize("text", ["", "{\"account\": ", "[]"])
def test_a_note_that_cannot_be_read(world, writer, admin, user, text):
    """The ledger knows whose it was."""
    [name] = kill_some(user, user.policy("org", "time: {wall: 10m}\n"))
    for group in runner.read_json(user.atoll.home / f"sandboxes/{name}/sandbox.json")["groups"]:
        runner.eventually(lambda: not os.path.exists(group) or os.rmdir(group) is None)
    (user.atoll.home / f"sandboxes/{name}/sandbox.json").write_text(text)
    assert admin.stands("org", "wall")[1] > 0
    assert user.ok("reap").out.startswith("removed: 1 ")
    assert admin.stands("org", "wall")[1] == 0
    [reaped] = [e["data"] for e in user.events(name) if e["event"] == "reaped"]
    assert reaped["account"] == "org" and reaped["returned"] is True


def test_what_nobody_gives_back(world, writer, admin, user):
    """Of a host that never comes back: named by `orphans`, given back by `return`, once."""
    reply = writer.ask_as(ALICE, op="reserve", sandbox="s-lost", account="org", most={"wall": 1000}, step={"wall": 1})
    assert "reserved" in reply
    assert json.loads(admin.ok("account", "orphans", "--json").out) == []
    assert "SANDBOX" in user.ok("account", "orphans").out
    assert user.ok("account", "return", "s-lost").out == ""
    assert admin.stands("org", "wall")[1] == 0
    again = user.tool("account", "return", "s-lost")
    assert again.status == 125 and "the ledger holds nothing for sandbox s-lost" in again.err, again
