"""What a run has used so far, and the bounds on it."""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.conditions import MISSING, value_at
from lictor_agent.policy import Amount, Budgets

COUNTED: Final = ("steps", "tool_calls", "model_calls", "tokens", "cost_usd")


@dataclass(slots=True)
class Spent:
    """What one run has used so far."""

    steps: int = 0
    tool_calls: int = 0
    model_calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    amounts: dict[str, float] = field(default_factory=dict)
    """Name of a sum in the policy → what the run's calls came to."""
    last_minute: deque[float] = field(default_factory=deque)
    same_call: Counter[tuple[str, str, bytes]] = field(default_factory=Counter)

    def counts(self) -> dict[str, float]:
        """Return what conditions on `spent` may ask about."""
        return {name: getattr(self, name) for name in COUNTED}

    def add(self, amounts: Mapping[str, Amount], tool: str, arguments: dict[str, Any]) -> None:
        """Add a call that goes ahead to the sums of the policy."""
        for name, sum_ in amounts_with(amounts, self.amounts, tool, arguments).items():
            if isinstance(sum_, int | float) and not isinstance(sum_, bool):
                self.amounts[name] = sum_


def amounts_with(
    amounts: Mapping[str, Amount], so_far: Mapping[str, float], tool: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Return each sum as it would be with this call. A value that cannot be added stands there as it is: it compares with
    nothing."""  # noqa: D205, D209
    found: dict[str, Any] = {}
    for name, amount in amounts.items():
        found[name] = so_far.get(name, 0.0)
        if globs.match_any(amount.tools, tool):
            value = value_at(arguments, tuple(amount.argument.removeprefix("arguments.").split(".")))
            if value is not MISSING:
                found[name] = found[name] + value if _counts(value) else str(value)
    return found


def _counts(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (isinstance(value, float) and math.isfinite(value) and value >= 0) or (
        isinstance(value, int) and 0 <= value < 1 << 53
    )


def bound_reached(budgets: Budgets, spent: Spent, kind: str, now_s: float) -> tuple[str, str] | None:
    """Return which bound of the run is reached before the call is made, and how it reads."""
    bounds = (
        ("steps", spent.steps, budgets.steps),
        ("tool_calls", spent.tool_calls, budgets.tool_calls if kind == "tools" else None),
        ("model_calls", spent.model_calls, budgets.model_calls if kind == "models" else None),
        ("tokens", spent.tokens, budgets.tokens),
        ("cost_usd", spent.cost_usd, budgets.cost_usd),
    )
    for name, used, bound in bounds:
        if bound is not None and not used < bound:
            return name, f"{used:g} of {bound:g} {name}"
    per_minute = budgets.tool_calls_per_minute
    if per_minute is not None and kind == "tools":
        while spent.last_minute and spent.last_minute[0] < now_s - 60:
            spent.last_minute.popleft()
        if len(spent.last_minute) >= per_minute:
            return "tool_calls_per_minute", f"{per_minute} tool calls within a minute"
    return None
