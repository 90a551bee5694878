# SPDX-License-Identifier: Apache-2.0
"""Standard descriptors that the caller has closed, or that lose what is written to them."""
import json
import os
import subprocess
import time

import pytest

from harness import runner


def shell(atoll_home, redirect, script):
    """Runs a script in a sandbox with the caller's descriptors redirected by /bin/sh."""
    return subprocess.run(["/bin/sh", "-c", f'exec "$ATOLL_BIN" run -- /bin/sh -c "$1" {redirect}',
                           "sh", script], text=True, capture_output=True, timeout=60, check=False,
                          env={**os.environ, "ATOLL_HOME": str(atoll_home)}, cwd=atoll_home.parent)


def home(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


def test_closed_input_is_an_end_of_file(tmp_path):
    done = shell(home(tmp_path), "<&-", "cat; echo rest")
    assert (done.returncode, done.stdout) == (0, "rest\n"), done.stderr


def test_closed_output_is_a_lost_output(tmp_path):
    done = shell(home(tmp_path), ">&-", "echo word")
    assert done.returncode == 125, done
    assert "output was lost: cannot write it: Bad file descriptor" in done.stderr


def test_closed_error_does_not_mix_with_ours(tmp_path):
    done = shell(home(tmp_path), "2>&-", "echo out; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")


def test_a_full_disk_is_an_error(tmp_path):
    done = shell(home(tmp_path), ">/dev/full", "echo word")
    assert done.returncode == 125, done
    assert "output was lost: cannot write it: No space left on device" in done.stderr


def test_one_file_for_both_outputs_keeps_their_order(tmp_path):
    script = "for i in 1 2 3 4 5 6 7 8; do echo out $i; echo err $i >&2; done"
    done = shell(home(tmp_path), "2>&1", script)
    assert done.stdout.splitlines() == [f"{w} {i}" for i in range(1, 9) for w in ("out", "err")]


def test_two_outputs_stay_apart(tmp_path):
    done = shell(home(tmp_path), "", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("size, wait", [(190000, 0), (190000, 0.3), (10_000_000, 0)])
def test_a_reader_that_does_not_read_leaves_the_keeper_in_reach(tmp_path, size, wait):
    """The output waits, before the command's end and after it: the keeper answers, and stops."""
    state = home(tmp_path)
    env = {**os.environ, "ATOLL_HOME": str(state)}
    atoll = os.environ["ATOLL_BIN"]

    def ask(*words):
        return subprocess.run([atoll, *words], env=env, text=True, capture_output=True, timeout=30,
                              check=False)

    # More than the pipe to the reader and the one behind it hold together.
    front = subprocess.Popen([atoll, "run", "--", "head", "-c", str(size), "/dev/zero"], env=env,
                             cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        runner.eventually(lambda: json.loads(ask("ps", "--json").stdout or "[]"))
        names = [row["sandbox"] for row in json.loads(ask("ps", "--json").stdout)]
        assert len(names) == 1
        time.sleep(wait)
        assert ask("stop", *names).returncode == 0
        assert os.listdir(state / "sandboxes") == []
    finally:
        front.stdout.read()
        front.stdout.close()
        front.wait(30)
