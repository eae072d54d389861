"""What a run has used so far, the bounds of it, and the sums that conditions on `amounts` ask about."""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.answers import Answer
from lictor_agent.conditions import DOUBT
from lictor_agent.policy import Amount, Budgets, Policy


@dataclass(slots=True)
class Spent:
    """What one run has used so far."""

    steps: int = 0
    tool_calls: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    last_minute: deque[float] = field(default_factory=deque)
    same_call: Counter[tuple[str, str, bytes]] = field(default_factory=Counter)
    amounts: dict[str, float] = field(default_factory=dict)
    """Sum of each amount of the policy, by its name; of a delegator's policy, by `AGENT/NAME`. Infinite: in doubt."""


COUNTED: Final = ("steps", "tool_calls", "model_calls", "tokens", "cost_usd")
"""What conditions on `spent` may ask about."""


def over_budget(budgets: Budgets, spent: Spent, kind: str, now_s: float) -> Answer | None:
    """Return the refusal where a bound of the run is reached, before the call is made."""
    bounds = (
        ("steps", spent.steps, budgets.steps),
        ("tool_calls", spent.tool_calls, budgets.tool_calls if kind == "tools" else None),
        ("model_calls", spent.model_calls, budgets.model_calls if kind == "models" else None),
        ("tokens", spent.tokens, budgets.tokens),
        ("cost_usd", spent.cost_usd, budgets.cost_usd),
    )
    for name, used, bound in bounds:
        if bound is not None and not used < bound:
            return _spent(name, f"{used:g} of {bound:g} {name}")
    per_minute = budgets.tool_calls_per_minute
    if per_minute is not None and kind == "tools":
        while spent.last_minute and spent.last_minute[0] < now_s - 60:
            spent.last_minute.popleft()
        if len(spent.last_minute) >= per_minute:
            return _spent("tool_calls_per_minute", f"{per_minute} tool calls within a minute")
    return None


def _spent(name: str, what: str) -> Answer:
    return Answer("deny", "", f"budget:{name}", f"the run's budget is spent: {what}")


def key_of(name: str, delegator: str) -> str:
    """Return under which name the sum of an amount is kept; `delegator`: whose policy's it is, "" for the agent's own."""
    return f"{delegator}/{name}" if delegator else name


def with_call(
    amounts: Mapping[str, Amount], tool: str, arguments: Any, sums: Mapping[str, float], delegator: str
) -> dict[str, Any]:
    """Return each amount as it would be after a call (`tool`: "" for what is none); `DOUBT` where it cannot be known."""
    found: dict[str, Any] = {}
    for name, amount in amounts.items():
        total = sums.get(key_of(name, delegator), 0.0) + _adds(amount, tool, arguments)
        found[name] = total if math.isfinite(total) else DOUBT
    return found


def add_amounts(spent: Spent, policies: Sequence[Policy], tool: str, arguments: dict[str, Any] | None) -> None:
    """Add what a call that goes ahead comes to. `policies`: the agent's own first, then those of its delegators."""
    for at, policy in enumerate(policies):
        for name, amount in policy.amounts.items():
            added = _adds(amount, tool, arguments or {})
            if added:
                key = key_of(name, policy.agent_id if at else "")
                spent.amounts[key] = spent.amounts.get(key, 0.0) + added


def _adds(amount: Amount, tool: str, arguments: Any) -> float:
    """Return what a call adds: nothing where the argument is left out, infinity for what cannot be added up."""
    if not tool or not globs.match_any(amount.tools, tool):
        return 0.0
    found: Any = arguments
    for part in amount.argument.removeprefix("arguments.").split("."):
        if not isinstance(found, dict):
            return math.inf
        if part not in found:
            return 0.0
        found = found[part]
    if isinstance(found, bool) or not isinstance(found, int | float):
        return math.inf
    try:
        value = float(found)
    except OverflowError:
        return math.inf
    return value if value >= 0 else math.inf
