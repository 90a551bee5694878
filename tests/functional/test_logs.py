# SPDX-License-Identifier: Apache-2.0
"""What commands put out is kept: atoll logs, exec --detach, stop --command."""
import json
import os
import re
import signal
import struct
import subprocess
import time

import pytest

from harness import runner

HEAD, FRAME = 16, 32  # struct log_head, struct log_frame


def logs(box, *options, **how):
    return box.atoll.tool("logs", *options, box.id, **how)


def entries(box, *options):
    return [json.loads(line) for line in logs(box, "--json", *options).out.splitlines()]


def ended(box, number):
    return [e for e in entries(box) if e.get("command") == number and e.get("kind") == "end"]


def detach(box, script, *options):
    result = box.shell(script, "--detach", *options)
    assert result.status == 0 and result.out.strip().isdigit(), result
    return int(result.out)


def parts(box):
    return sorted(p for p in (box.atoll.home / "logs").iterdir() if p.name.startswith(box.id))


# ---- what is kept ----

def test_streams_and_ends(live):
    box = live()
    first = box.shell("echo out; echo err >&2; exit 3")
    assert (first.stdout, first.stderr, first.status) == (b"out\n", b"err\n", 3)
    box.run("printf", "no end of line")
    kept = logs(box, "--quiet")
    assert (kept.stdout, kept.stderr, kept.status) == (b"out\nno end of line", b"err\n", 0)
    told = logs(box)
    assert told.stdout == kept.stdout
    assert "atoll: command 1: /bin/sh -c echo out; echo err >&2; exit 3\n" in told.err
    assert "atoll: command 1 ended: exited, status 3\n" in told.err
    assert logs(box, "--quiet", "--command", "2").stdout == b"no end of line"
    assert logs(box, "--quiet", "--stream", "stderr").stdout == b""
    assert logs(box, "--quiet", "--stream", "stdout").stderr == b""
    rows = entries(box, "--command", "1")
    assert [r["kind"] for r in rows] in (["begin", "stdout", "stderr", "end"], ["begin", "stderr", "stdout", "end"])
    assert rows[0]["data"]["argv"][0] == "/bin/sh" and rows[-1]["data"] == {"exit": {"status": 3}, "reason": "exited"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", r["time"]) for r in rows)


def test_bytes_as_they_came(live):
    """A front beside the log changes nothing of either, whatever the sizes of pieces."""
    box = live()
    data = os.urandom(1_500_000)
    result = box.run("cat", stdin=data)
    assert result.stdout == data
    assert logs(box, "--quiet").stdout == data
    assert box.inspect()["log"] == {"limit": 4 << 20, "bytes": len(data), "lost": 0}


def test_a_terminal_is_kept_too(live, atoll):
    box = live()
    result = runner.on_terminal([atoll.binary, "exec", box.id, "echo", "on a terminal"], env=atoll.environment(),
                                cwd=atoll.workspace)
    assert b"on a terminal" in result.stdout
    rows = [e for e in entries(box) if e["kind"] == "terminal"]
    assert rows and "".join(row["text"] for row in rows) == "on a terminal\r\n", "in as many pieces as it came"


def test_nothing_that_a_terminal_obeys(live, atoll):
    box = live()
    box.shell(r"printf 'a\033[31mb\007\r\ttab\n'; printf '\303'; sleep 0.05; printf '\251\n\377'")
    shown = runner.on_terminal([atoll.binary, "logs", "--quiet", box.id], env=atoll.environment(), cwd=atoll.workspace)
    assert rb"a\x1b[31mb\x07\x0d" in shown.stdout and b"\x1b" not in shown.stdout
    assert "\ttab".encode() in shown.stdout and "é".encode() in shown.stdout and rb"\xff" in shown.stdout
    assert b"\x1b[31m" in logs(box, "--quiet").stdout, "elsewhere the bytes are the bytes"
    box.shell(r"printf 'plain\\x0d\n'")
    shown = runner.on_terminal([atoll.binary, "logs", "--quiet", "--command", "2", box.id], env=atoll.environment(),
                               cwd=atoll.workspace)
    assert rb"plain\x0d" in shown.stdout, "what only looks like one is no control character"


def test_documents_on_a_terminal(live, atoll):
    """Controls of eight bits and what turns the direction of writing are obeyed there, too."""
    box = live()
    box.shell(r"printf '\302\23331m \342\200\256 \303\251\n'")
    shown = runner.on_terminal([atoll.binary, "logs", "--json", box.id], env=atoll.environment(), cwd=atoll.workspace)
    assert rb'"text":"\u009B31m \u202E \u00E9\n"' in shown.stdout, shown
    assert [e["text"] for e in entries(box) if "text" in e] == ["\u009b31m \u202e \u00e9\n"]


def test_tail_and_time(live):
    box = live()
    box.shell("for i in $(seq 1 20); do echo line$i; done; printf rest")
    assert logs(box, "--quiet", "--tail", "3").stdout == b"line19\nline20\nrest"
    assert logs(box, "--quiet", "--tail", "0").stdout == b""
    assert logs(box, "--quiet", "--tail", "100").stdout.startswith(b"line1\nline2\n")
    lines = logs(box, "--quiet", "--time").out.splitlines()
    assert len(lines) == 21 and all(re.match(r"2\d{3}-\S+Z (line\d+|rest)$", line) for line in lines)


@pytest.mark.parametrize("size", ["256KiB", "4MiB"])
def test_a_payload_that_never_stops(live, size):
    """Whoever only wants what is there gets it, and the last lines are the last ones."""
    box = live("--log", size, "--output", "4GiB")
    number = detach(box, "while :; do seq 1 100000; done")
    assert runner.eventually(lambda: box.inspect()["log"]["bytes"] > 1 << 20)
    for _ in range(10):
        tail = logs(box, "--quiet", "--tail", "3", timeout=10).out.splitlines()
        assert len(tail) == 3 and all(word.isdigit() for word in tail), tail
    assert len(logs(box, "--quiet", timeout=10).stdout) > 10000
    box.atoll.tool("stop", "--command", str(number), box.id)


@pytest.mark.parametrize("options, message", [
    (("--tail", "-1"), "--tail: '-1' is no number of lines"),
    (("--command", "0"), "--command: '0' is no number of a command"),
    (("--stream", "both"), "--stream"),
])
def test_options_that_are_wrong(live, options, message):
    box = live()
    result = logs(box, *options)
    assert result.status == 125 and message in result.err


# ---- bounds ----

def test_no_more_than_the_policy_says(live):
    """The newest is kept, and what is missing is counted."""
    box = live("--log", "64KiB")
    box.shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
    assert sum(p.stat().st_size for p in parts(box)) <= 64 << 10
    kept = logs(box, "--quiet").out.splitlines()
    assert kept[-1] == "line 19999" and len(kept) > 700  # in frames of a line each, half of it
    assert kept[1:] == [f"line {i}" for i in range(20000 - len(kept) + 1, 20000)]
    total = sum(len(f"line {i}\n") for i in range(20000))
    [missing] = [e["missing"] for e in entries(box) if "missing" in e]
    assert missing + len(logs(box, "--quiet").stdout) == total
    assert f"{missing} bytes that came before are not kept any more" in logs(box).err


def test_the_smallest_and_none(live, atoll):
    small = live("--log", "1")
    small.shell("seq 1 3000")
    assert sum(p.stat().st_size for p in parts(small)) <= 4096
    assert logs(small, "--quiet").out.endswith("2999\n3000\n")
    none = live("--log", "0")
    assert none.shell("echo x").out == "x\n"
    number = detach(none, "echo y; sleep 0.1")
    assert runner.eventually(lambda: none.inspect()["commands"] == [])
    assert logs(none).stdout == b"" and logs(none).status == 0 and number == 2
    assert not [p for p in (atoll.home / "logs").iterdir() if p.name.startswith(none.id)]


def test_a_disk_without_room(live, atoll):
    """What cannot be kept still gets out, and is counted; the limit of file sizes stands for a full disk."""
    def limited():
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))

    made = subprocess.run([atoll.binary, "create"], env=atoll.environment(), cwd=atoll.workspace, preexec_fn=limited,
                          capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made
    box = live_of(atoll, made.stdout.strip())
    data = bytes(range(256)) * 6000
    result = runner.capture([atoll.binary, "exec", box, "cat"], env=atoll.environment(), cwd=atoll.workspace, stdin=data)
    assert result.status == 0 and result.stdout == data
    [document] = json.loads(atoll.tool("inspect", box).out)
    assert document["log"]["bytes"] == len(data) and document["log"]["lost"] > 0
    kept = atoll.tool("logs", "--quiet", box)
    assert kept.status == 0 and len(kept.stdout) + document["log"]["lost"] == len(data)
    assert atoll.tool("rm", "--force", box).status == 0


def live_of(atoll, name):
    assert name.startswith("s-"), name
    return name


# ---- detached ----

def test_detached(live, atoll):
    box = live("--name", "work")
    begin = time.monotonic()
    number = detach(box, "cat; echo begun; sleep 1; echo over >&2; exit 4")
    assert number == 1 and time.monotonic() - begin < 1
    [row] = box.inspect()["commands"]
    assert (row["number"], row["detached"], row["terminal"]) == (1, True, False)
    followed = atoll.tool("logs", "--follow", "--command", "1", "work")
    assert (followed.stdout, followed.status) == (b"begun\n", 0)
    assert "over\n" in followed.err and "command 1 ended: exited, status 4" in followed.err
    assert box.inspect()["commands"] == []
    assert [e["event"] for e in box.events() if e["event"] != "program"][-2:] == ["exec", "exec_ended"]
    document = json.loads(box.shell("true", "--detach", "--json", "-").out)
    assert document == {"sandbox": box.id, "number": 2, "command": ["/bin/sh", "-c", "true"], "reason": "started"}


def test_detached_and_never_started(live):
    box = live()
    missing = box.run("no-such-program", options=("--detach",))
    assert missing.status == 127 and missing.out == ""
    assert ended(box, 1) == []


def test_detached_needs_nobody(live, atoll):
    """Neither its caller's death nor a closed terminal ends it; its limits do."""
    box = live("--output", "100KiB")
    number = detach(box, "while :; do sleep 0.05; done", "--timeout", "700ms")
    noisy = detach(box, "exec yes")
    assert runner.eventually(lambda: ended(box, number) and ended(box, noisy))
    assert ended(box, number)[0]["data"]["reason"] == "limit:wall"
    assert ended(box, noisy)[0]["data"]["reason"] == "limit:output"
    assert len(logs(box, "--quiet", "--command", str(noisy)).stdout) == 100 << 10


def test_sixty_of_them(live):
    box = live()
    numbers = [detach(box, f"echo {i}; sleep {4 * runner.SLOW}") for i in range(60)]
    over = box.shell("true", "--detach")
    assert over.status == 125 and "60 commands already" in over.err
    assert runner.eventually(lambda: box.inspect()["commands"] == [], 30)
    for i, number in enumerate(numbers):
        assert logs(box, "--quiet", "--command", str(number)).out == f"{i}\n"


def test_one_is_stopped(live, atoll):
    box = live()
    first, second = detach(box, "trap '' TERM; sleep 100"), detach(box, "sleep 100")
    assert atoll.tool("stop", "--command", str(first), box.id).status == 0
    assert runner.eventually(lambda: ended(box, first))
    assert ended(box, first)[0]["data"]["reason"] == "stopped"
    assert [row["number"] for row in box.inspect()["commands"]] == [second]
    again = atoll.tool("stop", "--command", str(first), box.id)
    assert again.status == 125 and "no command of 'atoll exec' with this number runs" in again.err
    for wrong in ("0", "-1", "x", "4294967297"):
        refused = atoll.tool("stop", "--command", wrong, box.id)
        assert refused.status == 125 and "is no number of a command" in refused.err
    assert box.run("true").status == 0
    process = box.start("sleep", "100")
    # It is on the list before it runs.
    assert runner.eventually(lambda: [e for e in entries(box) if e["kind"] == "begin" and e["command"] == 4])
    assert atoll.tool("stop", "--command", "4", box.id).status == 0
    assert process.wait(timeout=20) == 137 and b"was stopped" in process.stderr.read()


def test_the_main_command_is_not_one_of_them(atoll):
    process = atoll.start("/bin/sh", "-c", "echo ready; cat")
    assert process.stdout.readline() == b"ready\n"
    [name] = os.listdir(atoll.home / "sandboxes")
    refused = atoll.tool("stop", "--command", "1", name)
    assert refused.status == 125 and "no command" in refused.err
    assert atoll.tool("logs", name).stdout == b"", "what run puts out goes to whoever ran it"
    assert atoll.tool("exec", name, "echo", "beside").out == "beside\n"
    assert atoll.tool("logs", "--quiet", name).out == "beside\n"
    process.stdin.close()
    assert process.wait(timeout=20) == 0


# ---- following ----

def test_follow_until_the_sandbox_ends(live, atoll):
    box = live()
    follower = subprocess.Popen([atoll.binary, "logs", "--follow", "--quiet", box.id], env=atoll.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    box.shell("echo one")
    assert follower.stdout.readline() == b"one\n"
    box.shell("echo two; echo last")
    assert follower.stdout.readline() == b"two\n"
    assert follower.poll() is None
    assert atoll.tool("stop", box.id).status == 0
    assert (follower.stdout.read(), follower.stderr.read(), follower.wait(timeout=20)) == (b"last\n", b"", 0)


def test_follow_when_the_keeper_is_killed(live, atoll):
    box = live()
    box.shell("echo one")
    follower = subprocess.Popen([atoll.binary, "logs", "--follow", "--quiet", box.id], env=atoll.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert follower.stdout.readline() == b"one\n"
    os.kill(box.keeper(), signal.SIGKILL)
    assert follower.wait(timeout=20) == 0
    atoll.tool("reap")
    assert logs(box, "--quiet").out == "one\n", "and what was kept still is"


def test_follow_over_changes_of_parts(live, atoll):
    """The reader keeps up while files are exchanged."""
    box = live("--log", "32KiB")
    path = atoll.home / "followed"
    with open(path, "wb") as out:
        follower = subprocess.Popen([atoll.binary, "logs", "--follow", "--json", box.id], env=atoll.environment(),
                                    stdout=out)
    box.shell("for i in $(seq 1 12); do seq $((i*1000)) $((i*1000+999)); sleep 0.25; done")
    atoll.tool("stop", box.id)
    assert follower.wait(timeout=30) == 0
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    text = "".join(r.get("text", "") for r in rows)
    assert text == "".join(f"{i}\n" for i in range(1000, 13000)) and not any("missing" in r for r in rows)


@pytest.mark.parametrize("options, script", [
    (("--log", "4KiB"), "seq 1 5000"),
    (("--log", "0"), "true"),
])
def test_follow_a_command_whose_end_is_not_kept(live, options, script):
    """It has ended although nothing says so any more; one that there never was is not waited for."""
    box = live(*options)
    number = detach(box, "echo begun; sleep 2")
    follower = subprocess.Popen([box.atoll.binary, "logs", "--follow", "--command", str(number), box.id],
                                env=box.atoll.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.2)
    assert follower.poll() is None, "it runs"
    assert runner.eventually(lambda: box.inspect()["commands"] == [])
    box.shell(script)
    assert follower.wait(timeout=10) == 0
    for word in (str(number), "99"):
        begin = time.monotonic()
        assert logs(box, "--follow", "--command", word).status == 0 and time.monotonic() - begin < 5


def test_more_followers_than_places(live):
    """They take turns, and neither they nor the keeper do nothing else."""
    box = live()
    box.shell("echo here")
    followers = [subprocess.Popen([box.atoll.binary, "logs", "--follow", "--quiet", box.id], env=box.atoll.environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(12)]
    assert all(f.stdout.readline() == b"here\n" for f in followers)

    def ticks():
        return sum(map(int, (runner.text_of(f"/proc/{box.keeper()}/stat") or "").rpartition(")")[2].split()[11:13]))

    before = ticks()
    time.sleep(2)
    assert ticks() - before < 40, "of 200"
    box.shell("echo there")
    assert box.atoll.tool("stop", box.id).status == 0
    assert all(f.communicate(timeout=20) == (b"there\n", b"") and f.returncode == 0 for f in followers)


def test_a_reader_that_goes(live, atoll):
    box = live()
    box.shell("seq 1 100000")
    process = subprocess.Popen([atoll.binary, "logs", "--follow", box.id], env=atoll.environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=20) in (125, -signal.SIGPIPE)


# ---- afterwards ----

def test_after_the_end(live, atoll):
    box = live("--name", "work")
    box.shell("echo here; touch /tmp/x")
    assert atoll.tool("stop", "work").status == 0 and box.is_gone()
    assert logs(box, "--quiet").out == "here\n"
    for word in (box.id[:6], box.id[2:], box.id[2:7]):
        assert atoll.tool("logs", "--quiet", word).out == "here\n", word
    gone = atoll.tool("logs", "work")
    assert gone.status == 125 and "there is no sandbox 'work'" in gone.err
    assert atoll.tool("rm", box.id).status == 0 and parts(box) == []
    assert logs(box).status == 125
    assert atoll.tool("rm", box.id).status == 125


def test_the_beginning_of_several(live, atoll):
    """None of them is chosen because something is kept of it alone."""
    box = live()
    box.shell("echo here")
    for name in ("s-zzzza", "s-zzzzb"):
        (atoll.home / "sandboxes" / name).mkdir()
    (atoll.home / "logs/s-zzzza.0").write_bytes(parts(box)[0].read_bytes())
    result = atoll.tool("logs", "--quiet", "s-zzzz")
    assert result.status == 125 and "is the beginning of 2 sandboxes' ids" in result.err, result


def test_rm_takes_it_along(live, atoll):
    box = live("--workspace", ".:copy")
    box.shell("echo here; echo x >file")
    assert atoll.tool("rm", "--force", box.id).status == 0
    assert parts(box) == [] and box.is_gone()
    kept = live("--workspace", ".:copy")
    kept.shell("echo here; echo x >file")
    atoll.tool("stop", kept.id)
    assert logs(kept, "--quiet").out == "here\n", "beside the copy that waits"
    assert atoll.tool("discard", kept.id).status == 0
    assert logs(kept, "--quiet").out == "here\n"


def age(path, seconds):
    os.utime(path, (time.time() - seconds,) * 2)


def test_its_time_is_up(live, atoll):
    """After the time of the policy, counted from the last output; never under a sandbox that lives."""
    boxes = [live("--keep", "1h") for _ in range(3)]
    for box in boxes:
        box.shell("echo here")
    for box in boxes[:2]:
        atoll.tool("stop", box.id)
    age(parts(boxes[0])[0], 3500)
    age(parts(boxes[1])[0], 3700)
    age(parts(boxes[2])[0], 3700)
    assert "1 log whose time is up" in atoll.tool("reap", "--dry-run").out
    assert len(parts(boxes[1])) == 1
    assert json.loads(atoll.tool("reap", "--json").out)["logs"] == 1
    assert [len(parts(box)) for box in boxes] == [1, 0, 1]
    atoll.tool("stop", boxes[2].id)
    age(parts(boxes[2])[0], 3700)
    atoll.tool("ps")
    assert len(parts(boxes[2])) == 1, "other commands look now and then only"
    age(atoll.home / "logs/.swept", 3600)
    atoll.tool("ps")
    assert parts(boxes[2]) == []


def test_it_expires_with_its_sandbox(live, atoll):
    """Counted from the start of the sandbox, not once more from the last output."""
    box, begun = live("--expires", "1h", "--keep", "5h"), time.time()
    box.shell("echo here")
    atoll.tool("stop", box.id)
    [part] = parts(box)
    head = part.read_bytes()[:24]
    until = int.from_bytes(head[16:], "little") / 1e9
    assert begun + 3600 - 30 < until <= time.time() + 3600
    assert json.loads(atoll.tool("reap", "--json").out)["logs"] == 0
    with open(part, "r+b") as file:  # an hour later, as the clock has it
        file.write(head[:16] + int((time.time() - 1) * 1e9).to_bytes(8, "little"))
    assert json.loads(atoll.tool("reap", "--json").out)["logs"] == 1 and parts(box) == []


def test_a_bounded_number(live, atoll):
    box = live()
    box.shell("echo here")
    head = parts(box)[0].read_bytes()
    for i in range(1002):
        (atoll.home / "logs" / f"s-old{i:04}.0").write_bytes(head)
        age(atoll.home / "logs" / f"s-old{i:04}.0", 2000 - i)
    assert json.loads(atoll.tool("reap", "--json").out)["logs"] == 2
    left = sorted(os.listdir(atoll.home / "logs"))
    assert "s-old0001.0" not in left and "s-old0002.0" in left and f"{box.id}.0" in left
    for name in left:
        if name.startswith("s-old"):
            (atoll.home / "logs" / name).unlink()


# ---- who could lie ----

def test_private(live, atoll):
    box = live()
    box.shell("echo secret")
    assert (atoll.home / "logs").stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in parts(box))


@pytest.mark.parametrize("damage", ["cut", "magic", "length", "head", "link"])
def test_a_damaged_file(live, atoll, damage):
    """What stands before the damage is shown, nothing behind it is invented, and nothing is followed."""
    box = live()
    box.shell("echo first")
    box.shell("echo second")
    atoll.tool("stop", box.id)
    [path] = parts(box)
    data = bytearray(path.read_bytes())
    second = data.index(b"second\n") - FRAME
    if damage == "cut":
        data = data[:second + FRAME + 3]
    elif damage == "magic":
        data[second] ^= 0xFF
    elif damage == "length":
        data[second + 12:second + 16] = struct.pack("I", 0xFFFFFFFF)
    elif damage == "head":
        data[0] ^= 0xFF
    if damage == "link":
        path.rename(atoll.home / "elsewhere")
        path.symlink_to(atoll.home / "elsewhere")
    else:
        path.write_bytes(data)
    result = logs(box, "--quiet")
    assert result.status == 0 and result.stdout == (b"" if damage in ("head", "link") else b"first\n")
    assert atoll.tool("reap").status == 0
    assert atoll.tool("rm", box.id).status == 0 and parts(box) == []
