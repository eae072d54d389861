"""A proposal as a whole: the file, what is unused, and what the proposal would have refused."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lictor.policy_calls import Observed
from lictor.policy_replay import Replayed, Unused, held_back, replay, unused
from lictor.policy_suggest import LEAST, Proposal, suggest
from lictor.policy_suggest_cases import cases_of
from lictor.policy_suggest_file import text_of
from schemas.errors import BadInput
from schemas.policy import AgentPolicy


@dataclass(frozen=True, slots=True)
class Report:
    """What is proposed for an agent, and what is to be known before it is put in force."""

    proposal: Proposal
    text: str
    """The policy file."""
    unused: tuple[Unused, ...]
    done: Replayed
    """The proposal over all usable calls: it refuses those of tools that had too few, and none else that it decides."""
    flagged: Replayed
    """Over calls that findings speak against, or that were refused: what it refuses is to its credit."""
    held_back: Replayed | None
    """A proposal from the older calls alone over the newer: how often it would refuse what comes next."""

    def as_json(self) -> dict[str, Any]:
        """Return the object for programs."""
        grants = [
            {"grant": one.grant.model_dump(mode="json", exclude_defaults=True), "calls": one.calls, "said": one.said}
            for one in self.proposal.grants
        ]
        held = None if self.held_back is None else _replayed(self.held_back)
        return {
            "agent": self.proposal.agent_id,
            "grants": grants,
            "left_out": [asdict(one) for one in self.proposal.left_out],
            "unused": [asdict(one) for one in self.unused],
            "done": _replayed(self.done),
            "flagged": _replayed(self.flagged),
            "held_back": held,
            "policy": self.text,
        }


def report(observed: Observed, policy: AgentPolicy, others: Mapping[str, AgentPolicy], *, least: int = LEAST) -> Report:
    """Return the proposal for the agent of `policy`. Raises `BadInput` where nothing can be proposed, with what to do.

    `others`: the policies of agents for whom it acts.
    """
    calls = observed.calls
    if not calls:
        raise BadInput(
            f"no call of {policy.agent_id!r} is there: name another agent, or look further back with --since"
        )
    proposal = suggest(calls, policy, least=least)
    if not any(one.calls for one in proposal.grants):
        why = ", ".join(f"{one.calls} {one.why}" for one in proposal.left_out[:5])
        raise BadInput(f"nothing to propose from {len(calls)} calls ({why}): look further back, or say --all")
    after = proposal.applied_to(policy)
    doubted = [call for call in calls if call.rules or call.outcome == "denied"]
    return Report(
        proposal=proposal,
        text=text_of(proposal, policy, cases_of(proposal, after), head(observed, proposal)),
        unused=tuple(unused(policy, calls)),
        done=replay([call for call in calls if call.usable], after, others),
        flagged=replay(doubted, after, others),
        held_back=held_back(calls, policy, others, least),
    )


def head(observed: Observed, proposal: Proposal) -> Iterator[str]:
    """Yield what a reader of the file must know, in lines."""
    usable = sum(call.usable for call in observed.calls)
    yield f"Proposed for {proposal.agent_id}: {usable} of {len(observed.calls)} calls in {observed.where} were done, and"
    yield "nothing speaks against them. Read each grant before you publish it; what it rests on stands above it."
    if observed.more:
        yield "There were more calls: these are the newest."
    for one in proposal.left_out[:20]:
        yield f"left out: {one.what}, {one.calls} ({one.why})"


def _replayed(replayed: Replayed) -> dict[str, Any]:
    return {**asdict(replayed), "denied": replayed.denied}
