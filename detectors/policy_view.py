"""A policy made ready to judge with: the same answers as the gate in the SDK, by another hand.

`tests/contract/grants.jsonl` is run against both. The gate asks before a tool runs; this asks afterwards whether the
gate asked at all, and asked the same policy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from detectors.conditions import CallFacts, conditions_hold, holds, time_facts, value_at
from detectors.hidden import cut_paths
from detectors.narrowing import Impossible, narrowed
from detectors.traits import traits_of
from schemas.globs import glob_any
from schemas.ids import canonical
from schemas.policy import AgentPolicy, Budgets, Effect, Grant, Trait
from schemas.step import Step

__all__ = [
    "MOST_NAMES",
    "STRICTNESS",
    "Answer",
    "CallFacts",
    "PolicyView",
    "called_by",
    "facts_of",
    "holds",
    "value_at",
]

STRICTNESS: Final[tuple[Effect, ...]] = ("allow", "narrow", "clear", "ask", "deny")
MOST_NAMES: Final = 4096
"""Names come from the agent: no more of them are remembered."""
_STRICT: Final = {effect: rank for rank, effect in enumerate(STRICTNESS)}
_REWRITING: Final = frozenset({"narrow", "clear"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the policy says of one step, by which grant, and why."""

    effect: Effect
    grant: str
    rule: str
    reason: str
    arguments: dict[str, Any] | None = None
    """What the tool is to get; None where nothing is rewritten."""
    unsure: bool = False
    """Something that the gate knew and no step tells could have had arguments rewritten in another way."""


@dataclass(frozen=True, slots=True)
class _About:
    """What one layer says of one name: the grants whose globs fit, in order; and what holds where none of them does."""

    grants: tuple[Grant, ...]
    otherwise: Answer | None


@dataclass(slots=True)
class PolicyView:
    """One agent's policy, remembering the traits of tools, and the answers that only names decide."""

    policy: AgentPolicy
    _traits: dict[str, frozenset[Trait]] = field(default_factory=dict)
    _settled: dict[tuple[str, str], Answer | None] = field(default_factory=dict)
    """(kind, name) → the answer; None where it depends on the call."""
    _abouts: dict[tuple[str, str], tuple[_About, ...]] = field(default_factory=dict)
    bounded: bool = field(init=False)
    """Whether the policy sets any budget."""
    registered: bool = field(init=False)

    def __post_init__(self) -> None:
        self.bounded = self.policy.budgets != Budgets()
        self.registered = self.policy.registered

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

    @property
    def says_something(self) -> bool:
        """Whether there is a policy at all, and not only the watching of an agent that none names."""
        return bool(self.policy.layers) or self.policy.mode != "observe"

    def judge(
        self,
        step: Step,
        reads: tuple[str, ...] = (),
        delegators: "Sequence[PolicyView]" = (),
        time_us: int | None = None,
        *,
        as_run: bool = False,
    ) -> Answer:
        """Return what the grants say of a `tool_call`, `model_call` or `handoff`, as the agent asked for it.

        `reads`: what the trace has read. `delegators`: the policies of those for whom the agent acts, all of which must
        let the call through. `time_us`: when the step was made, as it is judged. `as_run`: judge the arguments that the
        tool got instead.
        """
        called = called_by(step)
        if called not in self._settled:
            if len(self._settled) >= MOST_NAMES:
                self._settled.clear()
            self._settled[called] = None if self._depends(*called) else _opinion((self,), CallFacts(*called, {}))
        settled = None if delegators else self._settled[called]
        if settled is not None:
            return settled
        chain = (self, *(view for view in delegators if view.says_something))
        return _judged(chain, facts_of(step, reads, time_us, as_run=as_run))

    def _depends(self, kind: str, name: str) -> bool:
        """Tell whether a grant about this name sets conditions, or narrows."""
        return any(grant.when or grant.effect == "narrow" for about in self.about(kind, name) for grant in about.grants)

    def about(self, kind: str, name: str) -> tuple[_About, ...]:
        """Return what each layer with an opinion on this kind of call says of a name."""
        found = self._abouts.get((kind, name))
        if found is None:
            if len(self._abouts) >= MOST_NAMES:
                self._abouts.clear()
            found = self._abouts[kind, name] = tuple(self._layers_about(kind, name))
        return found

    def _layers_about(self, kind: str, name: str) -> Iterator[_About]:
        for layer in self.policy.layers:
            grants = [grant for grant in layer.grants if getattr(grant, kind)]
            if grants:
                opens = any(grant.effect != "deny" for grant in grants)
                refusal = Answer("deny", "", "no_grant", f"no grant of layer {layer.name} allows {name!r}")
                fitting = tuple(grant for grant in grants if glob_any(getattr(grant, kind), name))
                yield _About(fitting, refusal if opens else None)


def _judged(chain: tuple[PolicyView, ...], facts: CallFacts) -> Answer:
    """Judge, and where the answer rewrites arguments, judge what comes out."""
    first = _opinion(chain, facts)
    if first.effect not in _REWRITING:
        return first
    try:
        changed, sure = _rewritten(chain, facts)
        if changed is None:
            kept = replace(first, effect="allow") if first.effect == "narrow" else first
            return replace(kept, unsure=kept.unsure or not sure)
        second = _opinion(chain, changed)
        again = _rewritten(chain, changed)[0] if second.effect in _REWRITING else None
    except Impossible as error:
        return Answer("deny", first.grant, "narrow", str(error))
    unsure = not sure or first.unsure or second.unsure
    if again is not None and not unsure:
        return Answer(
            "deny", first.grant, "narrow", "what the grants make of the arguments they would change once more"
        )
    decides = first if unsure else max(first, second, key=lambda answer: _STRICT[answer.effect])
    return (
        replace(decides, arguments=changed.values["arguments"], unsure=unsure)
        if decides.effect in _REWRITING
        else decides
    )


def _rewritten(chain: tuple[PolicyView, ...], facts: CallFacts) -> tuple[CallFacts | None, bool]:
    """Return the facts with rewritten arguments, None where nothing changes; and whether all of it could be seen."""
    narrowing = [
        (grant, conditions_hold(grant, facts))
        for view in chain
        for about in view.about(facts.kind, facts.name)
        for grant in about.grants
        if grant.effect == "narrow"
    ]
    grants = [grant for grant, fits in narrowing if fits]
    if grants and facts.kind != "tools":
        raise Impossible(f"grant {grants[0].id} narrows, and only calls of tools can be narrowed")
    given = facts.values.get("arguments") or {}
    arguments, whole = narrowed(given, grants, facts.cut)
    sure = whole and all(fits is not None for _, fits in narrowing)
    if canonical(arguments) == canonical(given):
        return None, sure
    return replace(facts, values={**facts.values, "arguments": arguments}), sure


def _opinion(chain: tuple[PolicyView, ...], facts: CallFacts) -> Answer:
    """Return the strictest answer of a policy and of those of its delegators, as the arguments stand."""
    found: Answer | None = None
    for view in chain:
        answers = [said for about in view.about(facts.kind, facts.name) if (said := _said(about, facts)) is not None]
        answer = max(answers, key=lambda said: _STRICT[said.effect], default=None) or _no_opinion(facts.kind)
        if found is None:
            found = answer
        elif _STRICT[answer.effect] > _STRICT[found.effect]:
            whose = f"by the policy of {view.policy.agent_id}, for whom it acts: "
            found = replace(answer, reason=whose + answer.reason)
    return found or _no_opinion(facts.kind)


def _said(about: _About, facts: CallFacts) -> Answer | None:
    """Return a layer's answer. A grant that may have let the call through, as far as can be seen, is taken to have."""
    fits = [(grant, conditions_hold(grant, facts)) for grant in about.grants]
    strictest = max((grant for grant, fit in fits if fit), key=_strictness, default=None)
    if strictest is not None:
        return _answer(strictest)
    perhaps = min((grant for grant, fit in fits if fit is None), key=_strictness, default=None)
    if about.otherwise is None or perhaps is None or perhaps.effect == "deny":
        return about.otherwise
    if perhaps.effect == "narrow":
        return replace(_answer(perhaps), effect="allow", unsure=True)
    return replace(_answer(perhaps), unsure=True)


def _strictness(grant: Grant) -> int:
    return _STRICT[grant.effect]


def _answer(grant: Grant) -> Answer:
    return Answer(grant.effect, grant.id, "grant", grant.reason or f"grant {grant.id} says {grant.effect}")


def _no_opinion(kind: str) -> Answer:
    """Tools need a grant; models and hand-overs are free until some layer grants or refuses any."""
    if kind == "tools":
        return Answer("deny", "", "no_grant", "no layer of the policy grants anything")
    return Answer("allow", "", "unrestricted", f"no layer of the policy speaks of {kind}")


def facts_of(step: Step, reads: tuple[str, ...], time_us: int | None = None, *, as_run: bool = False) -> CallFacts:
    """Collect what conditions may ask about a step."""
    asked = step.asked is not None and not as_run
    values = {
        "arguments": (step.asked if asked else step.arguments) or {},
        "agent": step.agent_id,
        "principal": step.principal,
        "version": step.version,
        "workflow": step.workflow,
        "delegator": list(step.delegation),
        "tool": step.tool if step.kind == "tool_call" else "",
        "model": step.model if step.kind == "model_call" else "",
        "to_agent": step.to_agent if step.kind == "handoff" else "",
        "environment": step.environment,
        "reads": list(reads),
        "time": time_facts(step.time_us if time_us is None else time_us),
    }
    return CallFacts(*called_by(step), values, cut_paths(step))


def called_by(step: Step) -> tuple[str, str]:
    """Return what a step calls: `tools`, `models` or `agents`, and its name."""
    if step.kind == "model_call":
        return "models", step.model
    return ("agents", step.to_agent) if step.kind == "handoff" else ("tools", step.tool)
