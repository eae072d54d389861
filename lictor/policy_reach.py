"""What an agent can call, and by which grants: alone, or where others act for it.

A way is a set of things that all have to stand for a call to go ahead: remove any one of them, and this way is closed.
Conditions on what the trace has read are looked at. All others are taken to be met by some call.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from detectors.conditions import holds
from detectors.policy_view import PolicyView
from schemas.globs import glob_any
from schemas.policy import AgentPolicy, Grant, Trait

Ways = tuple[frozenset[str], ...]
Reads = tuple[str, ...]
MOST_WAYS: Final = 64
"""To one call."""
MOST_TOOLS: Final = 512
_LETS_THROUGH: Final = frozenset({"allow", "clear", "narrow"})


@dataclass(slots=True)
class Reach:
    """One agent: its policy, and the tools it is known to have."""

    policy: AgentPolicy
    known: tuple[str, ...] = ()
    """Declared, or called before."""
    view: PolicyView = field(init=False)
    tools: tuple[str, ...] = field(init=False)
    """Names it may call; a glob that no known name fits stands for itself."""
    cuts: list[str] = field(default_factory=list)
    """Said once for each time that not all ways could be looked at."""
    _ways: dict[tuple[str, str, Reads], Ways] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.view = PolicyView(self.policy)
        self.tools = tuple(itertools.islice(self._names(), MOST_TOOLS))

    @property
    def name(self) -> str:
        """The agent's id."""
        return self.policy.agent_id

    @property
    def silent(self) -> bool:
        """Whether its policy restricts nobody who acts for it."""
        return not self.view.says_something

    def _names(self) -> Iterator[str]:
        globs = [glob for layer in self.policy.layers for grant in layer.grants for glob in grant.tools
                 if grant.effect in _LETS_THROUGH]  # fmt: skip
        exact = {glob for glob in globs if not _is_glob(glob)} | set(self.known)
        yield from sorted(exact)
        yield from sorted({glob for glob in globs if _is_glob(glob) and not any(glob_any((glob,), n) for n in exact)})

    def traits(self, tool: str) -> frozenset[Trait]:
        """Return the traits of a tool under its policy."""
        return self.view.traits(tool)

    def has(self, tool: str) -> bool:
        """Tell whether it can call a tool alone."""
        return bool(self.granted("tools", tool, ())) or (self.policy.mode == "observe" and tool in self.known)

    @property
    def unheld(self) -> str:
        """What is named where nothing is held up."""
        return f"agent {self.name}: mode observe"

    def waits(self, tool: str, reads: Reads) -> bool:
        """Tell whether a call is held until it is cleared, in the context of its whole trace."""
        if self.policy.mode == "observe":
            return False
        if not self.traits(tool).isdisjoint(self.policy.clearance.traits):
            return True
        grants = [grant for layer in self.policy.layers for grant in layer.grants if glob_any(grant.tools, tool)]
        return any(grant.effect == "clear" and _fits(grant, reads) is True for grant in grants)

    def granted(self, kind: str, name: str, reads: Reads) -> Ways:
        """Return the ways by grants alone, as if enforced; none where the policy refuses. `reads`: of the trace so far."""
        key = (kind, name, reads)
        if key not in self._ways:
            self._ways[key] = self._granted(kind, name, reads)
        return self._ways[key]

    def _granted(self, kind: str, name: str, reads: Reads) -> Ways:
        choices: list[Ways] = []
        for layer in self.policy.layers:
            about = [grant for grant in layer.grants if getattr(grant, kind)]
            fitting = [grant for grant in about if glob_any(getattr(grant, kind), name)]
            if any(grant.effect in ("deny", "ask") and _fits(grant, reads) is True for grant in fitting):
                return ()
            through = [grant for grant in fitting if grant.effect in _LETS_THROUGH and _fits(grant, reads) is not False]
            if through:
                choices.append(tuple(frozenset({f"{layer.name}: grant {grant.id}"}) for grant in through))
            elif any(grant.effect != "deny" for grant in about):
                return ()
        if not choices:
            return () if kind == "tools" else (frozenset(),)
        return joined(choices, self.cuts)


def _fits(grant: Grant, reads: Reads) -> bool | None:
    """Tell whether a grant is about a call after these reads; None where it has other conditions as well."""
    test = grant.when.get("reads")
    if test is not None and not holds(test, list(reads), wary=grant.effect != "allow"):
        return False
    return True if set(grant.when) <= {"reads"} else None


def _is_glob(name: str) -> bool:
    return "*" in name or "?" in name


def joined(parts: Iterable[Ways], cuts: list[str]) -> Ways:
    """Return the ways that need all of the parts; none where one of them has none.

    Of too many, the part with the fewest ways stands for all: whatever closes it closes the whole. `cuts` is told.
    """
    among = list(parts)
    if math.prod(map(len, among)) > MOST_WAYS:
        cuts.append("too many ways to look at each")
        return min(among, key=len)
    return tuple(dict.fromkeys(frozenset[str]().union(*way) for way in itertools.product(*among)))


def emptied(agents: Iterable[Reach], members: Collection[str]) -> tuple[str, ...]:
    """Return the layers that would grant no tool any more without these grants, and so leave it to the other layers."""
    found: set[str] = set()
    for agent in agents:
        left = {
            layer.name: [f"{layer.name}: grant {grant.id}" not in members for grant in layer.grants
                         if grant.tools and grant.effect != "deny"]
            for layer in agent.policy.layers
        }  # fmt: skip
        if any(any(kept) for kept in left.values()):
            found.update(name for name, kept in left.items() if kept and not any(kept))
    return tuple(sorted(found))


def reaches(
    policies: Mapping[str, AgentPolicy], known: Mapping[str, Sequence[str]], fallback: AgentPolicy
) -> dict[str, Reach]:
    """Return each agent that a policy names or that was seen, with what it can reach."""
    names = sorted({*policies, *known} - {fallback.agent_id})
    return {
        name: Reach(policies.get(name, fallback).model_copy(update={"agent_id": name}), tuple(known.get(name, ())))
        for name in names
    }
