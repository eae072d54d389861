"""What every worker knows, whichever partition it judges: policies, rules, stopped runs, who is alive."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from detectors.policy_view import PolicyView
from detectors.profiles.peers import Peers
from detectors.values import Values
from schemas.match import Match
from schemas.policy import ANY_AGENT, AgentPolicy
from schemas.receipt import Receipt
from schemas.rules import RuleBook
from schemas.taint import Taint

if TYPE_CHECKING:
    from detectors.engine.engine import Engine

MOST_TAINTS: Final = 100_000
MOST_DELEGATORS: Final = 32
"""As many as the SDK carries."""


@dataclass(slots=True)
class Stopped:
    """A run that was ordered to stop, and what it has said of itself since."""

    command_id: str
    ordered_us: int
    """Append time of the order."""
    last_seq: Mapping[str, int] | None = None
    """Per open trace, from the run's marked receipt; None while there is none."""
    effective_us: int = 0


def _no_policy() -> PolicyView:
    return PolicyView(AgentPolicy(agent_id=ANY_AGENT, version=1, issued_us=0, registered=False))


@dataclass(slots=True)
class Facts:
    """Kept up to date from the broadcast topics between batches; a detector only reads it."""

    policies: dict[str, PolicyView] = field(default_factory=dict)
    fallback: PolicyView = field(default_factory=_no_policy)
    rules: RuleBook = field(default_factory=lambda: RuleBook(version=1, issued_us=0))
    engine: "Engine | None" = None
    """The Sigma rules in force; None where there are none."""
    matches: list[Match] = field(default_factory=list)
    """Firings that are put together elsewhere, since whoever judges last took them."""
    taints: dict[str, Taint] = field(default_factory=dict)
    """Memory record → what tainted it, in whichever trace that was."""
    tainted: list[Taint] = field(default_factory=list)
    """Records that were tainted, since whoever judges last took them."""
    deadlines: list[tuple[int, str]] = field(default_factory=list)
    """Append time and trace of each absence that began to be waited for, since whoever judges last took them."""
    values: Values = field(default_factory=Values)
    """Under the key of this Lictor's own, where there is one."""
    peers: Peers = field(default_factory=Peers)
    """What is known of all agents, from the inventory."""
    stopped: dict[tuple[str, str], Stopped] = field(default_factory=dict)

    def policy_of(self, agent_id: str) -> PolicyView:
        """Return the agent's policy, or the one for agents nobody registered."""
        return self.policies.get(agent_id, self.fallback)

    def policies_of(self, agent_ids: Iterable[str]) -> tuple[PolicyView, ...]:
        """Return the policies of those for whom an agent acts, each once; the names are the agent's own word."""
        found = {id(view): view for view in map(self.policy_of, agent_ids)}
        return tuple(itertools.islice(found.values(), MOST_DELEGATORS))

    def take_policy(self, policy: AgentPolicy) -> bool:
        """Put a newer policy in force; return whether it was newer."""
        known = self.fallback if policy.agent_id == ANY_AGENT else self.policies.get(policy.agent_id)
        if known is not None and known.policy.version >= policy.version and known.policy.issued_us:
            return False
        if policy.agent_id == ANY_AGENT:
            self.fallback = PolicyView(policy)
        else:
            self.policies[policy.agent_id] = PolicyView(policy)
        return True

    def take_taint(self, taint: Taint) -> None:
        """Remember a tainted record, on whichever worker it was written; the longest known goes where there are too many."""
        if taint.kind != "memory":
            return
        if len(self.taints) >= MOST_TAINTS and taint.name not in self.taints:
            del self.taints[next(iter(self.taints))]
        self.taints[taint.name] = taint

    def take_stop(self, agent_id: str, run_id: str, command_id: str, ordered_us: int) -> None:
        """Remember that a run was ordered to stop."""
        self.stopped.setdefault((agent_id, run_id), Stopped(command_id, ordered_us))

    def take_receipt(self, receipt: Receipt, append_us: int) -> None:
        """Remember what the run itself says of its stop: the last `seq` it took."""
        stop = self.stopped.get((receipt.agent_id, receipt.run_id))
        if stop is not None and stop.command_id == receipt.command_id and receipt.layer == "sdk":
            stop.last_seq = dict(receipt.last_seq)
            stop.effective_us = append_us
