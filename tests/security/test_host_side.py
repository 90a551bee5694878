# SPDX-License-Identifier: Apache-2.0
"""What the product itself does on the host: helpers, paths, temporary files, records, crashes."""
import hashlib
import os
import pathlib
import select
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness import runner, world as world_module
from security.kernel import NO_PRIVILEGE

HELPERS = ("sh bash mount umount newuidmap newgidmap ip iptables nft git ps kill getent useradd "
           "systemd-run busctl unshare nsenter bwrap cp rm chown id modprobe tar ldconfig").split()


@pytest.mark.parametrize("place", ["workspace entry", "empty entry", "symlinked entry"])
def test_no_helper_comes_from_the_payloads_path(atoll, world, place):
    """B11: whatever PATH, LD_PRELOAD, BASH_ENV, GIT_* and the like say, nothing of it runs outside."""
    marker = atoll.base / "marker"
    directory = atoll.workspace / "bin"
    directory.mkdir()
    for name in HELPERS:
        (directory / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (directory / name).chmod(0o755)
    (atoll.base / "linked").symlink_to(directory)
    path = {"workspace entry": str(directory), "empty entry": "", "symlinked entry":
            str(atoll.base / "linked")}[place]
    (atoll.workspace / "rc").write_text(f"touch {marker}\n")
    env = {"PATH": f"{path}:/usr/bin:/bin", "BASH_ENV": str(atoll.workspace / "rc"),
           "ENV": str(atoll.workspace / "rc"), "GIT_SSH_COMMAND": f"touch {marker}",
           "GIT_EXTERNAL_DIFF": str(directory / "git"), "PYTHONPATH": str(directory),
           "NODE_OPTIONS": f"--require {directory}/git", "LD_PRELOAD": str(directory / "sh"),
           "LD_LIBRARY_PATH": str(directory), "LD_AUDIT": str(directory / "sh")}
    cwd = directory if place == "empty entry" else None
    result = atoll.run("/bin/true", env=env, cwd=cwd, options=("--workspace", str(atoll.workspace)))
    assert result.status == 0, result
    assert not marker.exists()


def test_working_directory_tricks(atoll, world, tmp_path_factory):
    """B2: a directory by descriptor, through dots, deleted, or a link; never outside the view."""
    inside = atoll.workspace / "deep/er"
    inside.mkdir(parents=True)
    for given in (f"{inside}/../..", f"/proc/self/cwd", str(atoll.workspace) + "/.//."):
        result = atoll.run("/bin/pwd", "-P", options=("--workspace", given))
        assert result.status == 125 or result.out.strip() == str(atoll.workspace), result
    gone = atoll.base / "gone"
    gone.mkdir()
    argv = atoll.arguments(["/bin/pwd"], [])
    script = f"cd {gone} && rmdir {gone} && exec " + " ".join(f"'{a}'" for a in argv)
    result = runner.capture(["/bin/sh", "-c", script], env=atoll.environment())
    assert result.status == 125 and result.err.startswith("atoll: "), result


@pytest.mark.parametrize("given", ["/", "/proc", "/sys", "/dev", "/proc/self/root", "/etc", "/usr"])
def test_paths_that_are_no_workspace(atoll, world, given):
    """C23: the host's own trees cannot be handed in to be written."""
    result = atoll.run("/bin/true", options=("--workspace", f"{given}:direct"))
    assert result.status == 125, result


@pytest.mark.parametrize("given", ["/", "/proc", "/proc/1/root", "/sys", "/dev", "/dev/shm", "/run", "relative", "",
                                   "container:0123", "socket", "link to proc", "link to nowhere", "the state"])
def test_places_that_are_not_shown(atoll, world, given):
    """C23: what --read would show: everything, the kernel's, devices, sockets, ourselves, and what is not there."""
    atoll.home.mkdir(exist_ok=True)
    (atoll.base / "link to proc").symlink_to("/proc")
    (atoll.base / "link to nowhere").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(atoll.base / "socket"))
        path = atoll.home if given == "the state" else \
            atoll.base / given if given.startswith(("link", "socket")) else given
        for option in ("--read", "--workspace"):
            if option == "--workspace" and given == "":
                continue  # the current directory
            result = atoll.run("/bin/true", options=(option, str(path)))
            assert result.status == 125 and result.err.startswith("atoll: "), (option, result)


def test_init_cannot_be_replaced(atoll, world):
    """B3: the programs behind a sandbox stay what they are."""
    before = hashlib.sha256(runner.BIN.read_bytes()).hexdigest()
    result = atoll.run(atoll.probe("files"), "write", "/proc/1/exe", "/proc/self/exe",
                       str(runner.BIN))
    assert hashlib.sha256(runner.BIN.read_bytes()).hexdigest() == before, result
    opened = {n: w for n, w in result.probes().items() if n.startswith("write:")}
    assert "OK" not in opened.values(), opened


def payload_pids(mark):
    """The host's numbers of processes whose arguments carry the mark, in another pid namespace;
    without its init, which is started with the payload's arguments as well."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        line = runner.text_of(f"/proc/{name}/cmdline") or ""
        status = runner.text_of(f"/proc/{name}/status") or ""
        spaces = next((l for l in status.splitlines() if l.startswith("NSpid:")), "")
        numbers = spaces.split()[1:]
        if mark in line and len(numbers) > 1 and numbers[-1] != "1":
            found.append(int(name))
    return found


def test_every_thread_from_outside(atoll, world):
    """A13: the same facts as the probe prints, read by the supervisor."""
    process = atoll.start(atoll.probe("status"))
    for line in process.stdout:
        if b"ready" in line:
            break
    pids = runner.eventually(lambda: payload_pids(str(atoll.workspace / "probe-status")))
    for pid in pids:
        tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
        assert len(tasks) == 5
        for task in tasks:
            fields = dict(line.split(":\t", 1) for line in
                          (task / "status").read_text().splitlines() if ":\t" in line)
            for name, want in NO_PRIVILEGE.items():
                assert fields[name[:-1]].strip().lstrip("0") == want.lstrip("0"), (task, name)
    assert pids
    process.communicate(b"", timeout=20)


def test_temporary_files_cannot_be_guessed(atoll):
    """C22: what a run writes outside lies in directories that only its owner may enter."""
    watch = {d: set(os.listdir(d)) for d in ("/tmp", "/var/tmp", "/dev/shm")}
    process = atoll.start("/bin/sh", "-c", "echo ready; cat")
    process.stdout.readline()
    new = [pathlib.Path(d, n) for d, before in watch.items() for n in set(os.listdir(d)) - before]
    process.communicate(b"", timeout=20)
    others = world_module.World([atoll.base])
    ours = [p for p in new if p.exists() and "atoll" in p.name and not world_module.PASSING.match(p.name) and
            not others.foreign(str(p))]
    assert ours == []
    for directory in [atoll.home, *[p for p in atoll.home.rglob("*") if p.is_dir()]]:
        assert stat.S_IMODE(directory.stat().st_mode) & 0o077 == 0, directory


def test_state_survives_the_payload_only_as_a_record(atoll, world):
    """After a run the state directory holds no socket and no pipe."""
    atoll.run("/bin/true")
    kinds = [stat.S_IFMT(p.lstat().st_mode) for p in atoll.home.rglob("*")]
    assert stat.S_IFSOCK not in kinds and stat.S_IFIFO not in kinds


def test_policy_in_the_workspace_is_not_read(atoll, world):
    """D7: a policy file inside the workspace has no say."""
    for name in ("atoll.yaml", ".atoll.yaml", ".atoll/policy.yaml", "policy.yaml", ".config/atoll/policy.yaml"):
        path = atoll.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("version: 1\ntrust: full\nnonsense: [\n")
    assert atoll.run("/bin/true").status == 0


def members(base):
    """Processes of a run: those that show its directory in environment, arguments or mounts."""
    mine = os.getpid()
    return [int(n) for n in filter(str.isdigit, os.listdir("/proc"))
            if int(n) != mine and world_module.belongs(int(n), [str(base)])]


# Half milliseconds, where a whole run takes WHOLE seconds; the more where it takes longer.
WHOLE = 0.01
STEPS = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 60]


@pytest.mark.parametrize("victim", ["front", "keeper", "init"])
def test_killed_at_any_moment(atoll, base, victim):
    """SIGKILL of one process, a few hundred microseconds later each time: the next command finds
    and removes whatever is left."""
    pace = max(1.0, atoll.run("/bin/true").seconds / WHOLE)
    before = world_module.World([base])
    hits = 0
    for step in STEPS:
        process = atoll.start("/bin/sh", "-c", "sleep 30")
        done = threading.Event()
        done.wait(step / 2000 * pace)
        hits += kill_one(process, base, victim)
        if victim != "front":
            process.kill()
        process.communicate(timeout=30)
    assert atoll.run("/bin/true").status == 0
    assert before.changes() == []
    assert hits > len(STEPS) // 3, f"only {hits} attempts found their victim"
    left = [p for p in atoll.home.rglob("*") if p.name.endswith((".sock", ".pid", ".lock"))]
    assert left == []


def kill_one(front, base, victim):
    """True when there was something to kill."""
    if victim == "front":
        front.kill()
        return True
    for pid in members(base):
        status = runner.text_of(f"/proc/{pid}/status") or ""
        spaces = next((l.split() for l in status.splitlines() if l.startswith("NSpid:")), [])
        is_init = len(spaces) == 3 and spaces[2] == "1"
        is_keeper = len(spaces) == 2 and pid != front.pid
        if is_init and victim == "init" or is_keeper and victim == "keeper":
            return kill_and_wait(pid)
    return False


def kill_and_wait(pid):
    """A process inside a slow system call (a control group's attach waits for RCU) dies after it, and
    holds its locks until then."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        assert select.select([handle], [], [], 30)[0], f"process {pid} does not end"
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def test_front_killed_ends_the_sandbox(atoll, world):
    process = atoll.start("/bin/sh", "-c", "echo ready; sleep 60")
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.communicate()
    assert world.changes() == []


def test_refused_without_user_namespaces(atoll, world, need_user):
    """H12: a wall that cannot be put up ends the start; here by a filter that refuses clone."""
    script = ("import os,sys\n"
              "open('/proc/sys/user/max_user_namespaces','w').write('0')\n"
              "os.execv(sys.argv[1], sys.argv[1:])\n")
    argv = [str(a) for a in atoll.arguments(["/bin/touch", "started"], [])]
    result = runner.capture(["unshare", "--user", "--map-root-user", "/usr/bin/python3", "-c", script,
                             *argv], env=atoll.environment(), cwd=atoll.workspace)
    assert result.status == 125 and result.err.startswith("atoll: "), result
    assert not (atoll.workspace / "started").exists()
    assert subprocess.run(["/bin/true"], check=True)
