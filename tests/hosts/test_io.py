# SPDX-License-Identifier: Apache-2.0
"""The limit of I/O on control groups of version 2: root's, a user's without the controller, and
with it."""
import os
import pathlib
import pwd
import subprocess

import pytest

from harness import runner

USER = "atoll-test"
DROP_IN = pathlib.Path("/run/systemd/system/user@.service.d/io.conf")
SIZE, RATE = 8 << 20, 2 << 20
WRITE = ["/usr/bin/dd", "if=/dev/zero", "of=written", "bs=1M", f"count={SIZE >> 20}", "conv=fsync"]


def written(text):
    """The bytes written of the line of io.stat that has most."""
    return max((int(word.partition("=")[2]) for word in text.split() if word.startswith("wbytes=")),
               default=0)


def test_held_and_counted(atoll, world, need_root):
    """The kernel's own count of the group grows no faster than the limit."""
    process = atoll.start(*WRITE, options=("--workspace", f"{atoll.workspace}:direct", "--io", f"{RATE}/s"))
    assert runner.eventually(lambda: list(atoll.home.glob("sandboxes/*")))
    sandbox = next(atoll.home.glob("sandboxes/*")).name
    group = runner.eventually(lambda: next(pathlib.Path("/sys/fs/cgroup").glob(f"atoll-{sandbox}*"), None))
    assert group, "it has no group"
    limits = runner.eventually(lambda: runner.text_of(group / "io.max"))
    seen = 0
    while process.poll() is None:
        seen = max(seen, written(runner.text_of(group / "io.stat") or ""))
        runner.eventually(lambda: process.poll() is not None, 0.02)
    process.communicate()
    result = runner.read_json(atoll.document)
    assert result["reason"] == "exited" and result["exit"]["status"] == 0, result
    assert f"rbps={RATE} wbps={RATE}" in limits
    assert SIZE // 4 <= seen <= SIZE * 1.5, seen  # the group goes with the last of it
    assert result["durations_ms"]["run"] >= SIZE / RATE * 800, result
    row = next(limit for limit in result["limits"] if limit["name"] == "io")
    assert row == {"name": "io", "mechanism": "cgroup v2", "value": RATE}


def test_every_disk_is_in_the_receipt(atoll, need_root):
    result = atoll.run("/bin/true", options=("--io", "20MiB/s"))
    assert result.status == 0, result
    row = next(limit for limit in result.document["limits"] if limit["name"] == "io")
    assert row["value"] == 20 << 20 and "cgroup v2" in row["mechanism"], row


def test_no_limit_where_none_is_asked(atoll):
    result = atoll.run("/bin/true")
    assert result.status == 0 and "io" not in {limit["name"] for limit in result.document["limits"]}, result


def test_a_user_without_the_controller(atoll, need_user, world):
    """systemd delegates io to nobody unless told: refused with the drop-in that does."""
    result = atoll.run("/bin/true", options=("--io", "20MiB/s"))
    assert result.status == 125 and result.out == "", result
    assert "execution.limits.io" in result.err and "Delegate=cpu memory pids io" in result.err, result


def test_what_is_on_no_disk(atoll, need_root, base):
    """A workspace on FUSE, 9p or a network: nothing would be held."""
    mounted = base / "elsewhere"
    mounted.mkdir()
    script = ("exec 9<>/dev/fuse && mount -t fuse.nothing "
              f"-o fd=9,rootmode=40000,user_id=0,group_id=0 none '{mounted}' && exec \"$@\"")
    if subprocess.run(["modprobe", "fuse"], check=False).returncode:
        pytest.skip("needs the module fuse to be installed")
    argv = atoll.arguments(["/bin/true"], ["--io", "20MiB/s", "--read", str(base)])
    result = runner.capture(["/usr/bin/unshare", "-m", "/bin/sh", "-c", script, "sh", *map(str, argv)],
                            env=atoll.environment(), cwd=atoll.workspace)
    assert result.status == 125 and "on no disk of this host (fuse.nothing)" in result.err, result


@pytest.fixture
def delegated(need_root):
    """The drop-in of the remedy, with the user's manager started anew; put back afterwards."""
    uid = pwd.getpwnam(USER).pw_uid
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text("[Service]\nDelegate=cpu memory pids io\n")

    def again():
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["loginctl", "enable-linger", USER], check=True)
        subprocess.run(["systemctl", "restart", f"user@{uid}.service"], check=True)
        assert runner.eventually(pathlib.Path(f"/run/user/{uid}/bus").exists)
    again()
    yield uid
    DROP_IN.unlink()
    again()


def test_a_user_with_the_controller(delegated, base):
    """What the remedy says is enough: a scope with io.max, written within the limit."""
    place, work = base / "user", base / "work"
    for directory in place, work:
        directory.mkdir()
        os.chown(directory, delegated, delegated)
    argv = [runner.BIN, "run", "--json", place / "result", "--workspace", f"{work}:direct",
            "--io", f"{RATE}/s", "--", *WRITE]
    result = runner.capture([
        "/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", f"--uid={USER}", "-p", "PAMName=login",
        f"--working-directory={work}", f"--setenv=ATOLL_HOME={place}/state", *map(str, argv)])
    assert result.status == 0, result
    document = runner.read_json(place / "result")
    row = next(limit for limit in document["limits"] if limit["name"] == "io")
    assert row == {"name": "io", "mechanism": "cgroup v2, systemd scope", "value": RATE}
    assert document["durations_ms"]["run"] >= SIZE / RATE * 800, document
