# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every suite."""
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import canaries as canaries_module  # noqa: E402
from harness import live as live_module  # noqa: E402
from harness import runner, world as world_module  # noqa: E402

BASE = pathlib.Path(tempfile.gettempdir())

# In the background of a shell, or under nohup(1), these are ignored, and so they would be in all that is started here.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: belongs to make test-long only")
    config.addinivalue_line("markers", "asan: also runs against the build with sanitizers")


def pytest_runtest_logreport(report):
    """Where a run takes an hour, what failed is told at once: it may be cut off."""
    if report.failed and runner.SLOW > 1:
        print(f"\n{report.longreprtext[-4000:]}", flush=True)


@pytest.fixture
def base():
    """A directory that a sandbox may be given parts of; removed afterwards, whatever is in it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="atoll-test-", dir=BASE))
    path.chmod(0o755)
    yield path
    for where, names, _ in os.walk(path):  # from the outside in, as each can be entered
        for name in names:
            if not os.path.islink(os.path.join(where, name)):
                with contextlib.suppress(OSError):
                    os.chmod(os.path.join(where, name), 0o700)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def atoll(base):
    product = runner.Atoll(base / "product")
    yield product
    product.end()


@pytest.fixture
def canaries(base):
    planted = canaries_module.Canaries(base / "outside")
    yield planted
    planted.close()


@pytest.fixture
def world(base):
    """The test fails when, at its end, the host is not as it was."""
    before = world_module.World([base])
    sysctls = world_module.sysctls()
    yield before
    assert before.changes() == []
    changed = {k: v for k, v in world_module.sysctls().items() if sysctls.get(k) != v}
    assert changed == {}


@pytest.fixture
def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def need_user():
    if os.geteuid() == 0:
        pytest.skip("needs an unprivileged user")


@pytest.fixture
def need_program():
    def need(name):
        path = shutil.which(name)
        if not path:
            pytest.skip(f"needs {name} to be installed")
        return path
    return need


@pytest.fixture
def live(atoll, world):
    """Makes sandboxes that live; nothing of them may be left."""
    def make(*options):
        return live_module.Live(atoll, *options)
    yield make
    everything = atoll.tool("ps", "--quiet").out.split() + atoll.tool("ps", "--kept", "--quiet").out.split()
    if everything:
        assert atoll.tool("rm", "--force", *everything).status == 0
    assert os.listdir(atoll.home / "sandboxes") == []
    assert not (atoll.home / "names").exists() or os.listdir(atoll.home / "names") == []
