# SPDX-License-Identifier: Apache-2.0
"""A host without user namespaces: nothing starts, and the message says what to do."""


def test_refused_with_the_remedy(atoll, world):
    result = atoll.run("/bin/true")
    assert result.status == 125 and "user.max_" in result.err, result


def test_doctor_says_so(atoll, world):
    result = atoll.tool("doctor")
    assert result.status == 1 and "sysctl user.max_user_namespaces=" in result.out, result
