# SPDX-License-Identifier: Apache-2.0
"""Inside containers and nested namespaces: it works, or the refusal says exactly what to change.

The containers are podman's, as root and without, on a root that is this host's own /usr; the
nested namespaces are those of unshare(1) and bubblewrap. All of them run as root starts them, in a
session of the user where there is to be none.
"""
import json
import os
import pwd
import subprocess

import pytest

from harness import runner

USER = "atoll-test"
NO_USER_NAMESPACES = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["clone", "unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
         "args": [{"index": 0, "value": 0x10000000, "valueTwo": 0x10000000,
                   "op": "SCMP_CMP_MASKED_EQ"}]}]}
UNMASK = ("--security-opt", "unmask=ALL")
UNFILTERED = ("--security-opt", "seccomp=unconfined")
# The document of the doctor, the exit statuses, and what the run said.
SCRIPT = """
cd "$1" || exit
"$2" run $3 --json "$4/result" -- /bin/sh -c 'echo ran as $(id -u)' >"$4/out" 2>"$4/err"
echo $? >"$4/status"
"$2" doctor --json >"$4/doctor"
"""


class Place:
    """A workspace, a state directory and room for answers that belong to whoever runs atoll."""

    def __init__(self, base, uid):
        # The root is not among what is shown: a container that sees its own root sees its /proc
        # there as it was before parts of it were covered.
        self.base, self.root = base / "shown", base / "root"
        self.work, self.answers = self.base / "work", self.base / "answers"
        for name in ("usr", "etc", "tmp", "proc", "sys", "dev", "run", "var", "home", "root", "stage", "opt"):
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "tmp").chmod(0o1777)
        for directory in (self.work, self.answers):
            directory.mkdir(parents=True)
        (self.base / "script").write_text(SCRIPT)
        subprocess.run(["chown", "-R", f"{uid}:{uid}", self.root, self.work, self.answers], check=True)

    def atoll(self, *options):
        return ["/bin/sh", str(self.base / "script"), str(self.work), str(runner.BIN), " ".join(options),
                str(self.answers)]

    def podman(self, *options, how=()):
        """The command of a container on the host's programs; what is shown is at its own path."""
        shown = [word for path in ("/usr:/usr:ro", "/etc:/etc:ro", "/stage:/stage:ro", f"{self.base}:{self.base}")
                 for word in ("-v", path)]
        inside = ["/usr/bin/env", f"ATOLL_HOME={self.base}/answers/state", "HOME=/tmp", *self.atoll(*how)]
        return ["/usr/bin/podman", "run", "--rm", "--network", "none", *shown, *options,
                "--rootfs", str(self.root), *inside]

    def nested(self, *around, how=()):
        return [*around, "/usr/bin/env", f"ATOLL_HOME={self.base}/answers/state", *self.atoll(*how)]

    def look(self, argv, session=False):
        """(exit status of the run, its output, its errors, its result, the doctor's document)"""
        if session:
            argv = ["/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", f"--uid={USER}", "-p",
                    "PAMName=login", f"--working-directory={self.work}", *argv]
        done = runner.capture(argv)
        assert (self.answers / "status").exists(), done
        text = {name: (self.answers / name).read_text() for name in ("out", "err", "status", "doctor")}
        doctor = json.loads(text["doctor"])
        return Seen(int(text["status"]), text["out"], text["err"],
                    runner.read_json(self.answers / "result"), doctor)


class Seen:
    def __init__(self, status, out, err, result, doctor):
        self.status, self.out, self.err, self.result = status, out, err, result
        self.rows = {row["mechanism"]: row for row in doctor["rows"]}
        self.verdict = doctor["default_policy"]

    def __str__(self):
        return f"{self.status} {self.out} {self.err} {self.result} {json.dumps(self.rows, indent=1)}"

    def mechanism(self, name):
        return next(row["mechanism"] for row in self.result["limits"] if row["name"] == name)

    def ran(self, uid, limits):
        """It ran with these limits, and the doctor says that it can."""
        assert (self.status, self.out) == (0, f"ran as {uid}\n"), self
        assert self.mechanism("memory") == limits, self
        assert self.verdict is True and limits in self.rows["default policy"]["found"], self

    def ran_accepted(self, who):
        """The process tier ran, as the doctor says it can, and the default policy does not."""
        assert self.status == 0 and self.out.startswith(f"ran as {who}"), self
        assert self.result["tier"] == "process" and self.mechanism("memory") == "sampler", self
        assert self.verdict is False and self.rows["default policy, accepted"]["state"] == "ok", self

    def refused(self, found, *remedies):
        """It did not start, said why and what to do, and the doctor says the same."""
        assert (self.status, self.out) == (125, ""), self
        assert found in self.err and all(remedy in self.err for remedy in remedies), self
        row = self.rows["default policy"]
        assert self.verdict is False and found in row["found"], self
        assert all(remedy in row["remedy"] for remedy in remedies), self


@pytest.fixture(autouse=True)
def as_root(need_root, need_program):
    for name in ("podman", "bwrap", "newuidmap"):
        need_program(name)


@pytest.fixture(scope="module", autouse=True)
def session():
    subprocess.run(["loginctl", "enable-linger", USER], check=True)


@pytest.fixture
def user():
    return pwd.getpwnam(USER).pw_uid


@pytest.fixture
def place(base, user):
    return Place(base, user)


@pytest.fixture
def no_user_namespaces(base):
    path = base / "filter.json"
    path.write_text(json.dumps(NO_USER_NAMESPACES))
    return ("--security-opt", f"seccomp={path}")


# ---- podman that root has started ----

def test_rootful_masked_proc(place, user):
    seen = place.look(place.podman("--user", f"{user}:{user}", *UNFILTERED))
    seen.refused("cannot mount a new proc", "unmask=ALL", "systempaths=unconfined")


def test_rootful_filter_of_podman(place, user):
    """podman's own filter lets namespaces and mounts through, and not the host name."""
    seen = place.look(place.podman("--user", f"{user}:{user}", *UNMASK))
    seen.refused("cannot set the host name", "seccomp=unconfined")


def test_rootful_works(place, user):
    """What the remedies say, done; the limits fall to the sampler, which the receipt says."""
    seen = place.look(place.podman("--user", f"{user}:{user}", *UNMASK, *UNFILTERED))
    seen.ran(user, "sampler")
    assert seen.rows["control groups"]["state"] == "weak"
    assert "as in a container" in seen.rows["control groups"]["found"], seen


def test_rootful_limits_by_group_only(place, user):
    seen = place.look(place.podman("--user", f"{user}:{user}", *UNMASK, *UNFILTERED, how=("--limits", "group")))
    assert seen.status == 125 and seen.out == "", seen
    assert "as in a container" in seen.err and "mechanism: any" in seen.err, seen


def test_rootful_without_user_namespaces(place, user, no_user_namespaces):
    seen = place.look(place.podman("--user", f"{user}:{user}", *UNMASK, *no_user_namespaces))
    seen.refused("cannot create namespaces", "seccomp=unconfined")
    assert seen.rows["user namespace"]["state"] == "missing"


PROCESS_TIER = ("--accept-tier", "process")


def test_rootful_process_tier(place, user):
    """Under podman's own filter and masks, where no container can be made."""
    place.look(place.podman("--user", f"{user}:{user}", how=PROCESS_TIER)).ran_accepted(user)


def test_rootful_process_tier_without_namespaces(place, user, no_user_namespaces):
    seen = place.look(place.podman("--user", f"{user}:{user}", *no_user_namespaces, how=PROCESS_TIER))
    seen.ran_accepted(user)
    assert "the keeper answers" in seen.rows["processes"]["found"], seen


def test_rootful_process_tier_as_root(place):
    """As an id that owns nothing."""
    place.look(place.podman(how=PROCESS_TIER)).ran_accepted("")


def test_rootless_process_tier(place, user):
    place.look(place.podman("--userns", "keep-id", how=PROCESS_TIER), session=True).ran_accepted(user)


def test_rootful_root(place):
    """Root of a container cannot give files to another id."""
    os.chown(place.work, 0, 0)
    seen = place.look(place.podman(*UNMASK, *UNFILTERED))
    seen.refused("root here has no CAP_SYS_ADMIN", "--user 1000", "--cap-add SYS_ADMIN")


def test_rootful_root_with_the_capability(place):
    """What the remedy says, done: root in there is root as outside."""
    os.chown(place.work, 0, 0)
    seen = place.look(place.podman(*UNMASK, *UNFILTERED, "--cap-add", "SYS_ADMIN"))
    assert (seen.status, seen.out) == (0, "ran as 1000\n"), seen
    assert seen.verdict is True, seen


# ---- podman that a user has started ----

def test_rootless_masked_proc(place):
    seen = place.look(place.podman("--userns", "keep-id", *UNFILTERED), session=True)
    seen.refused("cannot mount a new proc", "unmask=ALL")


@pytest.mark.parametrize("uncovered", ["ALL", "/proc/*"])
def test_rootless_works(place, user, uncovered):
    options = ("--userns", "keep-id", "--security-opt", f"unmask={uncovered}", *UNFILTERED)
    seen = place.look(place.podman(*options), session=True)
    seen.ran(user, "sampler")


def test_rootless_root(place):
    """Root of a user's container is that user, with a few ids more."""
    seen = place.look(place.podman(*UNMASK, *UNFILTERED), session=True)
    seen.refused("root here is confined to a range of ids", "--userns keep-id")


# ---- nested user namespaces ----

@pytest.mark.parametrize("around", [["/usr/bin/unshare", "-Ur"], ["/usr/bin/unshare", "-Ur", "--map-auto"]],
                         ids=["one-id", "many-ids"])
def test_root_of_a_nested_namespace(place, around):
    seen = place.look(place.nested(*around), session=True)
    seen.refused("root here is confined to a range of ids", "--map-current-user")


@pytest.mark.parametrize("around", [
    ["/usr/bin/unshare", "-U", "--map-current-user"],
    ["/usr/bin/bwrap", "--unshare-user", "--dev-bind", "/", "/"],
], ids=["unshare", "bwrap"])
def test_a_nested_namespace_works(place, user, around):
    """The service manager is still there, and so is the control group."""
    seen = place.look(place.nested(*around), session=True)
    seen.ran(user, "cgroup v2, systemd scope")


def test_a_nested_pid_namespace_works(place, user):
    """The manager would take a pid of this namespace for one of its own: it is not asked."""
    around = ["/usr/bin/bwrap", "--unshare-all", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    seen = place.look(place.nested(*around), session=True)
    seen.ran(user, "sampler")
    assert "outside of this pid namespace" in seen.rows["control groups"]["found"], seen


def test_nested_namespaces_forbidden(place):
    around = ["/usr/bin/bwrap", "--unshare-user", "--disable-userns", "--dev-bind", "/", "/"]
    seen = place.look(place.nested(*around), session=True)
    seen.refused("cannot create namespaces", "user.max_*_namespaces", "--disable-userns")
