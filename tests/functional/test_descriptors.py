# SPDX-License-Identifier: Apache-2.0
"""Standard descriptors that the caller has closed, or that lose what is written to them."""
import json
import os
import socket
import struct
import subprocess
import time

import pytest

from harness import runner


def shell(atoll_home, redirect, script):
    """Runs a script in a sandbox with the caller's descriptors redirected by /bin/sh."""
    return subprocess.run(["/bin/sh", "-c", f'exec "$ATOLL_BIN" run -- /bin/sh -c "$1" {redirect}',
                           "sh", script], text=True, capture_output=True, timeout=60, check=False,
                          env={**os.environ, "ATOLL_HOME": str(atoll_home)}, cwd=atoll_home.parent / "work")


def home(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    (tmp_path / "work").mkdir()
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


@pytest.fixture
def kept(tmp_path):
    """A command whose output nobody reads, and a way to ask its keeper."""
    state = home(tmp_path)
    env = {**os.environ, "ATOLL_HOME": str(state)}
    atoll = os.environ["ATOLL_BIN"]

    class Kept:
        sandboxes = state / "sandboxes"

        def ask(self, *words):
            return subprocess.Popen([atoll, *words], env=env, text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)

        def start(self, size):
            # More than the pipe to the reader and the one behind it hold together.
            self.front = subprocess.Popen([atoll, "run", "--", "head", "-c", str(size), "/dev/zero"],
                                          env=env, cwd=tmp_path / "work", stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL)
            assert runner.eventually(lambda: list(self.sandboxes.glob("*/control")))
            [self.name] = os.listdir(self.sandboxes)

        def row(self):
            out, err = self.ask("ps", "--json").communicate(timeout=30)
            rows = json.loads(out)
            assert len(rows) == 1, err
            return rows[0]

        def end(self):
            left = len(self.front.stdout.read())
            self.front.stdout.close()
            return left, self.front.wait(30)

    it = Kept()
    yield it
    if not it.front.stdout.closed:
        it.end()


@pytest.mark.parametrize("size, wait", [(190000, 0), (190000, 0.3), (10_000_000, 0)])
def test_a_reader_that_does_not_read_leaves_the_keeper_in_reach(kept, size, wait):
    """The output waits, before the command's end and after it: the keeper answers, and stops."""
    kept.start(size)
    assert kept.row()["sandbox"] == kept.name
    time.sleep(wait)
    stop = kept.ask("stop", kept.name)
    stop.communicate(timeout=30)
    assert stop.returncode == 0 and os.listdir(kept.sandboxes) == []
    left, status = kept.end()
    assert left < size and status == 137, "cut off, which is no success"


def test_everybody_who_stops_it_hears_of_its_end(kept):
    kept.start(10_000_000)
    assert runner.eventually(lambda: kept.row()["bytes"]["stdout"] >= 65536)
    asked = [kept.ask("stop", kept.name)]
    time.sleep(0.2)  # the first is being carried out
    asked.append(kept.ask("stop", kept.name))
    for process in asked:
        process.communicate(timeout=30)
        assert process.returncode == 0 and os.listdir(kept.sandboxes) == []


def test_questions_at_once(kept):
    """A connection that has not asked yet is not given up for the next one."""
    kept.start(10_000_000)
    here = os.open(kept.sandboxes / kept.name, os.O_PATH)
    peers = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(5)]
    try:
        for peer in peers:
            peer.settimeout(10)
            peer.connect(f"/proc/self/fd/{here}/control")
            time.sleep(0.02)
        for peer in peers:
            peer.send(struct.pack("=Iii", 1, 0, 0))
            assert json.loads(peer.recv(65536))["sandbox"] == kept.name
    finally:
        os.close(here)
        for peer in peers:
            peer.close()
    assert kept.ask("stop", kept.name).wait(30) == 0
