# SPDX-License-Identifier: Apache-2.0
"""Real shells complete atoll's command lines."""
import os
import re

import pytest

from harness import runner, shells

# `make install` has put the binary into PREFIX/bin.
INSTALLED = runner.BIN.parent.parent / "share"

LEVELS = {"none", "low", "medium", "high", "full"}
COMMANDS = ["run", "create", "exec", "shell", "cp", "diff", "apply", "discard", "graduate", "ps", "inspect", "events", "logs", "pause", "resume", "stop", "rm", "reap", "gc", "audit", "policy", "account",
            "doctor",
            "completion", "version"]
AUDIT = {"verify", "show", "report", "export", "prove", "credentials", "review", "key", "schema"}
POLICY = {"new", "show", "check", "explain", "schema"}
SHELLS = ["bash", "bash with bash-completion", "zsh", "fish"]

# What comes after "atoll ", and exactly what may stand there.
EXACT = {
    "": set(COMMANDS),
    "po": {"policy"},
    "--": {"--help", "--version"},
    "policy ": POLICY,
    "audit ": AUDIT,
    "audit show --class de": {"denial"},
    "audit export --format ": {"ocsf", "csv"},
    "policy sh": {"show"},
    "account set-budget acme ": {"money", "cpu", "memory", "wall", "egress", "sandboxes", "tokens"},
    "account show ": {"acme", "team-a"},
    "run --account te": {"team-a"},
    "run --tr": {"--trust"},
    "run --trust ": LEVELS,
    "run --trust l": {"low"},
    "run --quiet --trust ": LEVELS,
    "run --wall 5m --tr": {"--trust"},
    "run --provenance ": {"reviewed", "agent", "external"},
    "run --tier ": {"none", "process", "container", "microvm"},
    "run --accept-tier con": {"container"},
    "run --syscalls ": {"file", "strict", "default", "nested"},
    "run --denials ": {"end", "record"},
    "run --limits ": {"group", "any"},
    "run --profile trust-": {"trust-none", "trust-low", "trust-medium", "trust-high", "trust-full"},
    "run --profile str": {"strict"},
    "run --template c": {"ci", "ci-long"},
    "run --policy a": {"agent.yaml"},
    "run --env ATOLL_TEST_V": {"ATOLL_TEST_VARIABLE"},
    "run -- no-such-pro": {"no-such-program"},
    "run --quiet no-such-pro": {"no-such-program"},
    "run --allow-program no-such-pro": {"no-such-program"},
    "run -- --tr": set(),
    "run no-such-program --tr": set(),
    "exec --tim": {"--timeout"},
    "exec no-such-pro": set(),
    "exec work no-such-pro": {"no-such-program"},
    "exec work -- no-such-pro": {"no-such-program"},
    "exec -- work no-such-pro": {"no-such-program"},
    "exec --timeout 5s --quiet work -- no-such-pro": {"no-such-program"},
    "exec work --tim": set(),
    "exec work -- --tim": set(),
    "exec work no-such-program --tim": set(),
    "exec work ": None,
    "shell work no-such-pro": set(),
    "diff work ag": {"agent.yaml"},
    "apply --dry-run work -- ag": {"agent.yaml"},
    "graduate work ag": {"agent.yaml"},
    "policy show --trust ": LEVELS,
    "policy show --pr": {"--profile"},
    "policy check --tr": set(),
    "policy check a": {"agent.yaml"},
    "policy explain --template c": {"ci", "ci-long"},
    "completion ": {"bash", "zsh", "fish"},
    "ps --": {"--json", "--quiet", "--names", "--kept", "--filter", "--help"},
    "version --j": {"--json"},
    "diff --pat": {"--patch"},
    "diff -p --pat": None,
    "diff -p work ag": {"agent.yaml"},
}

# Behind = and : shells differ in how much of the word they name again.
ENDINGS = {
    "run --trust=l": {"low"},
    "run --trust=": LEVELS,
    "run --workspace sub:": {"read-only", "copy", "direct", "none"},
    "run --workspace sub:d": {"direct"},
    "run --workspace=sub:d": {"direct"},
}


class Place:
    """A home with a template, a workspace with files, the product and one more program in PATH."""

    def __init__(self, base, atoll):
        self.base, self.atoll = base, atoll
        self.work = base / "work"
        templates = base / "home/.config/atoll/templates"
        for directory in (self.work / "sub", templates, base / "bin"):
            directory.mkdir(parents=True)
        if os.geteuid() != 0:
            (templates / "ci.yaml").write_text("version: 1\n")
            (templates / "ci-long.yaml").write_text("version: 1\n")
        (self.work / "agent.yaml").write_text("version: 1\n")
        (base / "bin/atoll").symlink_to(atoll.binary)
        (base / "bin/no-such-program").write_text("#!/bin/sh\n")
        (base / "bin/no-such-program").chmod(0o755)
        self.environment = atoll.environment({
            "HOME": str(base / "home"), "XDG_CONFIG_HOME": "", "TERM": "dumb", "ATOLL_TEST_VARIABLE": "1",
            "PATH": f"{base}/bin:/usr/bin:/bin"})

        for account in ("acme", "team-a"):
            assert atoll.tool("account", "create", account).status == 0
        self.shells = {}

    def shell(self, shell):
        """The shell that is asked, started when it is needed for the first time."""
        if shell not in self.shells:
            name = shell.split()[0]
            script = self.base / f"script.{name}"
            script.write_text(self.atoll.tool("completion", name).out)
            how = {"cwd": self.work, "env": self.environment}
            if name == "bash":
                how["loaded"] = "with" in shell
            self.shells[shell] = {"bash": shells.Bash, "zsh": shells.Zsh, "fish": shells.Fish}[name](script, **how)
        return self.shells[shell]

    def propose(self, shell, line):
        return {word.rstrip("/ ") for word in self.shell(shell).propose(f"atoll {line}")}

    def close(self):
        for shell in self.shells.values():
            shell.close()


@pytest.fixture
def place(base, atoll):
    made = Place(base, atoll)
    yield made
    made.close()


def expected(line, words):
    # Root has the templates of the host only.
    return set() if "--template" in line and os.geteuid() == 0 else words


@pytest.mark.parametrize("shell", SHELLS)
def test_exactly_what_may_stand_there(place, need_program, shell):
    need_program(shell.split()[0])
    wrong = {}
    for line, words in EXACT.items():
        found = place.propose(shell, line)
        if line.startswith("diff -p --"):
            # zsh does not propose what has been given already, in whichever spelling.
            words = set() if shell == "zsh" else {"--patch"}
        if words is None:  # whatever a shell has where a command may stand
            words = place.propose(shell, "run ")
            assert "no-such-program" in words
        if found != expected(line, words):
            wrong[line] = found
    assert wrong == {}


@pytest.mark.parametrize("shell", SHELLS)
def test_values_that_are_joined(place, need_program, shell):
    need_program(shell.split()[0])
    for line, words in ENDINGS.items():
        found = {re.split("[=:]", word)[-1] for word in place.propose(shell, line)}
        assert found == words, line


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_that_help_names(place, need_program, shell):
    need_program(shell.split()[0])
    for command in COMMANDS + [f"policy {sub}" for sub in sorted(POLICY)] + [f"audit {sub}" for sub in sorted(AUDIT)]:
        said = place.atoll.tool(*command.split(), "--help").out
        names = set(re.findall(r"^  (--[a-z-]+)", said, re.M))
        assert "--help" in names
        assert place.propose(shell, f"{command} --") == names, command


@pytest.mark.parametrize("shell", SHELLS)
def test_short_options(place, need_program, shell):
    need_program(shell.split()[0])
    found = place.propose(shell, "diff -")
    assert {"-p", "-h"} <= found and found - {"-p", "-h"} <= place.propose(shell, "diff --"), found
    assert "-p" not in place.propose(shell, "ps -")


@pytest.mark.parametrize("shell", SHELLS)
def test_running_sandboxes(live, place, need_program, shell):
    """By id and by name, for every command that takes them; for one that takes several, again."""
    need_program(shell.split()[0])
    assert place.propose(shell, "stop ") == set()
    ids = [live().id, live("--name", "workshop").id]
    for command in ("stop", "pause", "inspect", "rm --force", "events", "exec", "shell --quiet", "stop workshop"):
        assert place.propose(shell, f"{command} ") == {*ids, "workshop"}, command
    assert place.propose(shell, "stop s-") == set(ids)
    assert place.propose(shell, "exec wo") == {"workshop"}
    assert place.propose(shell, "apply ") == set()
    assert place.propose(shell, "diff ") == {*ids, "workshop"}
    # Where nothing may stand, zsh shows the options.
    assert {w for w in place.propose(shell, "shell workshop ") if not w.startswith("-")} == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_kept_copies(world, place, need_program, shell):
    need_program(shell.split()[0])
    assert place.propose(shell, "diff ") == set()
    assert place.atoll.run("/bin/sh", "-c", "echo x >x", cwd=place.work,
                           options=("--workspace", f"{place.work}:copy", "--name", "wood")).status == 0
    ids = place.atoll.tool("ps", "--kept", "--quiet").out.split()
    assert len(ids) == 1
    for command in ("diff", "apply", "discard", "rm", "inspect", "events"):
        assert place.propose(shell, f"{command} ") == {*ids, "wood"}, command
    assert place.propose(shell, "apply wo") == {"wood"}
    assert place.propose(shell, "stop s-") == place.propose(shell, "exec ") == set()
    assert place.atoll.tool("discard", *ids).status == 0


def test_bash_on_a_terminal(place):
    """The same with readline itself, which breaks words and inserts what is proposed."""
    script = place.base / "script.bash"
    script.write_text(place.atoll.tool("completion", "bash").out)
    rc = place.base / "bashrc"
    rc.write_text(f"source {script}\nPS1='rea''dy> '\nbind 'set enable-bracketed-paste off'\n")
    typed = b"atoll run --tru\tme\t --syscalls=st\t --workspace sub:di\t -- no-such-pro\t END\n"
    terminal = shells.Terminal(["bash", "--rcfile", str(rc), "-i"], cwd=place.work, env=place.environment)
    try:
        terminal.until(b"ready> ")
        terminal.type(typed)
        shown = terminal.until(rb"END\r?\n")
    finally:
        terminal.close()
    assert (b"atoll run --trust medium  --syscalls=strict  --workspace sub:direct  -- no-such-program  END"
            in shown), shown


@pytest.mark.parametrize("argv, message", [
    ((), "atoll: completion: for which shell? bash, fish or zsh\n"),
    (("tcsh",), "atoll: completion: there is no script for 'tcsh'; bash, fish and zsh have one\n"),
])
def test_other_shells(atoll, argv, message):
    result = atoll.tool("completion", *argv)
    assert (result.status, result.out, result.err) == (125, "", message)


@pytest.mark.skipif(runner.BIN.parent.name != "bin", reason="this atoll is not installed")
@pytest.mark.parametrize("shell, place", [
    ("bash", "bash-completion/completions/atoll"),
    ("fish", "fish/vendor_completions.d/atoll.fish"),
    ("zsh", "zsh/site-functions/_atoll"),
])
def test_installed_where_shells_look(atoll, shell, place):
    assert (INSTALLED / place).read_text() == atoll.tool("completion", shell).out
