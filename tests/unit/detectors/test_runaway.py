"""The same call again and again, and budgets spent."""

from typing import Any

import pytest

from detectors.runaway import DISTINCT_CALLS, KEPT_CALLS, SAME_CALL, Runaway
from detectors.state import encode_state
from schemas.policy import Budgets
from tests.unit.builders import NOW, SECOND, Story, a_grant, a_policy, claims

FAR = (1 << 53) - 1


def story(**budgets: Any) -> Story:
    """Return a trace of an agent with these budgets."""
    return Story(a_policy(a_grant("allow"), budgets=Budgets(**budgets)), watch=(Runaway(),))


def test_the_same_call_too_often_is_a_loop_told_once() -> None:
    """An agent could repeat one call all night."""
    told = story()
    found = [claims(told.call("web.get", url="a")) for _ in range(SAME_CALL + 5)]
    assert found == [[]] * SAME_CALL + [["lictor.runaway.loop"]] + [[]] * 4


def test_the_policy_sets_how_often_is_too_often() -> None:
    """A poller that is meant to poll would be stopped."""
    told = story(same_call=2)
    assert [len(told.call("pay", amount=5)) for _ in range(4)] == [0, 0, 1, 0]


def test_a_bound_of_none_at_all_is_a_bound() -> None:
    """`same_call: 0` would mean the default of eight."""
    assert len(story(same_call=0).call("pay", amount=5)) == 1


def test_the_order_of_arguments_does_not_make_another_call() -> None:
    """A loop could hide by shuffling its arguments."""
    told = story(same_call=1)
    assert claims(told.call("t", a=1, b=2)) == []
    assert claims(told.call("t", b=2, a=1)) == ["lictor.runaway.loop"]


def test_other_arguments_tools_runs_and_traces_are_other_calls() -> None:
    """Work through a list of customers would be taken for a loop."""
    told = story(same_call=1)
    found = [told.call("t", a=1), told.call("t", a="1"), told.call("t", a=True), told.call("u", a=1)]
    found += [told.tell("tool_call", tool="t", arguments={"a": 1}, run_id="other")]
    found += [told.tell("tool_call", tool="t", arguments={"a": 1}, trace_id="a" * 32)]
    assert found == [[]] * 6


def test_a_loop_names_the_calls_it_is_made_of() -> None:
    """Nobody could check the claim against the steps."""
    told = story(same_call=3)
    told.call("other")
    found = [told.call("t", a=1) for _ in range(4)][-1][0]
    assert [item.seq for item in found.evidence] == [2, 3, 4, 5]
    assert "4 times" in found.reason


BUDGETS: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("steps", 2, "message", {}),
    ("tool_calls", 2, "tool_call", {"tool": "t"}),
    ("model_calls", 2, "model_call", {"model": "m"}),
    ("tokens", 20, "model_call", {"input_tokens": 5, "output_tokens": 5}),
    ("cost_usd", 0.5, "model_call", {"cost_usd": 0.25}),
]


@pytest.mark.parametrize(("name", "bound", "kind", "fields"), BUDGETS)
def test_a_budget_may_be_spent_and_not_passed(name: str, bound: Any, kind: str, fields: dict[str, Any]) -> None:
    """An agent could spend without end, or be stopped at its last cent."""
    told = story(**{name: bound})
    found = [told.tell(kind, **fields) for _ in range(5)]
    assert [claims(each) for each in found] == [[], [], ["lictor.runaway.budget"], [], []]
    assert name in found[2][0].reason


@pytest.mark.parametrize(("verdict", "counted"), [("allow", 1), ("narrow", 1), ("hold", 1), ("deny", 0), ("ask", 0)])
def test_a_call_the_gate_refused_was_not_made(verdict: Any, counted: int) -> None:
    """An agent that is refused its last call would be stopped for having made it."""
    told = story(tool_calls=0)
    assert len(told.call("t", verdict, "budget:tool_calls")) == counted
    assert (told.run().runaway.tool_calls, told.run().runaway.steps) == (counted, 1)


def test_each_budget_is_told_of_by_itself() -> None:
    """The second bound passed would go unnoticed behind the first."""
    told = story(steps=1, tool_calls=1)
    told.call("t", a=1)
    assert len({finding.finding_id for finding in told.call("t", a=2)}) == 2


def test_a_budget_of_nothing_is_passed_at_once() -> None:
    """`cost_usd: 0` would mean no bound."""
    assert len(story(cost_usd=0).tell("model_call", cost_usd=0.01)) == 1
    assert story(cost_usd=0).tell("model_call") == []


def test_without_a_budget_nothing_is_too_much() -> None:
    """An agent without a policy would be reported for working."""
    told = story()
    assert [told.tell("model_call", input_tokens=FAR, cost_usd=1e300) for _ in range(3)] == [[], [], []]


def test_absurd_amounts_do_not_keep_the_state_from_being_saved() -> None:
    """An agent that claims absurd amounts would end the worker that keeps count, again and again."""
    told = story(tokens=10, cost_usd=1)
    for _ in range(1100):
        told.tell("model_call", input_tokens=FAR, output_tokens=FAR, cost_usd=1e308)
    assert encode_state(told.trace())


def test_calls_that_all_differ_are_forgotten_in_order() -> None:
    """An agent that varies its arguments would grow its judge without bound."""
    told = story()
    for number in range(DISTINCT_CALLS + 50):
        told.call("t", a=number)
    state = told.run().runaway
    assert len(state.same_call) == 12 * DISTINCT_CALLS
    assert len(state.last_calls) == 16 * KEPT_CALLS


def test_two_calls_in_turn_are_a_cycle_told_once() -> None:
    """An agent that goes to and fro between two calls would go on until its budget ends."""
    told = story()
    found = [claims(told.call(tool, a=1)) for _ in range(6) for tool in ("ask", "answer")]
    assert [claim for each in found for claim in each] == ["lictor.runaway.cycle"]
    assert found[7] == ["lictor.runaway.cycle"]


def test_calls_in_turn_whose_arguments_change_are_no_cycle() -> None:
    """Reading one record after the other and noting each would be taken for a loop."""
    told = story()
    assert [told.call(tool, at=turn) for turn in range(9) for tool in ("read", "note")] == [[]] * 18


def test_a_poller_that_is_meant_to_poll_is_no_cycle() -> None:
    """A policy that allows the same call a thousand times would be contradicted."""
    told = story(same_call=1000)
    assert [told.call(tool, a=1) for _ in range(20) for tool in ("status", "wait")] == [[]] * 40


def test_a_context_that_only_grows_is_told_of_once() -> None:
    """An agent that drags everything along would spend more with each call, unnoticed."""
    told = story()
    found = [claims(told.tell("model_call", input_tokens=4000 * turn)) for turn in range(1, 40)]
    assert [claim for each in found for claim in each] == ["lictor.runaway.context"]


@pytest.mark.parametrize(
    "sizes", [[4000 + turn for turn in range(60)], [90_000, 4000] * 20, [100 * n for n in range(1, 60)]]
)
def test_a_context_that_grows_little_or_shrinks_is_silent(sizes: list[int]) -> None:
    """Every long conversation would be called runaway."""
    told = story()
    assert [told.tell("model_call", input_tokens=size) for size in sizes] == [[]] * len(sizes)


def test_what_all_agents_of_a_trace_spend_is_added_up() -> None:
    """Ten agents that hand work on would each stay under the bound, and pass it together."""
    told = story(trace_tokens=100)
    found = [claims(told.tell("model_call", run_id=f"run-{turn}", seq=1, input_tokens=40)) for turn in range(5)]
    assert found == [[], [], ["lictor.runaway.budget"], [], []]


def test_a_long_chain_of_delegation_is_told_of() -> None:
    """Agents that hand work to each other without end would not be noticed."""
    told = story(delegation_depth=2)
    assert claims(told.tell("message", delegation=("a", "b"))) == []
    assert claims(told.tell("message", delegation=("a", "b", "c"))) == ["lictor.runaway.budget"]


def test_a_run_that_lasts_too_long_is_told_of() -> None:
    """A run could go on for days under the radar of every other bound."""
    told = story(seconds=60)
    assert claims(told.tell("message", append_us=NOW)) == []
    assert claims(told.tell("message", append_us=NOW + 61 * SECOND)) == ["lictor.runaway.budget"]
