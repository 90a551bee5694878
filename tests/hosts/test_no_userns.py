# SPDX-License-Identifier: Apache-2.0
"""A host without user namespaces: no container starts, and the message says what to do; the process
tier does, and the keeper answers for signals and starts (the checks of test_breakout.py run here too)."""
from harness import runner


def test_refused_with_the_remedy(atoll, world):
    result = atoll.run("/bin/true")
    assert result.status == 125 and "user.max_" in result.err, result


def test_doctor_says_so(atoll, world):
    result = atoll.tool("doctor")
    assert result.status == 1 and "sysctl user.max_user_namespaces=" in result.out, result
    assert "The process tier can: atoll run --accept-tier process" in result.out


def test_the_process_tier_runs(base, world):
    result = runner.Atoll(base / "product", tier="guarded").run("/bin/true")
    assert result.status == 0, result
    assert result.receipt["signals"]["value"] == "the keeper's: no pid namespace"
