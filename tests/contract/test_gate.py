"""The gate's own part: what has no other side. Budgets are refused before they are passed, and modes decide what is done."""

import math
from typing import Any

import pytest

from lictor_agent.gate import Answer, Call, Compiled, Spent, over_budget, verdict_in
from lictor_agent.policy import Budgets, Grant, Layer, Policy, read_policy
from tests.unit.builders import a_grant, a_policy

BOUNDS: list[tuple[str, Any, Any, list[str]]] = [
    ("steps", 5, 4, ["tools", "models", "agents"]),
    ("tool_calls", 5, 4, ["tools"]),
    ("model_calls", 5, 4, ["models"]),
    ("tokens", 100, 99, ["tools", "models", "agents"]),
    ("cost_usd", 0.5, 0.49, ["tools", "models", "agents"]),
]


@pytest.mark.parametrize("kind", ["tools", "models", "agents"])
@pytest.mark.parametrize(("name", "bound", "below", "kinds"), BOUNDS)
def test_the_call_that_would_pass_a_budget_is_refused(
    name: str, bound: Any, below: Any, kinds: list[str], kind: str
) -> None:
    """An agent could spend one call more than it may, or be refused what it may still do."""
    budgets = Budgets(**{name: bound})
    answers = [over_budget(budgets, Spent(**{name: used}), kind, 0.0) for used in (below, bound, bound * 2)]
    refused = [answer is not None for answer in answers]
    assert refused == ([False, True, True] if kind in kinds else [False] * 3)
    assert all(answer is None or answer.rule == f"budget:{name}" for answer in answers)


def test_a_cost_that_is_no_number_is_never_within_budget() -> None:
    """An agent that reports NaN would spend without end."""
    assert over_budget(Budgets(cost_usd=0.5), Spent(cost_usd=math.nan), "models", 0.0) is not None


def test_without_budgets_nothing_is_refused() -> None:
    """An agent without budgets could do nothing."""
    much = Spent(steps=10**9, tool_calls=10**9, model_calls=10**9, tokens=10**9, cost_usd=1e9)
    assert over_budget(Budgets(), much, "tools", 0.0) is None


def test_calls_a_minute_are_counted_over_the_last_minute() -> None:
    """A slow agent would be refused for what it did an hour ago."""
    budgets, spent = Budgets(tool_calls_per_minute=2), Spent()
    spent.last_minute.extend([0.0, 30.0])
    assert over_budget(budgets, spent, "models", 60.0) is None
    refused = over_budget(budgets, spent, "tools", 60.0)
    assert refused is not None
    assert refused.rule == "budget:tool_calls_per_minute"
    assert over_budget(budgets, spent, "tools", 60.1) is None
    assert list(spent.last_minute) == [30.0]


VERDICTS = [
    ("observe", "deny", "grant", "allow"),
    ("observe", "deny", "no_grant", "allow"),
    ("ask", "deny", "no_grant", "ask"),
    ("ask", "deny", "grant", "deny"),
    ("enforce", "deny", "no_grant", "deny"),
    ("enforce", "ask", "grant", "ask"),
    ("enforce", "clear", "grant", "hold"),
    ("enforce", "allow", "grant", "allow"),
    ("ask", "narrow", "grant", "narrow"),
    ("observe", "narrow", "grant", "allow"),
]


@pytest.mark.parametrize(("mode", "effect", "rule", "verdict"), VERDICTS)
def test_the_mode_decides_what_is_done(mode: str, effect: str, rule: str, verdict: str) -> None:
    """An agent that is only watched would be held up, or one under control let go."""
    assert verdict_in(mode, Answer(effect, "", rule, "")) == verdict


def test_names_from_the_agent_do_not_fill_the_gates_memory() -> None:
    """An agent that invents tools would grow without bound."""
    compiled = Compiled(read_policy(a_policy(a_grant("allow", "tool_1*")).value()))
    for number in range(9000):
        compiled.judge(Call("tools", f"tool_{number}", {}))
        compiled.traits(f"tool_{number}")
    tools = compiled._lookup["tools"]
    assert max(len(known) for known in (compiled._traits, tools._names, tools._known)) <= 4096
    assert compiled.judge(Call("tools", "tool_1", {})).effect == "allow"
    assert compiled.judge(Call("tools", "tool_2", {})).effect == "deny"


@pytest.mark.parametrize("effect", ["rewrite", "hold_for_a_moment", ""])
def test_a_grant_that_says_what_this_gate_cannot_do_refuses(effect: str) -> None:
    """A call that a newer policy wants capped would go ahead in full, or end the agent with an error that is not its own."""
    grants = [Grant(id="all", effect="allow", tools=("*",)), Grant(id="cap", effect=effect, tools=("search",))]
    compiled = Compiled(Policy(agent_id="bot", version=1, layers=(Layer(name="org", grants=tuple(grants)),)))
    answer = compiled.judge(Call("tools", "search", {}))
    assert (answer.effect, answer.grant, verdict_in("enforce", answer)) == ("deny", "cap", "deny")
    assert answer.reason == f"grant cap says {effect}, which is not available yet"
    assert compiled.judge(Call("tools", "other", {})).effect == "allow"
