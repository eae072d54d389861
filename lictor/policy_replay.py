"""A proposed policy over what happened: what it would have refused, how it does on calls it has not seen, what is unused."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.conditions import conditions_hold
from detectors.policy_view import PolicyView, called_by, facts_of
from lictor.gate_replay import gated
from lictor.policy_calls import REFUSED, Call
from lictor.policy_suggest import LEAST, suggest
from schemas.globs import glob_match
from schemas.policy import AgentPolicy, Grant
from schemas.step import Step

SHARE: Final = 0.8
"""Of the calls, the oldest: what a proposal is made of that is then held against the rest."""
FEWEST: Final = 20
"""Usable calls below which nothing is held back."""
_KINDS: Final = ("tools", "models", "agents")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Calls of one name that would have been refused for one reason."""

    what: str
    reason: str
    calls: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy says of calls that were made."""

    calls: int
    waits: int
    """Of the calls let through, those that wait for clearance."""
    refused: tuple[Refusal, ...]

    @property
    def denied(self) -> int:
        """How many calls it refuses, or would ask a person about."""
        return sum(one.calls for one in self.refused)


@dataclass(frozen=True, slots=True)
class Unused:
    """A grant in force, or the part of one, that no call used."""

    layer: str
    grant: str
    globs: tuple[str, ...]
    whole: bool


def replay(calls: Iterable[Call], policy: AgentPolicy, others: Mapping[str, AgentPolicy]) -> Replayed:
    """Hold calls against a policy, and against those of the agents acted for, as their gate would have.

    What a trace had read, sums and labels are not looked at: conditions on them hold nothing up here.
    """
    view, known = PolicyView(policy), {name: PolicyView(other) for name, other in others.items()}
    count = waits = 0
    refused: Counter[tuple[str, str]] = Counter()
    for call in calls:
        count += 1
        chain = tuple(known[name] for name in dict.fromkeys(call.step.delegation) if name in known)
        gate = gated(call.step, view, (), chain).gate
        if gate is not None and gate.verdict in REFUSED:
            reason = view.judge(call.step, (), chain).reason
            refused[called_by(call.step)[1], reason] += 1
        waits += gate is not None and gate.verdict == "hold"
    told = tuple(Refusal(what, reason, many) for (what, reason), many in refused.most_common())
    return Replayed(count, waits, told)


def held_back(
    calls: Sequence[Call], policy: AgentPolicy, others: Mapping[str, AgentPolicy], least: int = LEAST
) -> Replayed | None:
    """Propose from the older calls and judge the newer usable ones; None where there are too few to tell anything."""
    usable = [call for call in calls if call.usable]
    if len(usable) < FEWEST:
        return None
    cut = int(len(usable) * SHARE)
    proposal = suggest(usable[:cut], policy, least=least)
    return replay(usable[cut:], proposal.applied_to(policy), others)


def unused(policy: AgentPolicy, calls: Iterable[Call]) -> list[Unused]:
    """Return what the policy grants and no call that went ahead needed."""
    named: dict[tuple[str, str], list[Step]] = {}
    for call in calls:
        if call.outcome != "denied":
            named.setdefault(called_by(call.step), []).append(call.step)
    return [
        Unused(layer.name, grant.id, idle, whole=len(idle) == len(globs))
        for layer in policy.layers
        for grant in layer.grants
        for globs in (_globs(grant),)
        if grant.effect != "deny" and (idle := tuple(_idle(grant, globs, named)))
    ]


def _globs(grant: Grant) -> tuple[str, ...]:
    return (*grant.tools, *grant.models, *grant.agents)


def _idle(grant: Grant, globs: Sequence[str], named: Mapping[tuple[str, str], Sequence[Step]]) -> Iterator[str]:
    kind = next(kind for kind in _KINDS if getattr(grant, kind))
    when = {path: test for path, test in grant.when.items() if path != "reads"}
    asked = grant.model_copy(update={"when": when})
    for glob in globs:
        fitting = (steps for (of, name), steps in named.items() if of == kind and glob_match(glob, name))
        if not any(conditions_hold(asked, facts_of(step, ())) is not False for steps in fitting for step in steps):
            yield glob
