# SPDX-License-Identifier: Apache-2.0
"""governance.agent: an escape that is suspected lowers the trust of the agent in whose sandbox that was."""
import json
import os
import sqlite3

import pytest

from functional.test_audit import PROBE, needs_x86
from harness import runner

AS = ("--agent", "builder", "--escape", "lower")
HIGH = ("--trust", "high", "--provenance", "reviewed", "--open-files", "1024")


# Trust 'high' takes more for a suspicion: pivot_root, umount2.
MORE = PROBE.replace("((321", "((155, 8, 8), (166, 8, 0), (321")


def probe(atoll, *options):
    return atoll.run("/usr/bin/python3", "-c", MORE, options=(*AS, *options))


def agents(atoll):
    return {row["agent"]: row for row in json.loads(atoll.tool("account", "agents", "--json").out)}


def events(atoll, result, name):
    lines = (atoll.home / "trail" / f"{result.document['sandbox']}.jsonl").read_bytes().splitlines()
    return [event["data"] for event in map(json.loads, lines) if event["event"] == name]


@needs_x86
def test_trust_is_lowered_and_given_back(atoll, world):
    """One level below what it had, again with the next; a person gives it back."""
    assert atoll.run("true", options=(*AS, *HIGH)).status == 0
    caught = probe(atoll, *HIGH)
    assert (caught.status, caught.reason, caught.out) == (137, "escape", ""), caught
    assert [e["action"] for e in events(atoll, caught, "escape.suspected")] == ["lower"]
    assert events(atoll, caught, "trust.lowered") == [{"agent": "builder", "from": "high", "to": "medium"}]
    row = agents(atoll)["builder"]
    assert row["ceiling"] == "medium" and caught.document["sandbox"] in row["why"] and row["who"] == f"uid:{os.getuid()}"

    refused = atoll.run("true", options=(*AS, *HIGH))
    assert refused.status == 125 and refused.out == "", refused
    for words in ("agent 'builder' may have trust 'medium' at most since 20", "and not 'high'", caught.document["sandbox"],
                  "use --trust medium", "atoll account restore builder --why TEXT"):
        assert words in refused.err, refused.err
    # Another one, none at all, and the same below its ceiling go on as before.
    assert atoll.run("true", options=("--agent", "other", *HIGH)).status == 0
    assert atoll.run("true", options=HIGH).status == 0
    assert atoll.run("true", options=AS).status == 0

    again = probe(atoll)
    assert events(atoll, again, "trust.lowered") == [{"agent": "builder", "from": "medium", "to": "low"}]
    assert atoll.run("true", options=AS).status == 125
    # At the level that is left the refusal, if there is one, is that of the level and not of the agent.
    low = atoll.run("true", options=(*AS, "--trust", "low"))
    assert low.status == 0 or "may have trust" not in low.err, low
    assert "microvm" in low.err or low.status == 0, low

    for words in (("restore", "builder"), ("restore", "--why", "x"), ("restore", "nobody", "--why", "x")):
        assert atoll.tool("account", *words).status == 125, words
    assert agents(atoll)["builder"]["ceiling"] == "low"
    given = atoll.tool("account", "restore", "builder", "--why", "it probes\u202e on purpose", "--json")
    assert given.status == 0 and json.loads(given.out) == {"from": "low", "to": "full"}, given
    assert atoll.run("true", options=(*AS, *HIGH)).status == 0
    table = atoll.tool("account", "agents").out
    assert "builder" in table and "full" in table and "\u202e" not in table, table
    with sqlite3.connect(atoll.home / "ledger/ledger.db") as db:
        rows = db.execute("SELECT ceiling, who, time FROM agent WHERE name = 'builder' ORDER BY n").fetchall()
    assert [row[0] for row in rows] == [2, 1, 4] and all(row[2] > 0 for row in rows)
    assert runner.eventually(lambda: atoll.tool("audit", "verify").status == 0, 20)


@needs_x86
def test_without_lower_nothing_is_lowered(atoll, world):
    for word, status in (("stop", 137), ("note", 0)):
        result = atoll.run("/usr/bin/python3", "-c", PROBE, options=("--agent", "builder", "--escape", word))
        assert result.status == status and events(atoll, result, "trust.lowered") == [], result
    assert agents(atoll) == {}


@needs_x86
def test_a_sandbox_that_lives_lowers_it_too(live, atoll):
    box = live(*AS)
    assert box.run("/usr/bin/python3", "-c", PROBE).status == 137
    assert runner.eventually(lambda: agents(atoll).get("builder", {}).get("ceiling") == "low", 20)
    done = atoll.tool("create", *AS)
    assert done.status == 125 and "may have trust 'low' at most" in done.err, done


def test_a_ledger_that_cannot_be_read_starts_no_agent(atoll, world):
    assert atoll.run("true", options=("--agent", "builder")).status == 0
    (atoll.home / "ledger").mkdir(exist_ok=True)
    for path in (atoll.home / "ledger").glob("ledger.db*"):
        path.unlink()
    (atoll.home / "ledger/ledger.db").write_bytes(b"no database at all, and longer than a header" * 100)
    refused = atoll.run("true", options=("--agent", "builder"))
    assert refused.status == 125 and "what trust agent 'builder' may have cannot be found out" in refused.err, refused
    assert refused.out == ""
    assert atoll.run("true").status == 0  # without an agent nobody asks


def test_what_a_policy_says_of_agents(atoll, base, world):
    """lower needs an agent; a floor can want one; what a higher level names, a lower one does not change."""
    done = atoll.run("true", options=("--escape", "lower"))
    assert done.status == 125 and "governance.agent, or --agent" in done.err, done
    template = base / "template.yaml"
    template.write_text("version: 1\ngovernance: {require: [agent]}\n")
    words = ("--template", str(template))
    done = atoll.run("true", options=words)
    assert done.status == 125 and "'agent' is missing" in done.err and "--agent" in done.err, done
    assert atoll.run("true", options=(*words, "--agent", "builder")).status == 0
    template.write_text("version: 1\ngovernance: {agent: builder, escape: stop}\n")
    assert atoll.run("true", options=(*words, "--agent", "other")).status == 125
    assert atoll.run("true", options=(*words, "--escape", "pause")).status == 125
    assert atoll.run("true", options=(*words, "--escape", "lower")).status == 0  # tighter


@pytest.mark.parametrize("name", ["a b", "", "../x", "x" * 65])
def test_names_that_are_none(atoll, world, name):
    assert atoll.run("true", options=("--agent", name)).status == 125
