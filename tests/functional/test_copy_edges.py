# SPDX-License-Identifier: Apache-2.0
"""Kept copies at the edges: what is damaged, in use, interrupted, or only half agreed to."""
import fcntl
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

from harness import runner, trail
from test_copy import Copy, picture, write


@pytest.fixture
def copy(atoll):
    return Copy(atoll)


def home_of(copy):
    return copy.atoll.home / "sandboxes" / copy.id


def interrupt(copy):
    """What an apply leaves that was killed when it had done all that it had to do."""
    (home_of(copy) / "apply.json").write_text('{"steps":[]}')
    (copy.root / f".atoll-apply-{copy.id}").mkdir(0o700)


def test_written_but_not_different(copy):
    copy.tree()
    result = copy.run("cat a >b && cat b >a && rm b && touch kept")
    assert result.document["copy_kept"] is False and copy.state() == []


def test_bytes_in_json(copy):
    """A name or target that is no UTF-8 has its bytes beside it."""
    copy.tree()
    copy.run("""ln -s "$(printf 'to\\377')" "$(printf 'l\\376')"; ln -s plain m""")
    found = [*copy.changes().values()]
    by_path = {c.get("path_bytes", c["path"]): c for c in found}
    assert by_path["6cfe"]["after"]["target_bytes"] == "746fff"
    assert by_path["m"]["after"]["target"] == "plain" and "target_bytes" not in by_path["m"]["after"]
    assert by_path["m"]["before"] is None and copy.tool("discard").status == 0


def test_a_file_that_was_half_written(copy):
    """A keeper that died, or found no room, while it wrote that a copy is kept."""
    copy.tree()
    process = copy.atoll.start("/bin/sh", "-c", "echo x >>a; echo ready; sleep 60",
                               options=("--workspace", f"{copy.root}:copy"))
    assert process.stdout.readline() == b"ready\n"
    [copy.id] = os.listdir(copy.atoll.home / "sandboxes")
    (home_of(copy) / ".kept.json").write_text("{")
    os.kill(json.loads((home_of(copy) / "sandbox.json").read_text())["keeper"], 9)
    process.communicate(timeout=20)
    assert runner.eventually(lambda: copy.kept() == [copy.id])
    assert [*copy.changes()] == ["a"] and copy.tool("discard").status == 0 and copy.state() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"workspace": 1}'])
def test_damaged(copy, text):
    """It can be seen and thrown away; nothing else."""
    copy.tree()
    copy.run("echo x >>a")
    (home_of(copy) / "kept.json").write_text(text)
    assert copy.kept() == [copy.id]
    assert copy.tool("diff").status == copy.tool("apply").status == 125
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_half_released(copy):
    """The machine died while sandbox.json was being removed, and left a piece of it."""
    copy.tree()
    copy.run("echo x >>a")
    (home_of(copy) / "sandbox.json").write_text("")
    assert copy.kept() == [copy.id] and [*copy.changes()] == ["a"]
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_without_its_upper_layer(copy):
    copy.tree()
    copy.run("echo x >>a")
    subprocess.run(["rm", "-r", home_of(copy) / "copy"], check=True)
    assert copy.tool("diff").status == 125
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_in_use(copy):
    """Who lists copies is in nobody's way, and sees those that somebody is at work on."""
    copy.tree()
    copy.run("echo x >>a")
    fd = os.open(home_of(copy), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    for command in ("diff", "apply", "discard"):
        refused = copy.tool(command)
        assert refused.status == 125 and "in use by another command" in refused.err
    assert copy.kept() == [copy.id] and copy.kept() == [copy.id]
    os.close(fd)
    assert copy.tool("discard").status == 0


def test_one_of_several_in_use(copy):
    copy.tree()
    copy.run("echo x >>a")
    first, fd = copy.id, os.open(home_of(copy), os.O_RDONLY)
    copy.run("echo y >>a")
    fcntl.flock(fd, fcntl.LOCK_EX)
    said = copy.atoll.tool("discard", first, "s-nothing", copy.id)
    assert said.status == 125 and "in use" in said.err and "no sandbox 's-nothing'" in said.err
    assert copy.kept() == [first]
    os.close(fd)
    assert copy.atoll.tool("discard", first).status == 0


def test_others_look_meanwhile(copy):
    copy.tree()
    copy.run("echo x >>a")
    stop, seen = threading.Event(), []

    def look():
        while not stop.is_set():
            seen.append((copy.atoll.tool("ps").status, copy.kept()))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    status = {copy.tool("diff").status for _ in range(30)}
    stop.set()
    for thread in threads:
        thread.join()
    assert status == {0} and seen and all(s == (0, [copy.id]) for s in seen)
    assert copy.tool("discard").status == 0


def test_continue_lets_the_copy_go(copy):
    copy.tree()
    copy.run("echo x >n")
    write(copy.root / "n")
    interrupt(copy)
    assert copy.tool("apply", "--continue", "--keep").status == 0 and copy.kept() == [copy.id]
    interrupt(copy)
    done = copy.tool("apply", "--continue")
    assert done.status == 0 and "finished" in done.err and copy.state() == []
    assert f".atoll-apply-{copy.id}" not in picture(copy.root)


@pytest.mark.parametrize("way", ["--continue", "--undo"])
@pytest.mark.parametrize("other", ["--dry-run", "--interactive", "--allow-hazard=a"])
def test_continue_and_undo_stand_alone(copy, way, other):
    """--undo --dry-run must not undo."""
    copy.tree()
    copy.run("echo x >>a")
    interrupt(copy)
    refused = copy.tool("apply", way, other)
    assert refused.status == 125 and "stand alone" in refused.err
    assert (home_of(copy) / "apply.json").exists()
    assert copy.tool("apply", "--undo").status == 0 and copy.tool("discard").status == 0


def test_interrupted_and_then_the_workspace_goes(copy):
    copy.tree()
    copy.run("echo x >>a")
    interrupt(copy)
    refused = copy.tool("discard")
    assert refused.status == 125 and "was interrupted" in refused.err
    copy.root.rename(copy.root.with_name("elsewhere"))
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_interrupted_and_then_somebody_tidies(copy):
    """Without the staging directory there is no way on, nor back; the copy can be thrown away."""
    copy.tree()
    copy.run("echo x >>a")
    interrupt(copy)
    (copy.root / f".atoll-apply-{copy.id}").rmdir()
    for way in ("--continue", "--undo"):
        refused = copy.tool("apply", way)
        assert refused.status == 125 and "'atoll discard'" in refused.err
    assert copy.tool("discard").status == 0 and copy.state() == []


def test_answers_that_fit_together(copy):
    copy.tree()
    copy.run("rm -r gone sub; mkdir -p new/in; echo new >new/in/f; echo 2 >zoo")
    # gone (yes), gone/1 (no), new (no: not what is in it), sub (yes), sub/b (yes), sub/deep (yes),
    # sub/deep/c (yes), zoo (yes)
    asked = copy.tool("apply", "--interactive", stdin=b"y\nn\nn\ny\ny\ny\ny\ny\n")
    assert asked.status == 0, asked
    assert "1 directory stays" in asked.err and "new/in" not in asked.out
    assert (copy.root / "gone/1").exists() and (copy.root / "zoo").exists()
    assert not (copy.root / "new").exists() and not (copy.root / "sub").exists()
    assert [*copy.changes()] == ["gone", "gone/1", "new", "new/in", "new/in/f"]
    assert copy.tool("discard").status == 0


def test_a_line_is_one_answer(copy):
    copy.tree()
    copy.run("echo 1 >1; echo 2 >2; echo 3 >3")
    assert copy.tool("apply", "--interactive", stdin=b"n" + b"y" * 200 + b"\nn\ny\n").status == 0
    assert [*copy.changes()] == ["1", "2"] and copy.tool("discard").status == 0


def test_keeper_killed_at_its_end(copy):
    """Either the trail says how it ended, or whoever comes next says that it did not; the copy is kept."""
    copy.tree()
    report = copy.atoll.base / "killer.json"

    def kill(step):
        argv = [runner.PROBES / "probe-killer", report, "keeper", "keeper", str(step), copy.atoll.binary, "run",
                "--quiet", "--workspace", f"{copy.root}:copy", "--", "/bin/sh", "-c", "echo x >>a"]
        runner.capture(argv, env=copy.atoll.environment(), cwd=copy.root)
        return json.loads(report.read_text())

    total, reaped, kept = kill(0)["steps"], 0, 1
    for step in range(total - 200, total, 5):  # its seal is among the last
        kill(step)
        kept += 1
        assert len(copy.kept()) == kept, step
        for name in os.listdir(copy.atoll.home / "sandboxes"):
            assert sorted(os.listdir(copy.atoll.home / "sandboxes" / name)) == ["copy", "kept.json"], step
        for path in (copy.atoll.home / "trail").iterdir():
            last = trail.life(path)[-1]
            assert last in ("torn_down", "reaped"), (step, trail.life(path))
            reaped += last == "reaped"
            path.unlink()
    assert reaped > 3 and copy.atoll.tool("discard", *copy.kept()).status == 0 and copy.state() == []


def test_behind_a_mount(copy, need_root):
    """Something that was mounted since: a rename reaches one mount only, which is said before anything is done."""
    copy.tree()
    (copy.root / "mnt").mkdir()
    script = f"""set -e; cd {copy.root}
"$1" run --quiet --workspace {copy.root}:copy -- sh -c 'echo x >>a; echo y >mnt/f'
mount -t tmpfs none {copy.root}/mnt
id=$("$1" ps --kept --quiet); "$1" apply $id || echo $?; "$1" apply $id a; cat a; ls mnt; "$1" discard $id"""
    result = runner.capture(["unshare", "--mount", "sh", "-c", script, "sh", copy.atoll.binary],
                            env=copy.atoll.environment(), cwd="/")
    assert result.status == 0 and result.out.split() == ["1", "one", "two", "x"], result
    assert "mnt/f: conflict: something is mounted there or above" in result.err


def test_read_only_directories(copy, need_user):
    """As package caches have them: opened for as long as it takes."""
    copy.tree()
    for name in ("sub/deep", "sub", "gone"):
        (copy.root / name).chmod(0o555)
    copy.run("chmod -R u+w gone && rm -r gone; chmod u+w sub && echo n >sub/n && chmod u-w sub")
    applied = copy.tool("apply")
    assert applied.status == 0, applied
    assert not (copy.root / "gone").exists() and (copy.root / "sub/n").read_text() == "n\n"
    assert [(copy.root / n).stat().st_mode & 0o777 for n in ("sub", "sub/deep")] == [0o555] * 2
    for name in ("sub", "sub/deep"):
        (copy.root / name).chmod(0o755)


def test_a_workspace_that_may_not_be_written(copy, need_user):
    copy.tree()
    copy.run("echo x >>a")
    copy.root.chmod(0o555)
    refused = copy.tool("apply")
    copy.root.chmod(0o755)
    assert refused.status == 125 and "in the workspace: Permission denied" in refused.err
    assert (copy.root / "a").read_text() == "one\ntwo\n" and copy.tool("discard").status == 0


def test_copies_whose_time_is_up(copy):
    """Removed by the next command, with a word in the record; one in use or half applied stays."""
    copy.tree()
    copy.run("echo x >>a", "--keep", "1ms")
    short = runner.read_json(copy.atoll.document)["sandbox"]
    time.sleep(0.01)  # more than it waits
    copy.run("echo y >>a", "--keep", "1h")
    long, trail = copy.id, copy.atoll.home / "trail"
    assert copy.kept() == [long]
    assert (trail / f"{short}.jsonl").read_text().count('"event":"copy_expired"') == 1
    [row] = json.loads(copy.atoll.tool("ps", "--kept", "--json").out)
    assert 3_500_000 < row["removed_in_ms"] <= 3_600_000
    past = time.time() - 10

    def age(name):
        """As if it had waited longer: what decides is in the file, and its time."""
        note = home_of(copy).parent / name / "kept.json"
        document = json.loads(note.read_text())
        document["until_ns"] = int(past * 1e9)
        note.write_text(json.dumps(document))
        os.utime(note, (past, past))
    os.utime(home_of(copy) / "kept.json", (past, past))
    assert copy.kept() == [long], "the time of the file alone is not enough"
    age(long)
    for name in ("reap", "gc"):
        assert copy.atoll.tool(name, "--dry-run").out == "would be removed: 0 without a keeper, 1 copy and 0 logs whose time is up\n"
    (home_of(copy) / "apply.json").write_text("{}")
    assert copy.kept() == [long], "somebody was at work on it"
    (home_of(copy) / "apply.json").unlink()
    fd = os.open(home_of(copy), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert copy.atoll.tool("reap").out == "removed: 0 without a keeper, 0 copies and 0 logs whose time is up\n"
    os.close(fd)
    assert json.loads(copy.atoll.tool("reap", "--json").out) == {"orphans": 0, "expired": 1, "logs": 0, "trails": 0, "removed": True}
    assert os.listdir(copy.atoll.home / "sandboxes") == []


def test_copies_are_bounded_in_number(copy):
    """Of more than two hundred that wait the oldest goes; none that an apply has begun."""
    copy.tree()
    made = []
    for i in range(3):
        copy.run(f"echo {i} >>a", "--keep", f"{3 - i}h")  # the oldest has the most time
        made.append(copy.id)
    source = home_of(copy).parent / made[1]
    for i in range(198):
        shutil.copytree(source, source.parent / f"s-twin{i:06}", symlinks=True, copy_function=shutil.copy2)
    assert len(copy.kept()) == 200
    assert copy.atoll.tool("reap", "--dry-run").out.count("0 copies") == 1
    [gone] = set(made) - set(copy.kept())
    assert gone == made[0]
    record = (copy.atoll.home / f"trail/{gone}.jsonl").read_text()
    assert record.count('"event":"copy_expired"') == 1 and "too many wait" in record
    (source / "apply.json").write_text("{}")
    shutil.copytree(source, source.parent / "s-one-more", symlinks=True, copy_function=shutil.copy2)
    (source.parent / "s-one-more/apply.json").unlink()
    kept = copy.kept()
    assert made[1] in kept and made[2] in kept and "s-one-more" in kept, "one that is being applied is not counted"
    shutil.copytree(source.parent / made[2], source.parent / "s-two-more", symlinks=True, copy_function=shutil.copy2)
    kept = copy.kept()
    assert made[1] in kept and made[2] not in kept and "s-two-more" in kept and len(kept) == 201
    for name in kept:
        shutil.rmtree(source.parent / name)


def test_expiry(copy):
    """Counted from the start, whatever session and keep allow: it ends, and what it has left goes."""
    copy.tree()
    begin = time.monotonic()
    ended = copy.run("echo x >>a; exec sleep 60", "--expires", "1500ms", "--owner", "me")
    assert ended.status == 124 and time.monotonic() - begin < 30 and "session" in ended.err
    assert copy.kept() == [], "its time was up when it ended"
    copy.run("echo x >>a", "--expires", "1h", "--keep", "5h")
    [row] = json.loads(copy.atoll.tool("ps", "--kept", "--json").out)
    assert 3_400_000 < row["removed_in_ms"] <= 3_600_000
    record = (copy.atoll.home / f"trail/{copy.id}.jsonl").read_text().splitlines()[0]
    assert json.loads(record)["data"]["plan"]["expires_ns"] == 3600 * 10**9
