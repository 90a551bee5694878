# SPDX-License-Identifier: Apache-2.0
"""Every --help has examples, and every example works as it stands."""
import json
import os
import re
import sqlite3
import subprocess

import pytest

from harness import runner

POLICY = "version: 1\ntime: {wall: 1m}\n"
MAKEFILE = "all:\n\techo made > made\ntest:\n\t@echo tested\n"
ID = "s-k3m9w2xqzr"  # stands for a sandbox that is running, or whose copy is kept
REVIEWS = {"diff", "apply", "discard", "prove", "review"}
LIVING = {"exec", "cp", "shell", "inspect", "events", "logs", "rm", "pause", "resume", "graduate", "verify", "show"}  # need a sandbox "work" that lives


class Place:
    """What a user has who types the examples: a project, policies, a template, a home."""

    def __init__(self, base, atoll):
        self.base, self.atoll = base, atoll
        self.work, self.home = base / "work", base / "home"
        for name in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
            (self.home / name).mkdir(parents=True)
        self.write("work/script.py", "print('hello')\n")
        self.write("work/Makefile", MAKEFILE)
        self.write("work/agent", "#!/bin/sh\necho hello\n").chmod(0o755)
        for name in ("agent.yaml", "policy.yaml", "policies/a.yaml", "policies/b.yaml"):
            self.write(f"work/{name}", POLICY)
        self.write("work/new-floor.yaml", "version: 1\ntime: {wall: 10m}\n")
        self.write("home/.config/atoll/templates/ci.yaml", "version: 1\ntime: {wall: 5m}\n")
        self.write("etc/atoll/templates/ci.yaml", "version: 1\ntime: {wall: 5m}\n")
        (base / "bin").mkdir()
        (base / "bin/atoll").symlink_to(atoll.binary)
        self.environment = atoll.environment({
            "HOME": str(self.home), "XDG_CONFIG_HOME": "", "TERM": "dumb",
            "PATH": f"{base}/bin:/usr/local/bin:/usr/bin:/bin"})

    def write(self, name, text):
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def shell(self, line):
        """As typed; root has templates in /etc only, so there something is laid over /etc."""
        argv = ["/bin/sh", "-c", line]
        if os.geteuid() == 0 and "--template" in line:
            over = f'mount -t overlay none -o lowerdir="{self.base}/etc":/etc /etc && exec "$@"'
            argv = ["unshare", "--mount", "--", "/bin/sh", "-c", over, "sh", *argv]
        return runner.capture(argv, cwd=self.work, env=self.environment)

    def running(self):
        process = self.atoll.start("sleep", "600")
        ids = runner.eventually(lambda: self.atoll.tool("ps", "--quiet").out.split())
        return process, ids[0]

    def kept(self, line):
        """A copy with what the example names; only where it allows that, something to beware of."""
        script = "mkdir -p src tests && date +%N >src/x && date +%N >tests/x"
        if "Makefile" in line:
            script += " && date +#%N >>Makefile"
        assert self.atoll.run("/bin/sh", "-c", script, cwd=self.work,
                              options=("--workspace", f"{self.work}:copy")).status == 0
        return self.atoll.tool("ps", "--kept", "--quiet").out.split()[0]

    def audited(self):
        """What the examples about exports name."""
        self.atoll.run("true")
        [row] = json.loads(self.atoll.tool("audit", "verify", "--json").out)[-1:]
        record = (self.atoll.home / "trail" / f"{row['sandbox']}.jsonl").read_text()
        self.write("work/trail.jsonl", record)
        self.write("work/proof.json", self.atoll.tool("audit", "prove", row["sandbox"], "2").out)
        self.write("work/trail.pub", self.atoll.tool("audit", "key").out)

    def lowered(self):
        """The agent that an example names, as if an escape had been suspected in a sandbox of it."""
        assert self.atoll.tool("account", "agents").status == 0
        with sqlite3.connect(self.atoll.home / "ledger/ledger.db") as db:
            db.execute("INSERT INTO agent (n, name, ceiling, time, who, why) VALUES (1, 'builder', 1, 0, 'uid:0', 'a test')")
        db.close()

    def living(self):
        assert self.atoll.tool("create", "--name", "work", "--workspace", f"{self.work}:copy").status == 0

    def clear(self):
        self.atoll.tool("rm", "--force", *self.atoll.tool("ps", "--quiet").out.split())
        self.atoll.tool("discard", *self.atoll.tool("ps", "--kept", "--quiet").out.split())


@pytest.fixture
def place(base, atoll):
    return Place(base, atoll)


def commands(atoll, *group):
    """Every command of which a --help tells, as words."""
    said = atoll.tool(*group, "--help").out.split("\nexamples:")[0]
    for word in re.findall(r"^  ([a-z][a-z-]*) +\S", said, re.M):
        yield [*group, word]
        yield from commands(atoll, *group, word)


def examples(atoll, words):
    result = atoll.tool(*words, "--help")
    assert result.status == 0 and result.err == ""
    assert result.out.startswith(f"usage: {' '.join(['atoll', *words])}"), words
    assert result.out.count("\nexamples:\n") == 1, words
    lines = result.out.split("\nexamples:\n")[1].splitlines()
    assert lines and all(re.match(r"  \S", line) for line in lines), words
    assert max(map(len, result.out.splitlines())) <= 100, words
    return [line.strip() for line in lines]


# What the examples' own installation has not: a ledger for several users, and a sandbox of a host that is gone.
ELSEWHERE = {"allow": "this ledger knows no users", "disallow": "this ledger knows no users", "return": "the ledger holds nothing for sandbox"}


def test_every_example_works(place, atoll, world):
    every = [[], *commands(atoll)]
    assert len(every) >= 12
    wrong, seen = [], 0
    for words in every:
        for line in examples(atoll, words):
            assert line.startswith("atoll "), line
            process = None
            if "trail.pub" in line and ">" not in line:
                place.audited()
            if "restore" in words:
                place.lowered()
            if "stop" in words and "--command" not in line:
                process, running = place.running()
                line = line.replace(ID, running)
            if REVIEWS & set(words):
                line = line.replace(ID, place.kept(line))
            if LIVING & set(words) or "--command" in line:
                place.living()
                if "--command" in line:
                    assert place.atoll.tool("exec", "--detach", "work", "sleep", "1").out == "1\n"
                if words == ["rm"] and "--force" not in line:
                    assert place.atoll.tool("exec", "work", "--", "touch", "new").status == 0
                    assert place.atoll.tool("stop", "work").status == 0
            result = place.shell(line)
            place.clear()
            seen += 1
            if words[:1] == ["account"] and words[-1] in ELSEWHERE:
                if ELSEWHERE[words[-1]] not in result.err:
                    wrong.append(str(result))
                continue
            if result.status != 0 and not ({"pause", "resume"} & set(words) and "control group" in result.err):
                wrong.append(str(result))
            if process:
                assert process.wait(timeout=runner.TIMEOUT) == 137
    assert wrong == [] and seen >= 25
    assert (place.work / "made").read_text() == "made\n"


def test_help_in_every_spelling(atoll):
    for words in [[], *commands(atoll)]:
        said = [atoll.tool(*words, spelling) for spelling in ("--help", "-h")]
        assert said[0].out == said[1].out and said[0].status == said[1].status == 0
    assert atoll.tool("help").out == atoll.tool("--help").out
    nothing = atoll.tool()
    assert (nothing.status, nothing.out, nothing.err) == (125, "", atoll.tool("--help").out)


def test_another_name_takes_one_line(atoll):
    said = atoll.tool("--help").out
    assert re.findall(r"^  gc +(.*)$", said, re.M) == ["the same as reap"]
    options = [re.findall(r"^  (--\S+)", atoll.tool(name, "--help").out, re.M) for name in ("reap", "gc")]
    assert options[0] == options[1] and "--dry-run" in options[0]


def test_help_on_a_full_disk(atoll):
    for words in [[], *commands(atoll)]:
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([atoll.binary, *words, "--help"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False, env=atoll.environment())
        assert done.returncode == 125 and "cannot write to standard output" in done.stderr, words


@pytest.mark.parametrize("words, option, key", [
    (["run"], "--trust", "trust"),
    (["run"], "--provenance", "provenance"),
    (["run"], "--accept-tier", "tier"),
    (["run"], "--workspace", "filesystem.workspace.mode"),
    (["run"], "--syscalls", "execution.syscalls"),
    (["policy", "new"], "--limits", "execution.limits.mechanism"),
    (["policy", "explain"], "--trust", "trust"),
])
def test_help_names_the_words(atoll, words, option, key):
    schema = json.loads(atoll.tool("policy", "schema").out)
    for part in key.split("."):
        schema = schema["properties"][part]
    row = next(line for line in atoll.tool(*words, "--help").out.splitlines() if line.startswith(f"  {option} "))
    assert re.split(", | or ", row.rsplit(": ", 1)[1]) == schema["enum"]
