# SPDX-License-Identifier: Apache-2.0
"""Sections A to F of the breakout list, as far as process and container tier go."""
import os
import pathlib

import pytest

from harness import arms, runner
from security import files, kernel, later, places, surroundings

CHECKS = kernel.CHECKS + surroundings.CHECKS + files.CHECKS + later.CHECKS + places.CHECKS
HERE = pathlib.Path(__file__).parent


def name(check, tier, arm):
    return "-".join([check.name, *([tier] if tier != "container" else []), arm])


@pytest.mark.parametrize("check, tier, arm", [
    pytest.param(check, tier, arm, id=name(check, tier, arm))
    for check in CHECKS for tier, arm in check.arms()])
def test_check(check, tier, arm, base):
    if check.needs_root(tier, arm) and os.geteuid() != 0:
        pytest.skip("needs root")
    if tier == "guarded" and os.geteuid() == 0 and runner.has_userns():
        pytest.skip("needs an unprivileged user")  # root's arm: the test host without namespaces
    if tier == "process" and not runner.has_userns():
        pytest.skip("this host has no user namespaces")
    arms.judge(check, arm, base, tier)


def test_every_mutant_is_used():
    """The list that the mutants are built from is the one that the checks name."""
    listed = {line for line in (HERE / "mutants.txt").read_text().splitlines()
              if line and not line.startswith("#")}
    assert listed == {mutant for check in CHECKS for mutant in check.all_mutants()}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_a_layer_that_held_falls_with_the_others(check):
    """Where a mutant is held by another layer, a mutant without both is red."""
    for tier, mutants in check.tiers().items():
        held = [m for m in mutants if (check.expected(tier, m) or "").startswith("held")]
        red = [set(m.split("+")) for m in mutants if check.expected(tier, m) == "red"]
        assert all(any(set(m.split("+")) < r for r in red) for m in held), tier
