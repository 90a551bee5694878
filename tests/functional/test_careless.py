# SPDX-License-Identifier: Apache-2.0
"""Careless callers: closed descriptors, full disks, small limits, odd directories and variables."""
import os
import signal

import pytest

from harness import runner


def shell(atoll, command, redirections, before="", env=None, options=()):
    argv = " ".join(f"'{a}'" for a in atoll.arguments(command, options))
    return atoll.finish(runner.capture(["/bin/sh", "-c", f"{before} {argv} {redirections}"],
                                       env=atoll.environment(env), cwd=atoll.workspace, timeout=20))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_descriptors(atoll, world, closed):
    """Nothing of ours takes their place; a closed input is an input at its end."""
    result = shell(atoll, ["/bin/sh", "-c", "cat; exit 3"], closed)
    assert result.status == 3 and not result.timed_out, result
    assert result.stdout == b""


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written(atoll, world, redirection):
    """Lost output is never a success."""
    result = shell(atoll, ["/bin/echo", "text"], redirection)
    assert result.status == 125 and "output was lost" in result.err, result
    assert shell(atoll, ["/bin/true"], redirection).status == 0


def test_small_file_size_limit(atoll, world):
    """SIGXFSZ ends neither front nor keeper: the error is said."""
    result = shell(atoll, ["/bin/true"], "", before="ulimit -f 1;")
    assert result.status == 125 and "keeper ended" not in result.err, result


def test_few_descriptors(atoll, world):
    """Too few at any point of the start: nothing is left of what was made before."""
    said = set()
    for limit in range(16, 60):
        result = shell(atoll, ["/bin/true"], "", before=f"ulimit -n {limit};",
                       options=("--open-files", "16"))
        assert not result.timed_out and result.status in (0, 125), result
        assert "removed what" not in result.err, result
        said.add(result.err.partition("s-")[0])
    assert result.status == 0 and len(said) > 5, said
    assert list((atoll.home / "sandboxes").iterdir()) == []


def test_working_directory_through_a_link(atoll, world):
    """$PWD with a link in the workspace is the same place."""
    (atoll.workspace / "real").mkdir()
    (atoll.workspace / "link").symlink_to("real")
    link = atoll.workspace / "link"
    result = atoll.run("/bin/pwd", "-P", options=("--workspace", str(atoll.workspace)),
                       env={"PWD": str(link)}, cwd=link)
    assert (result.status, result.out.strip()) == (0, str(atoll.workspace.resolve() / "real")), result


def test_relative_state_directory(atoll, world):
    """A setting that cannot be followed is not passed over."""
    result = atoll.run("/bin/true", env={"ATOLL_HOME": "state"})
    assert result.status == 125 and "ATOLL_HOME" in result.err, result


@pytest.mark.parametrize("options", [(), ("--workspace", ".:direct"), ("--workspace", "work", "--read", ".")])
def test_state_that_the_payload_would_see(atoll, world, options):
    """A payload with the caller's id could stop its neighbours, and write what is undone later."""
    if runner.TIER and os.geteuid() == 0 and "direct" in "".join(options):
        pytest.skip("needs an unprivileged user")  # root has no direct workspace at that tier
    (atoll.workspace / "work").mkdir()
    home = atoll.workspace / "deep" / "state"
    result = atoll.run("/bin/ls", "-R", ".", options=options, env={"ATOLL_HOME": str(home)})
    assert result.status == 125 and "set ATOLL_HOME to a directory outside" in result.err, result
    assert result.out == "" and list((home / "sandboxes").iterdir()) == [], result


MOUNTED_LATE = """
"$@" & exec 3>policy  # once somebody reads it
sleep 0.5
mount --bind "$ATOLL_HOME" workspace/seen && echo version: 1 >&3 && exec 3>&- && wait $!
"""


def test_state_that_is_mounted_meanwhile(atoll, world, need_root):
    """The keeper looks at the mounts while its front makes the plan; what comes after that counts as well."""
    if runner.TIER:
        pytest.skip("needs an unprivileged user")  # root has no direct workspace at that tier
    atoll.home.mkdir()
    (atoll.workspace / "seen").mkdir()
    os.mkfifo(atoll.base / "policy")
    result = atoll.finish(runner.capture(
        ["unshare", "--mount", "/bin/sh", "-c", MOUNTED_LATE, "sh",
         *atoll.arguments(["/bin/ls", "seen"], ("--policy", "policy", "--workspace", "workspace:direct"))],
        env=atoll.environment(), cwd=atoll.base, timeout=20))
    assert result.status == 125 and "is a second mount of it" in result.err and result.stdout == b"", result


def test_cpu_limit_is_named_with_its_value(atoll, world):
    result = atoll.run("/bin/sh", "-c", "while :; do :; done", options=("--cpu-time", "200ms"))
    assert result.status == 137 and "cpu limit of 200 ms" in result.err, result


def test_a_long_command_is_listed(atoll, world):
    process = atoll.start("/bin/sh", "-c", "echo ready; sleep 60", *["\x1b" * 50] * 2000)
    assert process.stdout.readline() == b"ready\n"
    rows = atoll.tool("ps")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert len(rows.out.splitlines()) == 2 and "sh -c" in rows.out, rows


def test_a_keeper_that_does_not_answer(atoll, world):
    """What cannot be listed is named."""
    process = atoll.start("/bin/sh", "-c", "echo ready; sleep 60")
    assert process.stdout.readline() == b"ready\n"
    [directory] = (atoll.home / "sandboxes").iterdir()
    keeper = runner.read_json(directory / "sandbox.json")["keeper"]
    os.kill(keeper, signal.SIGSTOP)
    rows = atoll.tool("ps", timeout=20)
    os.kill(keeper, signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert directory.name in rows.err and "does not answer" in rows.err, rows
