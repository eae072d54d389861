"""A policy made ready to judge with: the same answers as the gate in the SDK, by another hand.

`tests/contract/grants.jsonl` is run against both. The gate asks before a tool runs; this asks afterwards whether the
gate asked at all, and asked the same policy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from detectors.conditions import REDACTED, UNSEEN, conditions_hold
from detectors.narrowing import CannotNarrow, narrow
from detectors.traits import traits_of
from schemas.globs import glob_any
from schemas.policy import AgentPolicy, Effect, Grant, Trait
from schemas.step import Step

STRICTNESS: Final[tuple[Effect, ...]] = ("allow", "narrow", "clear", "ask", "deny")
HOUR_US: Final = 3_600_000_000
WEEKDAYS: Final = ("thu", "fri", "sat", "sun", "mon", "tue", "wed")
"""The first day of 1970 was a Thursday."""
MOST_NAMES: Final = 4096
"""Names come from the agent: no more of them are remembered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the policy says of one step, by which grant, and why."""

    effect: Effect
    grant: str
    rule: str
    reason: str
    arguments: dict[str, Any] | None = None
    """What the tool should have got, where the policy narrows the call; None where nothing changes or nobody can tell."""


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

    def judge(
        self,
        step: Step,
        reads: Sequence[str] = (),
        labels: Sequence[str] = (),
        judged_us: int | None = None,
        delegators: "Sequence[PolicyView]" = (),
    ) -> Answer:
        """Return what the grants say of a `tool_call`, `model_call` or `handoff`.

        `reads`, `labels`: what the trace has read. `judged_us`: when the step was taken, as far as it is believed.
        `delegators`: the policies of the agents it was taken for; each must let it through too.
        """
        called = called_by(step)
        if not delegators:
            if called not in self._settled:
                if len(self._settled) >= MOST_NAMES:
                    self._settled.clear()
                alone = CallFacts(*called, {})
                self._settled[called] = None if self._depends(*called) else self._judge(alone)[0]
            settled = self._settled[called]
            if settled is not None:
                return settled
        facts = facts_of(step, reads, labels, step.time_us if judged_us is None else judged_us)
        return self._narrowed(facts, (self, *delegators), hidden=_hides(step))

    def _narrowed(self, facts: "CallFacts", views: "Sequence[PolicyView]", *, hidden: bool) -> Answer:
        """Judge, and where grants narrow the call, judge what comes out again."""
        answer, narrowing = _strictest(views, facts)
        if not narrowing or answer.effect in ("ask", "deny"):
            return answer
        if hidden:
            return answer if answer.effect == "clear" else _said_by(narrowing[0])
        try:
            return _after_narrowing(views, facts, answer, narrowing)
        except CannotNarrow as problem:
            return Answer("deny", narrowing[0].id, "grant", str(problem))

    def _depends(self, kind: str, name: str) -> bool:
        """Tell whether a grant about this name sets conditions, or rewrites arguments."""
        grants = (
            grant for layer in self.policy.layers for grant in layer.grants if grant.when or grant.effect == "narrow"
        )
        return any(glob_any(getattr(grant, kind), name) for grant in grants)

    def _judge(self, facts: "CallFacts") -> tuple[Answer, list[Grant]]:
        """Return what this policy says, and the grants of it that narrow the call."""
        narrowing: list[Grant] = []
        answers = [
            answer
            for layer in self.policy.layers
            if (answer := _judge_layer(layer.grants, layer.name, facts, narrowing)) is not None
        ]
        if not answers:
            return _no_opinion(facts.kind), narrowing
        return max(answers, key=lambda answer: STRICTNESS.index(answer.effect)), narrowing


def _strictest(views: Sequence[PolicyView], facts: "CallFacts") -> tuple[Answer, list[Grant]]:
    """Return the strictest answer of the agent's policy and of those it acts for."""
    best, narrowing = views[0]._judge(facts)  # noqa: SLF001 - of its own kind
    for view in views[1:]:
        answer, more = view._judge(facts)  # noqa: SLF001 - of its own kind
        narrowing += more
        if STRICTNESS.index(answer.effect) > STRICTNESS.index(best.effect):
            for_whom = f"as the policy of {view.policy.agent_id} says, for whom this is: {answer.reason}"
            best = replace(answer, reason=for_whom)
    return best, narrowing


def _after_narrowing(views: Sequence[PolicyView], facts: "CallFacts", answer: Answer, narrowing: list[Grant]) -> Answer:
    first, before = _said_by(narrowing[0]), facts.values["arguments"]
    after = narrow(before, narrowing)
    if after == before:
        return answer if answer.effect == "clear" else replace(first, effect="allow")
    again, more = _strictest(views, CallFacts(facts.kind, facts.name, {**facts.values, "arguments": after}))
    if narrow(after, more) != after:
        return Answer("deny", first.grant, "grant", "narrowing the call does not come to an end")
    if again.effect in ("ask", "deny"):
        return again
    return replace(again if again.effect == "clear" else first, arguments=after)


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


def facts_of(step: Step, reads: Sequence[str], labels: Sequence[str], judged_us: int) -> CallFacts:
    """Collect what conditions may ask about a step: of a narrowed call, what was asked for."""
    asked = step.asked if step.asked is not None else step.arguments
    values = {
        "arguments": _with_unseen(asked or {}, step),
        "agent": step.agent_id,
        "version": step.version,
        "environment": step.environment,
        "principal": step.principal,
        "workflow": step.workflow,
        "delegator": list(step.delegation),
        "tool": step.tool if step.kind == "tool_call" else "",
        "model": step.model,
        "to_agent": step.to_agent,
        "reads": list(reads),
        "labels": list(labels),
        "time": {"hour": judged_us // HOUR_US % 24, "weekday": WEEKDAYS[judged_us // (24 * HOUR_US) % 7]},
        "spent": UNSEEN,
        "amounts": UNSEEN,
    }
    return CallFacts(*called_by(step), values)


def _with_unseen(arguments: dict[str, Any], step: Step) -> Any:
    """Return the arguments with `UNSEEN` in the place of what was cut: of one that was cut in part, the whole."""
    roots = {path.removeprefix("asked.").removeprefix("arguments.") for path in step.cut or ()}
    names = {root.partition(".")[0].partition("[")[0] for root in roots}
    if "arguments" in names or "asked" in names:
        return UNSEEN
    return {name: UNSEEN if name in names else value for name, value in arguments.items()} if names else arguments


def _hides(step: Step) -> bool:
    """Tell whether some of the arguments are not there to be seen."""
    given = (step.arguments, step.asked)
    return bool(step.cut) or any(REDACTED in json.dumps(each, ensure_ascii=False) for each in given if each)


def called_by(step: Step) -> tuple[str, str]:
    """Return what a step calls: `tools`, `models` or `agents`, and its name."""
    if step.kind == "model_call":
        return "models", step.model
    return ("agents", step.to_agent) if step.kind == "handoff" else ("tools", step.tool)


def _judge_layer(grants: tuple[Grant, ...], layer: str, facts: CallFacts, narrowing: list[Grant]) -> Answer | None:
    """Return the layer's answer; None where it has no opinion on this kind of call."""
    about = [grant for grant in grants if getattr(grant, facts.kind)]
    if not about:
        return None
    found = [grant for grant in about if grant_fits(grant, facts)]
    narrowing += [grant for grant in found if grant.effect == "narrow"]
    if not found:
        if all(grant.effect == "deny" for grant in about):
            return None
        return Answer("deny", "", "no_grant", f"no grant of layer {layer} allows {facts.name!r}")
    return _said_by(max(found, key=lambda grant: STRICTNESS.index(grant.effect)))


def _said_by(grant: Grant) -> Answer:
    return Answer(grant.effect, grant.id, "grant", grant.reason or f"grant {grant.id} says {grant.effect}")


def grant_fits(grant: Grant, facts: CallFacts) -> bool:
    """Tell whether the grant is about this call and all its conditions hold."""
    return glob_any(getattr(grant, facts.kind), facts.name) and conditions_hold(grant, facts.values)
