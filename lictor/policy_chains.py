"""Who may act for whom: the graph of hand-overs, and what is left of an agent's rights along a chain of them."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lictor.policy_history import Edge
from lictor.policy_reach import Reach, Reads, Ways, joined
from schemas.globs import glob_any
from schemas.policy import Trait

MOST_DEPTH: Final = 4
MOST_TAKERS: Final = 256
MOST_CHAINS: Final = 256
"""Chains that begin with one agent; where there are more, the shortest are looked at."""

Chain = tuple[str, ...]
"""Agents, the one for whom all others act first."""


@dataclass(frozen=True, slots=True)
class Use:
    """One tool that the last of a chain can call, and the ways to it."""

    chain: Chain
    tool: str
    ways: Ways
    waits: bool


@dataclass(slots=True)
class Graph:
    """All agents, and the hand-overs that were seen or that a grant names."""

    agents: Mapping[str, Reach]
    seen: Sequence[Edge] = ()
    cuts: list[str] = field(default_factory=list)
    next: dict[str, tuple[str, ...]] = field(init=False)
    unnamed: frozenset[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.unnamed = frozenset((edge.giver, edge.taker) for edge in self.seen if edge.unnamed)
        takers: dict[str, set[str]] = {}
        for edge in self.seen:
            if edge.giver in self.agents and edge.taker in self.agents:
                takers.setdefault(edge.giver, set()).add(edge.taker)
        for name, agent in self.agents.items():
            takers.setdefault(name, set()).update(_named(agent, self.agents))
        self.next = {
            giver: tuple(sorted(taker for taker in found - {giver} if self._handed(giver, taker)))
            for giver, found in takers.items()
        }

    @property
    def whole(self) -> bool:
        """Whether every way that was asked for could be looked at."""
        return not self.cuts and not any(agent.cuts for agent in self.agents.values())

    def chains(self, root: str) -> Iterator[Chain]:
        """Yield the chains that begin with an agent, itself alone first, shorter before longer."""
        level: list[Chain] = [(root,)]
        count = 0
        for _ in range(MOST_DEPTH):
            for chain in level:
                yield chain
                count += 1
                if count >= MOST_CHAINS:
                    return
            level = [(*chain, taker) for chain in level for taker in self.next.get(chain[-1], ()) if taker not in chain]

    def uses(self, chain: Chain, trait: Trait, reads: Reads) -> Iterator[Use]:
        """Yield the tools of a trait that the last agent of a chain can call, acting for all before it."""
        last = self.agents[chain[-1]]
        for tool in last.tools:
            if trait in last.traits(tool):
                ways = self.ways(chain, tool, reads)
                if ways:
                    yield Use(chain, tool, ways, last.waits(tool, reads))

    def ways(self, chain: Chain, tool: str, reads: Reads) -> Ways:
        """Return the ways to a tool along a chain: the hand-overs, and the grants of all for whom the last one acts."""
        last = self.agents[chain[-1]]
        pairs = list(itertools.pairwise(chain))
        handed = self._joined(self._handed(giver, taker) for giver, taker in pairs)
        lent = self._joined(self._lent(chain, at, tool, reads) for at in range(len(chain) - 1))
        held = self._joined((handed, last.granted("tools", tool, reads), lent))
        if last.policy.mode != "observe":
            return held
        return (*held, *self._joined((handed, (frozenset({last.unheld}),))))

    def _joined(self, parts: Iterable[Ways]) -> Ways:
        return joined(parts, self.cuts)

    def _handed(self, giver: str, taker: str) -> Ways:
        """Return the ways of a hand-over. Removing the only grant of its kind would free all others: it has to be denied."""
        agent = self.agents[giver]
        denied = (frozenset({f"hand-over {giver} → {taker}"}),) if agent.granted("agents", taker, ()) else ()
        return (*denied, frozenset({agent.unheld})) if agent.policy.mode == "observe" else denied

    def _lent(self, chain: Chain, at: int, tool: str, reads: Reads) -> Ways:
        """Return the ways in which an agent for whom others act does not stand against a call."""
        giver = self.agents[chain[at]]
        nothing = (frozenset({f"agent {giver.name}: no grants of its own"}),)
        lost = [pair for pair in itertools.pairwise(chain[at:]) if pair in self.unnamed]
        ways = tuple(frozenset({f"agent {taker}: acts without naming {giver}"}) for giver, taker in lost)
        return (*(nothing if giver.silent else giver.granted("tools", tool, reads)), *ways)


def _named(agent: Reach, others: Mapping[str, Reach]) -> set[str]:
    """Return the agents that its grants name for hand-overs."""
    globs = tuple(
        glob
        for layer in agent.policy.layers
        for grant in layer.grants
        for glob in grant.agents
        if grant.effect != "deny"
    )
    return set(itertools.islice((name for name in others if glob_any(globs, name)), MOST_TAKERS)) if globs else set()
