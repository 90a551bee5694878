# SPDX-License-Identifier: Apache-2.0
"""Reads the trail of a sandbox and verifies its hash chain, independently of the product."""
import hashlib
import json

KEYS = {"data", "event", "prev", "sandbox", "seq", "time"}


class Broken(AssertionError):
    """A trail that does not verify."""


def read(path):
    """
    The events of a trail, but for the checkpoints that sign it, of which the last comes when the
    result was told. A line that was cut short by a crash stands as None; it is allowed only
    right before the event of whoever found it.
    """
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        raise Broken(f"{path.name}: the last line has no end: {data[-200:]}")
    events, prev = [], "0" * 64
    for number, line in enumerate(data[:-1].split(b"\n")):
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        else:
            check(path.name, number, event, prev, path.stem)
        events.append(event)
        prev = hashlib.sha256(line).hexdigest()
    for number, event in enumerate(events):
        after = events[number + 1] if number + 1 < len(events) else None
        if event is None and (after is None or after["event"] != "reaped"):
            raise Broken(f"{path.name}:{number}: a cut line where nobody was killed")
    return [event for event in events if event is None or event["event"] != "checkpoint"]


def check(name, number, event, prev, sandbox):
    if set(event) != KEYS:
        raise Broken(f"{name}:{number}: members {sorted(event)}")
    if event["prev"] != prev:
        raise Broken(f"{name}:{number}: the chain is broken at {event['event']}")
    if event["seq"] != number or event["sandbox"] != sandbox:
        raise Broken(f"{name}:{number}: {event['seq']} of {event['sandbox']}")


def names(path):
    """What happened, in order."""
    return [event["event"] if event else None for event in read(path)]


def life(path):
    """The same without what comes behind its end: what it changed, and what became of that."""
    return [name for name in names(path) if name not in ("changed", "applied", "discarded", "copy_expired")]
