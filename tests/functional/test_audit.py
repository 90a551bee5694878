# SPDX-License-Identifier: Apache-2.0
"""atoll audit: records are sealed, verified, shown, reported, exported, and one of them proved."""
import csv
import datetime
import hashlib
import io
import json
import os
import platform
import pty
import re
import shutil
import signal
import stat
import subprocess
import time
import tty

import jsonschema
import pytest

from harness import runner

# ---- sealing ----


def wait_sealed(path):
    """The seal comes when the result has been told."""
    until = time.monotonic() + 10 * runner.SLOW
    while time.monotonic() < until:
        lines = path.read_bytes().splitlines()
        if lines and json.loads(lines[-1])["event"] == "checkpoint":
            return lines
        time.sleep(0.005)
    raise AssertionError(f"never sealed: {path.read_bytes()[-300:]}")


def run(atoll, *command, options=()):
    """A run that has ended: its id and the path of its record, sealed."""
    result = atoll.run(*(command or ("true",)), options=options)
    sandbox = result.document["sandbox"]
    path = atoll.home / "trail" / f"{sandbox}.jsonl"
    wait_sealed(path)
    return sandbox, path


def verdicts(atoll, *words):
    done = atoll.tool("audit", "verify", "--json", *words)
    return done.status, {row["sandbox"]: row for row in json.loads(done.out)}


def test_a_run_is_sealed(atoll, world):
    """The signature holds for openssl(1), too, which knows nothing of us but the text and the key."""
    sandbox, path = run(atoll)
    lines = path.read_bytes().splitlines()
    last = json.loads(lines[-1])
    data = last["data"]
    assert data["size"] == len(lines) - 1 == last["seq"]
    assert data["head"] == hashlib.sha256(lines[-2]).hexdigest() == last["prev"]
    keys = atoll.home / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert stat.S_IMODE((keys / "trail.pem").stat().st_mode) == 0o600
    text = "\n".join(["atoll trail checkpoint 1", sandbox, str(data["size"]), data["head"], data["root"], last["time"], ""])
    (atoll.base / "text").write_text(text)
    (atoll.base / "signature").write_bytes(bytes.fromhex(data["signature"]))
    (atoll.base / "key").write_text(atoll.tool("audit", "key").out)
    done = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key", "-in", "text", "-sigfile",
                           "signature"], cwd=atoll.base, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Signature Verified Successfully" in done.stdout, done
    status, rows = verdicts(atoll)
    assert status == 0 and rows[sandbox]["verdict"] == "intact" and rows[sandbox]["sealed"] == len(lines)


def test_a_failed_start_is_sealed(atoll, world):
    """What did not come to run has a record like any other."""
    result = atoll.run("no-such-program")
    assert result.status == 127
    wait_sealed(atoll.home / "trail" / f"{result.document['sandbox']}.jsonl")
    assert verdicts(atoll)[0] == 0


def test_a_start_that_did_not_get_far_has_a_record(atoll, world):
    """Not even init's image could be made, which is before there is a request."""
    result = atoll.finish(runner.capture(["/bin/sh", "-c", 'ulimit -f 64; exec "$@"', "sh", *atoll.arguments(["/bin/true"], ())],
                                         env=atoll.environment(), cwd=atoll.workspace, timeout=20))
    assert result.status == 125 and "cannot prepare atoll-init" in result.err, result
    [path] = (atoll.home / "trail").glob("*.jsonl")
    wait_sealed(path)
    assert verdicts(atoll)[0] == 0 and "created" in path.read_text()


def test_one_that_runs(live, atoll):
    box = live("--name", "work")
    status, rows = verdicts(atoll)
    assert status == 0 and rows[box.id]["verdict"] == "running" and rows[box.id]["sealed"] == 0
    assert box.shell("true").status == 0
    assert atoll.tool("rm", "--force", box.id).status == 0
    wait_sealed(atoll.home / "trail" / f"{box.id}.jsonl")
    status, rows = verdicts(atoll)
    assert status == 0 and rows[box.id]["verdict"] == "intact"


def test_a_killed_keeper_is_sealed_by_who_finds_it(live, atoll):
    box = live()
    keeper = box.keeper()
    os.kill(keeper, signal.SIGKILL)
    until = time.monotonic() + 10
    while runner.text_of(f"/proc/{keeper}/stat") and time.monotonic() < until:
        time.sleep(0.01)
    status, rows = verdicts(atoll)
    assert status == 0 and rows[box.id]["verdict"] == "intact", rows
    assert box.events()[-1]["event"] == "reaped"


def test_without_a_key_nothing_starts(atoll, world):
    run(atoll)
    key = atoll.home / "keys" / "trail.pem"
    key.unlink()
    key.mkdir()
    if os.geteuid() != 0:
        key.chmod(0)
        done = atoll.tool("run", "--", "true")
        assert done.status == 125 and "the key of this installation cannot be read" in done.err, done
        key.chmod(0o700)
    key.rmdir()
    (atoll.home / "keys").rename(atoll.home / "moved")
    (atoll.home / "keys").write_text("")
    done = atoll.tool("run", "--", "true")
    assert done.status == 125 and "cannot open the directory of keys" in done.err, done


def test_a_key_that_others_can_read_signs_nothing(atoll, world):
    sandbox, _ = run(atoll)
    (atoll.home / "keys" / "trail.pem").chmod(0o644)
    second = atoll.run("true").document["sandbox"]
    status, rows = verdicts(atoll)
    assert status == 1
    assert rows[second]["verdict"] == "unsealed" and rows[sandbox]["verdict"] == "intact"
    done = atoll.tool("audit", "key")
    assert done.status == 125 and "chmod 600" in done.err, done
    # A new one takes over, and what the old one has signed still holds.
    assert atoll.tool("audit", "key", "--rotate").status == 0
    third, _ = run(atoll)
    status, rows = verdicts(atoll, sandbox, third)
    assert status == 0 and {row["verdict"] for row in rows.values()} == {"intact"}


def test_two_first_starts_make_one_key(atoll, world):
    starts = [subprocess.Popen([atoll.binary, "run", "--", "true"], env=atoll.environment(), cwd=atoll.workspace,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(8)]
    assert [p.wait(timeout=60) for p in starts] == [0] * 8
    for path in (atoll.home / "trail").iterdir():
        wait_sealed(path)
    assert len(list((atoll.home / "keys").glob("*.pub"))) == 1
    status, rows = verdicts(atoll)
    assert status == 0 and len(rows) == 8 and {row["verdict"] for row in rows.values()} == {"intact"}


# ---- verifying ----

def forget_anchors(atoll):
    """What the chain and the signature show by themselves (test_anchor.py has the rest)."""
    assert runner.eventually(lambda: verdicts(atoll)[1] and all(row["anchored"] for row in verdicts(atoll)[1].values()), 20)
    shutil.rmtree(atoll.home / "ledger")


def broken(atoll, path, data, *words):
    """The verdict on these bytes in the place of the record."""
    path.write_bytes(data)
    status, rows = verdicts(atoll, *words)
    [row] = rows.values()
    return status, row


def test_damage_is_named(atoll, world):
    """H6: flips, drops, reorder, duplication: the first record that is not as it was is named."""
    sandbox, path = run(atoll)
    forget_anchors(atoll)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for n, line in enumerate(lines):
        at = line.index(b"\"time\":\"") + 12
        flipped = lines[:n] + [line[:at] + bytes([line[at] ^ 1]) + line[at + 1:]] + lines[n + 1:]
        status, row = broken(atoll, path, b"".join(flipped))
        assert (status, row["verdict"], row["bad_record"]) == (1, "broken", n), row
        status, row = broken(atoll, path, b"".join(lines[:n] + lines[n + 1:]))
        if n + 1 < len(lines):
            assert (status, row["verdict"], row["bad_record"]) == (1, "broken", n), row
            status, row = broken(atoll, path, b"".join(lines[:n + 1] + lines[n:]))
            assert (status, row["bad_record"]) == (1, n + 1), row
            swapped = lines[:n] + [lines[n + 1], line] + lines[n + 2:]
            status, row = broken(atoll, path, b"".join(swapped))
            assert (status, row["bad_record"]) == (1, n), row
    for cut in (1, 2, len(lines) - 1):
        status, row = broken(atoll, path, b"".join(lines[:-cut]))
        assert (status, row["verdict"]) == (1, "unsealed" if cut < len(lines) - 1 else "unsealed"), row
    status, row = broken(atoll, path, whole[:-5])
    assert (status, row["verdict"]) == (1, "broken"), row
    status, row = broken(atoll, path, whole)
    assert (status, row["verdict"]) == (0, "intact"), row
    assert row["sandbox"] == sandbox


def rehash(lines):
    """A chain over the lines that a forger makes: all but the signature."""
    prev, made = "0" * 64, []
    for number, line in enumerate(lines):
        event = json.loads(line)
        event["prev"], event["seq"] = prev, number
        if event["event"] == "checkpoint":
            event["data"]["head"], event["data"]["size"] = prev, number
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        made.append(text + b"\n")
        prev = hashlib.sha256(text).hexdigest()
    return made


def test_a_chain_made_anew_has_no_signature(atoll, world):
    _, path = run(atoll)
    lines = path.read_bytes().splitlines()
    forged = [line.replace(b'"true"', b'"ls"') for line in lines]
    assert forged != lines
    forget_anchors(atoll)
    status, row = broken(atoll, path, b"".join(rehash(forged)))
    assert (status, row["verdict"], row["bad_record"]) == (1, "broken", len(lines) - 1), row
    status, row = broken(atoll, path, b"".join(rehash(forged)[:-1]))
    assert (status, row["verdict"]) == (1, "unsealed"), row


@pytest.mark.parametrize("what", ["made anew", "cut off", "damaged"])
def test_nobody_signs_what_somebody_else_has_left(atoll, world, what):
    """What is added to a record later seals it again only if it was sealed, and is as it was."""
    sandbox, path = run(atoll, "/bin/sh", "-c", "echo x >f; unshare -U true", options=("--workspace", f"{atoll.workspace}:copy"))
    forget_anchors(atoll)  # the ledger would know, too
    lines = [line for line in path.read_bytes().splitlines() if json.loads(line)["event"] not in ("checkpoint", "changed")]
    if what == "made anew":
        lines = [line.rstrip(b"\n") for line in rehash([line for line in lines if json.loads(line)["event"] != "denied"])]
    elif what == "cut off":
        lines = lines[:4]
    else:
        lines[2] = lines[2].replace(b'"time":"20', b'"time":"21')
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    verdict = "broken" if what == "damaged" else "unsealed"
    status, rows = verdicts(atoll, sandbox)
    assert status == 1 and rows[sandbox]["verdict"] == verdict, rows
    assert atoll.tool("discard", sandbox).status == 0
    assert json.loads(path.read_bytes().splitlines()[-1])["event"] == "discarded"
    status, rows = verdicts(atoll, sandbox)
    assert status == 1 and rows[sandbox]["verdict"] == verdict, rows
    # Who has looked at it can sign it.
    assert atoll.tool("audit", "review", sandbox).status == 0
    assert verdicts(atoll, sandbox)[0] == (1 if what == "damaged" else 0)


def test_a_reaper_waits_for_no_key(live, atoll):
    """It is recorded once, and what is left of the sandbox goes; there is no seal."""
    box = live()
    keeper = box.keeper()
    (atoll.home / "keys" / "trail.pem").chmod(0o644)
    os.kill(keeper, signal.SIGKILL)
    until = time.monotonic() + 10
    while runner.text_of(f"/proc/{keeper}/stat") and time.monotonic() < until:
        time.sleep(0.01)
    for _ in range(2):
        status, rows = verdicts(atoll)
        assert status == 1 and rows[box.id]["verdict"] == "unsealed", rows
    assert [e["event"] for e in box.events()].count("reaped") == 1


@pytest.mark.parametrize("what", ["whole", "cut off", "added to"])
def test_a_directory_that_is_put_back_gets_no_seal(atoll, world, what):
    """Whoever makes a sandbox that has ended look like one whose keeper died finds nothing signed by that."""
    sandbox, path = run(atoll)
    assert runner.eventually(lambda: verdicts(atoll)[1][sandbox]["anchored"], 20)
    lines = path.read_bytes().splitlines(keepends=True)
    if what == "cut off":  # the seal with the end, and some of what happened
        lines = lines[:-3]
    elif what == "added to":
        lines = rehash([line.rstrip(b"\n") for line in [*lines, lines[-1].replace(b"checkpoint", b"limit_changed")]])
        lines = path.read_bytes().splitlines(keepends=True) + lines[-1:]
    path.write_bytes(b"".join(lines))
    (atoll.home / "sandboxes" / sandbox).mkdir(mode=0o700)
    status, rows = verdicts(atoll, sandbox)
    assert not (atoll.home / "sandboxes" / sandbox).exists()
    if what == "whole":
        assert path.read_bytes() == b"".join(lines) and status == 0 and rows[sandbox]["verdict"] == "intact", rows
    else:
        assert status == 1 and rows[sandbox]["verdict"] in ("broken", "unsealed"), rows
    signed = [line for line in path.read_bytes().splitlines() if json.loads(line)["event"] == "checkpoint"]
    assert len(signed) == (0 if what == "cut off" else 1), signed


def test_a_segment_that_is_missing(atoll, world):
    """H6: also where what is left ends with a seal, and no anchor says how much there was."""
    sandbox, path = run(atoll)
    forget_anchors(atoll)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    parts = [path, path.with_name(f"{sandbox}.2.jsonl"), path.with_name(f"{sandbox}.3.jsonl")]

    def lay(*pieces):
        for part, piece in zip(parts, pieces):
            part.unlink(missing_ok=True)
            if piece:
                part.write_bytes(b"".join(piece))
        return verdicts(atoll)

    assert lay(lines[:2], lines[2:4], lines[4:])[0] == 0
    status, rows = lay(lines[:2], None, lines[4:])
    assert status == 1 and rows[sandbox]["verdict"] == "broken" and "all of segment 2" in rows[sandbox]["why"], rows
    assert rows[sandbox]["bad_record"] == 2
    for pieces in ((None, lines[2:4], lines[4:]), (None, None, lines[4:])):
        status, rows = lay(*pieces)
        assert status == 1 and rows[sandbox]["verdict"] == "broken", rows
        assert "segment" in rows[sandbox]["why"], rows
    # The first one ends with the seal; what was behind it is gone but for a later piece.
    status, rows = lay(lines, None, lines[4:])
    assert status == 1 and rows[sandbox]["bad_record"] == len(lines), rows
    # What is no name of a segment is none.
    assert lay(lines, None, None)[0] == 0
    for name in ("1.jsonl", "02.jsonl", "x.jsonl", "2.json", "9999999999.jsonl"):
        (path.parent / f"{sandbox}.{name}").write_bytes(b"x")
    assert verdicts(atoll)[0] == 0


def test_which_keys_are_trusted(atoll, world):
    """By default all that lie there, of which somebody may have added one; or those that are named, alone."""
    first, path = run(atoll)
    old = atoll.base / "old.pub"
    old.write_text(atoll.tool("audit", "key").out)
    name = json.loads(atoll.tool("audit", "key", "--json").out)["key"]
    assert atoll.tool("audit", "key", "--rotate").status == 0
    new = atoll.base / "new.pub"
    new.write_text(atoll.tool("audit", "key").out)
    new_name = json.loads(atoll.tool("audit", "key", "--json").out)["key"]
    second, _ = run(atoll)
    assert verdicts(atoll)[0] == 0 and name != new_name

    def good(*words):
        return {sandbox for sandbox, row in verdicts(atoll, *words)[1].items() if row["verdict"] == "intact"}

    assert good("--key", str(old)) == good("--fingerprint", name) == {first}
    assert good("--key", str(new)) == good("--fingerprint", new_name) == {second}
    assert good("--key", str(old), "--key", str(new)) == good("--fingerprint", name, "--fingerprint", new_name) == {first, second}
    assert good("--key", str(old), "--fingerprint", new_name) == {first, second}
    for words, why in ((("--fingerprint", name[:16]), "is no fingerprint"), (("--fingerprint", name.upper()), "is no fingerprint"),
                       (("--fingerprint", "0" * 64), "has no public key"), (("--key", str(path)), "is no public key")):
        done = atoll.tool("audit", "verify", *words)
        assert done.status == 125 and why in done.err, done


def test_another_key_is_not_trusted(atoll, world):
    _, path = run(atoll)
    own = atoll.base / "own.pub"
    own.write_text(atoll.tool("audit", "key").out)
    other = atoll.base / "other.pub"
    secret = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout
    other.write_bytes(subprocess.run(["openssl", "pkey", "-pubout"], input=secret, capture_output=True, check=True).stdout)
    copy = atoll.base / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    for key, status in ((own, 0), (other, 1)):
        done = atoll.tool("audit", "verify", "--file", str(copy), "--key", str(key))
        assert done.status == status, done
    done = atoll.tool("audit", "verify", "--file", str(copy), "--key", str(copy))
    assert done.status == 125 and "is no public key" in done.err, done


def test_anchors_show_what_is_missing(atoll, world):
    """What was said elsewhere of a record: its end cut off, an old copy, no record at all."""
    first, path = run(atoll)
    anchors = atoll.base / "anchors"
    lines = path.read_bytes().splitlines()
    row = {"sandbox": first, "size": len(lines), "head": hashlib.sha256(lines[-1]).hexdigest()}
    anchors.write_text(json.dumps(row) + "\n")
    words = ("--anchors", str(anchors))
    forget_anchors(atoll)
    status, rows = verdicts(atoll, *words)
    assert status == 0 and rows[first]["anchored"] == len(lines)
    whole = path.read_bytes()
    status, found = broken(atoll, path, b"".join(rehash(lines[:3])), *words)
    assert (status, found["verdict"], found["bad_record"]) == (1, "broken", 3), found
    assert "it is missing" in found["why"]
    path.unlink()
    status, rows = verdicts(atoll, *words)
    assert status == 1 and rows[first]["verdict"] == "broken" and "the whole record" in rows[first]["why"]
    path.write_bytes(whole)
    anchors.write_text("{}\n")
    done = atoll.tool("audit", "verify", *words)
    assert done.status == 125 and "line 1 is no anchor" in done.err, done


def test_texts_from_a_payload_are_shown_safely(atoll, world):
    """Controls and marks of direction in a command line stay text."""
    nasty = "\x1b[2J\u202egnp.exe\x07\r\n"
    sandbox, _ = run(atoll, "/bin/true", nasty)
    for words in (("audit", "show", sandbox), ("events", sandbox), ("audit", "report", sandbox)):
        done = atoll.tool(*words)
        assert done.status == 0, done
        assert not any(c in done.out for c in "\x1b\x07\r\u202e"), words


def test_no_file_in_its_place(atoll, world):
    """Nothing waits for it, and the other records are looked at nevertheless."""
    first, path = run(atoll)
    second, _ = run(atoll)
    path.unlink()
    large = atoll.base / "large"
    large.touch()
    os.truncate(large, 1 << 40)
    for make in (lambda: path.symlink_to(atoll.home / "keys" / "trail.pem"), lambda: os.mkfifo(path), lambda: os.link(large, path)):
        make()
        status, rows = verdicts(atoll)
        assert status == 1 and rows[first]["verdict"] == "broken" and rows[second]["verdict"] == "intact", rows
        assert rows[first]["why"] == "it is no file of a record"
        assert atoll.tool("events", first).status == atoll.tool("audit", "show", first).status == 125
        path.unlink()


def on_terminal(atoll, *words):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    with subprocess.Popen([atoll.binary, *words], env=atoll.environment(), stdin=subprocess.DEVNULL, stdout=theirs) as process:
        os.close(theirs)
        out = b""
        while part := read_terminal(ours):
            out += part
        assert process.wait() == 0
    os.close(ours)
    return out.decode()


def read_terminal(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


def test_lines_as_they_stand(atoll, world):
    """A program gets the bytes of a record; a terminal gets nothing that moves its cursor."""
    sandbox, path = run(atoll, "/bin/true", "\u202egnp.exe\u009b2J")
    for words in (("audit", "show", "--json"), ("events", "--json"), ("audit", "export"), ("audit", "export", "--format", "csv")):
        done = atoll.tool(*words, sandbox)
        assert done.status == 0 and "\u202egnp.exe\u009b2J" in done.out
        shown = on_terminal(atoll, *words, sandbox)
        assert "gnp.exe" in shown and not any(c in shown for c in "\u202e\u009b"), words
    assert atoll.tool("events", "--json", sandbox).out.encode() == path.read_bytes()


def test_a_forged_record_is_shown_safely(atoll, world):
    """Whoever writes a record, or names a file, cannot write to the terminal of who reports on it."""
    sandbox, path = run(atoll)
    bad = "\x1b]0;title\x07"
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    events[0]["data"]["plan"].update(trust=bad, tier=bad, workspace_mode=bad, workspace={"path": "/w"})
    [ended] = [e for e in events if e["event"] == "ended"]
    ended["data"]["reason"] = bad
    path.write_text("".join(json.dumps(e, sort_keys=True, separators=(",", ":")) + "\n" for e in events))
    (path.parent / f"{bad}.jsonl").write_bytes(path.read_bytes())
    anchors = atoll.base / "anchors"
    anchors.write_text(json.dumps({"sandbox": bad, "size": 1, "head": "0" * 64}) + "\n")
    for words in (("audit", "report"), ("audit", "show"), ("audit", "verify"), ("events", sandbox),
                  ("audit", "verify", "--anchors", str(anchors))):
        done = atoll.tool(*words)
        assert not any(c in done.out + done.err for c in "\x1b\x07"), words


def test_a_forged_record_spoils_no_report(atoll, world):
    """Numbers, lengths and gaps that no keeper writes: the others are reported on nevertheless."""
    forged, path = run(atoll, "/bin/sh", "-c", "unshare -U true")
    other, _ = run(atoll)
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    [denied] = [e for e in events if e["event"] == "denied"]
    del events[0]["data"]["caller"]
    events[0]["data"]["origins"] = {"network.\x1ballow": ["\x1b[2J", 1, {}], "trust": 7, "tier": []}
    most = 2 ** 63 - 1
    ended = {**denied, "event": "ended", "data": {"reason": "\u20ac" * 100}}
    reached = {**denied, "event": "connection", "data": {"host": "\u20ac" * 200, "port": most, "bytes_up": most, "bytes_down": -most - 1}}
    applied = {**denied, "event": "applied", "data": {"files": [1], "more": most}}
    events += [{**denied, "data": {**denied["data"], "count": most}}] * 2 + [ended, reached, reached, applied]
    path.write_text("".join(json.dumps(e, sort_keys=True, separators=(",", ":")) + "\n" for e in events))
    done = atoll.tool("audit", "report", "--json")
    assert done.status == 0 and done.err == "", done
    rows = {row["sandbox"]: row for row in json.loads(done.out)}
    assert set(rows) == {forged, other} and rows[forged]["refused"] == {"namespace.new": most}
    said = atoll.tool("audit", "report")
    assert said.status == 0 and "\x1b" not in said.out


def test_events_of_several_segments(atoll, world):
    sandbox, path = run(atoll)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    (path.parent / f"{sandbox}.2.jsonl").write_bytes(b"".join(lines[2:]))
    assert verdicts(atoll)[0] == 0
    assert atoll.tool("events", "--json", sandbox).out.encode() == whole
    followed = atoll.tool("events", "--json", "--follow", sandbox)
    assert json.loads(followed.out.splitlines()[-1])["event"] == "torn_down"


# ---- showing, reporting, exporting ----

def test_show_filters(atoll, world):
    assert atoll.tool("account", "create", "one").status == 0
    first, _ = run(atoll, options=("--owner", "ann", "--account", "one"))
    second, _ = run(atoll, "/bin/sh", "-c", "exit 3", options=("--owner", "bob"))

    def shown(*words):
        done = atoll.tool("audit", "show", "--json", *words)
        assert done.status == 0, done
        return [(event["sandbox"], event["event"]) for event in map(json.loads, done.out.splitlines())]

    everything = shown()
    assert {sandbox for sandbox, _ in everything} == {first, second}
    assert [e for s, e in everything if s == first][0] == "created"
    assert shown("--event", "created") == [(first, "created"), (second, "created")]
    assert {s for s, _ in shown("--owner", "bob")} == {second}
    assert {s for s, _ in shown("--account", "one")} == {first}
    assert {e for _, e in shown("--class", "record")} == {"checkpoint"}
    assert {e for _, e in shown("--class", "wall", "--event", "receipt")} == {"receipt"}
    assert shown("--until", "2020-01-01") == [] and shown("--since", "1h") == everything
    assert shown("--since", "2099-01-01T00:00:00Z") == []
    assert {s for s, _ in shown(first)} == {first}
    for words, why in ((("--class", "x"), "there is no class"), (("--event", "x"), "there are no events"),
                       (("--since", "yesterday"), "is no time")):
        done = atoll.tool("audit", "show", *words)
        assert done.status == 125 and why in done.err, done


def test_show_follows(live, atoll):
    """Until the seal, with filters; a sandbox that has ended is shown as ever."""
    box = live("--name", "told")
    follower = subprocess.Popen([str(atoll.binary), "audit", "show", "--follow", "--json", "--class", "life", "--class", "record",
                                 "told"], env=atoll.environment(), stdout=subprocess.PIPE, text=True)
    assert box.shell("true").status == 0
    assert atoll.tool("rm", "--force", "told").status == 0
    out = follower.communicate(timeout=20 * runner.SLOW)[0]
    names = [json.loads(line)["event"] for line in out.splitlines()]
    assert follower.returncode == 0
    assert names == ["created", "exec", "exec_ended", "ended", "torn_down", "checkpoint"]
    again = atoll.tool("audit", "show", "-f", "--json", "--class", "life", "--class", "record", box.id)
    assert again.out == out
    for words in ((), (box.id, box.id)):
        assert atoll.tool("audit", "show", "--follow", *words).status == 125


FULL = """
set -e
mount -t tmpfs -o size=2m,mode=0700 none "$1"
export ATOLL_HOME=$1
"$2" run --quiet --workspace :none -- true
id=$("$2" create --workspace :none)
head -c 4M /dev/zero >"$1/filler" 2>/dev/null || true
set +e
"$2" run --workspace :none -- true 2>"$3/refused"; echo "run $?"
"$2" exec $id -- sh -c 'while :; do /bin/true; done' 2>"$3/ended"; echo "exec $?"
for i in 1 2 3 4 5 6 7 8 9 10; do "$2" ps --quiet | grep -q . || break; sleep 0.2; done
echo "left $("$2" ps --quiet | wc -l)"
rm "$1/filler"
"$2" run --quiet --workspace :none -- true; echo "again $?"
"$2" rm --force $id 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do umount "$1" 2>/dev/null && break; sleep 0.1; done
"""


def test_a_full_disk(atoll, need_root, world):
    """Nothing starts that cannot be recorded, and what runs is ended; afterwards all is as before."""
    place, out = atoll.base / "small", atoll.base / "out"
    place.mkdir(mode=0o700)
    out.mkdir()
    done = subprocess.run(["unshare", "--mount", "--", "/bin/sh", "-c", FULL, "sh", place, atoll.binary, out],
                          capture_output=True, text=True, cwd=out, env=atoll.environment(), check=False, timeout=60 * runner.SLOW)
    said = done.stdout.splitlines()
    assert "run 125" in said and "left 0" in said and "again 0" in said, done
    assert "exec 0" not in said, done
    assert "No space left" in (out / "refused").read_text()


def test_every_event_fits_the_schema(atoll, live, world):
    schema = json.loads(atoll.tool("audit", "schema").out)
    validator = jsonschema.Draft202012Validator(schema)
    run(atoll, "/bin/sh", "-c", "unshare -U true; echo x >f; exit 1", options=("--workspace", f"{atoll.workspace}:copy"))
    box = live("--name", "w", "--pauses", "3")
    box.shell("true")
    box.run("no-such-program")
    atoll.tool("pause", "w")
    atoll.tool("resume", "w")
    atoll.tool("rm", "--force", "w")
    atoll.run("/bin/sleep", "30", options=("--wall", "200ms"))
    seen = set()
    for line in atoll.tool("audit", "show", "--json").out.splitlines():
        event = json.loads(line)
        errors = [error.message for error in validator.iter_errors(event)]
        assert errors == [], (event, errors)
        seen.add(event["event"])
    assert {"created", "receipt", "started", "program", "exec", "exec_failed", "exec_ended", "denied", "limit", "ended", "torn_down",
            "checkpoint"} <= seen


def test_report(atoll, world):
    assert atoll.tool("account", "create", "one").status == 0
    first, _ = run(atoll, "/bin/sh", "-c", "unshare -U true", options=(
        "--owner", "ann", "--account", "one", "--purpose", "a try", "--scope", "customers", "--review", "daily",
        "--allow", "host.example:443", "--workspace", f"{atoll.workspace}:copy"))
    second, _ = run(atoll)
    rows = {row["sandbox"]: row for row in json.loads(atoll.tool("audit", "report", "--json").out)}
    assert set(rows) == {first, second}
    row = rows[first]
    assert (row["owner"], row["account"], row["purpose"], row["scopes"]) == ("ann", "one", "a try", ["customers"])
    assert row["hosts"] == row["unused_hosts"] == ["host.example:443"] and row["reached"] == {}
    assert {"path": str(atoll.workspace), "mode": "copy"} in row["paths"]
    assert row["refused"] == {"namespace.new": 1} and row["secrets"] == []
    assert row["review"]["every"] == "daily" and row["review"]["overdue"] is False
    assert rows[second]["review"] is None
    assert row["caller"] == os.geteuid() and row["granted"]["network.allow"] == ["--allow"]
    assert row["granted"]["filesystem.workspace.mode"] == ["--workspace"] and "network.deny" not in row["granted"]
    text = atoll.tool("audit", "report", "--owner", "ann").out
    assert f"granted        by user id {os.geteuid()}: " in text and "network.allow (--allow)" in text
    assert "owner ann, account one" in text and "never used     host.example:443" in text and second not in text
    assert atoll.tool("audit", "report").out.endswith("2 sandboxes, 0 reviews overdue\n")
    assert sum(n for path, n in row["programs"].items() if path.endswith("/unshare")) == 1


def test_no_record_has_a_value_of_the_callers(atoll, base, world):
    """Names of variables and places of credentials are reported; what a variable held is on no disk."""
    home = base / "home"
    (home / ".aws").mkdir(parents=True)
    options = ("--env", "TOKEN", "--env", "SAID=so", "--read", home / ".aws", "--workspace", f"{atoll.workspace}:read-only")
    env = {"HOME": str(home), "TOKEN": "hunter2-value"}
    result = atoll.run("/bin/sh", "-c", "echo $TOKEN $SAID", options=options, env=env)
    assert result.out == "hunter2-value so\n", result
    live = runner.capture([atoll.binary, "create", *runner.tier_options(atoll.tier), *options], env=atoll.environment(env), cwd=atoll.workspace)
    if not atoll.tier:  # at the process tier nothing waits for commands
        name = live.out.strip()
        assert atoll.tool("exec", name, "/bin/sh", "-c", "echo ${#TOKEN}").out == "13\n"
        assert atoll.tool("stop", name).status == 0
    for path in atoll.home.rglob("*"):
        assert not path.is_file() or b"hunter2-value" not in path.read_bytes(), path
    assert "hunter2-value" not in json.dumps([result.document, result.receipt])
    rows = json.loads(atoll.tool("audit", "report", "--json").out)
    assert all(row["secrets"] == [{"kind": "variable", "name": "TOKEN"}, {"kind": "place", "name": ".aws"}] for row in rows), rows
    assert "secrets        $TOKEN, ~/.aws\n" in atoll.tool("audit", "report").out


def test_credentials(atoll, base, world):
    """What sandboxes were given, by name, and what was written down of it: age, owner, when to change it."""
    home = base / "home"
    (home / ".aws").mkdir(parents=True)
    for owner, options in (("ann", ("--env", "TOKEN")), ("bob", ("--env", "TOKEN", "--read", home / ".aws")), ("bob", ())):
        done = atoll.run("/bin/true", options=("--owner", owner, "--workspace", ".:read-only", *options), env={"HOME": str(home), "TOKEN": "x"})
        assert done.status == 0, done

    def listed(*words):
        return {row["name"]: row for row in json.loads(atoll.tool("audit", "credentials", "--json", *words).out)}

    rows = listed()
    assert set(rows) == {"$TOKEN", "~/.aws"} and not any(row["written_down"] for row in rows.values())
    assert (rows["$TOKEN"]["sandboxes"], rows["$TOKEN"]["used_by"]) == (2, ["ann", "bob"])
    assert rows["~/.aws"]["first_used"] == rows["~/.aws"]["last_used"] == rows["$TOKEN"]["last_used"] > rows["$TOKEN"]["first_used"]
    day = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=100)).strftime("%Y-%m-%d")
    assert atoll.tool("audit", "credentials", "$TOKEN", "--owner", "ann", "--issued", day, "--rotate", "90d").status == 0
    assert atoll.tool("audit", "credentials", "$NEVER", "--issued", day, "--rotate", "200d").status == 0
    rows = listed()
    assert (rows["$TOKEN"]["owner"], rows["$TOKEN"]["age_days"], rows["$TOKEN"]["overdue"]) == ("ann", 100, True)
    assert (rows["$NEVER"]["unused"], rows["$NEVER"]["overdue"], rows["$TOKEN"]["unused"]) == (True, False, False)
    text = atoll.tool("audit", "credentials").out
    assert re.search(r"^\$TOKEN +ann +100 d +OVERDUE +\d{4}-\d\d-\d\d, 2 in all$", text, re.M), text
    assert re.search(r"^\$NEVER +- +100 d +\d{4}-\d\d-\d\d +never$", text, re.M), text
    assert set(listed("$TOKEN")) == set(listed("TOKEN")) == {"$TOKEN"} and set(listed(os.path.expanduser("~/.aws"))) == {"~/.aws"}
    assert atoll.tool("audit", "credentials", "$NEVER", "--forget").status == 0 and "$NEVER" not in listed()
    assert (atoll.home / "credentials.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("words, message", [
    (("2TOKEN", "--owner", "x"), "is no credential"), (("$A=b", "--owner", "x"), "is no credential"), (("~/", "--owner", "x"), "is no credential"),
    (("$X", "--issued", "2026-02-30"), "is no day"), (("$X", "--rotate", "3h"), "is no number of days"), (("--owner", "x"), "of which one?"),
    (("$X", "--forget"), "nothing is written down")])
def test_credentials_refused(atoll, words, message):
    done = atoll.tool("audit", "credentials", *words)
    assert done.status == 125 and message in done.err, done
    assert not (atoll.home / "credentials.json").exists()


def test_an_inventory_that_is_none(atoll):
    atoll.home.mkdir(mode=0o700)
    (atoll.home / "credentials.json").write_text('{"version": 2}')
    done = atoll.tool("audit", "credentials")
    assert done.status == 125 and "is no inventory" in done.err, done


def test_a_review_is_recorded(atoll, live, world):
    sandbox, path = run(atoll, options=("--review", "weekly"))
    assert atoll.tool("audit", "review", sandbox, "--note", "as expected").status == 0
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [e["event"] for e in events[-2:]] == ["reviewed", "checkpoint"]
    assert events[-2]["data"] == {"caller": os.geteuid(), "note": "as expected"}
    [row] = json.loads(atoll.tool("audit", "report", "--json").out)
    assert row["review"]["last"] == events[-2]["time"]
    assert verdicts(atoll)[0] == 0
    box = live()
    done = atoll.tool("audit", "review", box.id)
    assert done.status == 125 and "is running" in done.err, done


def test_export(atoll, world):
    sandbox, path = run(atoll, "/bin/sh", "-c", "unshare -U true; exit 2")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    exported = [json.loads(line) for line in atoll.tool("audit", "export").out.splitlines()]
    assert [e["metadata"]["uid"] for e in exported] == [f"{sandbox}:{n}" for n in range(len(lines))]
    for line, event in zip(lines, exported):
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["category_uid"] == event["class_uid"] // 1000
        assert event["unmapped"] == {"event": line["event"], "data": line["data"]}
        assert event["metadata"]["version"] == "1.3.0" and event["metadata"]["product"]["name"] == "Atoll"
        assert abs(event["time"] / 1000 - time.time()) < 600
    classes = {e["unmapped"]["event"]: e["class_uid"] for e in exported}
    assert classes["started"] == 6002 and classes["denied"] == 2004
    table = list(csv.reader(io.StringIO(atoll.tool("audit", "export", "--format", "csv").out)))
    assert table[0] == ["time", "sandbox", "seq", "class", "event", "data"]
    assert [(row[1], int(row[2]), row[4], json.loads(row[5])) for row in table[1:]] == \
        [(e["sandbox"], e["seq"], e["event"], e["data"]) for e in lines]
    assert atoll.tool("audit", "export", "--format", "xml").status == 125


def test_one_record_is_proved(atoll, world):
    """Whoever has the key and the proof sees that the record was written, and nothing of the others."""
    sandbox, path = run(atoll, "/bin/true", "secret-of-another-record")
    lines = path.read_bytes().splitlines()
    proof = atoll.base / "proof"
    for number in range(len(lines) - 1):
        done = atoll.tool("audit", "prove", sandbox, str(number))
        assert done.status == 0, done
        document = json.loads(done.out)
        assert document["record"].encode() == lines[number]
        assert ("secret-of" in done.out) == (b"secret-of" in lines[number])
        proof.write_text(done.out)
        assert atoll.tool("audit", "prove", "--check", str(proof)).status == 0
        for key in ("index", "size"):
            proof.write_text(json.dumps({**document, key: document[key] + 1}))
            assert atoll.tool("audit", "prove", "--check", str(proof)).status == 1, key
        document["record"] = document["record"].replace('"time":"2', '"time":"3')
        proof.write_text(json.dumps(document))
        assert atoll.tool("audit", "prove", "--check", str(proof)).status == 1
    for words in ((sandbox, str(len(lines) - 1)), (sandbox, "99"), (sandbox, "-1"), (sandbox,)):
        assert atoll.tool("audit", "prove", *words).status == 125
    other = json.loads(atoll.tool("audit", "prove", sandbox, "0").out)
    other["checkpoint"] = other["checkpoint"].replace(sandbox, "s-aaaaaaaaaa")
    proof.write_text(json.dumps(other))
    assert atoll.tool("audit", "prove", "--check", str(proof)).status == 1


# ---- suspicion ----

# Calls that nothing but an escape needs, each once: bpf, userfaultfd, keyctl, mount, process_vm_readv, TIOCSTI.
PROBE = ("import ctypes\n"
         "call = ctypes.CDLL(None, use_errno=True).syscall\n"
         "for words in ((321, 0, 8, 8), (323, 0), (250, 0, 0), (165, 8, 8, 8, 0, 0), (310, -1, 0, 0, 0, 0, 0), (16, 0, 0x5412, 8)):\n"
         "    call(*words)\n"
         "print('still here', flush=True)\n")

needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="this processor is no x86-64")


def suspicion(atoll, sandbox):
    lines = (atoll.home / "trail" / f"{sandbox}.jsonl").read_bytes().splitlines()
    return [e["data"] for e in map(json.loads, lines) if e["event"] == "escape.suspected"]


@needs_x86
def test_an_escape_is_suspected(atoll, world):
    result = atoll.run("/usr/bin/python3", "-c", PROBE)
    assert (result.status, result.reason, result.out) == (0, "exited", "still here\n"), result
    assert result.document["escape_suspected"] is True
    assert "so much was refused that an escape is suspected" in result.err
    [data] = suspicion(atoll, result.document["sandbox"])
    assert data["action"] == "note" and data["score"] >= data["threshold"] == 12
    assert data["codes"]["kernel.surface"] == 3
    [row] = json.loads(atoll.tool("audit", "report", "--json").out)
    assert row["escape_suspected"] is True
    assert "is suspected" not in atoll.run("/usr/bin/python3", "-c", "print(1)").err


@needs_x86
def test_a_storm_hides_no_escape(atoll, world):
    """More refusals of one harmless kind than are looked at, and what matters behind them."""
    storm = PROBE.replace("for words", "for _ in range(20100):\n    call(272, 0x10000000)\nfor words", 1)
    result = atoll.run("/usr/bin/python3", "-c", storm, options=("--wall", "90s"), timeout=100)
    assert result.status == 0 and result.document["escape_suspected"] is True, result
    [data] = suspicion(atoll, result.document["sandbox"])
    assert data["codes"]["kernel.surface"] == 3 and data["codes"]["namespace.new"] == 20100


@needs_x86
def test_a_suspicion_stops_it(atoll, world):
    result = atoll.run("/usr/bin/python3", "-c", PROBE, options=("--escape", "stop"))
    assert (result.status, result.reason) == (137, "escape"), result
    assert result.out == "" and "an escape is suspected" in result.err
    assert result.document["exit"] is None and result.document["torn_down"] is True
    assert [d["action"] for d in suspicion(atoll, result.document["sandbox"])] == ["stop"]
    assert verdicts(atoll)[0] == 0


@needs_x86
def test_a_suspicion_pauses_it(atoll, live, world):
    """Nothing runs until a person has said what becomes of it; whoever waits is told."""
    # The call itself is answered before it is frozen, so there has to be something behind it.
    linger = PROBE.replace("print(", "__import__('time').sleep(1)\nprint(")
    box = live("--escape", "pause", "--wall", "60s")
    if atoll.tool("pause", box.id).status != 0:
        assert "control group" in atoll.tool("pause", box.id).err
        process = box.run("/usr/bin/python3", "-c", linger)
        assert process.status == 137 and "an escape is suspected" in process.err, process
        return  # what cannot be paused is stopped
    assert atoll.tool("resume", box.id).status == 0
    process = box.start("/usr/bin/python3", "-c", linger)
    until = time.monotonic() + 20
    while not box.inspect().get("state") == "paused" and time.monotonic() < until:
        time.sleep(0.02)
    assert box.inspect()["state"] == "paused"
    assert process.poll() is None
    assert atoll.tool("resume", box.id).status == 0
    out, err = process.communicate(timeout=20)
    assert out == b"still here\n" and b"'atoll resume " in err, err
    assert [d["action"] for d in suspicion(atoll, box.id)] == ["pause"]


@pytest.mark.parametrize("word, options, status", [
    ("governance.escape", ("--escape", "note", "--template", "{}"), 125),
    ("governance.escape", ("--escape", "stop", "--template", "{}"), 0)])
def test_what_follows_can_only_be_tightened(atoll, base, word, options, status):
    template = base / "t.yaml"
    template.write_text("version: 1\ngovernance: {escape: pause}\n")
    done = atoll.tool("run", *(o.format(template) for o in options), "--plan-only", "--", "true")
    assert done.status == status and (status == 0 or word in done.err), done


POWER_CUT = """
set -e
truncate -s 64M image && mkfs.ext4 -q -F image && mkdir state
mount -o loop,noatime image state
export ATOLL_HOME=$PWD/state
atoll audit key >/dev/null && sync
mkdir work && id=$(cd work && "$ATOLL" create --durability $1)
cp image after
"$ATOLL" stop $id
for i in 1 2 3 4 5 6 7 8 9 10; do umount state 2>/dev/null && break; sleep 0.1; done
e2fsck -fy after >/dev/null || test $? -le 2
debugfs -R "cat /trail/$id.jsonl" after 2>/dev/null >found || true
"""


@pytest.mark.parametrize("word", ["power", "process"])
def test_a_power_cut(atoll, need_root, need_program, word):
    """What the disk holds at the moment a sandbox stands: with `power` the record, without it not yet."""
    for program in ("mkfs.ext4", "debugfs", "e2fsck"):
        need_program(program)
    base = atoll.base / "disk"
    base.mkdir()
    script = POWER_CUT.replace("atoll audit", '"$ATOLL" audit')
    done = subprocess.run(["unshare", "--mount", "--", "/bin/sh", "-c", script, "sh", word], cwd=base, capture_output=True,
                          text=True, env=atoll.environment({"ATOLL": atoll.binary}), check=False, timeout=60 * runner.SLOW)
    if "failed to setup loop device" in done.stderr or "loop" in done.stderr and "mount" in done.stderr:
        pytest.skip("needs loop devices")
    assert done.returncode == 0, done
    found = [json.loads(line)["event"] for line in (base / "found").read_bytes().splitlines()]
    assert found == (["created", "receipt"] if word == "power" else [])


# ---- what became of changes ----

def told(atoll, sandbox, *names):
    lines = wait_sealed(atoll.home / "trail" / f"{sandbox}.jsonl")
    return [e["data"] for e in map(json.loads, lines) if e["event"] in names]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_changes_are_recorded_and_what_becomes_of_them(atoll, world):
    old = atoll.workspace / "old"
    old.write_text("old\n")
    # What was changed as late as the copy was begun would be in conflict.
    assert runner.eventually(lambda: time.clock_gettime_ns(5) > old.stat().st_ctime_ns), "CLOCK_REALTIME_COARSE"
    script = "echo new >new; echo changed >old; mkdir d; ln -s new d/l; printf '#!/bin/sh\\n' >Makefile"
    sandbox, _ = run(atoll, "/bin/sh", "-c", script, options=("--workspace", f"{atoll.workspace}:copy"))
    [changed] = told(atoll, sandbox, "changed")
    assert changed["copy"] == sandbox and "more" not in changed
    files = {row["path"]: (row["change"], row.get("sha256")) for row in changed["files"]}
    assert files["new"] == ("added", sha("new\n")) and files["old"] == ("modified", sha("changed\n"))
    assert files["d"] == ("added", None) and files["d/l"] == ("added", None)
    assert atoll.tool("apply", sandbox, "new", "old").status == 0
    [applied] = told(atoll, sandbox, "applied")
    assert applied["caller"] == os.geteuid() and "allowed" not in applied
    assert {row["path"]: row.get("sha256") for row in applied["files"]} == {"new": sha("new\n"), "old": sha("changed\n")}
    assert atoll.tool("apply", sandbox, "Makefile").status == 1, "a hazard"
    assert len(told(atoll, sandbox, "applied")) == 1, "nothing was taken over"
    assert atoll.tool("apply", "--allow-hazard", "Makefile", sandbox, "Makefile").status == 0
    assert told(atoll, sandbox, "applied")[1]["allowed"][0]["path"] == "Makefile"
    assert atoll.tool("discard", sandbox).status == 0
    assert told(atoll, sandbox, "discarded") == [{"copy": sandbox, "caller": os.geteuid()}]
    assert verdicts(atoll)[0] == 0
    [row] = json.loads(atoll.tool("audit", "report", "--json").out)
    assert [entry["files"] for entry in row["applied"]] == [2, 1]


DEEP = ("import os, sys\n"
        "for i in range(60):\n"
        "    name = chr(1) * 200\n"
        "    os.mkdir(name)\n"
        "    os.chdir(name)\n"
        "for i in range(int(sys.argv[1])):\n"
        "    open(str(i), 'w').close()\n")


@pytest.mark.parametrize("files", [1200, 24000])
def test_names_hide_no_changes(atoll, live, world, files):
    """Paths that are more than a line of the record holds, or than anybody looks at, are said to be."""
    box = live("--workspace", f"{atoll.workspace}:copy")
    assert box.run("/usr/bin/python3", "-c", DEEP, str(files)).status == 0
    assert atoll.tool("stop", box.id).status == 0
    sandbox, _ = run(atoll, "/usr/bin/python3", "-c", DEEP, str(files), options=("--workspace", f"{atoll.workspace}:copy"))
    for name in (box.id, sandbox):
        [changed] = told(atoll, name, "changed")
        assert changed["copy"] == name
        if files == 1200:
            assert len(changed["files"]) + changed["more"] == 1260
            assert sum(len(row["path"]) for row in changed["files"]) <= 2 << 20
        else:
            assert changed["files"] == [] and changed["failed"], changed
        assert atoll.tool("discard", name).status == 0
    assert verdicts(atoll)[0] == 0


def test_an_allowed_hazard_is_recorded_wherever_it_is(atoll, world):
    """Behind more changes than are listed, and where it was an answer that allowed it."""
    script = "i=1000; while [ $i -lt 2000 ]; do : >A$i; i=$((i+1)); done; echo all: >Makefile"
    sandbox, _ = run(atoll, "/bin/sh", "-c", script, options=("--workspace", f"{atoll.workspace}:copy"))
    assert atoll.tool("apply", "--allow-hazard", "Makefile", sandbox).status == 0
    [applied] = told(atoll, sandbox, "applied")
    assert len(applied["files"]) == 1000 and applied["more"] == 1
    assert [row["path"] for row in applied["allowed"]] == ["Makefile"]
    (atoll.workspace / "Makefile").unlink()
    sandbox, _ = run(atoll, "/bin/sh", "-c", "echo 1 >1; echo all: >Makefile", options=("--workspace", f"{atoll.workspace}:copy"))
    assert atoll.tool("apply", "--interactive", sandbox, stdin=b"n\ny\n").status == 0
    [applied] = told(atoll, sandbox, "applied")
    assert [row["path"] for row in applied["files"]] == [row["path"] for row in applied["allowed"]] == ["Makefile"]


def test_what_was_interrupted_is_recorded(atoll, world):
    """An apply that was killed, and is finished, has taken over what its journal says."""
    target = atoll.workspace / "file"
    target.write_text("x")
    target.chmod(0o600)
    sandbox, _ = run(atoll, "/bin/sh", "-c", "echo 1 >1", options=("--workspace", f"{atoll.workspace}:copy"))
    for way, mode in (("--undo", 0o600), ("--continue", 0o640)):
        step = {"kind": "mode", "path": b"file".hex(), "before": target.stat().st_ino, "before_ns": target.stat().st_mtime_ns,
                "staged": 0, "written_ns": 0, "dir": False, "old_mode": 0o600, "new_mode": 0o640}
        (atoll.home / "sandboxes" / sandbox / "apply.json").write_text(json.dumps({"steps": [step]}))
        (atoll.workspace / f".atoll-apply-{sandbox}").mkdir(0o700)
        done = atoll.tool("apply", way, "--keep", sandbox)
        assert done.status == 0 and stat.S_IMODE(target.stat().st_mode) == mode, done
        assert len(told(atoll, sandbox, "applied")) == (way == "--continue")
    [applied] = told(atoll, sandbox, "applied")
    assert applied["files"] == [{"path": "file", "change": "mode"}] and applied["caller"] == os.geteuid()
    assert verdicts(atoll)[0] == 0


def test_changes_of_one_that_lived(live, atoll):
    box = live("--workspace", f"{atoll.workspace}:copy")
    assert box.shell("echo x >made; printf b >'not utf8'$(printf '\\377')").status == 0
    assert atoll.tool("stop", box.id).status == 0
    [changed] = told(atoll, box.id, "changed")
    files = {row["path"]: row for row in changed["files"]}
    assert files["made"]["sha256"] == sha("x\n")
    assert [row["path_hex"] for row in changed["files"] if "path_hex" in row] == [b"not utf8\xff".hex()]
    assert verdicts(atoll)[0] == 0


def test_many_changes_are_bounded(atoll, world):
    script = "i=0; while [ $i -lt 1100 ]; do : >f$i; i=$((i+1)); done; head -c 70M /dev/zero >large; echo s >small"
    sandbox, _ = run(atoll, "/bin/sh", "-c", script, options=("--workspace", f"{atoll.workspace}:copy"))
    [changed] = told(atoll, sandbox, "changed")
    assert len(changed["files"]) == 1000 and changed["more"] == 102
    assert all("sha256" in row for row in changed["files"] if row["path"] != "large")
