# SPDX-License-Identifier: Apache-2.0
"""D: written now, run or obeyed by the host later.

Each scenario is three moments: what the host had, what the payload writes, and what somebody does on the
host afterwards, all of it real: git, shells, python, make, node. A marker outside tells whether anything
of the payload's ran there. In a sandbox the payload writes into a copy, and each scenario is taken over by
itself with a plain `atoll apply`, which must refuse it by name, and so keep the marker away.
"""
import dataclasses
import json
import os
import shutil
import subprocess
import time

from harness import runner
from harness.arms import Check, NoOutcome

GIT = "git -c user.name=x -c user.email=x@example.com -c protocol.file.allow=always"
# A repository that Git obeys wherever a pointer leads to it.
EVIL = ("git init -q --bare evil && git -C evil config core.bare false && git -C evil config core.worktree .. && "
        "git -C evil config core.fsmonitor \"$M\"")
CLOCK_REALTIME_COARSE = 5  # time.h has it, Python does not


@dataclasses.dataclass
class Scenario:
    """Shell scripts, run in a directory of the scenario's own; $M is a program that leaves the marker.

    `had` begins with a repository of one commit if `git` is true. `writes` must run nothing itself.
    `does` may fail: what counts is the marker. `needs` is a program without which it is left out.
    """
    name: str
    writes: str
    does: str
    had: str = ""
    git: bool = False
    needs: str = ""
    terminal: bool = False
    arrives: str = ""  # instead of a marker: this file of the payload's is there, for a tool that we do not have


def config(name, key, value, does, **more):
    return Scenario(name, f"git config {key} '{value}'", does, git=True, **more)


def arrives(path, text="x", had=""):
    return Scenario(path, f"mkdir -p \"$(dirname '{path}')\"; echo '{text}' >'{path}'", ":", had=had, arrives=path)


HOOKS = [
    Scenario("pre-commit", "mkdir -p .git/hooks; cp $M .git/hooks/pre-commit", f"{GIT} commit -q --allow-empty -m x", git=True),
    Scenario("post-checkout", "mkdir -p .git/hooks; cp $M .git/hooks/post-checkout", "git checkout -q -b other", git=True),
    Scenario("a hook that was a sample", "cp $M .git/hooks/commit-msg", f"{GIT} commit -q --allow-empty -m x", git=True,
             had="mkdir -p .git/hooks; echo '#!/bin/sh' >.git/hooks/commit-msg; chmod 755 .git/hooks/commit-msg"),
    Scenario("hooksPath", "mkdir ok; cp $M ok/pre-commit; git config core.hooksPath ok",
             f"{GIT} commit -q --allow-empty -m x", git=True),
]

CONFIGURATION = [
    config("fsmonitor", "core.fsmonitor", "$M", "git status"),
    config("sshCommand", "core.sshCommand", "$M", "git fetch -q ssh://host.invalid/x"),
    config("pager", "core.pager", "$M", "git log", terminal=True),
    config("editor", "core.editor", "$M", f"{GIT} commit --allow-empty"),
    config("alias", "alias.st", "!$M", "git st"),
    config("external diff", "diff.external", "$M", "echo more >>file; git diff"),
    config("credential helper", "credential.helper", "!$M",
           "printf 'protocol=https\\nhost=host.invalid\\n\\n' | GIT_TERMINAL_PROMPT=0 git credential fill"),
    config("include", "include.path", "../more", "git status", had="git config -f more core.fsmonitor \"$M\""),
    config("includeIf", "includeIf.gitdir:/.path", "../more", "git status",
           had="git config -f more core.fsmonitor \"$M\""),
    config("textconv", "diff.x.textconv", "$M", "echo more >>file; git diff", had="echo '* diff=x' >.gitattributes"),
    config("clean filter", "filter.x.clean", "$M", "echo more >>file; git add file", had="echo '* filter=x' >.gitattributes"),
    config("smudge filter", "filter.x.smudge", "$M", "rm file; git checkout -q file", had="echo '* filter=x' >.gitattributes"),
    config("filter process", "filter.x.process", "$M", "rm file; git checkout -q file", had="echo '* filter=x' >.gitattributes"),
    Scenario("another worktree", "git config core.worktree ../../away", "git checkout -q -f", git=True,
             had="mkdir ../away", arrives="../away/file"),
]

POINTERS = [
    Scenario("config.worktree", "git config -f .git/config.worktree core.fsmonitor $M", "git status", git=True,
             had="git config core.repositoryFormatVersion 1; git config extensions.worktreeConfig true"),
    Scenario("config.worktree of a linked one",
             "git config -f .git/worktrees/linked/config.worktree core.fsmonitor $M", "git -C linked status", git=True,
             had="git config core.repositoryFormatVersion 1; git config extensions.worktreeConfig true; "
                 "git worktree add -q linked"),
    Scenario("info/attributes", "mkdir -p .git/info; echo '* filter=x' >.git/info/attributes",
             "echo more >>file; git add file", git=True, had="git config filter.x.clean \"$M\""),
    Scenario(".gitattributes", "echo '* filter=x' >.gitattributes", "echo more >>file; git add file", git=True,
             had="git config filter.x.clean \"$M\""),
    Scenario("commondir", "echo ../../../evil >.git/worktrees/linked/commondir", "git -C linked status", git=True,
             had="git worktree add -q linked; " + EVIL),
    Scenario("gitdir of a worktree", "echo 'gitdir: ../evil' >linked/.git", "git -C linked status", git=True,
             had="git worktree add -q linked; " + EVIL),
    Scenario("a file .git in a directory", "echo 'gitdir: ../evil' >sub/.git", "git -C sub status", git=True,
             had="mkdir sub; " + EVIL),
    Scenario("a link .git in a directory", "ln -s ../evil sub/.git", "git -C sub status", git=True,
             had="mkdir sub; " + EVIL),
    Scenario("the git directory of a submodule", "git config -f .git/modules/sub/config core.fsmonitor $M",
             "git -C sub status", git=True,
             had=f"git init -q src; (cd src; {GIT} commit -q --allow-empty -m x); {GIT} submodule --quiet add ./src sub"),
    Scenario("a bare repository", "mkdir -p docs/objects docs/refs; echo 'ref: refs/heads/x' >docs/HEAD; "
             "printf '[core]\\nrepositoryformatversion=0\\nbare=false\\nworktree=.\\nfsmonitor=%s\\n' $M >docs/config",
             "cd docs && git status"),
]

AGENTS = [arrives(path) for path in (
    ".claude/settings.json", ".claude/settings.local.json", ".claude/commands/x.md", ".claude/agents/x.md",
    ".claude/skills/x/SKILL.md", ".claude/hooks/x.sh", ".codex/config.toml", ".env", ".gemini/settings.json",
    ".cursor/mcp.json", ".cursor/rules/x.mdc", ".mcp.json", "AGENTS.md", "CLAUDE.md", "GEMINI.md",
    ".vscode/tasks.json", ".vscode/settings.json", ".devcontainer/devcontainer.json", "sub/.claude/settings.json",
    ".Claude/Settings.json", "sub/AGENTS.md")] + [
    Scenario("the directory of an agent that becomes a link", "rm -r .claude; ln -s cfg .claude", ":",
             had="mkdir cfg .claude; echo x >cfg/settings.json", arrives=".claude/settings.json"),
    Scenario("settings of an agent that are renamed", "mv draft .mcp.json", ":", had="echo a long enough text >draft",
             arrives=".mcp.json"),
]

TOOLS = [
    Scenario(".bashrc", "echo $M >.bashrc", "HOME=$PWD bash -i -c true"),
    Scenario(".profile", "echo $M >.profile", "HOME=$PWD bash -l -c true"),
    Scenario(".zshrc", "echo $M >.zshrc", "HOME=$PWD zsh -i -c true", needs="zsh"),
    Scenario(".envrc", "echo $M >.envrc", ". ./.envrc"),
    Scenario("sitecustomize", "echo 'import os; os.system(\"'$M'\")' >sitecustomize.py", "PYTHONPATH=. python3 -c ''"),
    Scenario("conftest", "echo 'import os; os.system(\"'$M'\")' >conftest.py", "python3 -m pytest -q -p no:cacheprovider"),
    Scenario("activate", "echo $M >>venv/bin/activate", ". venv/bin/activate",
             had="mkdir -p venv/bin; echo : >venv/bin/activate; echo home=/usr/bin >venv/pyvenv.cfg"),
    Scenario("python of a venv", "cp $M venv/bin/python", "venv/bin/python -c ''",
             had="mkdir -p venv/bin; echo home=/usr/bin >venv/pyvenv.cfg"),
    Scenario("a path file of a venv",
             "echo 'import os; os.system(\"'$M'\")' >venv/lib/python3.11/site-packages/x.pth",
             "venv/bin/python -c '' || python3 -c 'import site; site.addsitedir(\"venv/lib/python3.11/site-packages\")'",
             had="mkdir -p venv/lib/python3.11/site-packages venv/bin; echo home=/usr/bin >venv/pyvenv.cfg"),
    Scenario("node_modules/.bin", "mkdir -p node_modules/.bin; cp $M node_modules/.bin/eslint",
             "PATH=node_modules/.bin:$PATH eslint"),
    Scenario("package.json", "echo '{\"scripts\": {\"test\": \"'$M'\"}}' >package.json", "npm test", needs="npm"),
    Scenario("Makefile", "printf 'all:\\n\\t%s\\n' $M >Makefile", "make"),
    Scenario("GNUmakefile", "printf 'x := $(shell %s)\\n' $M >GNUmakefile", "make -n", had="printf 'all:\\n' >Makefile"),
    Scenario("a program of PATH", "mkdir -p bin; cp $M bin/ls", "PATH=bin:$PATH ls"),
] + [arrives(path) for path in (".ripgreprc", ".npmrc", ".pypirc", ".gitmodules", ".zprofile", ".bash_aliases",
                                ".github/workflows/ci.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml", "sub/Makefile")]


class Later:
    """The scenarios of one check, each in its directory of the workspace."""

    def __init__(self, t, scenarios):
        self.t, self.root = t, t.base / "project"
        self.root.mkdir()
        self.scenarios = [s for s in scenarios if not s.needs or shutil.which(s.needs)]
        self.home = t.base / "home"
        self.home.mkdir()

    def place(self, s):
        return self.root / f"p{self.scenarios.index(s)}"

    def marker(self, s):
        return self.place(s) / s.arrives if s.arrives else self.t.base / f"marker-p{self.scenarios.index(s)}"

    def program(self, s):
        """What leaves the marker: a program beside the project, that the payload can see and copy."""
        path = self.root / f"m{self.scenarios.index(s)}"
        if not path.exists():
            path.write_text(f"#!/bin/sh\ntouch '{self.marker(s)}'\ncat >/dev/null 2>&1 </dev/null\nexit 1\n")
            path.chmod(0o755)
        return path

    def environment(self, s):
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm", "EDITOR": "true", "PAGER": "cat",
                "M": str(self.program(s)), "GIT_CONFIG_NOSYSTEM": "1"}

    def on_host(self, s, script, check):
        if s.terminal and not check:
            runner.on_terminal(["sh", "-c", script], env=self.environment(s), cwd=self.place(s))
            return
        done = subprocess.run(["sh", "-c", script], cwd=self.place(s), env=self.environment(s), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=runner.TIMEOUT)
        if check and done.returncode:
            raise NoOutcome(f"{s.name}: {script}: {done.stdout}")

    def had(self, s):
        self.place(s).mkdir()
        repository = f"git init -q . && echo text >file && git add file && {GIT} commit -q -m first" if s.git else ":"
        self.on_host(s, f"{repository}; {s.had or ':'}", True)

    def settle(self):
        """Until the clock that a sandbox takes its start from, which goes in ticks, is behind all that is there."""
        last = max(path.lstat().st_ctime_ns for path in self.root.rglob("*"))
        while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= last:
            pass

    def write(self):
        """All of them by one payload."""
        if not self.t.sandboxed:
            for s in self.scenarios:
                self.on_host(s, s.writes, True)
            return None
        self.settle()
        script = "\n".join(f"(cd '{self.place(s)}' && export M='{self.program(s)}' && {{ {s.writes}; }}) "
                           f"|| echo 'failed: {s.name}'" for s in self.scenarios)
        result = self.t.run("/bin/sh", "-c", script, quiet=True, cwd=self.root,
                            options=("--workspace", f"{self.root}:copy"))
        if result.status != 0 or "failed" in result.out:
            raise NoOutcome(str(result))
        [sandbox] = self.t.atoll.tool("ps", "--kept", "--quiet").out.split()
        return sandbox

    def take_over(self, s, sandbox):
        """As somebody does who allows nothing; what is refused has been named in the diff."""
        name = self.place(s).name
        shown = self.t.atoll.tool("diff", "--json", sandbox, name)
        if shown.status != 0:
            raise NoOutcome(f"{s.name}: {shown}")
        listed = json.loads(shown.out)["changes"]
        done = self.t.atoll.tool("apply", "--keep", sandbox, name)
        if done.status == 0:
            return
        if done.status != 1 or not any(change["hazards"] for change in listed):
            raise NoOutcome(f"{s.name}: not refused as a hazard: {done} {listed}")


def attempt(scenarios):
    def each(t):
        later = Later(t, scenarios)
        for s in later.scenarios:
            later.program(s)
            later.had(s)
        sandbox = later.write()
        through = []
        for s in later.scenarios:
            if sandbox:
                later.take_over(s, sandbox)
            later.on_host(s, s.does, False)
            if os.path.lexists(later.marker(s)):
                through.append(f"{s.name}: it ran, or is obeyed, on the host")
        if sandbox:
            t.atoll.tool("discard", sandbox)
        names = {line.split(":")[0] for line in through}
        if through and (not t.sandboxed or t.atoll.binary != runner.BIN):
            # What does not come through here proves nothing where the defence is.
            missing = [s.name for s in later.scenarios if s.name.split(":")[0] not in names]
            if missing:
                raise NoOutcome(f"nothing comes of {missing} without a sandbox either")
        return through
    return each


CHECKS = [Check(name, attempt(scenarios), {"hazards": "red"}) for name, scenarios in (
    ("D1-hooks", HOOKS), ("D2-git-config", CONFIGURATION), ("D3-git-pointers", POINTERS),
    ("D4-agents", AGENTS), ("D6-tools", TOOLS))]
