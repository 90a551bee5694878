# SPDX-License-Identifier: Apache-2.0
"""`atoll policy` and the plan of `atoll run`, as a user meets them."""
import json
import os
import subprocess

import pytest
import yaml

from harness import runner

pytestmark = pytest.mark.asan

TRUST_LEVELS = ["none", "low", "medium", "high"]
COMMANDS = ["new", "show", "check", "explain", "schema"]


class Place:
    """A home with a workspace, and atoll run in it with a small environment."""

    def __init__(self, base):
        self.base = base
        self.home = base / "home"
        self.work = self.home / "project"
        self.work.mkdir(parents=True)
        self.variables = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin",
                          "ATOLL_HOME": str(base / "state")}

    def write(self, name, text):
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def atoll(self, *argv, **keywords):
        keywords.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([runner.BIN, *map(str, argv)], cwd=self.work, env=self.variables,
                              stderr=subprocess.PIPE, timeout=30, check=False, text=True,
                              stdin=subprocess.DEVNULL, **keywords)

    def good(self, *argv):
        done = self.atoll(*argv)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def refusal(self, *argv):
        """The one line on standard error of a command that does nothing."""
        done = self.atoll(*argv)
        assert done.returncode == 125
        assert done.stdout == ""
        assert done.stderr.startswith("atoll: ") and done.stderr.count("\n") == 1
        return done.stderr[len("atoll: "):-1]

    def plan(self, *options):
        return json.loads(self.good("run", "--plan-only", "--json", "-", *options, "--", "true"))

    def no_plan(self, *options):
        return self.refusal("run", "--plan-only", "--json", "-", *options, "--", "true")


@pytest.fixture
def place(base):
    return Place(base)


def profiles(place):
    return [p["name"] for p in json.loads(place.good("policy", "show", "--json"))]


# ---- help ----

@pytest.mark.parametrize("argv", [["--help"]] + [[c, "--help"] for c in COMMANDS])
def test_help_has_examples(place, argv):
    out = place.good("policy", *argv)
    assert out.startswith("usage: atoll policy")
    assert "examples:\n  atoll policy" in out


@pytest.mark.parametrize("argv, message", [
    ([], "policy: which command?"),
    (["frobnicate"], "policy: there is no command 'frobnicate'"),
    (["show", "--colour"], "policy show: unknown option '--colour'"),
    (["show", "--trust"], "policy show: '--trust' needs a value"),
    (["show", "x"], "policy show: unexpected argument 'x'"),
    (["show", "--trust", "low", "--profile", "strict"], "exclude each other"),
    (["show", "--profile", "a\033[2Jb"], "there is no profile 'a\\x1b[2Jb'"),
    (["check"], "policy check: which file?"),
    (["explain", "a", "b"], "policy explain: unexpected argument 'b'"),
    (["schema", "--trust", "low"], "policy schema: unknown option"),
])
def test_wrong_use(place, argv, message):
    assert message in place.refusal("policy", *argv)


def test_full_disk_is_an_error(place):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = place.atoll("policy", "schema", stdout=full)
    assert done.returncode == 125
    assert "cannot write to standard output" in done.stderr


# ---- show ----

def test_show_lists_every_profile(place):
    names = profiles(place)
    assert names == sorted(names)
    assert {f"trust-{t}" for t in TRUST_LEVELS} <= set(names)
    assert {"strict", "permissive", "layered", "production-backend", "dev-assistant", "research",
            "public-chat", "playground"} <= set(names)
    lines = place.good("policy", "show").splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("trust", TRUST_LEVELS)
def test_show_trust(place, trust):
    text = place.good("policy", "show", "--trust", trust)
    document = yaml.safe_load(text)
    assert document["version"] == 1 and document["trust"] == trust
    assert document == yaml.safe_load(
        json.loads(place.good("policy", "show", "--trust", trust, "--json"))["text"])
    assert document["network"]["default"] == {"none": "none", "high": "allow"}.get(trust, "deny")
    assert set(document["network"]["limits"]) == {"connections", "bytes", "host_bytes", "requests"}
    assert set(document["execution"]["limits"]) == {
        "mechanism", "memory", "cpus", "processes", "open_files", "file_size", "scratch", "copy", "output",
        "starts"}
    assert set(document["time"]) == {"wall", "idle", "session", "pauses", "paused", "keep", "cooldown", "cpu"}


def test_profiles_as_starting_points(place):
    """What `show` prints is a document to edit; those that need a decision say which."""
    needs = {"strict": "the list is empty", "trust-high": "provenance", "permissive": "provenance",
             "trust-full": "may only be named on the command line"}
    for name in profiles(place):
        path = place.write(f"{name}.yaml", place.good("policy", "show", "--profile", name))
        if name in needs:
            assert needs[name] in place.refusal("policy", "check", path)
        else:
            assert place.good("policy", "check", path).startswith(f"{path}: ok\n")


# ---- check ----

@pytest.mark.parametrize("text, message", [
    ("", "1:1: the document is empty"),
    ("version: 2\n", "1:10: version 2 is not known"),
    ("name: x\n", "1:1: version is missing"),
    ("version: 1\nnmae: x\n", "2:1: unknown key 'nmae'; did you mean 'name'?"),
    ("version: 1\nname: a\nname: b\n", "3:1: duplicate key 'name'"),
    ("version: 1\nexecution:\n  limits: {memory: lots}\n", "3:20: execution.limits.memory: 'lots'"),
    ("version: 1\nexecution:\n  limits:\n    processes: 0\n", "4:16: execution.limits.processes"),
    ("version: 1\ntime: {wall: 10}\n", "2:14: time.wall: '10' is no duration"),
    ("version: 1\nexecution: {allow: []}\n", "2:20: execution.allow: the list is empty"),
    ("version: 1\nnetwork: {allow: ['a_b.example:1']}\n", "2:19: network.allow: 'a_b.example:1'"),
    ("version: 1\nfilesystem: {root: 'image:x@sha256:0'}\n", "this version has no image roots"),
    ("version: 1\ntrust: high\n", "2:8: trust: high is above medium"),
    ("version: 1\nname: &a x\n", "2:7: anchors (&name) are not allowed"),
    ("- version: 1\n", "1:1: policy: expected a mapping, found a list"),
])
def test_check_says_where(place, text, message):
    path = place.write("policy.yaml", text)
    assert place.refusal("policy", "check", path).startswith(f"{path}:")
    assert message in place.refusal("policy", "check", path)
    done = place.atoll("policy", "check", "--json", path)
    assert done.returncode == 125 and done.stderr == ""
    entry, = json.loads(done.stdout)
    assert entry["file"] == str(path) and entry["ok"] is False and message in entry["error"]


def test_check_goes_through_all_files(place):
    good = place.write("good.yaml", "version: 1\n")
    bad = place.write("bad.yaml", "version: 0\n")
    done = place.atoll("policy", "check", bad, good, place.base / "missing.yaml")
    assert done.returncode == 125
    assert done.stdout == f"{good}: ok\n"
    assert done.stderr.count("atoll: ") == 2


def test_check_notes_what_cannot_run_yet(place):
    path = place.write("p.yaml", "version: 1\nnetwork:\n  allow: ['example.com:443']\n")
    out = place.good("policy", "check", path)
    assert out == f"{path}: ok\n"
    assert "the process tier has no network of its own" in place.good("policy", "check", "--accept-tier", "process", path)
    path = place.write("s.yaml", "version: 1\nprofile: strict\n")
    assert "nothing may be executed yet" in place.good("policy", "check", path)
    path = place.write("q.yaml", "version: 1\ntrust: low\n")
    assert "--accept-tier container" in place.good("policy", "check", path)
    assert place.good("policy", "check", "--accept-tier", "container", path) == f"{path}: ok\n"


def test_check_under_a_floor(place):
    floor = place.write("floor.yaml", "version: 1\ntime:\n  wall: 5m\n")
    path = place.write("policy.yaml", "version: 1\ntime: {wall: 6m}\n")
    assert place.refusal("policy", "check", "--floor", floor, path) == (
        f"{path}:2:14: time.wall: '6m' is refused: '5m' is the most allowed by {floor}:3:9, "
        "which takes precedence")
    floor.chmod(0o666)
    assert "writable by nobody else" in place.refusal("policy", "check", "--floor", floor, path)


# ---- templates ----

def own_template(place, text, name="ci", below="home/.config"):
    return place.write(f"{below}/atoll/templates/{name}.yaml", text)


def host_template(place, text, name="ci"):
    """For behind(): what the host has in /etc/atoll/templates."""
    return own_template(place, text, name, "etc") and f"/etc/atoll/templates/{name}.yaml"


def behind(place, *argv, root=False):
    """
    Runs atoll where place.base/etc is /etc: in a mount namespace, and as a user who is not root in
    a user namespace below that.
    """
    place.write("etc/passwd", f"me:x:1000:1000::{place.home}:/bin/sh\n")
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    lower = [] if root else ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    return subprocess.run(
        ["unshare", *rights, "--mount", "--", "/bin/sh", "-c", 'mount --bind "$0" /etc && exec "$@"',
         place.base / "etc", *lower, runner.BIN, *map(str, argv)],
        cwd=place.work, env=place.variables, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=30, check=False, text=True)


def explained(done, key="time.wall"):
    """(text, from) of one sentence of `policy explain --json`."""
    assert done.returncode == 0, done.stderr
    return next((s["text"], s["from"]) for s in json.loads(done.stdout) if s["key"] == key)


def test_template_stands_between_floor_and_file(place):
    """Promise 14, on the command line: what stands higher can be tightened and not widened."""
    floor = place.write("floor.yaml", "version: 1\ntime: {wall: 8m}\n")
    template = place.write("t.yaml", "version: 1\ntime: {wall: 6m}\n")
    policy = place.write("policy.yaml", "version: 1\ntime: {wall: 4m}\n")
    above = ("--floor", floor, "--template", template)
    assert place.good("policy", "check", *above, policy) == f"{policy}: ok\n"
    policy.write_text("version: 1\ntime: {wall: 7m}\n")
    assert place.refusal("policy", "check", *above, policy) == (
        f"{policy}:2:14: time.wall: '7m' is refused: '6m' is the most allowed by {template}:2:14, "
        "which takes precedence")
    template.write_text("version: 1\ntime: {wall: 9m}\n")
    assert place.refusal("policy", "check", *above, policy) == (
        f"{template}:2:14: time.wall: '9m' is refused: '8m' is the most allowed by {floor}:2:14, "
        "which takes precedence")
    said = place.good("policy", "explain", "--json", "--template", policy)
    assert next(s["from"] for s in json.loads(said) if s["key"] == "time.wall") == f"{policy}:2:14"


def test_template_of_a_run(place):
    template = place.write("t.yaml", "version: 1\nexecution: {limits: {memory: 1GiB}}\n")
    policy = place.write("policy.yaml", "version: 1\nexecution: {limits: {memory: 512MiB}}\n")
    assert place.plan("--template", template)["limits"]["memory"] == 1 << 30
    assert place.plan("--template", template, "--policy", policy)["limits"]["memory"] == 512 << 20
    plan = place.plan(f"--template={template}", "--policy", policy, "--memory", "256MiB")
    assert plan["limits"]["memory"] == 256 << 20
    assert place.no_plan("--template", template, "--memory", "2GiB") == (
        "--memory: execution.limits.memory: '2GiB' is refused: '1GiB' is the most allowed by "
        f"{template}:2:30, which takes precedence")


def test_template_runs(place):
    """Not only planned: what the payload gets is the template's."""
    template = place.write("t.yaml", "version: 1\nexecution: {limits: {open_files: 40}}\n"
                           "data: {env: {FROM: template}}\n")
    out = place.good("run", "--quiet", "--template", template, "--", "sh", "-c",
                     "ulimit -n; echo $FROM")
    assert out == "40\ntemplate\n"
    out = place.good("run", "--quiet", "--template", template, "--open-files", "30", "--", "sh",
                     "-c", "ulimit -n")
    assert out == "30\n"


def test_template_that_others_could_write(place):
    template = place.write("t.yaml", "version: 1\n")
    template.chmod(0o664)
    assert place.no_plan("--template", template) == (
        f"'{template}' is refused: a template must belong to root or to you and be writable by "
        "nobody else; look at it, then chmod go-w it")
    policy = place.write("policy.yaml", "version: 1\n")
    assert "chmod go-w" in place.refusal("policy", "check", "--template", template, policy)
    assert "chmod go-w" in place.refusal("policy", "explain", "--template", template)
    if os.geteuid() == 0:
        template.chmod(0o644)
        os.chown(template, 12345, 0)
        assert "it belongs to user 12345; chown it to root" in place.no_plan("--template", template)


def test_template_that_is_not_there(place):
    host = "/etc/atoll/templates/no-such.yaml"
    own = f"{place.home}/.config/atoll/templates/no-such.yaml"
    places = f"'{host}'" if os.geteuid() == 0 else f"'{own}' and '{host}'"
    assert place.no_plan("--template", "no-such") == (
        f"--template: there is no template 'no-such': looked for {places}; a file elsewhere is "
        "named by a path with a slash")
    assert place.no_plan("--template", "./no-such") == (
        "cannot open the template './no-such': No such file or directory")
    assert "'a b' is no name" in place.no_plan("--template", "a b")
    path = place.write("bad.yaml", "version: 1\nnmae: x\n")
    assert place.no_plan("--template", path) == (
        f"{path}:2:1: unknown key 'nmae'; did you mean 'name'?")


def test_own_templates_come_first(place):
    host = host_template(place, "version: 1\ntime: {wall: 3m}\n")
    explain = ("policy", "explain", "--json", "--template", "ci")
    assert explained(behind(place, *explain)) == ("It is ended after 3m.", f"{host}:2:14")
    own = own_template(place, "version: 1\ntime: {wall: 2m}\n")
    assert explained(behind(place, *explain)) == ("It is ended after 2m.", f"{own}:2:14")
    place.variables["XDG_CONFIG_HOME"] = str(place.base / "config")
    assert explained(behind(place, *explain)) == ("It is ended after 3m.", f"{host}:2:14")
    own = own_template(place, "version: 1\ntime: {wall: 1m}\n", below="config")
    assert explained(behind(place, *explain)) == ("It is ended after 1m.", f"{own}:2:14")
    assert explained(behind(place, *explain, "--trust", "medium"))[1] == f"{own}:2:14"


def test_root_has_the_templates_of_the_host_only(place):
    own_template(place, "version: 1\ntime: {wall: 2m}\n")
    done = behind(place, "policy", "explain", "--template", "ci", root=True)
    assert done.returncode == 125 and ".config" not in done.stderr, done.stderr
    host = host_template(place, "version: 1\ntime: {wall: 3m}\n")
    place.variables["XDG_CONFIG_HOME"] = str(place.home / ".config")
    done = behind(place, "policy", "explain", "--json", "--template", "ci", root=True)
    assert explained(done) == ("It is ended after 3m.", f"{host}:2:14")


def test_payloads_cannot_make_templates(place):
    """Neither the one that is used nor one that would be found before it."""
    host_template(place, "version: 1\ntime: {wall: 3m}\n")
    place.variables["XDG_CONFIG_HOME"] = str(place.work / "config")
    plan = ("run", "--plan-only", "--template")
    assert behind(place, *plan, "ci").returncode == 0
    done = behind(place, *plan, "ci", "--workspace", ".:direct")
    assert done.returncode == 125 and done.stderr == (
        f"atoll: the payload could put a template at '{place.work}/config/atoll/templates/ci.yaml', "
        f"which lies in the workspace '{place.work}' and is looked for before "
        "'/etc/atoll/templates/ci.yaml'; name the template by its path, or use mode read-only\n")
    done = behind(place, *plan, "/etc/atoll/templates/ci.yaml", "--workspace", ".:direct")
    assert done.returncode == 0, done.stderr
    own_template(place, "version: 1\n", below="home/project/config")
    done = behind(place, *plan, "ci", "--workspace", ".:direct")
    assert done.returncode == 125 and "lies in the workspace" in done.stderr


# ---- explain ----

def test_explain_tells_walls_from_guard_rails(place):
    said = json.loads(place.good("policy", "explain", "--json"))
    assert {s["class"] for s in said} == {"wall", "guard-rail", "fact"}
    by_key = {s["key"]: s for s in said}
    assert by_key["network.default"]["class"] == "wall"
    assert by_key["execution.limits.starts"]["class"] == "guard-rail"
    assert by_key["execution.limits.memory"]["class"] == "guard-rail"  # any mechanism will do
    assert "2GiB" in by_key["execution.limits.memory"]["text"]
    assert by_key["time.wall"]["from"].startswith("profile trust-medium:")
    assert all(s["text"].endswith((".", ")")) for s in said)
    text = place.good("policy", "explain")
    assert all(s["text"] in text for s in said)


def test_explain_a_file(place):
    path = place.write("policy.yaml", "version: 1\nexecution:\n  allow: [python3, sh]\n"
                       "  limits: {mechanism: group, memory: 1GiB}\n"
                       "filesystem: {workspace: {mode: direct}}\n")
    by_key = {s["key"]: s for s in json.loads(place.good("policy", "explain", "--json", path))}
    assert by_key["execution.limits.memory"]["class"] == "wall"
    assert by_key["execution.limits.memory"]["from"] == f"{path}:4:38"
    assert by_key["execution.allow"]["class"] == "guard-rail"
    assert "python3, sh" in by_key["execution.allow"]["text"]
    assert by_key["filesystem.workspace.mode"]["class"] == "fact"


def test_explain_every_profile(place):
    for name in profiles(place):
        said = json.loads(place.good("policy", "explain", "--profile", name, "--json"))
        assert len(said) > 20
        refused = [s for s in said if "This version refuses to run it" in s["text"]]
        assert bool(refused) == (name in {"trust-none", "trust-low", "layered", "public-chat",
                                          "playground"})


# ---- schema ----

@pytest.fixture
def validator(place):
    try:
        import jsonschema
    except ImportError:
        pytest.skip("needs python3-jsonschema to be installed")
    schema = json.loads(place.good("policy", "schema"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_schema_accepts_the_profiles(place, validator):
    for name in profiles(place):
        document = yaml.safe_load(place.good("policy", "show", "--profile", name))
        if name == "strict":
            document["execution"].pop("allow")  # empty there, for the user to fill
        assert [e.message for e in validator.iter_errors(document)] == []


@pytest.mark.parametrize("text", [
    "name: x\n",
    "version: 2\n",
    "version: 1\nnmae: x\n",
    "version: 1\ntrust: lots\n",
    "version: 1\nexecution: {allow: []}\n",
    "version: 1\nexecution: {denials: stop}\n",
    "version: 1\nexecution: {limits: {memory: 2G}}\n",
    "version: 1\nexecution: {limits: {processes: 0}}\n",
    "version: 1\nexecution: {limits: {cpus: '2'}}\n",
    "version: 1\ntime: {wall: 10}\n",
    "version: 1\ntime: {wall: ''}\n",
    "version: 1\nnetwork: {allow: ['example.com/ftp']}\n",
    "version: 1\nnetwork: {allow: ['example.com:']}\n",
    "version: 1\nnetwork: {allow: [{ports: [1]}]}\n",
    "version: 1\nnetwork: {allow: [{host: a.b, protocol: udp}]}\n",
    "version: 1\nnetwork: {allow: [{host: a.b, methods: [GET]}]}\n",
    "version: 1\ndata: {env: {1A: x}}\n",
    "version: 1\ndata: {env: {A: {inherit: false}}}\n",
    "version: 1\nfilesystem: {workspace: .}\n",
])
def test_schema_and_loader_refuse_alike(place, validator, text):
    assert list(validator.iter_errors(yaml.safe_load(text)))
    place.refusal("policy", "check", place.write("p.yaml", text))


def test_schema_accepts_what_the_loader_accepts(place, validator):
    text = ("version: 1\nname: all\nprofile: dev-assistant\ntrust: medium\nprovenance: agent\n"
            "tier: container\n"
            "filesystem: {root: host, workspace: {path: ., mode: read-only, copy_by: files}, read: [/opt]}\n"
            "network: {default: deny, allow: ['example.com:443', '[::1]:22,private', example.com, 'a.b:5/tls,private',\n"
            "  {host: '*.example.com', ports: [80]}, {host: a.b, protocol: tcp, private: true}]}\n"
            "execution: {allow: [sh], syscalls: strict, denials: end, limits: {mechanism: group,\n"
            "  memory: 1073741824, cpus: 0.5, processes: 10, open_files: 64, file_size: 1MB,\n"
            "  scratch: 1GiB, output: 1kB, starts: 5, io: 20MiB/s}}\n"
            "data: {env: {A: x, B: 8080, C: true, D: {inherit: true}}}\n"
            "time: {wall: 1h30m, idle: 500ms, cpu: 1d}\n"
            "governance: {owner: me, account: team, purpose: test}\n")
    assert [e.message for e in validator.iter_errors(yaml.safe_load(text))] == []
    assert place.good("policy", "check", place.write("p.yaml", text)).startswith(
        str(place.base / "p.yaml") + ": ok")


# ---- the plan of a run ----

def test_plan_defaults(place):
    plan = place.plan()
    assert plan["trust"] == "medium" and plan["tier"] == "container"
    assert plan["workspace"]["path"] == str(place.work)
    assert plan["workspace_mode"] == "copy"
    assert plan["denials"] == "record" and plan["syscalls"] == "default"
    assert plan["limits"]["memory"] == 2 << 30 and plan["limits"]["wall_ns"] == 600 * 10**9
    assert plan["identity"]["home"] == str(place.home)
    root = os.geteuid() == 0
    assert plan["identity"]["from_root"] is root
    assert plan["identity"]["uid"] == (1000 if root else os.geteuid())


DECLARED = {"owner": "me", "account": "team", "purpose": "tests", "scope": "synthetic", "expires": "2h",
            "review": "monthly"}


def test_what_must_be_declared(place):
    """Whoever requires it, it has to be said, by document or option; and nobody below takes it back."""
    template = place.write("team.yaml", "version: 1\ngovernance:\n  require: [owner, account, purpose, scopes, expires, review]\n")
    said = []
    for word, value in DECLARED.items():
        missing = place.no_plan("--template", template, *said)
        assert f"governance.require: '{'scopes' if word == 'scope' else word}' is missing" in missing
        assert missing.endswith(f"or --{word}") and f"{template}:3:" in missing
        said += [f"--{word}", value]
    plan = place.plan("--template", template, *said)
    assert (plan["owner"], plan["scopes"], plan["review"]) == ("me", ["synthetic"], "monthly")
    assert plan["expires_ns"] == 7200 * 10**9 and plan["limits"]["session_ns"] == 7200 * 10**9
    lower = place.write("lower.yaml", "version: 1\ngovernance: {require: [owner]}\n")
    assert "'account' is missing" in place.no_plan("--template", template, "--policy", lower, "--owner", "me")
    assert "'price' is not known; use owner, account" in place.no_plan(
        "--policy", place.write("p.yaml", "version: 1\ngovernance: {require: [price]}\n"))


def test_idle_signals(place):
    """All of them, but where fewer are named; and nobody below names another one."""
    assert place.plan()["idle_signals"] == ["output", "cpu", "exec", "connection"]
    assert "Output, use of the CPU, the start or end of a command, and an open connection keep it" in place.good("policy", "explain")
    template = place.write("team.yaml", "version: 1\ntime: {idle_signals: [exec, output]}\n")
    assert place.plan("--template", template)["idle_signals"] == ["output", "exec"]
    assert place.plan("--template", template, "--idle-signal", "exec")["idle_signals"] == ["exec"]
    assert "wall Nothing keeps it from being idle but exec, output." in \
        " ".join(place.good("policy", "explain", "--template", template).split())
    for words, told in ((("--idle-signal", "cpu"), "'cpu' is refused: 'exec, output' is the most allowed"),
                        (("--idle-signal", "connection"), "'connection' is refused: 'exec, output' is the most allowed"),
                        (("--idle-signal", "network"), "'network' is not known; use output, cpu, exec or connection")):
        assert told in place.no_plan("--template", template, *words)
    assert "time.idle_signals" in place.no_plan("--policy", place.write("p.yaml", "version: 1\ntime: {idle_signals: []}\n"))


def test_declarations_only_tighten(place):
    template = place.write("team.yaml", "version: 1\ngovernance: {scopes: [synthetic, masked], expires: 2h, review: monthly}\n")
    plan = place.plan("--template", template, "--scope", "masked", "--expires", "1h", "--review", "weekly")
    assert (plan["scopes"], plan["review"], plan["expires_ns"]) == (["masked"], "weekly", 3600 * 10**9)
    for words, told in ((("--scope", "real"), "'real' is refused"), (("--expires", "3h"), "'2h' is the most allowed"),
                        (("--review", "yearly"), "'monthly' is the most allowed")):
        assert told in place.no_plan("--template", template, *words)


def test_where_a_default_copy_cannot_be(place):
    """Not named, it is read-only with a note; named, it is refused."""
    options = ("--accept-tier", "process")
    plan = place.plan(*options)
    assert plan["workspace_mode"] == "read-only"
    assert [n for n in plan["notes"] if "read-only" in n and "makes no copy of the workspace" in n], plan["notes"]
    assert "workspace.mode" in place.refusal("run", *options, "--workspace", ".:copy", "--plan-only")
    assert not [n for n in place.plan("--workspace", ".:read-only", "--limits", "group")["notes"] if "copy" in n]


@pytest.mark.parametrize("hidden, why", [("/dev/loop-control", "no loop devices"), ("/usr/sbin/mkfs.ext4", "no mkfs.ext4")])
def test_where_a_bounded_default_copy_cannot_be(place, need_root, hidden, why):
    """What would hold its size is missing: the default is read-only, what is named is refused at the start."""
    assert place.plan("--limits", "group")["workspace_mode"] == "copy"
    hide = ("mount -t tmpfs none /dev" if hidden.startswith("/dev") else
            f": >empty; mount --bind empty $(readlink -f {hidden})")
    script = f'mount --make-rprivate /; {hide}; exec "$@"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", runner.BIN, "run", "--limits", "group", "--plan-only"],
                          cwd=place.work, capture_output=True, text=True, timeout=60)
    plan = json.loads(done.stdout)
    assert plan["workspace_mode"] == "read-only" and [n for n in plan["notes"] if why in n], plan["notes"]


def test_a_state_directory_that_can_hold_no_copy(place, need_root):
    """A file system without extended attributes, and one that is itself an overlay."""
    script = """
set -e
mount --make-rprivate /; mkdir -p {base}/fs; mount -t tmpfs none {base}/fs
mkdir {base}/fs/l {base}/fs/u {base}/fs/w {base}/fs/m {base}/fs/r
mount -t ramfs none {base}/fs/r
mount -t overlay -o lowerdir={base}/fs/l,upperdir={base}/fs/u,workdir={base}/fs/w none {base}/fs/m
for d in r m; do ATOLL_HOME={base}/fs/$d/state {atoll} run --plan-only; done
ATOLL_HOME={base}/fs/r/state {atoll} run -- true
"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script.format(base=place.base, atoll=runner.BIN)],
                          cwd=place.work, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    plans = [json.loads(text + "}") for text in done.stdout.split("\n}\n") if text]
    assert [p["workspace_mode"] for p in plans] == ["read-only"] * 2
    assert "without extended attributes" in plans[0]["notes"][-1] and "cannot write to" in plans[1]["notes"][-1]
    assert "note: The workspace is read-only, no copy: " in done.stderr


def test_plan_passes_nothing_of_the_environment(place):
    place.variables |= {"AWS_SECRET_ACCESS_KEY": "x", "LD_PRELOAD": "", "SSH_AUTH_SOCK": "/x",
                        "TERM": "xterm; rm", "WANTED": "yes"}
    plan = place.plan("--env", "WANTED")
    names = {v.split("=")[0] for v in plan["env"]} | set(plan["inherited"])
    assert names == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "WANTED"}


def test_plan_options_and_file(place):
    path = place.write("policy.yaml", "version: 1\nexecution: {limits: {memory: 1GiB}}\n"
                       "governance: {owner: me}\n")
    plan = place.plan("--policy", path, "--memory", "512MiB", "--wall", "5s")
    assert plan["limits"]["memory"] == 512 << 20
    assert plan["limits"]["wall_ns"] == 5 * 10**9
    assert plan["owner"] == "me"
    assert place.no_plan("--policy", path, "--memory", "2GiB") == (
        f"--memory: execution.limits.memory: '2GiB' is refused: '1GiB' is the most allowed by "
        f"{path}:2:30, which takes precedence")


@pytest.mark.parametrize("options, message", [
    (["--trust", "high"], "--trust: trust: high is above medium"),
    (["--trust", "low"], "trust low needs the microvm tier"),
    (["--trust", "full", "--provenance", "agent"], "provenance: 'agent' is not for trust full"),
    (["--tier", "process"], "--accept-tier process"),
    (["--memory", "0"], "--memory: execution.limits.memory: '0' is too small"),
    (["--memory", "99999999999999999999GiB"], "is too large"),
    (["--wall", "soon"], "--wall: time.wall: 'soon' is no duration"),
    (["--read", "/proc"], "--read: filesystem.read: '/proc' is refused"),
    (["--workspace", "/"], "'/' is refused: it is the whole host"),
    (["--workspace", "/usr:direct"], "'/usr' is refused: it is a system directory"),
    (["--workspace", "~"], "it holds all of HOME"),
    (["--workspace", "..:direct"], "it holds all of HOME"),
    (["--workspace", ".:copy", "--accept-tier", "process"],
     "--workspace: filesystem.workspace.mode: 'copy' needs a mount"),
    (["--env", "1=2"], "is no name of a variable"),
    (["--policy", "/nonexistent"], "cannot open '/nonexistent'"),
])
def test_plan_refusals(place, options, message):
    assert message in place.no_plan(*options)


def test_accepted_tier_is_recorded(place):
    plan = place.plan("--trust", "low", "--accept-tier", "container")
    assert plan["tier"] == "container" and plan["tier_accepted"] is True
    assert plan["limits"]["mechanism"] == "group"
    assert any("accepted by name" in note for note in plan["notes"])


def test_network_rules_are_never_ignored(place):
    path = place.write("policy.yaml", "version: 1\nnetwork:\n  allow: ['example.com:443']\n")
    assert place.plan("--policy", path)["net"] == ["example.com:443"]
    assert place.no_plan("--policy", path, "--accept-tier", "process").startswith(
        f"{path}:3:11: network.allow: the process tier has no network of its own")


def test_policy_inside_a_writable_workspace(place):
    path = place.write("home/project/policy.yaml", "version: 1\n")
    place.plan("--policy", path)
    assert "lies in the workspace" in place.no_plan("--policy", path, "--workspace", ".:direct")
    outside = place.base / "policy.yaml"
    outside.symlink_to(path)
    assert "lies in the workspace" in place.no_plan("--policy", outside, "--workspace", ".:direct")


def test_toolchains_without_credentials(place):
    for name in [".cargo/bin", ".rustup/toolchains", "bin"]:
        (place.home / name).mkdir(parents=True)
    (place.home / ".cargo/credentials.toml").write_text("token")
    place.variables["PATH"] = f"{place.home}/.cargo/bin:{place.home}/bin:.:" + place.variables["PATH"]
    plan = place.plan()
    read = {p["path"] for p in plan["read"]}
    assert read == {f"{place.home}/.cargo/bin", f"{place.home}/.rustup"}
    path = dict(v.split("=", 1) for v in plan["env"])["PATH"].split(":")
    assert path[0] == f"{place.home}/.cargo/bin"
    assert f"{place.home}/bin" not in path and "." not in path and "" not in path
