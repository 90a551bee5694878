# SPDX-License-Identifier: Apache-2.0
"""Counts of test results, read from JUnit XML, and the one line that closes a run."""
import collections
import dataclasses
import fnmatch
import xml.etree.ElementTree


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reasons.update(other.reasons)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def pinned(path):
    """The reasons for which a test may be skipped: one pattern a line."""
    lines = path.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def read_junit(path, allowed):
    """A skip for a reason that is not pinned counts as a failure; an unreadable file as one."""
    tally = Tally()
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return Tally(failed=1)
    for case in root.iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            tally.failed += 1
        elif skipped is not None:
            reason = skipped.get("message") or "no reason given"
            if any(fnmatch.fnmatchcase(reason, pattern) for pattern in allowed):
                tally.skipped += 1
                tally.reasons[reason] += 1
            else:
                tally.failed += 1
                print(f"skipped for a reason that is not pinned: {case.get('name')}: {reason}")
        else:
            tally.passed += 1
    return tally
