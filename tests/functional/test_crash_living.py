# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of front and keeper at every system call of `exec`, `stop`, `rm` and `discard`.

After each death the next command finds nothing that is half there: the sandbox lives and works, or its
copy waits with every byte that was written, or, where it was to be removed, all of it is gone.
"""
import json
import os
import random
import shutil
import stat
import subprocess

import pytest

from functional.test_copy import picture, write
from functional.test_crash import LATE, mounts, own_groups
from harness import runner, trail, world as world_module

NAME = "swept"
WORK = "echo more >>file; mkdir new; head -c 70000 /dev/zero >new/zeroes; rm gone; ln -s file link; chmod 600 mode"
ONCE = "echo once >>marker"
# How often a sweep of the CI set strikes; the other sweeps strike at every step.
STRIDE = 37 * round(max(1, runner.SLOW / 2))


class Living:
    """One sandbox after the other, each with the same work in its copy, and a command about it that dies."""

    def __init__(self, atoll, command):
        self.atoll, self.words = atoll, command
        self.tree = atoll.base / "tree"
        write(self.tree / "file", "file\n")
        write(self.tree / "gone", "gone\n")
        write(self.tree / "mode", "mode\n", 0o644)
        write(self.tree / "sub/kept", "kept\n")
        self.original = picture(self.tree)
        self.beside = atoll.base / "beside"
        write(self.beside / "b", "b\n")
        self.report = atoll.base / "killer.json"
        self.groups, self.mounts = list(own_groups()), mounts()
        self.removes = command[0] in ("rm", "discard")
        self.deaths = self.lived = self.kept = self.gone = 0
        self.id, self.work = None, None
        self.begin()
        self.work = self.upper()
        assert stat.S_ISCHR(self.work["gone"][0]) and len(self.work["new/zeroes"][2]) == 70000
        self.forget()

    def tool(self, *words, may_fail=False):
        result = runner.capture([self.atoll.binary, *words], env=self.atoll.environment(), cwd=self.tree)
        assert may_fail or result.status == 0, result
        return result

    def directory(self):
        return self.atoll.home / "sandboxes" / self.id

    def upper(self):
        return picture(self.directory() / "copy/upper")

    def keeper(self):
        return json.loads((self.directory() / "sandbox.json").read_text())["keeper"]

    def ids(self, *options):
        return self.tool("ps", "--quiet", *options).out.split()

    # ---- before, and what kills ----

    def begin(self):
        """A sandbox in which the work has been done; it lives, or its copy waits."""
        if self.id and self.words[0] == "exec" and self.id in self.ids():
            return
        self.id = self.tool("create", "--quiet", "--name", NAME, "--workspace", ".:copy", "--copy-of",
                            self.beside).out.strip()
        self.tool("exec", NAME, "--", "sh", "-c", f"{WORK}; echo n >{self.beside}/n")
        if self.words[0] == "discard" or self.words == ["rm", NAME]:
            self.tool("stop", NAME)

    def kill(self, clock, victim, step):
        attached = ["--keeper", str(self.keeper())] if "keeper" in (clock, victim) else []
        argv = [runner.PROBES / "probe-killer", *attached, self.report, clock, victim, str(step),
                self.atoll.binary, *self.words]
        result = runner.capture(argv, env=self.atoll.environment({"ATOLL_TEST_SLOW": str(runner.SLOW)}), cwd=self.tree)
        assert result.status in (0, 1), f"{clock} {victim} {step}: {result}"
        report = json.loads(self.report.read_text())
        assert report["survivors"] == [], f"{clock} {victim} {step}: {report}"
        self.deaths += report["killed"]
        return report

    # ---- afterwards ----

    def settle(self, what):
        """The next command; then a look at all that may be there, and the end of it."""
        self.tool("run", "--quiet", "--workspace", ".:none", "--", "true")
        if self.id in self.ids():
            self.lives(what)
        if self.id in self.ids("--kept"):
            self.waits(what)
            # The copy of the other directory is as safe; a removal may have begun with either.
            assert f"{self.id}.1" in self.ids("--kept") or self.removes, f"{what}: the other copy is lost"
        if f"{self.id}.1" in self.ids("--kept"):
            assert self.tool("diff", "--name-only", f"{self.id}.1").out == "n\n", what
        if self.id not in self.ids() + self.ids("--kept"):
            assert self.removes, f"{what}: the copy is lost"
            self.gone += 1
        if self.words[0] != "exec" or self.id not in self.ids():
            self.forget()
            self.nothing_is_left(what)
        assert picture(self.tree) == self.original and os.listdir(self.beside) == ["b"], what

    def marker(self, what, text):
        assert text in ("", "once\n"), f"{what}: the command ran more than once: {text!r}"

    def lives(self, what):
        """A sandbox that works; for another command than exec, the end of it comes now, or is on its way."""
        if self.words[0] != "exec":
            said = self.tool("stop", self.id, may_fail=True)
            assert said.status == 0 or self.id not in self.ids(), (what, said)
            self.lived += 1
            self.tool("run", "--quiet", "--workspace", ".:none", "--", "true")
            return
        assert runner.eventually(lambda: json.loads(self.tool("inspect", self.id).out)[0]["commands"] == []), what
        self.marker(what, self.tool("exec", NAME, "--", "sh", "-c", "cat marker 2>/dev/null; rm -f marker").out)
        assert self.upper() == self.work, what
        self.lived += 1

    def waits(self, what):
        found = self.upper()
        self.marker(what, found.pop("marker", (0, 0, b""))[2].decode())
        assert found == self.work, f"{what}: {sorted(set(found) ^ set(self.work))}"
        document = json.loads(self.tool("diff", "--json", self.id).out)
        assert {c["path"] for c in document["changes"]} - {"marker"} == set(self.work), what
        self.kept += 1

    def forget(self):
        for each in (self.id, f"{self.id}.1"):
            if each in self.ids() + self.ids("--kept"):
                self.tool("rm", "--force", each)

    def nothing_is_left(self, what):
        assert os.listdir(self.atoll.home / "sandboxes") == [], what
        assert os.listdir(self.atoll.home / "names") == [], what
        assert runner.eventually(lambda: mounts() == self.mounts), what
        assert runner.eventually(lambda: not self.members()), f"{what}: {self.members()}"
        for path in (self.atoll.home / "trail").iterdir():
            left = [g for g in self.groups if (g / f"atoll-{path.stem}").exists()]
            assert left == [], f"{what}: {left} of {path.stem}"
            trail.read(path)
            path.unlink()

    def members(self):
        """Processes of a sandbox: those that show its directory."""
        return [int(n) for n in filter(str.isdigit, os.listdir("/proc"))
                if int(n) != os.getpid() and world_module.belongs(int(n), [str(self.tree)])]

    # ---- the sweep ----

    def every(self, clock, victim, stride):
        self.begin()
        total = self.kill(clock, victim, 0)["steps"]
        self.settle("an undisturbed command")
        assert total > 50, f"{clock} makes {total} steps"
        self.deaths = self.lived = self.kept = self.gone = 0
        begin = random.randrange(stride) + 1
        print(f"{victim} at each {stride}. of {total} steps of {clock}, from {begin}")
        for step in range(begin, total + LATE, stride):
            self.begin()
            self.kill(clock, victim, step)
            self.settle(f"{victim} killed at step {step} of {clock}")
        self.forget()
        self.nothing_is_left("at the end")
        print(f"{self.deaths} deaths; the sandbox lived after {self.lived}, its copy waited after {self.kept}, "
              f"all was gone after {self.gone}")
        least = total // stride * 3 // 4 if clock == victim else 1
        assert self.deaths >= least, f"{self.deaths} deaths in {total} steps"
        if self.words[0] == "exec":
            assert self.lived if victim == "front" else self.kept >= self.deaths
        else:
            assert self.kept or self.lived
            assert self.removes or not self.gone
            assert self.gone or not self.removes or stride > 1, "a sample may have none of the last steps"


COMMANDS = {
    "exec": ["exec", NAME, "--", "sh", "-c", ONCE],
    "stop": ["stop", NAME],
    "rm": ["rm", "--force", NAME],
    "rm-copy": ["rm", NAME],
    "discard": ["discard", NAME],
}
# Whose system calls are counted, who is killed.
DEATHS = [(name, "front", "front") for name in COMMANDS] + [
    (name, *pair) for name in ("exec", "stop", "rm") for pair in (("keeper", "keeper"), ("keeper", "front"))]


@pytest.fixture
def living(request, atoll):
    made = Living(atoll, COMMANDS[request.param])
    yield made
    if made.id:
        subprocess.run([atoll.binary, "rm", "--force", made.id], env=atoll.environment(), check=False,
                       stderr=subprocess.DEVNULL)
    shutil.rmtree(made.tree)
    shutil.rmtree(made.beside)


@pytest.mark.parametrize("living, clock, victim", DEATHS, indirect=["living"])
def test_killed_at_some_system_calls(living, clock, victim):
    living.every(clock, victim, STRIDE)


@pytest.mark.long
@pytest.mark.parametrize("living, clock, victim", DEATHS, indirect=["living"])
def test_killed_at_every_system_call(living, clock, victim):
    living.every(clock, victim, 1)
