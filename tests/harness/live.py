# SPDX-License-Identifier: Apache-2.0
"""A sandbox that lives, and commands in it."""
import json
import pathlib
import subprocess

from . import runner, trail


class Live:
    """One sandbox that lives, and commands in it."""

    def __init__(self, atoll, *options):
        self.atoll = atoll
        made = atoll.tool("create", *options)
        assert made.status == 0, made
        self.id = made.out.strip()
        assert made.out == f"{self.id}\n" and self.id.startswith("s-"), made
        self.options = list(options)

    def argv(self, *command, options=()):
        return [self.atoll.binary, "exec", *options, self.id, "--", *command]

    def run(self, *command, options=(), **how):
        how.setdefault("env", self.atoll.environment())
        how.setdefault("cwd", self.atoll.workspace)
        return runner.capture(self.argv(*command, options=options), **how)

    def shell(self, script, *options, **how):
        return self.run("/bin/sh", "-c", script, options=options, **how)

    def start(self, *command, options=(), **how):
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        process = subprocess.Popen([str(a) for a in self.argv(*command, options=options)],
                                   env=self.atoll.environment(), cwd=self.atoll.workspace, **streams)
        self.atoll.started.append(process)
        return process

    def inspect(self):
        [document] = json.loads(self.atoll.tool("inspect", self.id).out)
        return document

    def directory(self):
        return self.atoll.home / "sandboxes" / self.id

    def keeper(self):
        return json.loads((self.directory() / "sandbox.json").read_text())["keeper"]

    def init(self):
        """Pid 1, as this side sees it: the keeper's child."""
        keeper = self.keeper()
        children = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        return next(int(c) for c in children if (runner.text_of(f"/proc/{c}/cmdline") or "").startswith("atoll-init"))

    def events(self):
        return trail.read(self.atoll.home / "trail" / f"{self.id}.jsonl")

    def is_gone(self):
        return not self.directory().exists()


def running(atoll):
    return {row["sandbox"]: row for row in json.loads(atoll.tool("ps", "--json").out)}


def is_dead(pid):
    """Gone, or waiting for whoever its parent is by now."""
    stat = runner.text_of(f"/proc/{pid}/stat")
    return not stat or stat.rpartition(")")[2].split()[0] in "ZX"
