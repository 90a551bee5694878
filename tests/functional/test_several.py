# SPDX-License-Identifier: Apache-2.0
"""Several directories to work on: further copies, each reviewed by itself, and directories that are changed directly."""
import json
import os
import signal
import time

import pytest

from harness import runner
from harness.live import is_dead, running
from functional.test_copy import picture, write

SECRET = "of-nobody-inside\n"


class Places:
    """A workspace and three directories beside it."""

    def __init__(self, atoll):
        self.atoll = atoll
        self.main, self.lib, self.other, self.cache = (atoll.base / n for n in ("main", "lib", "other", "cache"))
        write(self.main / "m", "m\n")
        write(self.lib / "l", "l\n")
        write(self.lib / "sub/deep", "deep\n")
        write(self.other / "o", "o\n")
        write(self.cache / "c", "c\n")
        time.sleep(0.05)
        self.before = {p: picture(p) for p in (self.main, self.lib, self.other, self.cache)}

    def options(self, *more):
        return ("--workspace", f"{self.main}:copy", "--copy-of", self.lib, "--copy-of", self.other, "--write", self.cache,
                *more)

    def run(self, script, *more, options=None):
        return self.atoll.run("/bin/sh", "-c", script, cwd=self.main, options=options or self.options(*more))

    def kept(self):
        return {row["workspace"]: row["sandbox"] for row in json.loads(self.atoll.tool("ps", "--kept", "--json").out)}

    def is_as_before(self, *places):
        return all(picture(p) == self.before[p] for p in places)

    def kinds(self, which):
        document = json.loads(self.atoll.tool("diff", "--json", which).out)
        return document["workspace"], {c["path"]: c["kind"] for c in document["changes"]}


@pytest.fixture
def places(atoll, world):
    made = Places(atoll)
    yield made
    kept = atoll.tool("ps", "--kept", "--quiet").out.split()
    if kept:
        assert atoll.tool("discard", *kept).status == 0
    assert os.listdir(atoll.home / "sandboxes") == []


WORK = "set -e; echo x >>m; cd {p.lib}; rm l; echo n >new; mv sub/deep sub/moved; cd {p.cache}; rm c; echo z >z"


@pytest.mark.parametrize("by", ["overlay", "files"])
def test_each_in_its_mode(places, by):
    result = places.run(WORK.format(p=places), "--copy-by", by)
    assert result.status == 0, result
    assert places.is_as_before(places.main, places.lib, places.other)
    assert {n for n, _ in picture(places.cache).items()} == {"z"}
    sandbox = result.document["sandbox"]
    # What was not changed leaves nothing.
    assert places.kept() == {str(places.main): sandbox, str(places.lib): f"{sandbox}.1"}
    assert [(m["path"], m["mode"], m["sandbox"], m["copy_kept"]) for m in result.document["more"]] == [
        (str(places.lib), "copy", f"{sandbox}.1", True), (str(places.other), "copy", f"{sandbox}.2", False),
        (str(places.cache), "direct", None, False)]
    assert f"'atoll diff {sandbox}.1' shows it" in result.err and f"'{places.lib}'" in result.err
    assert f"The files below '{places.cache}' are changed directly" in result.err
    assert places.kinds(sandbox) == (str(places.main), {"m": "modified"})
    assert places.kinds(f"{sandbox}.1") == (str(places.lib), {"l": "deleted", "new": "added", "sub/moved": "renamed"})
    # Each by itself, and by the beginning of the id as well.
    assert places.atoll.tool("apply", f"{sandbox[:8]}.1").status == 0
    assert places.is_as_before(places.main) and set(picture(places.lib)) == {"new", "sub", "sub/moved"}
    assert places.kept() == {str(places.main): sandbox}


def test_only_a_further_one_changed(places):
    result = places.run(f"echo n >{places.other}/new")
    assert result.document["copy_kept"] is False
    assert places.kept() == {str(places.other): result.document["sandbox"] + ".2"}
    assert places.atoll.tool("diff", "--name-only", result.document["sandbox"]).status == 125


def test_a_further_one_whose_time_is_up(places):
    """It is in the record of its sandbox, like the main one."""
    policy = places.atoll.base / "policy.yaml"
    policy.write_text("version: 1\ntime: {keep: 1s}\n")
    sandbox = places.run(f"echo n >m; echo n >{places.lib}/n", "--policy", policy).document["sandbox"]
    time.sleep(1.1)
    assert places.atoll.tool("reap").status == 0 and places.kept() == {}
    events = [json.loads(line) for line in places.atoll.tool("events", "--json", sandbox).out.splitlines()]
    assert {e["data"]["copy"] for e in events if e["event"] == "copy_expired"} == {sandbox, f"{sandbox}.1"}


def test_without_a_workspace(places):
    result = places.run(f"cat {places.lib}/l; echo n >{places.lib}/l",
                        options=("--workspace", f"{places.main}:none", "--copy-of", places.lib))
    assert result.out == "l\n" and places.is_as_before(places.lib)
    assert places.kinds(result.document["sandbox"] + ".1") == (str(places.lib), {"l": "modified"})


def test_nothing_else_is_writable(places):
    """What lies beside them is neither there nor to be made; the mounts are what the plan says."""
    result = places.run(f"ls {places.atoll.base}; echo x >{places.lib}/../outside 2>/dev/null; cat {places.lib}/../main/m")
    assert result.out.split() == ["cache", "lib", "main", "other", "m"], result
    assert not (places.atoll.base / "outside").exists()
    mounts = {m["path"]: m["attrs"] for m in result.receipt["mounts"]["value"]} if "value" in result.receipt["mounts"] \
        else {m["path"]: m["attrs"] for m in result.receipt["mounts"]["found"]}
    for place in places.before:
        assert "nosuid" in mounts[str(place)] and "nodev" in mounts[str(place)]


def test_in_a_sandbox_that_lives(places, live):
    box = live(*map(str, places.options("--name", "several")))
    assert box.shell(WORK.format(p=places), "--cwd", str(places.main)).status == 0
    assert places.kinds(box.id) == (str(places.main), {"m": "modified"})
    expected = (str(places.lib), {"l": "deleted", "new": "added", "sub/moved": "renamed"})
    assert places.kinds(f"{box.id}.1") == expected == places.kinds("several.1")
    assert places.kinds("several.2") == (str(places.other), {})
    assert list(running(places.atoll)) == [box.id] and places.kept() == {}
    assert places.atoll.tool("stop", box.id).status == 0
    assert places.kinds("several.1") == expected
    assert set(places.kept()) == {str(places.main), str(places.lib)}


def test_a_name_that_looks_like_a_copy(places, live):
    """What two things are called so is neither of them."""
    box = live(*map(str, places.options("--name", "several")))
    other = live("--workspace", f"{places.main}:copy", "--name", "several.1")
    for words in ("diff", "several.1"), ("discard", "several.1"), ("rm", "--force", "several.1"):
        result = places.atoll.tool(*words)
        assert result.status == 125 and other.id in result.err and f"{box.id}.1" in result.err, result
    assert places.kinds(f"{box.id}.1") == (str(places.lib), {})
    assert set(running(places.atoll)) == {box.id, other.id}


def test_graduate_wants_the_others_decided(places, live):
    box = live(*map(str, places.options()))
    assert box.shell(f"echo n >{places.main}/n; echo n >{places.lib}/n").status == 0
    refused = places.atoll.tool("graduate", box.id, places.atoll.base / "out")
    assert refused.status == 125 and f"apply {box.id}.1" in refused.err, refused
    assert not (places.atoll.base / "out").exists() and box.id in running(places.atoll)
    begin = time.monotonic()
    part = places.atoll.tool("rm", "--force", f"{box.id}.1")
    assert part.status == 125 and "which is running" in part.err and time.monotonic() - begin < 5 * runner.SLOW, part
    assert places.atoll.tool("stop", box.id).status == 0
    assert places.atoll.tool("discard", f"{box.id}.1").status == 0
    assert places.atoll.tool("graduate", box.id, places.atoll.base / "out").status == 0
    assert places.kept() == {}


def test_rm_of_a_running_one_leaves_no_copy(places, live):
    box = live(*map(str, places.options()))
    assert box.shell(f"echo n >{places.main}/n; echo n >{places.lib}/n").status == 0
    assert places.atoll.tool("rm", "--force", box.id).status == 0
    assert places.kept() == {} and os.listdir(places.atoll.home / "sandboxes") == []
    assert places.is_as_before(places.main, places.lib)


def test_keeper_killed(places, live):
    """The copies of further directories are found by whoever comes next, like the main one."""
    box = live(*map(str, places.options()))
    assert box.shell(f"echo n >{places.lib}/n").status == 0
    keeper = box.keeper()
    # Whichever of the directories is found first: what still writes to a copy is ended before it is settled.
    main, part = (json.loads((places.atoll.home / "sandboxes" / i / "sandbox.json").read_text())
                  for i in (box.id, f"{box.id}.1"))
    assert part["groups"] == main["groups"] and part["of"] == box.id
    os.kill(keeper, signal.SIGKILL)
    assert runner.eventually(lambda: is_dead(keeper), 10)
    assert "would be removed: 1 without a keeper" in places.atoll.tool("reap", "--dry-run").out
    assert "removed what 1 sandbox left" in places.atoll.tool("ps").err
    assert places.kept() == {str(places.lib): f"{box.id}.1"}
    assert places.kinds(f"{box.id}.1") == (str(places.lib), {"n": "added"})
    assert os.listdir(places.atoll.home / "sandboxes") == [f"{box.id}.1"]


@pytest.mark.parametrize("first", ["", ".1"])
def test_a_diff_is_the_first_to_find_it_dead(places, live, first):
    box = live(*map(str, places.options()))
    assert box.shell(f"echo n >m; echo n >{places.lib}/n").status == 0
    keeper = box.keeper()
    os.kill(keeper, signal.SIGKILL)
    assert runner.eventually(lambda: is_dead(keeper), 10)
    shown = [places.atoll.tool("diff", "--name-only", box.id + which).out for which in (first, "" if first else ".1")]
    assert sorted(shown) == ["m\n", "n\n"]


def test_a_copy_is_no_sandbox(places, live):
    """What is asked of the copy of a further directory, and only a sandbox can do, is said so; its record is the
    sandbox's."""
    box = live(*map(str, places.options()))
    part = f"{box.id}.1"
    for words in (["inspect", part], ["exec", part, "--", "true"], ["stop", part], ["pause", part],
                  ["cp", f"{part}:m", places.atoll.base / "out"]):
        refused = places.atoll.tool(*words)
        assert refused.status == 125 and refused.out == "" and f"of sandbox {box.id}; name the sandbox" in refused.err
    for command in "events", "logs":
        assert places.atoll.tool(command, part).out == places.atoll.tool(command, box.id).out
    assert box.shell(f"echo n >{places.lib}/n").status == 0 and places.atoll.tool("stop", box.id).status == 0
    [kept] = json.loads(places.atoll.tool("inspect", part).out)
    assert (kept["state"], kept["workspace"]) == ("kept", str(places.lib))
    [ended] = [e["data"] for e in map(json.loads, places.atoll.tool("events", "--json", part).out.splitlines())
               if e["event"] == "ended"]
    assert ended["copy_kept"] is False
    assert places.atoll.tool("discard", part).status == 0
    told = [json.loads(e)["event"] for e in places.atoll.tool("events", "--json", part).out.splitlines()]
    assert told[0] == "created" and "torn_down" in told
    assert [(m["sandbox"], m["copy_kept"]) for m in ended["more"]] == [(part, True), (f"{box.id}.2", False), (None, False)]


def test_what_is_denied_is_hidden_in_each(places):
    write(places.lib / ".env", SECRET)
    write(places.other / "deep/er/.env", SECRET)
    time.sleep(0.05)
    before = picture(places.lib), picture(places.other)
    options = ("--workspace", f"{places.main}:copy", "--copy-of", places.lib, "--copy-of", places.other,
               "--deny", f"{places.lib}/.env", "--deny", f"{places.other}/**/.env")
    result = places.run(f"ls -A {places.lib} {places.other}/deep/er; grep -r nobody {places.lib} {places.other}; "
                        f"echo mine >{places.lib}/.env; true", options=options)
    assert result.status == 0 and SECRET.strip() not in result.out and ".env" not in result.out, result
    document = json.loads(places.atoll.tool("diff", "--json", result.document["sandbox"] + ".1").out)
    assert [(c["path"], c["kind"]) for c in document["changes"]] == [(".env", "added")]
    assert (picture(places.lib), picture(places.other)) == before
    refused = places.run("true", "--deny", f"{places.cache}/.env")
    assert refused.status == 125 and "in mode direct the payload could make it" in refused.err, refused


@pytest.mark.parametrize("limits", ["any", "group"])
def test_each_is_bounded(places, limits):
    if limits == "group" and os.geteuid() != 0:
        refused = places.run("true", "--limits", "group")
        assert refused.status == 125 and ("filesystem.copies" in refused.err or "control group" in refused.err), refused
        return
    result = places.run(f"head -c 40000000 /dev/zero >{places.other}/big; echo wrote $?; sleep 60",
                        "--copy", "16MiB", "--limits", limits, "--wall", "5s")
    if limits == "any":
        assert result.reason == "limit:copy", result
    else:
        assert "No space left" in result.err and result.reason == "limit:wall", result


def refused(places, *options, main="copy"):
    result = places.run("true", options=("--workspace", f"{places.main}:{main}", *options))
    assert result.status == 125 and result.out == "", result
    return result.err


def test_what_may_not_be_worked_on(places):
    write(places.main / "in/x")
    for place in places.main / "in", places.main, places.atoll.base:
        for option in "--copy-of", "--write":
            err = refused(places, option, place)
            assert "lie in one another" in err or "state directory" in err, err
    assert "lie in one another" in refused(places, "--copy-of", places.lib, "--write", places.lib)
    assert "not a directory" in refused(places, "--write", places.main / "m") or \
        "is no directory" in refused(places, "--write", places.main / "m")
    for place in "/usr/lib", "/", "/etc", "/proc":
        for option in "--copy-of", "--write":
            assert f"filesystem.{'copies' if option == '--copy-of' else 'write'}" in refused(places, option, place)
    many = [word for n in range(5) for word in ("--write", places.cache / str(n))]
    for n in range(5):
        (places.cache / str(n)).mkdir()
    assert "at most 4 directories" in refused(places, *many)
    assert "may change" in refused(places, "--write", places.cache, "--read", places.cache / "c")
    assert "may change" in refused(places, "--copy-of", places.lib, "--read", places.lib / "sub")


def test_documents_that_it_could_change(places):
    policy = places.cache / "policy.yaml"
    policy.write_text("version: 1\n")
    err = refused(places, "--policy", policy, "--write", places.cache)
    assert "which the payload can change" in err and str(places.cache) in err


BIND = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 99; shift 2; done; shift; exec "$@"'

# What is mounted where, in which run, and what is said of it: "": nothing, it runs.
TWICE = [
    # Of nothing that the plan names.
    ("other cache/m", "--write {b}/cache", ""),
    ("other cache/m", "--write {b}/cache --copy-of {b}/lib", ""),
    ("cache/c lib/l", "--write {b}/other --read {b}/lib", ""),
    # All of another one, a part of it, and what holds it.
    ("lib cache/m", "--write {b}/cache --copy-of {b}/lib", "'{b}/cache/m' is a second mount"),
    ("lib/sub cache/m", "--write {b}/cache --copy-of {b}/lib", "'{b}/cache/m' is a second mount"),
    ("lib/sub/deep cache/c", "--write {b}/cache --copy-of {b}/lib", "'{b}/cache/c' is a second mount"),
    ("lib cache/m", "--write {b}/cache --copy-of {b}/lib/sub", "'{b}/cache/m' is a second mount"),
    ("lib/sub cache/m", "--write {b}/cache --write {b}/lib", "'{b}/cache/m' is a second mount"),
    ("main cache/m", "--write {b}/cache", "'{b}/cache/m' is a second mount"),
    ("lib/sub cache/m", "--write {b}/cache --read {b}/lib", "'{b}/cache/m' is a second mount"),
    # The other one shows a part of what is changed.
    ("cache other/m", "--write {b}/cache --read {b}/other", "'{b}/other/m' is a second mount"),
    # One of them is itself the second mount.
    ("cache other", "--write {b}/cache --copy-of {b}/other", "lie in one another"),
    ("cache other", "--write {b}/cache --read {b}/other", "is a second mount"),
    ("lib/sub other", "--copy-of {b}/lib --write {b}/other", "is a second mount"),
    ("lib/sub other lib/sub cache/m", "--write {b}/cache --read {b}/other", "is a second mount"),
    # What the next run rests on.
    ("policies cache/m", "--write {b}/cache --policy {b}/policies/p.yaml", "'{b}/cache/m' is a second mount"),
    ("state cache/m", "--write {b}/cache", "state directory in '{b}/cache': '{b}/cache/m'"),
    ("state/sandboxes cache/m", "--write {b}/cache", "state directory in '{b}/cache': '{b}/cache/m'"),
    ("state/sandboxes cache/m", "--read {b}/cache", "state directory in '{b}/cache': '{b}/cache/m'"),
    ("state/sandboxes other", "--copy-of {b}/other", "state directory in '{b}/other': '{b}/other'"),
]


@pytest.mark.parametrize("mounts, options, said", TWICE)
def test_what_is_mounted_twice(places, need_root, mounts, options, said):
    base = places.atoll.base
    (places.cache / "m").mkdir()
    (places.other / "m").mkdir()
    write(base / "policies/p.yaml", "version: 1\n")
    assert places.run("true").status == 0  # the state directory is there
    state = places.atoll.home
    places_of = [str(state) + w[5:] if w.startswith("state") else str(base / w) for w in mounts.split()]
    result = runner.capture(
        ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", BIND, "sh", *places_of, "--",
         places.atoll.binary, "run", "--quiet", "--workspace", f"{places.main}:copy", *options.format(b=base).split(),
         "--", "/bin/echo", "ran"], cwd=places.main, env=places.atoll.environment())
    if said:
        assert (result.status, result.out) == (125, "") and said.format(b=base) in result.err, result
    else:
        assert (result.status, result.out) == (0, "ran\n"), result


def test_reports_are_not_written_through_them(places):
    victim = places.atoll.base / "victim"
    victim.write_text("as it was")
    (places.cache / "report").symlink_to(victim)
    result = runner.capture([places.atoll.binary, "run", "--quiet", "--json", places.cache / "report",
                             *map(str, places.options()), "--", "true"], env=places.atoll.environment(), cwd=places.main)
    assert result.status == 125 and "is not written" in result.err and victim.read_text() == "as it was", result


@pytest.mark.parametrize("mode, option, fine", [
    ("read-only", "--copy-of", False), ("read-only", "--write", False), ("copy", "--copy-of", True),
    ("copy", "--write", False), ("direct", "--copy-of", True), ("direct", "--write", True)])
def test_below_a_template(places, mode, option, fine):
    """A layer that bounds the mode of the workspace bounds that of other directories."""
    template = places.atoll.base / "template.yaml"
    template.write_text(f"version: 1\nfilesystem: {{workspace: {{path: {places.atoll.base}, mode: {mode}}}}}\n")
    result = places.run("true", options=("--template", template, "--workspace", places.main, option, places.lib))
    if fine:
        assert result.status == 0, result
    else:
        assert result.status == 125 and "takes precedence" in result.err and mode in result.err, result


@pytest.mark.parametrize("option", ["--copy-of", "--write"])
def test_outside_of_a_template(places, option):
    """One that says where the workspace may be says where other directories may be, too: a list of what may be read is no way round."""
    template = places.atoll.base / "template.yaml"
    template.write_text(f"version: 1\nfilesystem: {{workspace: {{path: {places.main}, mode: direct}}, read: []}}\n")
    result = places.run(f"cat {places.lib}/l", options=("--template", template, option, places.lib))
    assert result.status == 125 and result.out == "" and f"'{places.main}' is the most allowed" in result.err, result


def test_a_template_that_names_them(places):
    template = places.atoll.base / "template.yaml"
    template.write_text(f"version: 1\nfilesystem: {{workspace: {{path: {places.main}, mode: read-only}}, "
                        f"write: [{places.cache}]}}\n")
    assert places.run(f"echo n >{places.cache}/n", options=("--template", template)).status == 0
    assert (places.cache / "n").read_text() == "n\n"
    wider = places.run("true", options=("--template", template, "--write", places.lib))
    assert wider.status == 125 and "is the most allowed" in wider.err, wider


def test_less_trust_allows_none(places):
    err = refused(places, "--trust", "low", "--accept-tier", "container", "--copy-of", places.lib, main="read-only")
    assert "trust low allows 'read-only'" in err


def test_at_the_process_tier(places):
    options = ("--tier", "process", "--accept-tier", "process", "--workspace", f"{places.main}:read-only", "--write", places.cache)
    result = places.run(f"echo n >{places.cache}/n; cat m; echo x >m; echo x >{places.lib}/l", options=options)
    if os.geteuid() == 0:
        assert result.status == 125 and "owns nothing" in result.err, result
        return
    assert result.out == "m\n" and (places.cache / "n").read_text() == "n\n", result
    assert places.is_as_before(places.main, places.lib)
    err = refused(places, "--tier", "process", "--accept-tier", "process", "--copy-of", places.lib, main="read-only")
    assert "a copy needs a mount" in err


def test_plan_and_explanation(places):
    plan = json.loads(places.atoll.tool("run", "--plan-only", *map(str, places.options()), "--", "true").out)
    assert [(m["path"], m["mode"]) for m in plan["more"]] == [
        (str(places.lib), "copy"), (str(places.other), "copy"), (str(places.cache), "direct")]
    policy = places.atoll.base / "policy.yaml"
    policy.write_text(f"version: 1\nfilesystem: {{copies: [{places.lib}], write: [{places.cache}]}}\n")
    said = places.atoll.tool("policy", "explain", policy).out
    assert f"It also changes copies of {places.lib}." in said
    [line] = [line for line in said.splitlines() if f"the files below {places.cache} themselves." in line]
    assert line.startswith("fact ")  # it opens something
