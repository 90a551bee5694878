# SPDX-License-Identifier: Apache-2.0
"""The units that are installed, under systemd: an administrator switches them on, a user of the host spends."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import stat
import subprocess

import pytest

from harness import runner

USER = "atoll-test"
STAGE, PREFIX = pathlib.Path("/stage/usr/local"), pathlib.Path("/usr/local")
ATOLL = PREFIX / "bin/atoll"
HOME = pathlib.Path("/var/lib/atoll")
CONFIG = pathlib.Path("/etc/atoll/config.yaml")
LEDGER, SOCKET = pathlib.Path("/var/lib/atoll-ledger"), pathlib.Path("/run/atoll/ledger.sock")
UNITS = ("atoll-ledger.socket", "atoll-ledger.service")


def tell(*argv):
    done = runner.capture(argv)
    assert done.status == 0, done
    return done.out


def value(unit, name):
    return tell("systemctl", "show", "--value", "-p", name, unit).strip()


@pytest.fixture
def installed(need_root):
    """As 'make install' leaves it, and the users that the package has; taken away again. Not on somebody's machine."""
    if not STAGE.exists():
        pytest.skip("needs the stage of a test host to be installed")
    assert not CONFIG.exists() and not LEDGER.exists()
    added = []
    for source in sorted(STAGE.rglob("*")):
        target = PREFIX / source.relative_to(STAGE)
        if source.is_dir():
            if not target.exists():
                target.mkdir()
                added.append(target)
        elif not target.exists():
            shutil.copy(source, target)
            added.append(target)
    tell("systemd-sysusers")
    tell("systemctl", "daemon-reload")
    yield
    for path in reversed(added):
        path.rmdir() if path.is_dir() else path.unlink()
    tell("systemctl", "daemon-reload")


@pytest.fixture
def configured(installed):
    """Says something in the configuration of the host."""
    def say(text):
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"version: 1\n{text}\n")
    yield say
    CONFIG.unlink(missing_ok=True)


@pytest.fixture
def served(configured):
    configured("ledger: system\nsettle_every: 1s")
    tell("systemctl", "start", UNITS[0])
    yield
    print(runner.capture(["journalctl", "--no-pager", "-n", "40", "-u", UNITS[1]]).out)
    tell("systemctl", "stop", *UNITS)
    shutil.rmtree(LEDGER, ignore_errors=True)


@pytest.fixture
def somebody(base):
    """Runs atoll as a user who has logged in."""
    uid = pwd.getpwnam(USER).pw_uid
    work, state = base / "work", base / "state"
    for directory in work, state:
        directory.mkdir()
        os.chown(directory, uid, uid)
    subprocess.run(["loginctl", "enable-linger", USER], check=True)
    assert runner.eventually(pathlib.Path(f"/run/user/{uid}/bus").exists)

    def run(*words):
        return runner.capture([
            "/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", f"--uid={USER}", "-p", "PAMName=login",
            f"--working-directory={work}", f"--setenv=ATOLL_HOME={state}", *map(str, (ATOLL, *words))])
    return run


def spent(dimension):
    rows = json.loads(tell(ATOLL, "account", "usage", "team", "--json"))
    rows = rows["usage"] if isinstance(rows, dict) else rows
    return sum(row["amount"] for row in rows if row["dimension"] == dimension)


def test_units_are_well_formed(installed, base):
    """systemd has nothing to say about any of them, for the host or for a user."""
    for manager, settings in ("system", []), ("user", ["env", f"XDG_RUNTIME_DIR={base}"]):
        units = sorted((PREFIX / "lib/systemd" / manager).glob("atoll-*"))
        assert units
        done = runner.capture([*settings, "systemd-analyze", "verify", "--man=no", f"--{manager}", *units])
        assert done.status == 0 and "atoll" not in done.err, done


def test_a_ledger_for_the_host(served, somebody):
    """On the first request the writer starts, shut in; what it keeps is out of reach; it comes back when killed."""
    assert stat.S_IMODE(SOCKET.stat().st_mode) == 0o666
    assert value(UNITS[1], "ActiveState") == "inactive"
    tell(ATOLL, "account", "create", "team")
    tell(ATOLL, "account", "set-budget", "team", "wall", "10h")
    tell(ATOLL, "account", "allow", "team", "--user", USER)
    assert value(UNITS[1], "ActiveState") == "active"

    writer = pwd.getpwnam("atoll-ledger").pw_uid
    status = pathlib.Path(f"/proc/{value(UNITS[1], 'MainPID')}/status").read_text()
    status = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(writer)] * 4
    assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapEff"], 16)) == ("1", "2", 0)
    assert (LEDGER.stat().st_uid, stat.S_IMODE(LEDGER.stat().st_mode)) == (writer, 0o700)

    done = somebody("run", "--account", "team", "--", "/bin/true")
    assert done.status == 0, done
    first = spent("wall")
    assert first > 0
    done = somebody("account", "set-budget", "team", "wall", "100h")
    assert done.status != 0 and "root" in done.err, done

    before = value(UNITS[1], "MainPID")
    tell("systemctl", "kill", "--signal=KILL", UNITS[1])
    assert runner.eventually(lambda: value(UNITS[1], "MainPID") not in ("0", before))  # nobody has asked yet
    done = somebody("run", "--account", "team", "--", "/bin/true")
    assert done.status == 0 and spent("wall") > first, done

    tell("systemctl", "stop", *UNITS)
    done = somebody("run", "--account", "team", "--", "/bin/true")
    assert done.status == 125 and str(SOCKET) in done.err, done
    tell("systemctl", "start", UNITS[0])


def test_reaping_by_the_clock(configured, base):
    """What the timer starts each hour takes away what a killed keeper has left, and reaches a ledger on a server."""
    sandbox = tell(ATOLL, "create", "--workspace", f"{base}:read-only").strip()
    directory = HOME / "sandboxes" / sandbox
    os.kill(json.loads((directory / "sandbox.json").read_text())["keeper"], signal.SIGKILL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20 * runner.SLOW)
        # Where the seal of what was found is anchored; this one hangs up, and nothing waits for it.
        configured(f"ledger: postgres://somebody@127.0.0.1:{server.getsockname()[1]}/ledger?sslmode=disable")
        begun = subprocess.Popen(["systemctl", "start", "atoll-reap.service"])
        try:
            server.accept()[0].close()
        finally:
            begun.wait(runner.TIMEOUT)
    assert begun.returncode == 0 and value("atoll-reap.service", "Result") == "success"
    assert not directory.exists()

    tell("systemctl", "start", "atoll-reap.timer")
    try:
        assert value("atoll-reap.timer", "ActiveState") == "active"
        assert value("atoll-reap.timer", "Unit") == "atoll-reap.service"
        assert "OnUnitActiveUSec=1h" in value("atoll-reap.timer", "TimersMonotonic")
    finally:
        tell("systemctl", "stop", "atoll-reap.timer")
