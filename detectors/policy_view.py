"""A policy made ready to judge with: the same answers as the gate in the SDK, by another hand.

`tests/contract/grants.jsonl` is run against both. The gate asks before a tool runs; this asks afterwards whether the
gate asked at all, and asked the same policy.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Final

from detectors.traits import traits_of
from schemas.globs import glob_any, glob_match
from schemas.policy import AgentPolicy, Effect, Grant, Test, Trait
from schemas.step import Step

STRICTNESS: Final[tuple[Effect, ...]] = ("allow", "clear", "ask", "deny")
"""A grant that says `narrow` refuses: nobody rewrites arguments yet."""
MISSING: Final = object()
MOST_NAMES: Final = 4096
"""Names come from the agent: no more of them are remembered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the policy says of one step, by which grant, and why."""

    effect: Effect
    grant: str
    rule: str
    reason: str


@dataclass(slots=True)
class PolicyView:
    """One agent's policy, remembering the traits of tools, and the answers that only names decide."""

    policy: AgentPolicy
    _traits: dict[str, frozenset[Trait]] = field(default_factory=dict)
    _settled: dict[tuple[str, str], Answer | None] = field(default_factory=dict)
    """(kind, name) → the answer; None where it depends on the call."""

    def traits(self, tool: str) -> frozenset[Trait]:
        """Return the traits of a tool under this policy."""
        found = self._traits.get(tool)
        if found is None:
            if len(self._traits) >= MOST_NAMES:
                self._traits.clear()
            found = self._traits[tool] = traits_of(tool, self.policy.traits, self.policy.words)
        return found

    def trusts(self, tool: str) -> bool:
        """Tell whether results of this tool count as trusted content."""
        return glob_any(self.policy.trusted_tools, tool)

    def judge(self, step: Step, reads: tuple[str, ...] = ()) -> Answer:
        """Return what the grants say of a `tool_call`, `model_call` or `handoff`. `reads`: what the trace has read."""
        called = called_by(step)
        if called not in self._settled:
            if len(self._settled) >= MOST_NAMES:
                self._settled.clear()
            self._settled[called] = None if self._depends(*called) else self._judge(CallFacts(*called, {}))
        return self._settled[called] or self._judge(facts_of(step, reads))

    def _depends(self, kind: str, name: str) -> bool:
        """Tell whether a grant about this name sets conditions."""
        grants = (grant for layer in self.policy.layers for grant in layer.grants if grant.when)
        return any(glob_any(getattr(grant, kind), name) for grant in grants)

    def _judge(self, facts: "CallFacts") -> Answer:
        answers = [
            answer
            for layer in self.policy.layers
            if (answer := _judge_layer(layer.grants, layer.name, facts)) is not None
        ]
        if not answers:
            return _no_opinion(facts.kind)
        return max(answers, key=lambda answer: STRICTNESS.index(answer.effect))


def _no_opinion(kind: str) -> Answer:
    """Tools need a grant; models and hand-overs are free until some layer grants or refuses any."""
    if kind == "tools":
        return Answer("deny", "", "no_grant", "no layer of the policy grants anything")
    return Answer("allow", "", "unrestricted", f"no layer of the policy speaks of {kind}")


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What conditions may ask about."""

    kind: str
    """`tools`, `models` or `agents`: which of a grant's globs must fit."""
    name: str
    values: dict[str, Any]


def facts_of(step: Step, reads: tuple[str, ...]) -> CallFacts:
    """Collect what conditions may ask about a step."""
    values = {
        "arguments": step.arguments or {},
        "principal": step.principal,
        "version": step.version,
        "workflow": step.workflow,
        "delegator": list(step.delegation),
        "model": step.model,
        "reads": list(reads),
    }
    return CallFacts(*called_by(step), values)


def called_by(step: Step) -> tuple[str, str]:
    """Return what a step calls: `tools`, `models` or `agents`, and its name."""
    if step.kind == "model_call":
        return "models", step.model
    return ("agents", step.to_agent) if step.kind == "handoff" else ("tools", step.tool)


def _judge_layer(grants: tuple[Grant, ...], layer: str, facts: CallFacts) -> Answer | None:
    """Return the layer's answer; None where it has no opinion on this kind of call."""
    about = [grant for grant in grants if getattr(grant, facts.kind)]
    if not about:
        return None
    found = [grant for grant in about if grant_fits(grant, facts)]
    if not found:
        if all(grant.effect == "deny" for grant in about):
            return None
        return Answer("deny", "", "no_grant", f"no grant of layer {layer} allows {facts.name!r}")
    return _said_by(max(found, key=_strictness))


def _strictness(grant: Grant) -> int:
    return STRICTNESS.index("deny" if grant.effect == "narrow" else grant.effect)


def _said_by(grant: Grant) -> Answer:
    if grant.effect == "narrow":
        return Answer("deny", grant.id, "grant", f"grant {grant.id} says narrow, which is not available yet")
    return Answer(grant.effect, grant.id, "grant", grant.reason or f"grant {grant.id} says {grant.effect}")


def grant_fits(grant: Grant, facts: CallFacts) -> bool:
    """Tell whether the grant is about this call and all its conditions hold.

    A grant that allows needs every member of a list to pass; one that refuses, asks, clears or narrows is met by any
    one of them, and by a value that cannot be compared: neither a second recipient nor `"501"` for 501 slips through.
    """
    if not glob_any(getattr(grant, facts.kind), facts.name):
        return False
    wary = grant.effect != "allow"
    return all(holds(test, value_at(facts.values, path), wary=wary) for path, test in grant.when.items())


def value_at(values: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or `MISSING`."""
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def holds(test: Test, value: Any, *, wary: bool) -> bool:
    """Tell whether everything the test sets holds for the value, which may be `MISSING`."""
    if value is MISSING:
        return test.exists is False
    if test.exists is False:
        return False
    if isinstance(value, list):
        quantify = any if wary else all
        return quantify(_member_holds(test, member, wary=wary) for member in value)
    return _member_holds(test, value, wary=wary)


def _member_holds(test: Test, value: Any, *, wary: bool) -> bool:
    return (
        _equality_holds(test, value) and _number_holds(test, value, wary=wary) and _text_holds(test, value, wary=wary)
    )


def _equality_holds(test: Test, value: Any) -> bool:
    if test.eq is not None and not _same(value, test.eq):
        return False
    if test.ne is not None and _same(value, test.ne):
        return False
    if test.any_of is not None and not any(_same(value, other) for other in test.any_of):
        return False
    return test.none_of is None or not any(_same(value, other) for other in test.none_of)


def _same(value: Any, other: Any) -> bool:
    """Equal and of the same kind: True is not 1, and "1" is not 1."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _number_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if test.lt is None and test.lte is None and test.gt is None and test.gte is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return wary
    if isinstance(value, float) and not math.isfinite(value):  # an int may be larger than any float
        return wary
    return (
        (test.lt is None or value < test.lt)
        and (test.lte is None or value <= test.lte)
        and (test.gt is None or value > test.gt)
        and (test.gte is None or value >= test.gte)
    )


def _text_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if test.glob is None and test.not_glob is None and test.max_length is None:
        return True
    if not isinstance(value, str):
        return wary
    if test.glob is not None and not glob_any(test.glob, value):
        return False
    if test.not_glob is not None and any(glob_match(pattern, value) for pattern in test.not_glob):
        return False
    return test.max_length is None or len(value) <= test.max_length
