# SPDX-License-Identifier: Apache-2.0
"""Lock files: what a run depended on, and the refusal of what differs."""
import hashlib
import json
import os
import shutil
import subprocess

import pytest


def lock_of(atoll, *command, options=()):
    path = atoll.base / "run.lock"
    done = atoll.tool("run", "--lock", str(path), *options, "--", *(command or ("true",)))
    assert done.status == 0, done
    return path, json.loads(path.read_text())


def locked(atoll, path, *options):
    return atoll.tool("run", "--locked", str(path), *options, "--", "true")


def test_what_it_says(atoll, world):
    script = "mkdir -p v/site-packages/foo_bar-1.2.dist-info node_modules/left-pad node_modules/@a/b/node_modules/c node_modules/.bin"
    script += "; mkdir unversioned.dist-info v/.dist-info v/x.dist-info"  # names that any payload can make
    path, lock = lock_of(atoll, "/bin/sh", "-c", script, options=("--workspace", f"{atoll.workspace}:copy"))
    assert lock["machine"]["kernel"] == os.uname().release
    assert lock["installed"] == {"python": [{"name": "foo_bar", "version": "1.2"}],
                                 "node": [{"name": "@a/b"}, {"name": "c"}, {"name": "left-pad"}]}
    assert lock["command"][0] == "/bin/sh" and set(lock["absent"]) == {"seed", "clock", "models", "data"}
    created = json.loads((atoll.home / "trail" / f"{lock['sandbox']}.jsonl").read_bytes().splitlines()[0])["data"]
    assert lock["policy_digest"] == created["plan"]["policy_digest"] and lock["plan_digest"] == created["plan_digest"]
    assert locked(atoll, path, "--workspace", f"{atoll.workspace}:copy").status == 0


def test_what_further_copies_have_installed(atoll, base, world):
    """All of them are looked at, whichever was changed."""
    others = [base / "one", base / "two"]
    for other in others:
        other.mkdir(mode=0o755)
    places = [word for other in others for word in ("--copy-of", str(other))]
    script = f"mkdir -p {others[0]}/v/foo-1.dist-info {others[1]}/node_modules/left-pad"
    for mode, more, first in (("read-only", "", []), ("copy", "; mkdir -p v/bar-2.dist-info", [{"name": "bar", "version": "2"}])):
        _, lock = lock_of(atoll, "/bin/sh", "-c", script + more, options=("--workspace", f"{atoll.workspace}:{mode}", *places))
        assert lock["installed"] == {"python": first + [{"name": "foo", "version": "1"}], "node": [{"name": "left-pad"}]}, lock
    # Nothing was changed, so nothing is said.
    _, lock = lock_of(atoll, options=("--workspace", f"{atoll.workspace}:read-only", *places))
    assert "installed" not in lock


def test_the_digest_of_packages(atoll, world):
    """Against dpkg-query(1), where that is there."""
    if not shutil.which("dpkg-query"):
        pytest.skip("needs dpkg-query to be installed")
    _, lock = lock_of(atoll)
    listed = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package} ${Version} ${Architecture}\n"],
                            capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout
    lines = sorted(line.split("|", 1)[1] for line in listed.splitlines() if line.startswith("ii "))
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert lock["packages"] == {"manager": "dpkg", "count": len(lines), "digest": digest}


@pytest.mark.parametrize("change, says", [
    (lambda lock: lock["machine"].update(kernel="1.0"), 'machine.kernel was "1.0" and is'),
    (lambda lock: lock["machine"]["features"].update(hwcap="0"), "machine.features.hwcap was"),
    (lambda lock: lock["packages"].update(digest="0" * 64), "packages.digest was"),
    (lambda lock: lock["machine"].update(turbo="on"), 'machine.turbo was "on" and is nothing'),
    (lambda lock: lock.pop("packages"), "packages was nothing"),
    (lambda lock: lock.update(atoll="0.0"), 'atoll was "0.0"'),
    (lambda lock: lock.update(format=2), "format was 2"),
], ids=["kernel", "processor", "packages", "more", "gone", "version", "format"])
def test_what_differs_is_refused(atoll, world, change, says):
    path, lock = lock_of(atoll)
    change(lock)
    path.write_text(json.dumps(lock))
    before = sorted((atoll.home / "trail").iterdir())
    done = locked(atoll, path)
    assert done.status == 125 and says in done.err and "--lock" in done.err, done
    assert sorted((atoll.home / "trail").iterdir()) == before, "nothing was started"


def test_another_policy_is_refused(atoll, world):
    path, _ = lock_of(atoll)
    assert locked(atoll, path).status == 0
    done = locked(atoll, path, "--memory", "1GiB")
    assert done.status == 125 and "policy_digest was" in done.err, done
    made = atoll.tool("create", "--locked", str(path), "--memory", "1GiB")
    assert made.status == 125, made


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', '{"a":1,"a":2}'])
def test_what_is_no_lock_file(atoll, world, text):
    path = atoll.base / "run.lock"
    path.write_text(text)
    done = locked(atoll, path)
    assert done.status == 125 and "cannot read a lock file" in done.err, done
    assert locked(atoll, atoll.base / "none").status == 125


def test_a_link_in_the_workspace_is_not_followed(atoll, world):
    """What the payload has put where the lock file goes leads nowhere."""
    precious = atoll.base / "precious"
    precious.write_text("precious")
    done = atoll.tool("run", "--workspace", f"{atoll.workspace}:direct", "--lock", str(atoll.workspace / "run.lock"), "--",
                      "/bin/ln", "-s", str(precious), "run.lock")
    assert done.status == 125, done
    assert precious.read_text() == "precious"
