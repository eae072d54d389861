"""A policy made ready to judge with: grants are found by name, and their conditions and rewritings are functions."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from lictor_agent import narrowing
from lictor_agent.answers import RANK, Answer, Call
from lictor_agent.budgets import with_call
from lictor_agent.denials import Instead
from lictor_agent.lookup import About, Lookup, Ready, remember
from lictor_agent.narrowing import CannotNarrow
from lictor_agent.policy import Policy
from lictor_agent.traits import Traits
from lictor_agent.wire import canonical

KINDS: Final = ("tools", "models", "agents")
UNSETTLED: Final = "what the grants make of the arguments they would change once more"
_REWRITING: Final = frozenset({"narrow", "clear"})
"""A call that may still go ahead as it was rewritten."""


class Compiled:
    """A policy made ready: judging costs the grants that fit the name, however many there are."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._trait_index = Traits(policy.traits, policy.words)
        self._traits: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._lookup = {kind: Lookup(policy, kind) for kind in KINDS}
        self._instead = Instead(policy)

    def traits(self, tool: str) -> frozenset[str]:
        """Return the traits of a tool."""
        found = self._traits.get(tool)
        if found is None:
            found = remember(self._traits, tool, self._trait_index.of_tool(tool))
        return found

    def judge(self, call: Call, delegators: "Sequence[Compiled]" = ()) -> Answer:
        """Return what the grants say: each layer that grants anything must let the call through.

        So must the policies of all for whom the agent acts, those nearest to the user first.
        """
        others = [other for other in delegators if other.policy.layers or other.policy.mode != "observe"]
        first = self._strictest(call, others)
        return self._narrowed(first, call, others) if first.effect in _REWRITING else first

    def instead(self, answer: Answer, kind: str, name: str) -> str:
        """Return what this policy allows in the place of a refused call; "" where it says nothing of it."""
        about = (ready.grant for layer in self._lookup[kind].about(name).layers for ready in layer.grants)
        return self._instead.of(answer, kind, name, about)

    def _strictest(self, call: Call, others: "Sequence[Compiled]") -> Answer:
        strictest = self._opinion(call, delegator=False)
        for other in others:
            answer = other._opinion(call, delegator=True)  # noqa: SLF001 - one of its own kind
            if RANK[answer.effect] > RANK[strictest.effect]:
                whose = f"by the policy of {other.policy.agent_id}, for whom it acts: "
                strictest = replace(answer, reason=whose + answer.reason)
        return strictest

    def _opinion(self, call: Call, *, delegator: bool) -> Answer:
        about = self._lookup[call.kind].about(call.name)
        values = self._values(call, about, delegator=delegator)
        strictest: Answer | None = None
        for layer in about.layers:
            answer = layer.said(call.name, values)
            if answer is not None and (strictest is None or RANK[answer.effect] > RANK[strictest.effect]):
                strictest = answer
        return strictest or _no_opinion(call.kind)

    def _values(self, call: Call, about: About, *, delegator: bool) -> dict[str, Any]:
        if not about.sums:
            return call.values
        of = self.policy.agent_id if delegator else ""
        tool = call.name if call.kind == "tools" else ""
        arguments = call.values.get("arguments") or {}
        return {**call.values, "amounts": with_call(self.policy.amounts, tool, arguments, call.sums, of)}

    def _narrowing(self, call: Call, *, delegator: bool) -> Iterator[Ready]:
        about = self._lookup[call.kind].about(call.name)
        values = self._values(call, about, delegator=delegator)
        for layer in about.layers:
            yield from (ready for ready in layer.grants if ready.rewrite is not None and ready.fits(values))

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


def _apply(grants: Iterable[Ready], arguments: dict[str, Any]) -> None:
    for ready in grants:
        if ready.rewrite is not None:
            ready.rewrite(arguments)


def _no_opinion(kind: str) -> Answer:
    """Tools need a grant; models and hand-overs are free until some layer grants or refuses any."""
    if kind == "tools":
        return Answer("deny", "", "no_grant", "no layer of the policy grants anything")
    return Answer("allow", "", "unrestricted", f"no layer of the policy speaks of {kind}")
