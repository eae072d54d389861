"""The gate: may this call be made? Judged from memory, in microseconds, by the policy in force.

Lictor's `detectors/policy_view.py` judges the same afterwards; `tests/contract/grants.jsonl` holds both to the same
answers.
"""

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from lictor_agent import globs, traits
from lictor_agent.policy import Budgets, Grant, Policy, Test

STRICTNESS: Final = ("allow", "clear", "ask", "deny")
"""What is known here. A grant that says anything else, `narrow` among it, refuses: nobody rewrites arguments yet."""
_RANK: Final = {effect: rank for rank, effect in enumerate(STRICTNESS)}
_MISSING: Final = object()
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Call:
    """What is about to be done, as conditions may ask about it. `kind`: `tools`, `models` or `agents`."""

    kind: str
    name: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate says, by which grant or rule, and why."""

    effect: str
    grant: str
    rule: str
    reason: str


class Compiled:
    """A policy made ready: for each name asked about, the grants whose globs fit are looked up once."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._traits: dict[str, frozenset[str]] = {}
        self._fitting: dict[tuple[str, str], list[tuple[str, list[Grant], bool]]] = {}

    def traits(self, tool: str) -> frozenset[str]:
        """Return the traits of a tool."""
        found = self._traits.get(tool)
        if found is None:
            if len(self._traits) >= _REMEMBERED:
                self._traits.clear()
            found = self._traits[tool] = traits.of_tool(tool, self.policy.traits, self.policy.words)
        return found

    def judge(self, call: Call) -> Answer:
        """Return what the grants say: each layer that grants anything must let the call through."""
        strictest: Answer | None = None
        for layer, grants, closed in self._layers(call.kind, call.name):
            answer = _judge_layer(layer, grants, call, closed=closed)
            if answer is not None and (strictest is None or _RANK[answer.effect] > _RANK[strictest.effect]):
                strictest = answer
        return strictest or _no_opinion(call.kind)

    def _layers(self, kind: str, name: str) -> list[tuple[str, list[Grant], bool]]:
        """Return, per layer with an opinion on this kind of call: its name, the grants that fit, whether it is closed."""
        found = self._fitting.get((kind, name))
        if found is None:
            if len(self._fitting) >= _REMEMBERED:
                self._fitting.clear()
            found = self._fitting[kind, name] = [
                (layer.name, fitting, any(grant.effect != "deny" for grant in about))
                for layer in self.policy.layers
                if (about := [grant for grant in layer.grants if getattr(grant, kind)])
                and (fitting := [grant for grant in about if globs.match_any(getattr(grant, kind), name)]) is not None
            ]
        return found


def _no_opinion(kind: str) -> Answer:
    """Tools need a grant; models and hand-overs are free until some layer grants or refuses any."""
    if kind == "tools":
        return Answer("deny", "", "no_grant", "no layer of the policy grants anything")
    return Answer("allow", "", "unrestricted", f"no layer of the policy speaks of {kind}")


def verdict_in(mode: str, answer: Answer) -> str:
    """Return what is done: in `observe` nothing is held up; without a grant, `ask` asks and `enforce` denies."""
    if mode == "observe":
        return "allow"
    if answer.rule == "no_grant" and mode == "ask":
        return "ask"
    return "hold" if answer.effect == "clear" else answer.effect


def _judge_layer(layer: str, grants: list[Grant], call: Call, *, closed: bool) -> Answer | None:
    best: Grant | None = None
    for grant in grants:
        if (best is None or _rank(grant) > _rank(best)) and conditions_hold(grant, call.values):
            best = grant
    if best is not None:
        return _said_by(best)
    return Answer("deny", "", "no_grant", f"no grant of layer {layer} allows {call.name!r}") if closed else None


def _rank(grant: Grant) -> int:
    return _RANK.get(grant.effect, _RANK["deny"])


def _said_by(grant: Grant) -> Answer:
    if grant.effect not in _RANK:
        return Answer("deny", grant.id, "grant", f"grant {grant.id} says {grant.effect}, which is not available yet")
    return Answer(grant.effect, grant.id, "grant", grant.reason or f"grant {grant.id} says {grant.effect}")


def conditions_hold(grant: Grant, values: dict[str, Any]) -> bool:
    """Tell whether all conditions of a grant hold. A grant that allows needs every member of a list to pass; one that
    refuses, asks, clears or narrows is met by any one of them, and by a value that cannot be compared."""  # noqa: D205, D209
    wary = grant.effect != "allow"
    return all(_holds(test, _value_at(values, path), wary) for path, test in grant.when.items())


def _value_at(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, dict):
            return _MISSING
        found = found.get(part, _MISSING)
    return found


def _holds(test: Test, value: Any, wary: bool) -> bool:
    if value is _MISSING:
        return test.exists is False
    if test.exists is False:
        return False
    if isinstance(value, list | tuple):
        members = (_member_holds(test, member, wary) for member in value)
        return any(members) if wary else all(members)
    return _member_holds(test, value, wary)


def _member_holds(test: Test, value: Any, wary: bool) -> bool:
    if test.eq is not None and not _same(value, test.eq):
        return False
    if test.ne is not None and _same(value, test.ne):
        return False
    if test.any_of is not None and not any(_same(value, other) for other in test.any_of):
        return False
    if test.none_of is not None and any(_same(value, other) for other in test.none_of):
        return False
    return _number_holds(test, value, wary) and _text_holds(test, value, wary)


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _number_holds(test: Test, value: Any, wary: bool) -> bool:
    bounds = ((test.lt, value), (test.lte, value), (test.gt, value), (test.gte, value))
    if all(bound is None for bound, _ in bounds):
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return wary
    if isinstance(value, float) and not math.isfinite(value):  # an int may be larger than any float
        return wary
    low_enough = (test.lt is None or value < test.lt) and (test.lte is None or value <= test.lte)
    return low_enough and (test.gt is None or value > test.gt) and (test.gte is None or value >= test.gte)


def _text_holds(test: Test, value: Any, wary: bool) -> bool:
    if test.glob is None and test.not_glob is None and test.max_length is None:
        return True
    if not isinstance(value, str):
        return wary
    if test.glob is not None and not globs.match_any(test.glob, value):
        return False
    if test.not_glob is not None and globs.match_any(test.not_glob, value):
        return False
    return test.max_length is None or len(value) <= test.max_length


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
