# SPDX-License-Identifier: Apache-2.0
"""`atoll policy new`: every answer makes a policy that passes the check, and says what differs."""
import itertools
import json
import os
import re
import stat
import subprocess

import pytest
import yaml

from harness import runner

# Strictest first, as the rules of precedence go; the answers that the schema has.
PROVENANCE = ["reviewed", "agent", "external"]
TRUST = ["none", "low", "medium", "high", "full"]
TIER = ["none", "process", "container", "microvm"]
MODE = ["none", "read-only", "direct"]
LIMITS = ["group", "any"]
BOUND = {"reviewed": "high", "agent": "medium", "external": "low"}


def asked(**answers):
    """The command line for answers; None is not answered."""
    words = []
    for name, value in answers.items():
        for one in value if isinstance(value, list) else [value] * (value is not None):
            words += [f"--{name.replace('_', '-')}", one]
    return words


def made(atoll, *words, **answers):
    result = atoll.tool("policy", "new", "--json", *asked(**answers), *words)
    assert (result.status, result.err) == (0, ""), result
    return json.loads(result.out)


def refused(atoll, *words, **answers):
    result = atoll.tool("policy", "new", *asked(**answers), *words)
    assert result.status == 125 and result.out == "", result
    assert result.err.startswith("atoll: policy new: ") and result.err.count("\n") == 1
    return result.err[len("atoll: policy new: "):-1]


def findings(document):
    return {(f["key"], f["wall"]) for f in document["findings"]}


def expected(provenance, trust, tier, mode, limits, network):
    """(findings, what the document says) by the rules of trust, stated a second time."""
    found, said = set(), {}
    bound = BOUND[provenance or "agent"]
    level = min(trust or "medium", bound, key=TRUST.index)
    strict = level in ("none", "low")
    required = "microvm" if strict else "container"
    said["provenance"], said["trust"] = provenance or "agent", level
    if trust and TRUST.index(trust) > TRUST.index(bound):
        found.add(("trust", "stronger"))
    if level == "high":
        found.add(("trust", "weaker"))
    if tier == "process" and level == "high":
        said["tier"] = tier
        found.add(("tier", "weaker"))
    elif tier and TIER.index(tier) < TIER.index(required):
        found.add(("tier", "stronger"))
    elif tier:
        said["tier"] = tier
    if "microvm" in (tier, required):
        found.add(("tier", "weaker"))
    if mode == "direct":
        found.add(("filesystem.workspace.mode", "stronger" if strict else "weaker"))
    if mode:
        said["mode"] = "read-only" if strict and mode == "direct" else mode
    if limits == "any" and strict:
        found.add(("execution.limits.mechanism", "stronger"))
    if limits != "group" and not strict:
        found.add(("execution.limits.mechanism", "weaker"))
    if limits:
        said["limits"] = "group" if strict else limits
    said["network"] = {"default": "none" if level == "none" else "deny"}
    if network and (said.get("tier") == "process" or level == "none"):
        found.add(("network.allow", "stronger"))
    elif network:
        found.add(("network.allow", "weaker"))
        said["network"]["allow"] = network
    return found, said


def says(text):
    """The part of a document that expected() foretells."""
    document = yaml.safe_load(text)
    assert document["version"] == 1
    said = {k: document[k] for k in ("provenance", "trust", "tier", "network") if k in document}
    if "filesystem" in document:
        said["mode"] = document["filesystem"]["workspace"]["mode"]
    if "execution" in document:
        said["limits"] = document["execution"]["limits"]["mechanism"]
    return said


def test_every_combination_of_answers(atoll):
    place = atoll.base / "made"
    place.mkdir()
    files = []
    every = itertools.product([None, *PROVENANCE], [None, *TRUST], [None, *TIER], [None, *MODE],
                              [None, *LIMITS])
    for i, (provenance, trust, tier, mode, limits) in enumerate(every):
        network = ["example.com:443"] * (i % 2)
        path = place / f"{i}.yaml"
        document = made(atoll, "--yes", path, provenance=provenance, trust=trust, tier=tier, limits=limits,
                        workspace=mode and f":{mode}", allow=network)
        what = (provenance, trust, tier, mode, limits, network)
        found, said = expected(*what)
        assert findings(document) == found and len(document["findings"]) == len(found), what
        assert path.read_text() == document["document"]
        assert says(document["document"]) == said, what
        for wall in ("weaker", "stronger"):
            count = len(re.findall(rf"^ *# {wall.upper()}: ", document["document"], re.M))
            assert count == sum(w == wall for _, w in found), what
        files.append(path)
    assert len(files) == 4 * 6 * 5 * 4 * 3
    checked = atoll.tool("policy", "check", "--json", *files)
    assert checked.status == 0
    assert [c["ok"] for c in json.loads(checked.out)] == [True] * len(files)


# ---- the other findings, one at a time ----

PLAIN = {"provenance": "agent", "trust": "medium", "workspace": ".:read-only", "limits": "group"}


@pytest.mark.asan
@pytest.mark.parametrize("answers, found", [
    ({}, set()),
    ({"wall": "10m"}, set()),
    ({"wall": "10m1ms"}, {("time.wall", "weaker")}),
    ({"idle": "2m"}, set()),
    ({"idle": "3m"}, {("time.idle", "weaker")}),
    ({"scratch": "1GiB"}, set()),
    ({"scratch": "2GiB"}, {("execution.limits.scratch", "weaker")}),
    ({"read": ["/opt"], "owner": "me", "account": "team", "purpose": "test", "name": "n"}, set()),
    ({"allow_program": ["sh", "git"]}, {("execution.allow", "weaker")}),
    ({"env": ["A=1"]}, set()),
    ({"env": ["A=1", "TOKEN"]}, {("data.env", "weaker")}),
    ({"allow": ["a.example:443", "b.example:80"]}, {("network.allow", "weaker")}),
    ({"trust": "low", "wall": "10m"}, {("tier", "weaker"), ("time.wall", "weaker")}),
])
def test_findings(atoll, answers, found):
    document = made(atoll, **{**PLAIN, **answers})
    assert findings(document) == found
    assert all(not f["text"].endswith(".") for f in document["findings"])


@pytest.mark.asan
def test_answers_arrive_as_they_were_given(atoll):
    odd = "a: {b} #c \"d\" 'e' \\n é 日本 - null"
    document = made(atoll, **PLAIN, name="null", owner=odd, account="1e3", purpose="yes", read=["/a b", "~/c"],
                    env=[f"ODD={odd}", "EMPTY=", "TOKEN"], allow_program=["*", "/usr/bin/py*"], wall="1h30m",
                    idle="500ms", scratch="1MB")
    said = yaml.safe_load(document["document"])
    assert said == {
        "version": 1, "name": "null", "trust": "medium", "provenance": "agent",
        "filesystem": {"workspace": {"path": ".", "mode": "read-only"}, "read": ["/a b", "~/c"]},
        "network": {"default": "deny"},
        "execution": {"allow": ["*", "/usr/bin/py*"], "limits": {"mechanism": "group", "scratch": "1MB"}},
        "data": {"env": {"ODD": odd, "EMPTY": "", "TOKEN": {"inherit": True}}},
        "time": {"wall": "1h30m", "idle": "500ms"},
        "governance": {"owner": odd, "account": "1e3", "purpose": "yes"}}
    assert document["answers"]["data.env"] == [f"ODD={odd}", "EMPTY=", "TOKEN"]
    assert document["answers"]["time.wall"] == "1h30m"
    path = atoll.base / "odd.yaml"
    path.write_text(document["document"])
    assert atoll.tool("policy", "check", path).status == 0
    assert json.loads(atoll.tool("policy", "explain", "--json", path).out)


def test_comments_are_defaults(atoll):
    """Every key behind a # says what would hold anyway: taking all of them in changes nothing."""
    document = made(atoll, "--yes")["document"]
    key = re.compile(r"^( *)# ([a-z_]+:(?: \S+)?)$", re.M)
    assert len(key.findall(document)) >= 6
    whole = key.sub(r"\1\2", document)
    assert yaml.safe_load(whole)["time"] == {"wall": "10m", "idle": "2m"}
    plans = []
    for i, text in enumerate((document, whole)):
        path = atoll.base / f"{i}.yaml"
        path.write_text(text)
        plan = json.loads(atoll.tool("run", "--plan-only", "--policy", path, "--", "true").out)
        plan.pop("policy_digest", None)
        plans.append(plan)
    assert plans[0] == plans[1]


def test_what_it_makes_runs(atoll, world):
    path = atoll.base / "policy.yaml"
    made(atoll, "--yes", path, workspace=f"{atoll.workspace}:direct", wall="30s", env=["WORD=hello"])
    result = atoll.run("sh", "-c", "echo $WORD > made", options=("--policy", path))
    assert result.status == 0, result
    assert (atoll.workspace / "made").read_text() == "hello\n"


# ---- questions ----

def on_terminal(atoll, lines, *words):
    return runner.on_terminal([atoll.binary, "policy", "new", *words], typed="".join(lines).encode(),
                              env=atoll.environment(), cwd=atoll.workspace)


@pytest.mark.asan
def test_questions(atoll):
    path = atoll.workspace / "new.yaml"
    typed = ["external\n", "high\n", "?\n", "\n", "any\n", ".\n", "sideways\n", "direct\n", "/opt\n", "/srv\n",
             "\n", "now_here\n", "example.com:443\n", "\n", "\n", "TOKEN\n", "\n", "chat\n", "me\n", "\n",
             "to talk\n", "\n", "10s\n", "1MiB\n"]
    result = on_terminal(atoll, typed, path)
    shown = result.out.replace("\r\n", "\n")
    assert result.status == 0, shown
    # What is typed before it is asked for is shown before, too: groups follow a question on its line.
    assert re.findall(r"(Containment|Access|Governance|Ephemerality): ", shown) == [
        "Containment", "Access", "Governance", "Ephemerality"]
    assert "The walls are namespaces" in shown  # what ? says of the tiers
    assert "high was asked for, and it is low" in shown
    assert "'sideways' is not one of none, read-only, copy or direct" in shown
    assert "'now_here'" in shown and "How long may it run at most? [5m]" in shown
    said = yaml.safe_load(path.read_text())
    assert said == {
        "version": 1, "name": "chat", "trust": "low", "provenance": "external",
        "filesystem": {"workspace": {"path": ".", "mode": "read-only"}, "read": ["/opt", "/srv"]},
        "network": {"default": "deny", "allow": ["example.com:443"]},
        "execution": {"limits": {"mechanism": "group", "scratch": "1MiB"}},
        "data": {"env": {"TOKEN": {"inherit": True}}}, "time": {"idle": "10s"},
        "governance": {"owner": "me", "purpose": "to talk"}}
    assert atoll.tool("policy", "check", path).status == 0


@pytest.mark.asan
def test_only_what_is_not_given_is_asked(atoll):
    path = atoll.workspace / "new.yaml"
    result = on_terminal(atoll, ["\n"] * 20, path, *asked(**PLAIN, wall="5m"))
    assert result.status == 0, result
    for question in ("Where does the code", "How far is it", "Which directory", "May it change", "How long may it run"):
        assert question not in result.out
    assert "Which wall?" in result.out and "How long may it do nothing? [2m]" in result.out
    document = made(atoll, **PLAIN, wall="5m")["document"]
    assert path.read_text() == document
    assert on_terminal(atoll, [], "--yes", atoll.workspace / "other.yaml").status == 0


def test_answers_that_end(atoll):
    path = atoll.workspace / "new.yaml"
    result = on_terminal(atoll, ["agent\n", "\x04"], path)
    assert result.status == 125 and "the answers ended; nothing is written" in result.out
    assert not path.exists()


# ---- refusals ----

def test_without_a_terminal(atoll):
    assert refused(atoll) == ("standard input is no terminal to ask on: give --provenance, --trust, "
                              "--workspace, or --yes for the defaults")
    assert "give --trust, --workspace, or" in refused(atoll, provenance="agent")
    assert "give --workspace, or" in refused(atoll, provenance="agent", trust="low")
    made(atoll, provenance="agent", trust="low", workspace=":none")


@pytest.mark.asan
@pytest.mark.parametrize("answers, message", [
    ({"trust": "lots"}, "--trust: trust: 'lots' is not one of none, low, medium, high or full"),
    ({"tier": "wasm"}, "--tier: tier: this version has no wasm tier; use container"),
    ({"wall": "0"}, "--wall: time.wall: '0' is no duration"),
    ({"scratch": "1"}, "--scratch: execution.limits.scratch: '1' is too small"),
    ({"allow": "example.com/ftp"}, "--allow: network.allow: 'example.com/ftp'"),
    ({"allow_program": "/*/sh"}, "only the last part may be a pattern"),
    ({"env": "1=2"}, "--env: data.env: '1' is no name of a variable"),
    ({"owner": "a\033[2Jb"}, "the text contains a control character"),
    ({"account": "a b"}, "--account: governance.account: 'a b' is no name"),
])
def test_answers_that_are_none(atoll, answers, message):
    path = atoll.base / "new.yaml"
    assert message in refused(atoll, "--yes", path, **answers)
    assert not path.exists()


@pytest.mark.asan
def test_nothing_is_overwritten(atoll):
    path = atoll.base / "new.yaml"
    made(atoll, "--yes", path)
    first = path.read_text()
    assert refused(atoll, "--yes", path, trust="low") == (
        f"'{path}' exists; --force replaces it, another name keeps it")
    assert path.read_text() == first
    made(atoll, "--yes", "--force", path, trust="low")
    assert "trust: low" in path.read_text()
    link = atoll.base / "link.yaml"
    link.symlink_to(atoll.base / "nowhere.yaml")
    assert "exists" in refused(atoll, "--yes", link)
    for place in (link, "/dev/null", atoll.base):
        assert "is no plain file and is not replaced" in refused(atoll, "--yes", "--force", place)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert "cannot write" in refused(atoll, "--yes", atoll.base / "no/such/place.yaml")
    assert sorted(p.name for p in atoll.base.iterdir()) == ["link.yaml", "new.yaml", "workspace"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.asan
def test_standard_output(atoll):
    plain = atoll.tool("policy", "new", "--yes")
    assert plain.status == 0 and plain.out == made(atoll, "--yes")["document"]
    assert atoll.tool("policy", "new", "--yes", "-").out == plain.out
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([atoll.binary, "policy", "new", "--yes"], stdout=full, text=True,
                              stderr=subprocess.PIPE, env=atoll.environment(), check=False)
    assert done.returncode == 125 and "cannot write to standard output" in done.stderr


def test_under_a_floor(atoll, base):
    """The floor is asked, too: what it does not allow is tightened, or nothing is written."""
    (base / "etc/atoll").mkdir(parents=True)
    (base / "etc/passwd").write_text("me:x:1000:1000::/home/me:/bin/sh\n")
    (base / "etc/atoll/floor.yaml").write_text("version: 1\ntrust: low\ntime: {wall: 3m}\n")

    def behind(*words):
        rights = [] if os.geteuid() == 0 else ["--map-root-user"]
        lower = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"] * (os.geteuid() != 0)
        return runner.capture(["unshare", *rights, "--mount", "--", "/bin/sh", "-c",
                               'mount --bind "$0" /etc && exec "$@"', base / "etc", *lower, atoll.binary,
                               "policy", *words], env=atoll.environment(), cwd=atoll.workspace)

    path = base / "new.yaml"
    result = behind("new", "--yes", "--json", "--trust", "medium", path)
    assert result.status == 0, result
    document = json.loads(result.out)
    assert document["answers"]["trust"] == "low" and ("trust", "stronger") in findings(document)
    assert "/etc/atoll/floor.yaml:2:8" in document["findings"][0]["text"]
    assert behind("check", path).status == 0
    result = behind("new", "--yes", "--wall", "5m", base / "other.yaml")
    assert result.status == 125 and not (base / "other.yaml").exists()
    assert re.fullmatch(r"atoll: policy new: the answers make no policy that may be used here: \d+:\d+: "
                        r"time.wall: '5m' is refused: '3m' is the most allowed by "
                        r"/etc/atoll/floor.yaml:3:14, which takes precedence\n", result.err), result
