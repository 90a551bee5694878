# SPDX-License-Identifier: Apache-2.0
"""Anchors: what the ledger and others know of records, and what is found with that; retention."""
import fcntl
import hashlib
import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

from harness import runner
from harness.books import Books


@pytest.fixture
def books(atoll, base, world):
    return lambda config="": Books(atoll, base, "version: 1\n" + config)


def sealed(books, sandbox, last="checkpoint"):
    path = books.atoll.home / "trail" / f"{sandbox}.jsonl"

    def lines():
        found = path.read_bytes().splitlines()
        return found if found and json.loads(found[-1])["event"] == last else None
    found = runner.eventually(lines, 20)
    assert found, path.read_bytes()[-300:]
    return path, found


def run(books, *options, command=("true",)):
    done = books.run(books.plain(), *command, options=options)
    assert done.status == 0, done
    return done.document["sandbox"]


def verify(books, *words):
    done = books.tool("audit", "verify", "--json", *words)
    assert done.status in (0, 1), done
    return done.status, {row["sandbox"]: row for row in json.loads(done.out)}


def wait_anchored(books, sandbox):
    assert runner.eventually(lambda: verify(books)[1][sandbox]["anchored"] > 0, 20)


def test_the_ledger_knows_how_long_a_record_was(books):
    """H6: the tail cut off, seal and all; an old copy put back; the file gone; and made anew with the key."""
    books = books()
    sandbox = run(books)
    path, lines = sealed(books, sandbox)
    wait_anchored(books, sandbox)
    status, rows = verify(books)
    assert status == 0 and rows[sandbox]["verdict"] == "intact" and rows[sandbox]["anchored"] == len(lines)
    old = path.read_bytes()
    assert books.tool("audit", "review", sandbox).status == 0
    new = path.read_bytes()
    assert verify(books)[1][sandbox]["anchored"] == len(lines) + 2
    path.write_bytes(old)
    status, rows = verify(books)
    assert status == 1 and rows[sandbox]["bad_record"] == len(lines) and "it is missing" in rows[sandbox]["why"]
    path.unlink()
    status, rows = verify(books)
    assert status == 1 and rows[sandbox]["verdict"] == "broken" and "the whole record" in rows[sandbox]["why"]
    path.write_bytes(new)
    assert verify(books)[0] == 0
    # Who has the key can sign another record; the ledger knows the one that there was.
    event = json.loads(lines[2])
    event["data"]["cwd"] = "/elsewhere"
    path.write_bytes(b"\n".join(lines[:2]) + b"\n" +
                     json.dumps(event, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    assert books.tool("audit", "review", sandbox).status == 0, "signed with the key"
    forged = path.read_bytes()
    assert books.tool("audit", "verify", "--file", path).status == 0, "by itself it is as good as the other"
    status, rows = verify(books)
    assert status == 1 and not rows[sandbox]["anchored"] > len(forged.splitlines()), rows
    # As long as the other one, it is told apart from the first record on that was anchored.
    for _ in range(2):
        assert books.tool("audit", "review", sandbox).status == 0
    path.write_bytes(path.read_bytes())
    status, rows = verify(books)
    assert status == 1 and "anchored" in rows[sandbox]["why"], rows


def test_a_ledger_that_was_changed_vouches_for_nothing(books):
    books = books()
    first, second = run(books), run(books)
    for sandbox in (first, second):
        sealed(books, sandbox)
        wait_anchored(books, sandbox)
    db = books.atoll.home / "ledger" / "ledger.db"
    with sqlite3.connect(db) as ledger:
        assert ledger.execute("SELECT count(*) FROM anchor").fetchone()[0] == 2
    with sqlite3.connect(db) as ledger:
        ledger.execute("DELETE FROM anchor WHERE sandbox = ?", (first,))
    status, rows = verify(books)
    assert status == 1 and rows["ledger"]["verdict"] == "broken", rows
    assert rows[first]["anchored"] == rows[second]["anchored"] == 0


def test_anchors_on_their_way(books):
    """A line that was changed before it is in the ledger is none; the others are not held up, nor is half a line."""
    books = books()
    first, second = run(books), run(books)
    for sandbox in (first, second):
        sealed(books, sandbox)
    pending = books.atoll.home / "ledger" / "pending.jsonl"
    assert runner.eventually(lambda: pending.exists() and pending.read_bytes().count(b"\n") == 2)
    assert oct(pending.stat().st_mode)[-3:] == "600" and not (books.atoll.home / "ledger" / "ledger.db").exists()
    lines = [json.loads(line) for line in pending.read_text().splitlines()]
    lines[0]["size"] += 1
    pending.write_text("".join(json.dumps(line) + "\n" for line in lines) + "not json\n" + '{"half')
    status, rows = verify(books)
    anchored = {line["sandbox"]: rows[line["sandbox"]]["anchored"] for line in lines}
    assert status == 0 and anchored[lines[0]["sandbox"]] == 0 and anchored[lines[1]["sandbox"]] > 0
    assert pending.read_bytes() == b""


def test_many_anchors_are_brought_in_on_the_way(books):
    books = books()
    run(books)
    pending = books.atoll.home / "ledger" / "pending.jsonl"
    assert runner.eventually(pending.exists)
    with pending.open("a") as out:
        out.write(f"{'x' * 100}\n" * 500)
    run(books)
    assert runner.eventually(lambda: pending.stat().st_size == 0)
    with sqlite3.connect(books.atoll.home / "ledger" / "ledger.db") as ledger:
        assert ledger.execute("SELECT count(*) FROM anchor").fetchone()[0] == 2


def test_a_file_of_anchors(books, base):
    where = base / "anchors"
    books = books(f"anchor: file:{where}\n")
    sandbox = run(books)
    _, lines = sealed(books, sandbox)
    assert runner.eventually(lambda: where.exists() and where.read_bytes().endswith(b"\n"))
    [row] = map(json.loads, where.read_text().splitlines())
    assert (row["sandbox"], row["size"], row["head"]) == (sandbox, len(lines), hashlib.sha256(lines[-1]).hexdigest())
    assert len(row["signature"]) == 128
    done = books.tool("audit", "verify", "--anchors", where)
    assert done.status == 0 and "anchored" in done.out


def test_a_command_of_anchors(books, base):
    """Its environment is bare, and it has the line as input."""
    where = base / "got"
    books = books(f"anchor: \"command:cat >{where}; env | cut -d= -f1 | sort >{where}.env\"\n")
    sandbox = run(books)
    sealed(books, sandbox)
    assert runner.eventually(lambda: (base / "got.env").exists() and (base / "got.env").read_text())
    assert json.loads(where.read_text())["sandbox"] == sandbox
    assert set((base / "got.env").read_text().split()) <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_anchors_by_http(books, need_program):
    need_program("curl")
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        books = books(f"anchor: http://127.0.0.1:{server.server_port}/anchor\n")
        sandbox = run(books)
        assert runner.eventually(lambda: got, 20)
        server.shutdown()
    assert json.loads(got[0])["sandbox"] == sandbox


@pytest.mark.parametrize("where, why", [("command:exit 3", "exit status 3"), ("file:/proc/none", "cannot open the file of anchors"),
                                        ("file:/dev/null", "is no file to add anchors to"), ("http://127.0.0.1:9/", "the server")],
                         ids=["command", "file", "device", "http"])
def test_what_could_not_be_anchored_is_said(books, where, why):
    books = books(f"anchor: \"{where}\"\n")
    sandbox = run(books)
    _, lines = sealed(books, sandbox)
    assert runner.eventually(lambda: b"anchor_failed" in sealed(books, sandbox)[0].read_bytes(), 20)
    _, lines = sealed(books, sandbox)
    [failed] = [e["data"]["why"] for e in map(json.loads, lines) if e["event"] == "anchor_failed"]
    assert why in failed
    status, rows = verify(books)
    assert status == 0 and rows[sandbox]["sealed"] == len(lines), "sealed all the same"


def test_a_command_that_hangs_is_ended(books, base):
    """Nobody waits for it but the keeper, and that not for ever."""
    books = books("anchor: command:sleep 1000\n")
    begun = time.monotonic()
    sandbox = run(books)
    assert time.monotonic() - begun < 10, "the result was told before"
    path = books.atoll.home / "trail" / f"{sandbox}.jsonl"
    assert runner.eventually(lambda: b"did not take an anchor in 15 s" in path.read_bytes(), 40)


@pytest.mark.parametrize("text, why", [("anchor: elsewhere\n", "anchor: expected 'file:/PATH'"), ("anchor: 'file:'\n", "expected"),
                                       ("checkpoint_every: 1ms\n", "checkpoint_every"), ("trail_keep: 1s\n", "trail_keep")])
def test_a_wrong_configuration_is_refused(books, text, why):
    books = books()
    sandbox = run(books)
    sealed(books, sandbox)
    books.write("version: 1\n" + text)
    done = books.tool("audit", "verify")
    assert done.status == 125 and why in done.err, done


def test_checkpoints_meanwhile(books):
    """What a sandbox did that lives on is signed and in the ledger before its end."""
    books = books("checkpoint_every: 1s\n")
    made = books.ok("create", "--policy", books.plain()).out.strip()
    try:
        assert books.tool("exec", made, "--", "true").status == 0
        assert runner.eventually(lambda: verify(books)[1][made]["sealed"] >= 5, 20)
        status, rows = verify(books)
        assert status == 0 and rows[made]["verdict"] == "running" and rows[made]["anchored"] == rows[made]["sealed"]
        size = (books.atoll.home / "trail" / f"{made}.jsonl").stat().st_size
        time.sleep(2.5)  # nothing happens, and nothing is signed anew
        assert (books.atoll.home / "trail" / f"{made}.jsonl").stat().st_size == size
    finally:
        assert books.tool("rm", "--force", made).status == 0
    # Cut off behind that seal, and nothing else to say so: no record ends without its sandbox's end.
    path, lines = sealed(books, made)
    at = [json.loads(line)["event"] for line in lines].index("checkpoint")
    assert at + 1 < len(lines)
    wait_anchored(books, made)
    shutil.rmtree(books.atoll.home / "ledger")
    path.write_bytes(b"".join(line + b"\n" for line in lines[:at + 1]))
    status, rows = verify(books)
    assert status == 1 and rows[made]["verdict"] == "unsealed" and rows[made]["sealed"] == at + 1, rows
    assert books.tool("audit", "review", made).status == 0 and verify(books)[0] == 0


def test_records_whose_time_is_up(books):
    """What is removed by who may do that is not missing; what somebody else removes is."""
    books = books("trail_keep: 1h\n")
    first, second = run(books), run(books)
    paths = [sealed(books, sandbox)[0] for sandbox in (first, second)]
    for sandbox in (first, second):
        wait_anchored(books, sandbox)
    os.utime(paths[0], (time.time() - 7200,) * 2)
    assert json.loads(books.ok("reap", "--dry-run", "--json").out)["trails"] == 1 and paths[0].exists()
    assert json.loads(books.ok("reap", "--json").out)["trails"] == 1
    assert [p.exists() for p in paths] == [False, True]
    status, rows = verify(books)
    assert status == 0 and set(rows) == {second}
    paths[1].unlink()
    assert verify(books)[0] == 1


def test_a_record_is_kept_as_long_as_a_further_copy(books):
    """The copy of another directory of the workspace waits alone, or somebody is at work on it."""
    books = books("trail_keep: 1h\n")
    sandbox = run(books)
    path, _ = sealed(books, sandbox)
    os.utime(path, (time.time() - 7200,) * 2)
    further = books.atoll.home / "sandboxes" / f"{sandbox}.4"
    further.mkdir(mode=0o700)
    lock = os.open(further, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert json.loads(books.ok("reap", "--json").out)["trails"] == 0 and path.exists()
    further.rmdir()
    os.close(lock)
    assert json.loads(books.ok("reap", "--json").out)["trails"] == 1


def test_a_record_is_kept_as_long_as_its_sandbox(books):
    books = books("trail_keep: 1h\n")
    made = books.ok("create", "--policy", books.plain()).out.strip()
    path = books.atoll.home / "trail" / f"{made}.jsonl"
    os.utime(path, (time.time() - 7200,) * 2)
    assert json.loads(books.ok("reap", "--json").out)["trails"] == 0 and path.exists()
    assert books.tool("rm", "--force", made).status == 0
