"""A policy made ready to judge with: grants are found by name, and their conditions and rewritings are functions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lictor_agent import conditions, narrowing
from lictor_agent.answers import RANK, Answer, Call, rank_of
from lictor_agent.budgets import with_call
from lictor_agent.globs import Globs
from lictor_agent.narrowing import CannotNarrow
from lictor_agent.policy import Grant, Layer, Policy
from lictor_agent.traits import Traits
from lictor_agent.wire import canonical

KINDS: Final = ("tools", "models", "agents")
REMEMBERED: Final = 4096
"""Names come from the agent: no more of them are remembered."""
UNSETTLED: Final = "what the grants make of the arguments they would change once more"
_REWRITING: Final = frozenset({"narrow", "clear"})
"""A call that may still go ahead as it was rewritten."""


class _Ready:
    """One grant, made ready."""

    __slots__ = ("answer", "grant", "holds", "rank", "rewrite")

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.rank = rank_of(grant.effect)
        self.holds = conditions.compiled(grant.when, wary=grant.effect != "allow")
        self.rewrite = narrowing.compiled(grant) if grant.effect == "narrow" else None
        self.answer = _said_by(grant)

    def fits(self, values: dict[str, Any]) -> bool:
        return self.holds is None or self.holds(values)


def _said_by(grant: Grant) -> Answer:
    if grant.effect not in RANK:
        return Answer("deny", grant.id, "grant", f"grant {grant.id} says {grant.effect}, which is not available yet")
    return Answer(grant.effect, grant.id, "grant", grant.reason or f"grant {grant.id} says {grant.effect}")


class _LayerIndex:
    """What one layer says of one kind of call."""

    def __init__(self, layer: Layer, kind: str) -> None:
        about = [grant for grant in layer.grants if getattr(grant, kind)]
        self.name = layer.name
        self.closed = any(grant.effect != "deny" for grant in about)
        self._grants = [_Ready(grant) for grant in about]
        patterns = [(glob, at) for at, grant in enumerate(about) for glob in getattr(grant, kind)]
        self._globs = Globs([glob for glob, _ in patterns])
        self._owners = [at for _, at in patterns]

    def about(self, name: str) -> "_Fitting":
        """Return what the layer says of one name."""
        found = sorted({self._owners[at] for at in self._globs.fitting(name)})
        grants = [self._grants[at] for at in found]
        narrows = [ready for ready in grants if ready.rewrite is not None]
        grants.sort(key=lambda ready: -ready.rank)
        no_grant = Answer("deny", "", "no_grant", f"no grant of layer {self.name} allows {name!r}")
        return _Fitting(grants, narrows, no_grant if self.closed else None)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """The grants of a layer whose globs fit a name, the strictest first; and what holds where none of them does."""

    grants: list[_Ready]
    narrows: list[_Ready]
    otherwise: Answer | None


class Compiled:
    """A policy made ready: judging costs the grants that fit the name, however many there are."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._trait_index = Traits(policy.traits, policy.words)
        self._traits: dict[str, frozenset[str]] = {}
        layers = {
            kind: [_LayerIndex(layer, kind) for layer in policy.layers if _speaks_of(layer, kind)] for kind in KINDS
        }
        self._layers = layers
        self._fitting: dict[tuple[str, str], list[_Fitting]] = {}

    def traits(self, tool: str) -> frozenset[str]:
        """Return the traits of a tool."""
        found = self._traits.get(tool)
        if found is None:
            if len(self._traits) >= REMEMBERED:
                self._traits.clear()
            found = self._traits[tool] = self._trait_index.of_tool(tool)
        return found

    def judge(self, call: Call, delegators: "Sequence[Compiled]" = ()) -> Answer:
        """Return what the grants say: each layer that grants anything must let the call through.

        So must the policies of all for whom the agent acts, those nearest to the user first.
        """
        others = [other for other in delegators if other.policy.layers or other.policy.mode != "observe"]
        first = self._strictest(call, others)
        return self._narrowed(first, call, others) if first.effect in _REWRITING else first

    def _strictest(self, call: Call, others: "Sequence[Compiled]") -> Answer:
        strictest = self._opinion(call, delegator=False)
        for other in others:
            answer = other._opinion(call, delegator=True)  # noqa: SLF001 - one of its own kind
            if RANK[answer.effect] > RANK[strictest.effect]:
                whose = f"by the policy of {other.policy.agent_id}, for whom it acts: "
                strictest = replace(answer, reason=whose + answer.reason)
        return strictest

    def _opinion(self, call: Call, *, delegator: bool) -> Answer:
        values = self._values(call, delegator=delegator)
        strictest: Answer | None = None
        for layer in self._about(call.kind, call.name):
            answer = next((ready.answer for ready in layer.grants if ready.fits(values)), layer.otherwise)
            if answer is not None and (strictest is None or RANK[answer.effect] > RANK[strictest.effect]):
                strictest = answer
        return strictest or _no_opinion(call.kind)

    def _values(self, call: Call, *, delegator: bool) -> dict[str, Any]:
        if not self.policy.amounts:
            return call.values
        arguments = call.values.get("arguments") or {}
        tool = call.name if call.kind == "tools" else ""
        return {**call.values, "amounts": with_call(self.policy, tool, arguments, call.sums, delegator=delegator)}

    def _about(self, kind: str, name: str) -> list[_Fitting]:
        found = self._fitting.get((kind, name))
        if found is None:
            if len(self._fitting) >= REMEMBERED:
                self._fitting.clear()
            found = self._fitting[kind, name] = [layer.about(name) for layer in self._layers[kind]]
        return found

    def _narrowing(self, call: Call, *, delegator: bool) -> Iterator[_Ready]:
        values = self._values(call, delegator=delegator)
        return (ready for layer in self._about(call.kind, call.name) for ready in layer.narrows if ready.fits(values))

    def _narrowed(self, first: Answer, call: Call, others: "Sequence[Compiled]") -> Answer:
        """Rewrite the arguments, and judge what came out."""
        try:
            changed = self._rewritten(call, others)
            if changed is None:
                return replace(first, effect="allow") if first.effect == "narrow" else first
            second = self._strictest(changed, others)
            again = self._rewritten(changed, others) if second.effect in _REWRITING else None
        except CannotNarrow as error:
            return Answer("deny", first.grant, "narrow", str(error))
        if again is not None:
            return Answer("deny", first.grant, "narrow", UNSETTLED)
        decides = second if RANK[second.effect] > RANK[first.effect] else first
        return replace(decides, arguments=changed.values["arguments"]) if decides.effect in _REWRITING else decides

    def _rewritten(self, call: Call, others: "Sequence[Compiled]") -> Call | None:
        """Return the call with its arguments rewritten by every grant that narrows it; None where nothing changes."""
        found = list(self._narrowing(call, delegator=False))
        for other in others:
            found += other._narrowing(call, delegator=True)  # noqa: SLF001 - one of its own kind
        if found and call.kind != "tools":
            raise CannotNarrow(f"grant {found[0].grant.id} narrows, and only calls of tools can be narrowed")
        given = call.values.get("arguments") or {}
        arguments = narrowing.copied(given)
        _apply(found, arguments)
        if canonical(arguments) == canonical(given):
            return None
        return replace(call, values={**call.values, "arguments": arguments})


def _speaks_of(layer: Layer, kind: str) -> bool:
    return any(getattr(grant, kind) for grant in layer.grants)


def _apply(grants: Iterable[_Ready], arguments: dict[str, Any]) -> None:
    for ready in grants:
        if ready.rewrite is not None:
            ready.rewrite(arguments)


def _no_opinion(kind: str) -> Answer:
    """Tools need a grant; models and hand-overs are free until some layer grants or refuses any."""
    if kind == "tools":
        return Answer("deny", "", "no_grant", "no layer of the policy grants anything")
    return Answer("allow", "", "unrestricted", f"no layer of the policy speaks of {kind}")
