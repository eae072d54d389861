"""The gate: may this call be made? Judged from memory, in microseconds, by the policy in force.

Lictor's `detectors/policy_view.py` judges the same afterwards; `tests/contract/grants.jsonl` holds both to the same
answers.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lictor_agent import traits
from lictor_agent.budgets import Spent, amounts_with, bound_reached
from lictor_agent.conditions import Check, all_hold, compiled
from lictor_agent.index import GlobIndex
from lictor_agent.narrowing import CannotNarrow, narrowed
from lictor_agent.policy import Budgets, Grant, Policy

__all__ = ["STRICTNESS", "Answer", "Call", "Compiled", "Spent", "over_budget", "verdict_in"]

STRICTNESS: Final = ("allow", "narrow", "clear", "ask", "deny")
"""What is known here. A grant that says anything else refuses."""
_RANK: Final = {effect: rank for rank, effect in enumerate(STRICTNESS)}
_KINDS: Final = ("tools", "models", "agents")
_REMEMBERED: Final = 4096
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Call:
    """What is about to be done, as conditions may ask about it. `kind`: `tools`, `models` or `agents`."""

    kind: str
    name: str
    values: dict[str, Any]
    time_us: int = 0
    amounts: dict[str, float] = field(default_factory=dict)
    """What the run's sums came to before this call."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate says, by which grant or rule, and why."""

    effect: str
    grant: str
    rule: str
    reason: str
    arguments: dict[str, Any] | None = None
    """As the gate narrowed them; None where nothing changed."""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A grant made ready."""

    grant: Grant
    rank: int
    checks: tuple[Check, ...]


class _Layer:
    """One layer made ready: for each kind of call, its grants by the names they are about."""

    def __init__(self, name: str, grants: Sequence[Grant]) -> None:
        self.name = name
        rules = [_Rule(grant, _RANK.get(grant.effect, _RANK["deny"]), compiled(grant)) for grant in grants]
        self.speaks: dict[str, GlobIndex[_Rule]] = {}
        self.closed: dict[str, bool] = {}
        for kind in _KINDS:
            about = [rule for rule in rules if getattr(rule.grant, kind)]
            if about:
                self.speaks[kind] = GlobIndex((glob, rule) for rule in about for glob in getattr(rule.grant, kind))
                self.closed[kind] = any(rule.grant.effect != "deny" for rule in about)


class Compiled:
    """A policy made ready: what a name is about is looked up, not searched for, and remembered for names asked often."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._layers = [_Layer(layer.name, layer.grants) for layer in policy.layers]
        self._by_glob = GlobIndex((glob, (glob, frozenset(given))) for glob, given in policy.traits.items())
        self._traits: dict[str, frozenset[str]] = {}
        self._fitting: dict[tuple[str, str], list[tuple[str, list[_Rule], bool]]] = {}
        asked = {path.split(".")[0] for layer in policy.layers for grant in layer.grants for path in grant.when}
        self._asks_time, self._asks_amounts = "time" in asked, "amounts" in asked

    def traits(self, tool: str) -> frozenset[str]:
        """Return the traits of a tool."""
        found = self._traits.get(tool)
        if found is None:
            if len(self._traits) >= _REMEMBERED:
                self._traits.clear()
            found = self._traits[tool] = self._traits_of(tool)
        return found

    def _traits_of(self, tool: str) -> frozenset[str]:
        fitting = self._by_glob.find(tool)
        if fitting:
            return max(fitting, key=lambda pair: (len(pair[0]), pair[0]))[1]
        return traits.of_words(tool, self.policy.words)

    def judge(self, call: Call, delegators: "Sequence[Compiled]" = ()) -> Answer:
        """Return what the grants say: each layer that grants anything must let the call through, and so must the policy of
        each agent it is made for. Where that narrows the call, what comes out is judged again."""  # noqa: D205, D209
        answer, narrowing = self._strictest(call, delegators)
        if not narrowing or answer.effect in ("ask", "deny"):
            return answer
        by = narrowing[0]
        before = call.values.get("arguments") or {}
        try:
            after = narrowed(before, narrowing)
            if after == before:
                return answer if answer.effect == "clear" else Answer("allow", by.id, "grant", _reason(by))
            second, again = self._strictest(replace(call, values={**call.values, "arguments": after}), delegators)
            if narrowed(after, again) != after:
                return Answer("deny", by.id, "grant", "narrowing the call does not come to an end")
        except CannotNarrow as problem:
            return Answer("deny", by.id, "grant", str(problem))
        if second.effect in ("allow", "narrow"):
            return Answer("narrow", by.id, "grant", _reason(by), after)
        return replace(second, arguments=after) if second.effect == "clear" else second

    def _strictest(self, call: Call, delegators: "Sequence[Compiled]") -> tuple[Answer, list[Grant]]:
        answer, narrowing = self.own(call)
        for other in delegators:
            said, more = other.own(call)
            narrowing += more
            if _RANK[said.effect] > _RANK[answer.effect]:
                answer = replace(
                    said, reason=f"as the policy of {other.policy.agent_id} says, for whom this is: {said.reason}"
                )
        return answer, narrowing

    def own(self, call: Call) -> tuple[Answer, list[Grant]]:
        """Return what this policy says, and the grants that would narrow the call."""
        values = self._values(call)
        strictest: Answer | None = None
        narrowing: list[Grant] = []
        for layer, rules, closed in self._fitting_rules(call.kind, call.name):
            answer = _judge_layer(layer, rules, call.name, values, narrowing, closed=closed)
            if answer is not None and (strictest is None or _RANK[answer.effect] > _RANK[strictest.effect]):
                strictest = answer
        return strictest or _no_opinion(call.kind), narrowing

    def _values(self, call: Call) -> dict[str, Any]:
        values = call.values
        if self._asks_time:
            moment = dt.datetime.fromtimestamp(call.time_us / 1e6, dt.UTC)
            values = {**values, "time": {"hour": moment.hour, "weekday": _WEEKDAYS[moment.weekday()]}}
        if self._asks_amounts:
            arguments = values.get("arguments") or {}
            tool = call.name if call.kind == "tools" else ""
            values = {**values, "amounts": amounts_with(self.policy.amounts, call.amounts, tool, arguments)}
        return values

    def _fitting_rules(self, kind: str, name: str) -> list[tuple[str, list[_Rule], bool]]:
        """Return, per layer with an opinion on this kind of call: its name, the grants that fit, whether it is closed."""
        found = self._fitting.get((kind, name))
        if found is None:
            if len(self._fitting) >= _REMEMBERED:
                self._fitting.clear()
            found = self._fitting[kind, name] = [
                (
                    layer.name,
                    list({id(rule): rule for rule in layer.speaks[kind].find(name)}.values()),
                    layer.closed[kind],
                )
                for layer in self._layers
                if kind in layer.speaks
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


def _judge_layer(
    layer: str, rules: list[_Rule], name: str, values: dict[str, Any], narrowing: list[Grant], *, closed: bool
) -> Answer | None:
    best: _Rule | None = None
    for rule in rules:
        narrows = rule.grant.effect == "narrow"
        if (narrows or best is None or rule.rank > best.rank) and all_hold(rule.checks, values):
            if narrows:
                narrowing.append(rule.grant)
            if best is None or rule.rank > best.rank:
                best = rule
    if best is not None:
        return _said_by(best.grant)
    return Answer("deny", "", "no_grant", f"no grant of layer {layer} allows {name!r}") if closed else None


def _said_by(grant: Grant) -> Answer:
    if grant.effect not in _RANK:
        return Answer("deny", grant.id, "grant", f"grant {grant.id} says {grant.effect}, which is not known here")
    return Answer(grant.effect, grant.id, "grant", _reason(grant), instead=grant.instead)


def _reason(grant: Grant) -> str:
    return grant.reason or f"grant {grant.id} says {grant.effect}"


def over_budget(budgets: Budgets, spent: Spent, kind: str, now_s: float) -> Answer | None:
    """Return the refusal where a bound of the run is reached, before the call is made."""
    reached = bound_reached(budgets, spent, kind, now_s)
    if reached is None:
        return None
    return Answer("deny", "", f"budget:{reached[0]}", f"the run's budget is spent: {reached[1]}")
