# SPDX-License-Identifier: Apache-2.0
"""Program starts in the record: what was executed, at every tier and in every profile, and what a payload that does not want that can do."""
import ctypes
import errno
import os
import re
import signal
import struct
import threading
import time

import pytest

from harness import live as live_module
from harness import runner, trail

TIERS = ["container"] + ["process"] * runner.has_userns() + ["guarded"] * (os.geteuid() != 0 or not runner.has_userns())
MAX, TEXT = 20000, 2048  # STARTS_MAX, EXECVE_ARGS_TEXT


@pytest.fixture(params=TIERS)
def tier(request, base):
    product = runner.Atoll(base / "product", tier=request.param)
    yield product
    product.end()


def events(atoll, result):
    """[(event, data)] of the trail of a run."""
    path = atoll.home / "trail" / f"{result.document['sandbox']}.jsonl"
    return [(event["event"], event["data"]) for event in trail.read(path)]


def programs(told):
    return [data for name, data in told if name == "program"]


def of(told, name):
    return next(data for event, data in told if event == name)


def shell(script):
    return "/bin/sh", "-c", script


def test_each_program(tier, world):
    """The command itself comes first, behind the word that it started; then what it starts, before what that does."""
    result = tier.run(*shell("echo one; /bin/ls -d / >/dev/null; /bin/sh -c 'cd /tmp && /bin/echo two three'"))
    assert (result.status, result.out) == (0, "one\ntwo three\n"), result
    told = events(tier, result)
    names = [name for name, _ in told]
    assert names == ["created", "receipt", "started", "program", "program", "program", "ended", "torn_down"] or \
        names == ["created", "receipt", "started"] + ["program"] * 4 + ["ended", "torn_down"], names
    first, listing, inner, *rest = programs(told)
    assert first["path"].endswith("/sh") and first["argv"] == of(told, "started")["argv"]
    assert first["cwd"] == of(told, "started")["cwd"] == str(tier.workspace)
    assert (listing["path"], listing["argv"]) == ("/bin/ls", ["ls", "-d", "/"]) or listing["argv"] == ["/bin/ls", "-d", "/"]
    assert listing["parent"] == first["pid"] and listing["pid"] > first["pid"] and listing["cwd"] == first["cwd"]
    assert inner["argv"][:2] == ["/bin/sh", "-c"] and inner["parent"] == first["pid"] or inner["pid"] == first["pid"]
    for row in rest:
        assert row["argv"] == ["/bin/echo", "two", "three"] and row["cwd"] != first["cwd"]
    assert all(row["command"] == 1 and "unread" not in row and "argv_more" not in row for row in programs(told)), programs(told)
    assert of(told, "ended")["programs"] == len(programs(told)) and of(told, "ended")["programs_unfound"] == 0


PROFILES = ["file", "strict", "default"]


@pytest.mark.parametrize("tier, profile", [(t, p) for t in TIERS for p in PROFILES + ["nested"] * (t == "container")], indirect=["tier"])
def test_every_profile(tier, profile):
    result = tier.run(*shell("/bin/true; /bin/echo x"), options=("--syscalls", profile))
    assert (result.status, result.out) == (0, "x\n"), result
    assert [row["argv"] for row in programs(events(tier, result))][1:] == [["/bin/true"], ["/bin/echo", "x"]]


def test_the_receipt_says_how(tier):
    result = tier.run("/bin/true")
    said = result.receipt["program_starts"]
    major, minor = (int(n) for n in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())
    assert said["value"] == {"observed": "seccomp notification", "wait_killable": (major, minor) >= (5, 19)}


def test_a_search_is_one_start(tier):
    """Of a search through PATH only the attempt whose file is there is in the record; the others are counted."""
    script = ("import os\n"
              "if os.fork() == 0: os.execvpe('true', ['true'], {'PATH': '/nowhere/bin:/usr/nowhere:/tmp:/dev/null/x:/usr/bin'})\n"
              "os.wait()\n"
              "try: os.execve('/nowhere', ['x'], {})\n"
              "except OSError as e: print(e.errno)\n")
    result = tier.run("/usr/bin/python3", "-c", script)
    assert (result.status, result.out) == (0, "2\n"), result
    told = events(tier, result)
    assert [row["path"] for row in programs(told)][1:] == ["/usr/bin/true"]
    assert of(told, "ended")["programs"] == 7 and of(told, "ended")["programs_unfound"] == 5


def test_links_hide_nothing(tier):
    """A name that only the payload can follow is a name all the same."""
    result = tier.run(*shell("cd /tmp; cd \"$TMPDIR\" 2>/dev/null; ln -s /proc/self/exe a; ln -s /proc/self b; ./a -c 'echo 1' sh; b/exe -c 'echo 2' sh; "
                             "/proc/self/exe -c 'echo 3' sh; ln -s /nowhere c; ./c; true"))
    said = [row["path"] for row in programs(events(tier, result))]
    assert [p for p in said if p in ("./a", "b/exe", "/proc/self/exe", "./c")] == ["./a", "b/exe", "/proc/self/exe", "./c"], (said, result)


def test_scripts_and_links(tier):
    """What was asked for, not what the kernel made of it: the interpreter of a script is no start of its own."""
    (tier.workspace / "script").write_text("#!/bin/sh\nexit 4\n")
    (tier.workspace / "script").chmod(0o755)
    result = tier.run(*shell("./script; echo $?"))
    assert result.out == "4\n", result
    assert [row["path"] for row in programs(events(tier, result))][1:] == ["./script"]


def test_bytes_and_bounds(tier):
    """Bytes that are no UTF-8, and no more of them than there is room for."""
    many = tier.run(*shell("/bin/true \"$(printf 'a\\377\\033[31m')\"; /bin/true $(seq 1 100); /bin/true $(head -c 5000 /dev/zero | tr '\\0' x) y; "
                           "/bin/true '' ''"))
    assert many.status == 0, many
    rows = [row for row in programs(events(tier, many)) if row["path"].endswith("/true")]
    odd, long, large, empty = rows
    assert odd["argv"][1] == "a\ufffd\x1b[31m" and odd["argv"][0].endswith("true")
    assert long["argv"] == ["/bin/true"] + [str(n) for n in range(1, 32)] and long["argv_more"] == 69
    assert large["argv_cut"] is True and large["argv_more"] == 1 and len("".join(large["argv"])) == TEXT
    assert empty["argv"] == ["/bin/true", "", ""] and "argv_more" not in empty
    shown = tier.tool("events", many.document["sandbox"]).out
    assert "program" in shown and "\x1b" not in shown and "argv_more=69" in shown


def test_bad_pointers(tier):
    result = tier.run(tier.probe("starts"), "pointers")
    assert result.status == 0, result
    seen = result.probes()
    assert seen["path at the edge"] == "OK" and seen["argv NULL"] == "OK", result
    assert {seen[f"{what}"] for what in ("argv over the edge", "argv bad", "argument bad", "path bad", "path NULL", "path kernel",
                                         "path over the edge", "path truncated", "argv truncated")} == {"EFAULT"}, result
    assert seen["path empty"] == "ENOENT"
    rows = programs(events(tier, result))[1:]
    told = [(row["path"], row["argv"], row.get("unread", False)) for row in rows]
    assert told == [("/bin/true", ["true"], False), ("/bin/truex", ["true"], True), ("/bin/true", ["true", "true"], True),
                    ("/bin/true", [], False), ("/bin/true", [], True), ("/bin/true", ["true"], True), ("", ["true"], True),
                    ("", ["true"], True), ("", ["true"], True), ("", ["true"], True), ("/bin/true", [], True)], told
    ended = of(events(tier, result), "ended")
    assert (ended["programs"], ended["programs_unfound"]) == (13, 1)


def test_two_megabytes(tier):
    result = tier.run(tier.probe("starts"), "huge")
    assert result.probes() == {"large": "OK", "many": "OK"}, result
    large, many = programs(events(tier, result))[1:]
    assert large["argv"] == ["a" * TEXT] and large["argv_cut"] is True and large["argv_more"] == 19
    assert many["argv"] == ["x"] * 32 and many["argv_more"] == 4096 - 32  # counted so far
    assert "unread" not in large and "unread" not in many


def test_descriptors(tier):
    """A program that has no name, and one in an open directory."""
    result = tier.run(tier.probe("starts"), "descriptors")
    assert result.probes() == {"descriptors": "OK"} and result.status == 0, result
    memory, at = programs(events(tier, result))[1:]
    assert (memory["path"], memory["argv"], memory["via"]) == ("", ["from-memory", "nothing"], "/memfd:hidden (deleted)")
    assert (at["path"], at["argv"], at["via"]) == ("true", ["from-memory", "nothing"], "/usr/bin")


def test_what_may_not_be_executed_is_an_attempt(tier):
    """Landlock decides, as ever; that somebody tried is in the record."""
    result = tier.run(*shell("/bin/echo no; echo $?"), options=("--allow-program", "sh"))
    assert result.out == "126\n", result
    assert [row["path"] for row in programs(events(tier, result))][1:] == ["/bin/echo"]


def test_set_id_programs(tier):
    result = tier.run(*shell("/bin/su --version >/dev/null; true"))
    assert result.status == 0, result
    assert programs(events(tier, result))[1]["path"] == "/bin/su"


def test_starts_are_no_refusals(tier):
    result = tier.run(*shell("/bin/true; /bin/echo x; /nowhere; true"), options=("--denials", "end"))
    assert (result.status, result.out) == (0, "x\n") and result.document["denials"] == [], result


def test_threads_that_race(tier, world):
    """While one thread changes what others start; the record has what was there when it was looked at."""
    result = tier.run(tier.probe("starts"), "race", "3", options=("--wall", "60s", "--starts", "100000"))
    assert result.probes() == {"race": "OK"} and result.status == 0, result
    told = events(tier, result)
    paths = {row["path"] for row in programs(told)[1:]}
    assert paths and all(len(p) < 32 for p in paths), paths
    ended = of(told, "ended")
    assert ended["programs"] > 100 / runner.SLOW and ended["programs"] == len(programs(told)) + ended["programs_unfound"] + \
        next((data["count"] for name, data in told if name == "programs_more"), 0)


def test_killed_on_the_way(tier, world):
    """Nobody's start is taken for another's, and nothing hangs."""
    result = tier.run(tier.probe("starts"), "killed", "500", options=("--wall", "60s"))
    assert result.probes() == {"killed": "OK"} and result.status == 0, result
    for row in programs(events(tier, result))[1:]:
        assert row == {"path": "", "argv": [], "unread": True} or row.get("unread") or \
            (row["path"], row["argv"]) == ("/bin/true", ["true"]), row


def test_signals_while_it_waits(tier):
    result = tier.run(tier.probe("starts"), "signals", "200", options=("--wall", "60s"))
    assert result.probes() == {"signals": "OK"} and result.status == 0, result


def cpu_of(pid):
    """Seconds of CPU that a process and its children that it has waited for have used."""
    fields = (runner.text_of(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return sum(int(n) for n in fields[11:15]) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("kind", ["storm", "refusals"])
def test_storms(live, kind):
    """Many processes that do nothing but try: they wait for the keeper, and nobody else does."""
    box = live("--processes", "100", "--wall", "2m")
    box.shell("true")  # a reader is not needed for it
    storm = box.start("/bin/sh", "-c", f"cp '{box.atoll.probe('starts')}' /tmp/p; /tmp/p {kind} 32 {int(12 * min(runner.SLOW, 4))}; exit 7")
    assert runner.eventually(lambda: cpu_of(box.keeper()) > 0.3, 30)
    time_of, at = cpu_of(box.keeper()), time.monotonic()
    asked = []
    while time.monotonic() - at < 6:
        begin = time.monotonic()
        assert live_module.running(box.atoll)[box.id]["state"] == "running"
        asked.append(time.monotonic() - begin)
    share = (cpu_of(box.keeper()) - time_of) / (time.monotonic() - at)
    assert share < 0.45, f"{share:.0%} of a CPU for the keeper"
    assert sorted(asked)[len(asked) // 2] < 0.5, asked
    # A command gets in and out between them.
    done = box.run("/bin/echo", "through", timeout=60)
    assert (done.status, done.out) == (0, "through\n"), done
    out, _ = storm.communicate(timeout=120)
    count = int(re.search(rb"storm:(\d+)", out).group(1))
    assert box.atoll.tool("rm", "--force", box.id).status == 0
    told = [(e["event"], e["data"]) for e in box.events()]
    size = (box.atoll.home / "trail" / f"{box.id}.jsonl").stat().st_size
    assert size < 32 << 20, size
    ended = of(told, "ended")
    if kind == "storm":
        assert ended["programs"] >= count
        assert len(programs(told)) <= MAX + 2 and ended["programs"] - ended["programs_unfound"] == \
            len(programs(told)) + next((data["count"] for name, data in told if name == "programs_more"), 0)
    else:
        assert ended["denials"] == count
        assert len([d for n, d in told if n == "denied" and d["code"] == "too-many"]) == (count > MAX)


def test_beyond_what_is_recorded(atoll, world):
    """Refused as before, and programs start as before, when the record has had enough of either."""
    probe = atoll.probe("starts")
    script = f"{probe} storm 8 9; {probe} refusals 8 4; /bin/echo still; {probe} storm 1 0; /bin/true"
    result = atoll.run(*shell(script), options=("--wall", "90s"), timeout=100)
    assert result.status == 0 and "still\n" in result.out, result
    told = events(atoll, result)
    seen = of(told, "ended")
    tried, refused, *_ = (int(n) for n in re.findall(r"storm:(\d+)", result.out))
    assert seen["denials"] == refused and refused > 0
    more = next((data["count"] for name, data in told if name == "programs_more"), 0)
    assert seen["programs"] >= tried and len(programs(told)) + more == seen["programs"]
    assert (more > 0) == (seen["programs"] > MAX)


def test_commands_of_a_sandbox_that_lives(live):
    """Each command's own start, and which command a start belongs to; pause and copies as ever."""
    box = live()
    assert box.shell("/bin/true").status == 0
    assert box.run("no-such-program").status == 127
    if os.geteuid() == 0:  # who has groups
        assert box.atoll.tool("pause", box.id).status == 0
        assert box.atoll.tool("resume", box.id).status == 0
    assert box.run("/bin/echo", "x").out == "x\n"
    told = [(e["event"], e["data"]) for e in box.events()]
    rows = programs(told)
    assert [(row["path"], row["command"]) for row in rows] == [("/bin/sh", 1), ("/bin/true", 1), ("/bin/echo", 3)] or \
        [(row["path"].rsplit("/")[-1], row["command"]) for row in rows] == [("sh", 1), ("true", 1), ("echo", 3)], rows
    names = [name for name, _ in told]
    assert names[names.index("exec"):][:4] == ["exec", "program", "program", "exec_ended"]


def test_on_a_terminal(tier):
    result = tier.run_on_terminal(*shell("/bin/true; /bin/echo x"))
    assert result.status == 0, result
    assert [row["argv"] for row in programs(events(tier, result))][1:] == [["/bin/true"], ["/bin/echo", "x"]]


def test_tracing_inside(atoll, need_program):
    """strace(1) in the sandbox sees what it always saw."""
    strace = need_program("strace")
    result = atoll.run(strace, "-f", "-e", "trace=execve", "/bin/sh", "-c", "/bin/true; /bin/echo x", options=("--wall", "60s"))
    assert result.status == 0 and result.out == "x\n", result
    assert result.err.count("execve(") >= 3 and '"/bin/true"' in result.err
    said = [row["argv"][0] for row in programs(events(atoll, result))]
    assert said[0].endswith("strace") and said[-3:] == ["/bin/sh", "/bin/true", "/bin/echo"], said


def test_a_sandbox_inside(atoll, need_program):
    """With namespaces of its own the payload's numbers are still those of the sandbox."""
    unshare = need_program("unshare")
    result = atoll.run(*shell(f"{unshare} --user --map-root-user --pid --fork --mount /bin/sh -c '/bin/echo $$; /bin/true'"),
                       options=("--syscalls", "nested"))
    assert result.status == 0 and result.out == "1\n", result
    rows = programs(events(atoll, result))
    assert [row["argv"][0] for row in rows][-2:] == ["/bin/echo", "/bin/true"] or rows[-1]["argv"][0] == "/bin/true", rows
    assert all(row["pid"] > 1 and "unread" not in row for row in rows), rows


def test_without_a_keeper_nothing_starts(atoll):
    """Whoever kills the keeper gets no program past it: all inside dies, and what would start before that cannot."""
    mark = atoll.workspace / "mark"
    script = f"touch {mark}; while :; do /bin/true || break; done; echo ended >{mark}"
    running = atoll.start(*shell(script), options=("--workspace", ".:direct"))
    assert runner.eventually(mark.exists, 20)
    [row] = live_module.running(atoll).values()
    os.kill(row["keeper"], signal.SIGKILL)
    running.wait(30)
    assert mark.read_text() == ""
    assert runner.eventually(lambda: atoll.tool("reap").status == 0 and not list((atoll.home / "sandboxes").iterdir())), "its groups, too"


def reader_of(keeper):
    """The process that looks, if there is one."""
    children = (runner.text_of(f"/proc/{keeper}/task/{keeper}/children") or "").split()
    return next((int(c) for c in children if runner.text_of(f"/proc/{c}/comm") == "atoll-reader\n"), 0)


def test_a_look_that_does_not_end(live):
    """As at a file system that does not answer: it costs a moment, then the reader is another one, and after four there is none."""
    box = live("--wall", "2m")
    shell_of = box.start("/bin/sh")
    keeper = box.keeper()

    def say(line):
        shell_of.stdin.write(line.encode() + b"; echo done\n")
        shell_of.stdin.flush()
        return shell_of.stdout.readline()
    seen = []
    for n in range(5):
        assert say(f"/bin/echo {n} >/dev/null") == b"done\n"
        reader = reader_of(keeper)
        assert (reader != 0) == (n < 4) and reader not in seen, (n, reader, seen)
        if reader:
            seen.append(reader)
            os.kill(reader, signal.SIGSTOP)
        begin = time.monotonic()
        assert say(f"/bin/echo hung {n} >/dev/null") == b"done\n"
        assert time.monotonic() - begin < 5
        assert runner.eventually(lambda: live_module.is_dead(reader)), reader
    shell_of.stdin.close()
    assert shell_of.wait(20) == 0
    rows = programs([(e["event"], e["data"]) for e in box.events()])[1:]
    told = [(row.get("argv"), row.get("path"), row.get("unread", False)) for row in rows]
    expected = []
    for n in range(4):
        expected += [(["/bin/echo", str(n)], "/bin/echo", False), (None, None, True)]
    assert told == expected + [(None, None, True)] * 2, told
    assert all(row["pid"] > 1 and row["parent"] > 1 and row["command"] == 1 for row in rows), rows


def test_a_reader_that_is_killed(live):
    box = live()
    process = box.start("/bin/sh")

    def say(line):
        process.stdin.write(line.encode() + b"; echo done\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"done\n"
    say("/bin/echo 1 >/dev/null")
    reader = reader_of(box.keeper())
    os.kill(reader, signal.SIGKILL)
    assert runner.eventually(lambda: live_module.is_dead(reader))
    say("/bin/echo 2 >/dev/null")
    say("/bin/echo 3 >/dev/null")
    process.stdin.close()
    assert process.wait(20) == 0
    rows = programs([(e["event"], e["data"]) for e in box.events()])[1:]
    assert [(row.get("argv"), row.get("unread", False)) for row in rows] == \
        [(["/bin/echo", "1"], False), (None, True), (["/bin/echo", "3"], False)], rows


class SlowFiles:
    """A file system (FUSE) with one file, `file`, whose bytes never come; everything else is answered."""
    ENTRY, OPEN = struct.Struct("<QQQQII"), struct.Struct("<QII")

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if ctypes.CDLL(None, use_errno=True).mount(b"slow", os.fsencode(path), b"fuse", 6, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), "mount")
        self.asked = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def attributes(self, node):
        mode = 0o40755 if node == 1 else 0o100644
        return struct.pack("<6Q10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, number, node, body):
        if number == 26:  # INIT
            return struct.pack("<IIIIHHIIHH8I", 7, 31, 0, 0, 8, 8, 4096, 1, 1, 0, *[0] * 8)
        if number == 1 and body == b"file\0":  # LOOKUP
            return self.ENTRY.pack(2, 0, 3600, 3600, 0, 0) + self.attributes(2)
        if number == 3:  # GETATTR
            return struct.pack("<QII", 3600, 0, 0) + self.attributes(node)
        if number in (14, 27):  # OPEN, OPENDIR
            return self.OPEN.pack(1, 0, 0)
        if number == 17:  # STATFS
            return bytes(80)
        return b"" if number in (18, 25, 28, 29) else -errno.ENOENT if number == 1 else -errno.ENOSYS

    def serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 17)
            except OSError:
                return
            _, number, unique, node = struct.unpack_from("<IIQQ", request)
            if number == 15:  # READ
                self.asked.set()
            elif number not in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET have no answer
                said = self.answer(number, node, request[40:])
                error, data = (said, b"") if isinstance(said, int) else (0, said)
                try:
                    os.write(self.device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)
                except OSError:
                    return

    def close(self):
        ctypes.CDLL(None).umount2(os.fsencode(self.path), 3)  # MNT_FORCE, which ends all who wait, and MNT_DETACH
        os.close(self.device)


@pytest.fixture
def slow(base, need_root):
    files = SlowFiles(base / "slow")
    yield files
    files.close()


def test_a_file_system_that_does_not_answer(live, slow):
    """Whoever names a page of it waits for it; the keeper does not, nor do others."""
    box = live("--read", slow.path, "--wall", "2m")
    assert box.run("/bin/cp", box.atoll.probe("starts"), "/tmp/p").status == 0
    process = box.start("/tmp/p", "slow", slow.path / "file", "6")
    asked = []
    while process.poll() is None:
        begin = time.monotonic()
        assert box.id in live_module.running(box.atoll)
        asked.append(time.monotonic() - begin)
    out = process.stdout.read().decode()
    assert slow.asked.is_set() and out.count("beside it") == 6 and out.splitlines()[-1] == '{"probe": "slow", "errno": "OK"}', out
    assert max(asked) < 2, asked
    rows = programs([(e["event"], e["data"]) for e in box.events()])[2:]
    hung = [row for row in rows if row.get("unread")]
    assert len(rows) == 12 and 6 <= len(hung) <= 10, [(row.get('argv'), row.get('unread'), row.get('pid')) for row in rows]


def test_at_rest_nobody_looks(live):
    """When nothing was started for a while there is no process but the sandbox's own; the next start has another reader."""
    box = live()
    assert box.shell("/bin/true; /bin/true").status == 0
    assert runner.eventually(lambda: not reader_of(box.keeper()), 20)  # looked at every ten seconds
    process = box.start("/bin/sh", "-c", "/bin/true; read x; /bin/true")
    assert runner.eventually(lambda: reader_of(box.keeper()))
    assert runner.eventually(lambda: not reader_of(box.keeper()), 10)  # while a command is there
    process.stdin.close()
    assert process.wait(20) == 0
    rows = programs([(e["event"], e["data"]) for e in box.events()])
    assert len(rows) == 6 and not any("unread" in row for row in rows), rows


def test_limits_and_output_in_a_storm(tier, world):
    """Others' output moves, and time is up when it is up, whoever tries to start how much."""
    script = ("import os, subprocess, sys, time\n"
              "subprocess.Popen([sys.argv[1], 'storm', '16', '60'])\n"
              "while True:\n"
              "    os.write(1, b'tick\\n')\n"
              "    time.sleep(0.05)\n")
    begin = time.monotonic()
    result = tier.run("/usr/bin/python3", "-c", script, tier.probe("starts"), options=("--wall", "6s"))
    assert result.reason == "limit:wall" and result.status == 124, result
    assert time.monotonic() - begin < 6 + 4 * runner.SLOW, result
    assert result.out.count("tick") > 30, result
    told = events(tier, result)
    assert of(told, "ended")["programs"] > 1000 / runner.SLOW


def test_who_hides_from_others(tier):
    """A process that may not be dumped is read all the same, or says that it is not."""
    script = ("import ctypes, os\n"
              "assert ctypes.CDLL(None).prctl(4, 0) == 0\n"  # PR_SET_DUMPABLE
              "os.execv('/bin/echo', ['echo', 'x'])\n")
    result = tier.run("/usr/bin/python3", "-c", script)
    assert (result.status, result.out) == (0, "x\n"), result
    row = programs(events(tier, result))[-1]
    assert row.get("unread") or (row["path"], row["argv"]) == ("/bin/echo", ["echo", "x"]), row
