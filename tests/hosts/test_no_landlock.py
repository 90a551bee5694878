# SPDX-License-Identifier: Apache-2.0
"""A host without Landlock: nothing starts, and the message says what to do."""


def test_refused_with_the_remedy(atoll, world):
    result = atoll.run("/bin/true")
    assert result.status == 125 and "lsm=" in result.err, result


def test_the_process_tier_is_refused_too(atoll, world):
    result = atoll.run("/bin/true", options=("--accept-tier", "process"))
    assert result.status == 125 and "lsm=" in result.err, result


def test_doctor_says_so(atoll, world):
    result = atoll.tool("doctor")
    assert result.status == 1 and "lsm=landlock" in result.out, result
