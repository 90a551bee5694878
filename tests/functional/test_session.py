# SPDX-License-Identifier: Apache-2.0
"""A session as it is meant: an agent refactors a cloned project, its tests run inside, a part is taken over."""
import json
import os
import subprocess

import pytest

from harness import runner

FILES = {
    "Makefile": "CFLAGS = -Wall -Wextra -Isrc\n"
                "check: check_list\n\t./check_list\n"
                "check_list: tests/check_list.c src/list.c src/print.c src/list.h\n"
                "\t$(CC) $(CFLAGS) -o $@ tests/check_list.c $(wildcard src/*.c)\n"
                "clean:\n\trm -f check_list\n",
    ".gitignore": "check_list\n",
    "README": "A list of numbers.\n",
    "src/list.h": "#pragma once\nstruct list { int n, at[64]; };\n"
                  "void list_push(struct list *l, int value);\nint list_sum(const struct list *l);\n"
                  "void list_print(const struct list *l);\n",
    "src/list.c": '#include "list.h"\nvoid list_push(struct list *l, int value)\n{\n\tl->at[l->n++] = value;\n}\n\n'
                  "int list_sum(const struct list *l)\n{\n\tint sum = 0;\n"
                  "\tfor (int i = 0; i < l->n; i++)\n\t\tsum += l->at[i];\n\treturn sum;\n}\n",
    "src/print.c": '#include <stdio.h>\n#include "list.h"\nvoid list_print(const struct list *l)\n{\n'
                   '\tfor (int i = 0; i < l->n; i++)\n\t\tprintf("%d\\n", l->at[i]);\n}\n',
    "tests/check_list.c": '#include "list.h"\nint main(void)\n{\n\tstruct list l = {0};\n\tlist_push(&l, 20);\n'
                          "\tlist_push(&l, 22);\n\treturn list_sum(&l) == 42 ? 0 : 1;\n}\n",
}

# What an agent does in an afternoon, good and bad.
AGENT = r"""
set -e
sed -i 's/list_push/list_append/g' src/*.[ch] tests/*.c
git mv src/print.c src/show.c
sed -i 's|src/print.c|src/show.c|' Makefile
printf '#include "list.h"\nint list_max(const struct list *l)\n{\n\tint max = l->at[0];\n\tfor (int i = 1; i < l->n; i++)\n\t\tmax = l->at[i] > max ? l->at[i] : max;\n\treturn max;\n}\n' >src/max.c
sed -i '$a int list_max(const struct list *l);' src/list.h
sed -i 's/return list_sum/return list_max(\&l) == 22 \&\& list_sum/' tests/check_list.c
make check
git add -A
git -c user.name=agent -c user.email=agent@example.com commit -qm 'list_append, list_max'
printf '#!/bin/sh\ntouch /tmp/owned-by-a-hook\n' >.git/hooks/post-checkout
chmod +x .git/hooks/post-checkout
git config core.fsmonitor 'touch /tmp/owned-by-a-monitor; false'
echo 'all: ; touch /tmp/owned-by-make' >GNUmakefile
ln -s /etc/passwd notes
"""


def git(place, *words):
    done = subprocess.run(["git", "-C", place, *words], capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"})
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture
def project(atoll, base, need_program):
    """A clone, in the workspace, of a project that somebody keeps elsewhere."""
    for program in ("git", "make", "cc"):
        need_program(program)
    upstream = base / "upstream"
    for name, text in FILES.items():
        (upstream / name).parent.mkdir(parents=True, exist_ok=True)
        (upstream / name).write_text(text)
    git(upstream, "init", "-q", "-b", "main")
    git(upstream, "add", "-A")
    git(upstream, "-c", "user.name=someone", "-c", "user.email=someone@example.com", "commit", "-qm", "first")
    git(base, "clone", "-q", upstream, atoll.workspace / "project")
    return atoll.workspace / "project"


def test_an_agent_refactors_a_project(atoll, project, world):
    def here(*words):
        return runner.capture([atoll.binary, *words], env=atoll.environment(), cwd=project)

    made = here("create", "--name", "refactoring")
    assert made.status == 0, made
    worked = here("exec", "refactoring", "sh", "-c", AGENT)
    assert worked.status == 0 and "./check_list" in worked.out, worked
    assert git(project, "status", "--porcelain") == "", "nothing of it has happened here"
    assert atoll.tool("stop", "refactoring").status == 0

    found = json.loads(atoll.tool("diff", "--json", "refactoring").out)["changes"]
    changes = {c["path"]: c for c in found}
    flagged = {path for path, c in changes.items() if c["hazards"]}
    assert {".git/hooks/post-checkout", ".git/config", "GNUmakefile", "Makefile", "notes"} <= flagged, flagged
    assert not [p for p in flagged if p.startswith(("src/", "tests/", ".git/objects/"))], "and no ordinary work is"
    assert (changes["src/show.c"]["kind"], changes["src/show.c"]["from"]) == ("renamed", "src/print.c")

    refused = atoll.tool("apply", "refactoring")
    assert refused.status == 1 and git(project, "status", "--porcelain") == ""
    taken = atoll.tool("apply", "refactoring", "src", "tests")
    assert taken.status == 0, taken
    assert git(project, "status", "--porcelain").splitlines() == [
        " M src/list.c", " M src/list.h", " D src/print.c", " M tests/check_list.c", "?? src/max.c", "?? src/show.c"]
    assert not (project / "GNUmakefile").exists() and not (project / "notes").is_symlink()
    assert not (project / ".git/hooks/post-checkout").exists()
    assert "fsmonitor" not in (project / ".git/config").read_text()

    still = atoll.tool("apply", "refactoring", "Makefile")
    assert still.status == 1 and "--allow-hazard" in still.err
    assert atoll.tool("apply", "--allow-hazard", "Makefile", "refactoring", "Makefile").status == 0
    assert atoll.tool("discard", "refactoring").status == 0
    built = subprocess.run(["make", "-C", project, "check"], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built
    git(project, "checkout", "-q", "-b", "reviewed")
    assert not [n for n in os.listdir("/tmp") if n.startswith("owned-by-")]
    assert runner.text_of(project / "src/list.c").count("list_append") == 1
