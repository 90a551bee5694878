# SPDX-License-Identifier: Apache-2.0
"""An installation with a configuration of its own: config.yaml, a ledger, accounts."""
import json
import os
import subprocess

from . import runner, trail

# Root has the configuration in /etc alone, so there something is laid over /etc.
OVER = 'mount -t overlay none -o lowerdir="$0":/etc /etc && exec "$@"'


class Books:
    """An installation with a configuration of its own."""

    def __init__(self, atoll, base, config):
        self.atoll, self.base, self.config = atoll, base, base / "config"
        self.write(config)

    def write(self, text):
        path = self.config / "atoll/config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def wrap(self, argv):
        """The command with this configuration, and the variables for it."""
        if os.geteuid() == 0:
            argv = ["unshare", "--mount", "--", "/bin/sh", "-c", OVER, str(self.config), *argv]
        return [str(a) for a in argv], self.atoll.environment({"XDG_CONFIG_HOME": str(self.config)})

    def tool(self, *words):
        argv, env = self.wrap([self.atoll.binary, *words])
        return runner.capture(argv, env=env, cwd=self.atoll.workspace)

    def ok(self, *words):
        result = self.tool(*words)
        assert result.status == 0, result
        return result

    def account(self, name, *budgets, parent=None):
        self.ok("account", "create", name, *(["--parent", parent] if parent else []))
        for budget in budgets:
            self.ok("account", "set-budget", name, *budget.split())

    def policy(self, account, text=""):
        path = self.base / "policy.yaml"
        path.write_text(f"version: 1\ngovernance: {{account: {account}}}\n{text}")
        return path

    def plain(self):
        path = self.base / "plain.yaml"
        path.write_text("version: 1\n")
        return path

    def start(self, policy, *command, options=()):
        """As Atoll.start()."""
        argv, env = self.wrap(self.atoll.arguments(command, ["--policy", policy, *options]))
        document = self.atoll.document
        process = subprocess.Popen(argv, env=env, cwd=self.atoll.workspace, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.atoll.started.append(process)
        process.document = document
        return process

    def run(self, policy, *command, options=()):
        argv, env = self.wrap(self.atoll.arguments(command, ["--policy", policy, *options]))
        return self.atoll.finish(runner.capture(argv, env=env, cwd=self.atoll.workspace))

    def stands(self, account, dimension):
        """(spent, reserved) of an account's own budget."""
        shown = json.loads(self.ok("account", "show", account, "--json").out)
        [row] = [b for b in shown["budgets"] if b["account"] == account and b["dimension"] == dimension]
        return row["spent"], row["reserved"]

    def events(self, sandbox):
        return trail.read(self.atoll.home / f"trail/{sandbox}.jsonl")
