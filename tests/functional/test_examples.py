# SPDX-License-Identifier: Apache-2.0
"""What `make run` shows, and that it fits on one screen."""
from harness import runner


def test_first_run(atoll, world):
    result = runner.capture([runner.EXAMPLES / "first-run/run", runner.BIN],
                            env=atoll.environment({"TERM": "dumb"}))
    assert result.status == 0, result
    assert len(result.out.splitlines()) <= 40
    for line in ("run the tests again                        OK", "Operation not permitted",
                 "secrets that got out: none", "+UNITS = {\"h\": 3600, \"m\": 60, \"s\": 1}"):
        assert line in result.out, result
    assert "\033" not in result.out
