# SPDX-License-Identifier: Apache-2.0
"""atoll graduate: what is exported is whole and true, and the sandbox is gone only then."""
import hashlib
import json
import os
import shutil
import stat
import subprocess

import pytest

from harness import runner, trail

ALWAYS = {"MANIFEST.sha256", "README.md", "lock.json", "plan.json", "policy.yaml", "receipt.json", "trail.jsonl"}
CHANGED = ALWAYS | {"changes.json", "changes.patch"}
BINARY = CHANGED | {"files", "files.json"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Graduate:
    """A workspace, copies of it, and where they graduate to."""

    def __init__(self, atoll):
        self.atoll, self.root, self.to = atoll, atoll.base / "tree", atoll.base / "exports"
        self.root.mkdir()
        self.to.mkdir()
        (self.root / "a").write_text("one\n")
        (self.root / "link").symlink_to("a")

    def kept(self, script="echo two >>a", *options):
        """The id of a sandbox that has changed something and ended."""
        done = self.atoll.run("/bin/sh", "-c", script, cwd=self.root,
                              options=("--workspace", f"{self.root}:copy", *options))
        assert done.status == 0, done
        return done.document["sandbox"]

    def __call__(self, *words, **how):
        return runner.capture([self.atoll.binary, "graduate", *words], env=self.atoll.environment(), cwd=self.to, **how)

    def waiting(self):
        return self.atoll.tool("ps", "--kept", "--quiet").out.split()

    def check(self, place, sandbox, files):
        """An export that is whole, private, and ours in every name; its record verifies."""
        assert set(os.listdir(place)) == files
        for path in [place, *place.rglob("*")]:
            st = path.lstat()
            assert stat.S_IMODE(st.st_mode) == (0o700 if stat.S_ISDIR(st.st_mode) else 0o600), path
            assert stat.S_ISDIR(st.st_mode) or (stat.S_ISREG(st.st_mode) and st.st_nlink == 1), path
        assert subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "MANIFEST.sha256"], cwd=place,
                              check=False).returncode == 0
        listed = [line.split("  ")[1] for line in (place / "MANIFEST.sha256").read_text().splitlines()]
        there = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()} - {"MANIFEST.sha256"}
        assert listed == sorted(there)
        copy = self.atoll.base / "records" / f"{sandbox}.jsonl"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(place / "trail.jsonl", copy)
        events = trail.read(copy)
        here = trail.read(self.atoll.home / "trail" / f"{sandbox}.jsonl")
        assert here[:-1] == events and here[-1]["event"] == "graduated"
        assert here[-1]["data"] == {"directory": str(place),
                                    "manifest": digest((place / "MANIFEST.sha256").read_bytes())}
        data = {event["event"]: event["data"] for event in events}
        lock = json.loads((place / "lock.json").read_text())
        plan, receipt = ((place / name).read_bytes() for name in ("plan.json", "receipt.json"))
        assert plan == canonical(data["created"]["plan"]) and receipt == canonical(data["receipt"]["receipt"])
        assert digest(plan) == lock["plan_digest"] == data["created"]["plan_digest"]
        assert digest(receipt) == lock["receipt_digest"] == data["receipt"]["digest"]
        assert lock["trail_digest"] == digest(copy.read_bytes().splitlines()[-1])
        assert lock["policy_digest"] == json.loads(plan)["policy_digest"]
        uname = os.uname()
        assert (lock["machine"]["kernel"], lock["machine"]["build"], lock["machine"]["machine"]) == \
            (uname.release, uname.version, uname.machine)
        name = [line.split(": ", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")]
        assert uname.machine != "x86_64" or lock["machine"]["cpu"].strip() == name[0]
        assert lock["seed"] is None and lock["clock"] is None and set(lock["absent"]) >= {"seed", "clock", "models"}
        assert f"atoll {lock['atoll']}\n" == self.atoll.tool("version").out
        self.check_policy(place, json.loads(plan))
        return events

    def check_policy(self, place, plan):
        """It loads, from anywhere, and means the same."""
        checked = runner.capture([self.atoll.binary, "policy", "check", "policy.yaml"], cwd=place,
                                 env=self.atoll.environment())
        assert checked.status == 0 and checked.out.startswith("policy.yaml: ok"), checked
        accepted = ["--accept-tier", plan["tier"]] if plan["tier_accepted"] else []
        again = runner.capture([self.atoll.binary, "run", "--plan-only", *accepted, "--policy", "policy.yaml"],
                               cwd=place, env=self.atoll.environment())
        assert again.status == 0, again
        # A path is absolute now, and what was the caller's way of writing it is part of that digest.
        assert {**json.loads(again.out), "policy_digest": "", "env_fixed": False} == \
            {**plan, "policy_digest": "", "env_fixed": False}


@pytest.fixture
def graduate(atoll):
    return Graduate(atoll)


@pytest.mark.asan
def test_a_kept_copy(graduate, world, need_program):
    need_program("patch")
    sandbox = graduate.kept("echo two >>a; mkdir new; echo b >new/b; ln -sfn /etc/passwd link")
    diff = graduate.atoll.tool("diff", "--json", sandbox).stdout
    patch = graduate.atoll.tool("diff", "--patch", sandbox).stdout
    done = graduate(sandbox, "out")
    assert done.status == 0 and f"{sandbox} is graduated, and gone" in done.err and done.out == "", done
    place = graduate.to / "out"
    graduate.check(place, sandbox, CHANGED)
    assert (place / "changes.json").read_bytes() == diff and (place / "changes.patch").read_bytes() == patch
    assert b"+two" in patch and b"/etc/passwd" in patch and "root:" not in (place / "changes.patch").read_text()
    assert "hazards: files that the host would run or obey" in done.err
    assert graduate.waiting() == [] and os.listdir(graduate.atoll.home / "sandboxes") == []
    assert os.listdir(graduate.to) == ["out"]
    subprocess.run(["patch", "-s", "-p1"], cwd=graduate.root, check=True, stdin=open(place / "changes.patch", "rb"))
    assert (graduate.root / "a").read_text() == "one\ntwo\n" and (graduate.root / "new/b").read_text() == "b\n"
    again = graduate(sandbox, "other")
    assert again.status == 125 and "was graduated before" in again.err, again


def test_one_that_lives(live, graduate):
    box = live("--name", "work", "--workspace", f"{graduate.root}:copy", "--env", "GREETING=say \"hi\" \uffff \U0001f600",
               "--read", "/etc/hostname", "--deny", "**/.env", "--cpus", "1", "--owner", "me: #1", "--scope", "code")
    process = box.start("sleep", "600")
    assert runner.eventually(lambda: box.inspect()["commands"])
    assert box.shell(f"echo two >>{graduate.root}/a").status == 0
    (graduate.to / "out").mkdir(mode=0o777)
    done = graduate("--json", "work", "out/")
    document = json.loads(done.out)
    events = graduate.check(graduate.to / "out", box.id, CHANGED)
    assert process.wait(timeout=runner.TIMEOUT) == 137
    assert (document["sandbox"], document["directory"]) == (box.id, str(graduate.to / "out"))
    assert document["changes"] == 1 and document["hazards"] == document["binaries"] == 0
    assert set(document["files"]) == CHANGED and document["manifest"] == \
        digest((graduate.to / "out/MANIFEST.sha256").read_bytes())
    assert [e["event"] for e in events if e["event"] != "changed"][-1] == "torn_down" and box.is_gone()
    assert os.listdir(graduate.atoll.home / "names") == [] and graduate.waiting() == []
    text = (graduate.to / "out/policy.yaml").read_text()
    assert f'path: "{graduate.root}"' in text and '"**/.env"' in text and "cpus: 1\n" in text


def test_without_a_copy(live, graduate):
    """A workspace that is only read, and one in which nothing was changed; from a relative policy."""
    (graduate.to / "p.yaml").write_text("version: 1\nprovenance: reviewed\ntrust: high\n"
                                        "filesystem: {workspace: {path: ../tree, mode: read-only}, read: [p.yaml]}\n"
                                        "execution: {allow: [sh, /usr/bin/id, sleep], limits: {open_files: 512}}\ndata: {env: {HOMELESS: {inherit: true}}}\n")
    box = live("--policy", graduate.to / "p.yaml")
    assert graduate(box.id, "one").status == 0
    graduate.check(graduate.to / "one", box.id, ALWAYS)
    text = (graduate.to / "one/policy.yaml").read_text()
    assert f'- "{graduate.to}/../tree' not in text and "HOMELESS: {inherit: true}" in text
    box = live("--workspace", f"{graduate.root}:copy")
    assert box.run("true").status == 0
    assert graduate.atoll.tool("stop", box.id).status == 0
    assert graduate(box.id, "two").status == 0, "its record is all there is, and is enough"
    graduate.check(graduate.to / "two", box.id, ALWAYS)
    assert "has changed nothing" in (graduate.to / "two/README.md").read_text()


def test_accepted_tier(graduate, need_root):
    """Limits by group alone, which an ordinary user may not have."""
    done = graduate.atoll.run("true", options=("--trust", "low", "--accept-tier", "container"))
    assert done.status == 0, done
    assert graduate(done.document["sandbox"], "out").status == 0
    graduate.check(graduate.to / "out", done.document["sandbox"], ALWAYS)
    assert "--policy policy.yaml --accept-tier container -- COMMAND" in (graduate.to / "out/README.md").read_text()


HOSTILE = r"""
import os
os.makedirs("x/..\n# [a](b)")
for name in ("x/\x1b[2J\n", "x/..\n# [a](b)/`id`", "..data", "MANIFEST.sha256", "files", "x/\udcff"):
    open(name, "wb").write(b"\0" + os.fsencode(name))
open("same", "wb").write(b"\0..data")
os.chmod("same", 0o755)
os.symlink("/etc/shadow", "x/leak")
os.mkfifo("x/pipe")
os.makedirs(".git/hooks")
os.makedirs("w\n# evil `id`\x1b[2J/.git/hooks")
open("w\n# evil `id`\x1b[2J/.git/hooks/pre-commit", "w").write("text")
open(".git/hooks/post-checkout", "wb").write(b"\0")
os.mkdir("empty\n")
"""


def test_hostile_names_and_kinds(graduate, world):
    (graduate.root / "h.py").write_text(HOSTILE)
    sandbox = graduate.kept("python3 h.py")
    done = graduate(sandbox, "out")
    assert done.status == 0, done
    place = graduate.to / "out"
    graduate.check(place, sandbox, BINARY)
    rows = {row.get("path_bytes", os.fsencode(row["path"]).hex()): row for row in json.loads((place / "files.json").read_text())}
    assert len(rows) == 8 and len(os.listdir(place / "files")) == 7, "one content, one file"
    for name in ("x/\x1b[2J\n", "..data", "MANIFEST.sha256", "x/\udcff", "same"):
        row = rows[os.fsencode(name).hex()]
        data = (place / row["file"]).read_bytes()
        assert row["file"] == f"files/{digest(data)}" and row["size"] == len(data)
        assert data == b"\0" + os.fsencode("..data" if name == "same" else name)
    assert rows[b"same".hex()]["mode"] == "0755"
    readme = (place / "README.md").read_text()
    assert "\x1b" not in readme and "\n# evil" not in readme and "    w\\x0a# evil" in readme
    assert "    .git/hooks/post-checkout: " in readme and "# Look at these first" in readme
    changes = json.loads((place / "changes.json").read_text())["changes"]
    assert sum(len(c["hazards"]) for c in changes) == len([line for line in readme.splitlines()
                                                           if line.startswith("    ") and "atoll run" not in line])


def test_sparse_files_are_bounded(graduate):
    """An export has no holes: what they stand for is bounded as the copy itself."""
    sandbox = graduate.kept("for i in 1 2 3; do truncate -s 900K big$i; done", "--copy", "2MiB")
    refused = graduate(sandbox, "out")
    assert refused.status == 125 and "larger than its copy was allowed to be (2097152 bytes)" in refused.err
    assert graduate.waiting() == [sandbox] and os.listdir(graduate.to) == []


@pytest.mark.parametrize("place, says", [("full", "is not empty"), ("file", "no directory"), ("link", "no directory"),
                                         ("no/such", "cannot open"), (".", "no name"), ("..", "no name"), ("/", "no name")])
def test_places(live, graduate, place, says):
    """Nothing is ended for a place that cannot be had."""
    (graduate.to / "full").mkdir()
    (graduate.to / "full/x").touch()
    (graduate.to / "file").touch()
    (graduate.to / "target").mkdir()
    (graduate.to / "link").symlink_to("target")
    before = sorted(os.listdir(graduate.to))
    box = live()
    refused = graduate(box.id, place)
    assert refused.status == 125 and says in refused.err, refused
    assert sorted(os.listdir(graduate.to)) == before and os.listdir(graduate.to / "target") == []
    assert box.run("true").status == 0


def test_words(graduate):
    for words, says in [((), "which sandbox"), (("x",), "a directory is missing"), (("s-none", "d"), "no record"),
                        (("a", "b", "c"), "")]:
        refused = graduate(*words)
        assert refused.status == 125 and says in refused.err, refused
    assert os.listdir(graduate.to) == []


@pytest.mark.parametrize("how", ["altered", "missing", "cut", "foreign"])
def test_a_record_that_is_broken(graduate, how):
    sandbox = graduate.kept()
    path = graduate.atoll.home / "trail" / f"{sandbox}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "altered":
        lines[0] = lines[0].replace(b'"memory":2147483648', b'"memory":1147483648')
    elif how == "missing":
        del lines[1]
    elif how == "cut":
        lines[-1] = lines[-1][:-9]
    else:
        lines[2:3] = [lines[2].replace(sandbox.encode(), b"s-aaaaaaaaaa")]
    assert b"".join(lines) != path.read_bytes()
    path.write_bytes(b"".join(lines))
    refused = graduate(sandbox, "out")
    assert refused.status == 125 and "is broken" in refused.err, refused
    assert graduate.waiting() == [sandbox] and os.listdir(graduate.to) == []


def test_a_copy_that_is_gone(graduate):
    sandbox = graduate.kept()
    assert graduate.atoll.tool("discard", sandbox).status == 0
    refused = graduate(sandbox, "out")
    assert refused.status == 125 and "is not there any more" in refused.err
    assert os.listdir(graduate.to) == []


def test_a_full_disk_loses_nothing(graduate):
    sandbox = graduate.kept()
    limited = runner.capture(["/bin/sh", "-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"", graduate.atoll.binary,
                              "graduate", sandbox, "out"], env=graduate.atoll.environment(), cwd=graduate.to)
    assert limited.status == 125 and "File too large" in limited.err, limited
    assert graduate.waiting() == [sandbox] and os.listdir(graduate.to) == []
    assert graduate(sandbox, "out").status == 0
    graduate.check(graduate.to / "out", sandbox, CHANGED)


def sweep(graduate, stride):
    """graduate, killed at each of its system calls: an export that is there is whole, a copy is there until then."""
    report, step, deaths, whole = graduate.atoll.base / "killer.json", stride, 0, 0
    while True:
        sandbox = graduate.kept("echo two >>a; printf 'a\\0b' >binary")
        result = runner.capture([runner.PROBES / "probe-killer", report, "front", "front", str(step),
                                 graduate.atoll.binary, "graduate", sandbox, "out"],
                                env=graduate.atoll.environment(), cwd=graduate.to)
        assert result.status in (0, 1), result
        place, killed = graduate.to / "out", runner.read_json(report)["killed"]
        if place.exists():
            assert set(os.listdir(graduate.to)) == {"out"} and set(os.listdir(place)) == BINARY
            subprocess.run(["sha256sum", "--quiet", "-c", "MANIFEST.sha256"], cwd=place, check=True)
            whole += killed
            if sandbox in graduate.waiting():
                assert graduate.atoll.tool("discard", sandbox).status == 0
        else:
            assert killed and graduate.waiting() == [sandbox], step
            assert graduate(sandbox, "out").status == 0, step
            graduate.check(place, sandbox, BINARY)
        shutil.rmtree(place)
        graduate.atoll.tool("ps")
        assert os.listdir(graduate.to) == [] and os.listdir(graduate.atoll.home / "sandboxes") == [], step
        if not killed:
            return deaths, whole
        deaths += 1
        step += stride


def test_killed_at_some_system_calls(graduate):
    deaths, _ = sweep(graduate, 41 * round(max(1, runner.SLOW / 2)))
    assert deaths > 3


@pytest.mark.long
def test_killed_at_every_system_call(graduate):
    deaths, whole = sweep(graduate, 1)
    assert deaths > 100 and whole > 3
