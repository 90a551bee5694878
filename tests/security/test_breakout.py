# SPDX-License-Identifier: Apache-2.0
"""Sections A, B, C, E and F of the breakout list, as far as the container tier and no network go."""
import os
import pathlib

import pytest

from harness import arms
from security import kernel, surroundings

CHECKS = kernel.CHECKS + surroundings.CHECKS
HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("check, arm", [
    pytest.param(check, arm, id=f"{check.name}-{arm}") for check in CHECKS for arm in check.arms()])
def test_check(check, arm, base):
    if check.needs_root(arm) and os.geteuid() != 0:
        pytest.skip("needs root")
    arms.judge(check, arm, base)


def test_every_mutant_is_used():
    """The list that the mutants are built from is the one that the checks name."""
    listed = {line for line in (HERE / "mutants.txt").read_text().splitlines()
              if line and not line.startswith("#")}
    assert listed == {mutant for check in CHECKS for mutant in check.mutants}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_a_layer_that_held_falls_with_the_others(check):
    """Where a mutant is held by another layer, a mutant without both is red."""
    held = [m for m in check.mutants if (check.expected(m) or "").startswith("held")]
    red = [set(m.split("+")) for m in check.mutants if check.expected(m) == "red"]
    assert all(any(set(m.split("+")) < r for r in red) for m in held)
