"""Which dangerous combinations of rights can be reached, by which path, and what closes each of them.

Three are looked for: untrusted content, sensitive data and a way out, in one agent or spread over those that act for
each other; code run after reading untrusted content; rights that an agent gains by handing work over, where the rule
that delegated work has the rights of all in the chain does not prevent it.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lictor.hitting import Hitting, smallest
from lictor.policy_chains import Chain, Graph, Use
from lictor.policy_reach import Reads
from schemas.inventory import EnforcementLevel
from schemas.policy import EFFECTS, Trait

LEVELS: Final[tuple[EnforcementLevel, ...]] = ("none", "cooperative", "process", "mandatory")
"""From the weakest to the strongest."""
_GAINS: Final = frozenset({*EFFECTS, "reads_sensitive"})
Need = tuple[Trait, Reads]
"""A tool of a trait, called when the trace has read this much."""
_U: Final[Reads] = ("untrusted",)
_S: Final[Reads] = ("sensitive",)
_US: Final[Reads] = ("untrusted", "sensitive")
_TOXIC: Final[Mapping[str, tuple[tuple[Need, ...], ...]]] = {
    "exfiltration": (
        (("reads_untrusted", ()), ("reads_sensitive", _U), ("egress", _US)),
        (("reads_sensitive", ()), ("reads_untrusted", _S), ("egress", _US)),
    ),
    "untrusted_code": ((("reads_untrusted", ()), ("executes_code", _U)),),
}
"""Combination → the orders in which it can come about."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One tool on the path of a risk, and for whom its agent acts there."""

    chain: Chain
    tool: str
    trait: str


@dataclass(frozen=True, slots=True)
class Risk:
    """One combination that one agent can bring about, alone or through others."""

    kind: str
    agent: str
    path: tuple[Hop, ...]
    closing: Hitting | None
    """The fewest things to take away; None where nothing that is known of closes it."""
    or_else: tuple[tuple[str, ...], ...]
    """As few other things that close it as well."""
    waits: bool
    """Whether its last call waits for clearance on every way."""
    traits: tuple[Trait, ...] = ()
    """What is gained, of a gain."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One agent: how firmly it is held, and what it can bring about."""

    agent: str
    enforcement: EnforcementLevel
    mode: str
    registered: bool
    traits: tuple[Trait, ...]
    open: int
    waiting: int
    free_hand_overs: bool
    """Whether no grant speaks of hand-overs, so that it may hand work to anyone."""


def risks(graph: Graph) -> list[Risk]:
    """Return what can be reached, by agent; combinations of one agent before those that are spread over several."""
    found = [risk for name in graph.agents for risk in _alone(graph, name)]
    exposed = {(risk.kind, risk.agent) for risk in found}
    found += [risk for name in graph.agents for risk in _spread(graph, name, exposed)]
    found += [risk for name in graph.agents for risk in _gained(graph, name)]
    return sorted(found, key=lambda risk: (risk.waits, len({hop.chain for hop in risk.path}), risk.kind, risk.agent))


def exposures(graph: Graph, found: Sequence[Risk], levels: Mapping[str, EnforcementLevel]) -> list[Exposure]:
    """Return the agents, the most exposed first: by open risks, then by how loosely held, risks that wait, and traits."""
    ranked = [_exposure(graph, name, [risk for risk in found if risk.agent == name], levels) for name in graph.agents]
    return sorted(ranked, key=lambda e: (-e.open, LEVELS.index(e.enforcement), -e.waiting, -len(e.traits), e.agent))


def _exposure(graph: Graph, name: str, own: Sequence[Risk], levels: Mapping[str, EnforcementLevel]) -> Exposure:
    agent = graph.agents[name]
    observed = agent.policy.mode == "observe"
    traits = frozenset[Trait]().union(*(agent.traits(tool) for tool in agent.tools if agent.has(tool)))
    free = not any(grant.agents for layer in agent.policy.layers for grant in layer.grants)
    return Exposure(
        agent=name,
        enforcement="none" if observed else levels.get(name, "cooperative"),
        mode=agent.policy.mode,
        registered=agent.policy.registered,
        traits=tuple(sorted(traits)),
        open=sum(not risk.waits for risk in own),
        waiting=sum(risk.waits for risk in own),
        free_hand_overs=free,
    )


def _alone(graph: Graph, name: str) -> Iterator[Risk]:
    for kind in _TOXIC:
        risk = _toxic(graph, kind, name, [(name,)])
        if risk is not None:
            yield risk


def _spread(graph: Graph, name: str, exposed: set[tuple[str, str]]) -> Iterator[Risk]:
    """Yield what comes together only through hand-overs: no agent in the chains has all of it."""
    chains = list(graph.chains(name))
    for kind in _TOXIC if len(chains) > 1 else ():
        if any((kind, agent) in exposed for chain in chains for agent in chain):
            continue
        risk = _toxic(graph, kind, name, chains)
        if risk is not None:
            yield risk


def _toxic(graph: Graph, kind: str, name: str, chains: Iterable[Chain]) -> Risk | None:
    """Return the combination where every part of it can be reached in one of its orders, over these chains."""
    among = list(chains)
    orders = {
        order: parts
        for order in _TOXIC[kind]
        if all(parts := [[use for chain in among for use in graph.uses(chain, *need)] for need in order])
    }
    if not orders:
        return None
    order, parts = next(iter(orders.items()))
    path = [min(uses, key=_plainness) for uses in parts]
    hops = tuple(Hop(use.chain, use.tool, trait) for use, (trait, _) in zip(path, order, strict=True))
    waits = all(use.waits for parts in orders.values() for use in parts[-1])
    return Risk(kind, name, hops, *_closing(list(orders.values()), whole=graph.whole), waits)


def _plainness(use: Use) -> tuple[int, bool, int, str]:
    return len(use.chain), use.waits, min(map(len, use.ways)), use.tool


def _closing(
    orders: Sequence[Sequence[Sequence[Use]]], *, whole: bool
) -> tuple[Hitting | None, tuple[tuple[str, ...], ...]]:
    """Return the least that closes every order, of each all ways to one of its parts; and what else does with as little."""
    options = [
        smallest(way for uses in chosen for use in uses for way in use.ways) for chosen in itertools.product(*orders)
    ]
    found = [option for option in options if option is not None]
    if not found:
        return None, ()
    best = min(found, key=lambda option: (len(option.members), not option.exact, option.members))
    others = {option.members for option in found if len(option.members) == len(best.members)} - {best.members}
    sure = whole and all(option.exact for option in found)
    return Hitting(best.members, exact=sure), tuple(sorted(others))


def _gained(graph: Graph, name: str) -> Iterator[Risk]:
    """Yield for each agent that acts for this one what it can do and this one cannot."""
    root = graph.agents[name]
    own = frozenset[str]().union(*(root.traits(tool) for tool in root.tools if root.has(tool)))
    gains: dict[str, list[tuple[Trait, Use]]] = {}
    for chain in graph.chains(name):
        for trait in sorted(_GAINS - own) if len(chain) > 1 else ():
            uses = [use for use in graph.uses(chain, trait, ()) if not root.has(use.tool)]  # type: ignore[arg-type]
            gains.setdefault(chain[-1], []).extend((trait, use) for use in uses)  # type: ignore[misc]
    for found in gains.values():
        if found:
            trait, use = min(found, key=lambda gain: (_plainness(gain[1]), gain[0]))
            closing = _closing([[[each for _, each in found]]], whole=graph.whole)
            traits = tuple(sorted({each for each, _ in found}))
            waits = all(each.waits for _, each in found)
            yield Risk("gained", name, (Hop(use.chain, use.tool, trait),), *closing, waits, traits)
