"""Steps reduced by agent: nothing counted twice, nothing lost, whatever restarts in between."""

import random

import pytest

from detectors.profiles.activity import MOST_RUNS, Activities
from schemas.errors import BadRecord
from tests.unit.builders import NOW, SECOND, a_grant, a_policy, a_step, facts_with, seen
from tests.unit.detectors.profiles._telling import AGENT

FACTS = facts_with(a_policy(a_grant("allow")))


def fed(activities: Activities, first: int, last: int) -> None:
    """Feed steps of a seeded life."""
    for number in range(first, last):
        chance = random.Random(number)
        kind = chance.choice(["tool_call", "tool_result", "model_call", "message", "heartbeat"])
        more = {"tool": f"t{chance.randrange(4)}"} if kind.startswith("tool") else {}
        if kind == "model_call":
            more |= {"model": "m", "input_tokens": 5, "cost_usd": 0.25}
        step = a_step(kind, seq=number + 1, time_us=NOW + number * SECOND, run_id=f"r{number // 50}", **more)
        activities.feed(seen(step, FACTS, offset=number))


def test_totals_are_those_of_all_steps() -> None:
    """Budgets, rates and anomalies would rest on numbers that do not add up."""
    activities = Activities()
    fed(activities, 0, 200)
    (told,) = activities.messages(10)
    kinds = [
        random.Random(n).choice(["tool_call", "tool_result", "model_call", "message", "heartbeat"]) for n in range(200)
    ]
    assert told.by_kind == {kind: kinds.count(kind) for kind in set(kinds)}
    assert (told.steps, told.offset) == (200, 199)
    assert told.cost_usd == kinds.count("model_call") * 0.25
    assert told.uses["tool"] == kinds.count("tool_call") == told.ungated
    assert [window.start_us % 10_000_000 for window in told.windows] == [0, 0, 0]


def test_a_restart_in_between_changes_nothing() -> None:
    """Each kill of a worker would shift what is usual for every agent."""
    whole, first, second = Activities(), Activities(), Activities()
    fed(whole, 0, 200)
    fed(first, 0, 120)
    second.restore(first.dump(AGENT))
    fed(second, 60, 200)
    assert second.dump(AGENT) == whole.dump(AGENT)


def test_an_agents_use_is_sighted_once_an_hour() -> None:
    """Every step would travel twice."""
    activities = Activities()
    step = a_step("tool_call", tool="pay")
    counts = [
        len([s for s in activities.feed(seen(step, FACTS, offset=n, append_us=NOW + at * SECOND)) if s.kind == "tool"])
        for n, at in enumerate((0, 1, 3599, 3601, 3602, 7300))
    ]
    assert sum(counts) in (2, 3)
    assert counts[1] == counts[4] == 0


def test_rehearsals_and_what_others_write_in_its_name_do_not_count() -> None:
    """A drill would look like an attack in the statistics; a stranger could shape what is usual for an agent."""
    activities = Activities()
    assert activities.feed(seen(a_step("tool_call", tool="pay", drill="d"), FACTS, offset=1)) == []
    assert activities.feed(seen(a_step("tool_call", tool="pay"), FACTS, offset=2, identity="forged")) == []
    assert list(activities.messages(10)) == []
    stranger = a_step("tool_call", tool="pay", agent_id="nobody")
    assert [s.identity for s in activities.feed(seen(stranger, FACTS, offset=3, identity="unmarked"))] != []


def test_agents_and_runs_are_bounded_and_the_longest_silent_go() -> None:
    """Invented names would fill the memory."""
    activities = Activities(most=3)
    for number in range(9):
        step = a_step("message", agent_id=f"a{number}")
        activities.feed(seen(step, FACTS, offset=number, identity="unmarked"))
    assert list(activities.by_agent) == ["a6", "a7", "a8"]
    assert "a0" in activities.forgotten
    for number in range(2 * MOST_RUNS):
        activities.feed(seen(a_step("message", run_id=f"r{number}"), FACTS, offset=100 + number))
    assert len(activities.by_agent[AGENT].open_runs) == MOST_RUNS


def test_a_damaged_checkpoint_is_refused() -> None:
    """A worker would not start."""
    with pytest.raises(BadRecord):
        Activities().restore(b"\xc1")
