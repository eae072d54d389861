"""Which grants are about a name: looked up in one index for all layers, and made ready to be asked."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from lictor_agent import conditions, narrowing
from lictor_agent.answers import RANK, Answer, rank_of
from lictor_agent.globs import Globs
from lictor_agent.policy import Grant, Layer, Policy

REMEMBERED: Final = 4096
K = TypeVar("K")
V = TypeVar("V")


class Ready:
    """One grant, its conditions and rewritings as functions."""

    __slots__ = ("answer", "grant", "holds", "rank", "rewrite", "sums")

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.rank = rank_of(grant.effect)
        self.holds = conditions.compiled(grant.when, wary=grant.effect != "allow")
        self.rewrite = narrowing.compiled(grant) if grant.effect == "narrow" else None
        self.sums = any(path.startswith("amounts.") for path in grant.when)
        self.answer = _said_by(grant)

    def fits(self, values: dict[str, Any]) -> bool:
        """Tell whether the grant's conditions hold."""
        return self.holds is None or self.holds(values)


def _said_by(grant: Grant) -> Answer:
    if grant.effect not in RANK:
        return Answer("deny", grant.id, "grant", f"grant {grant.id} says {grant.effect}, which is not available yet")
    return Answer(grant.effect, grant.id, "grant", grant.reason or f"grant {grant.id} says {grant.effect}")


class Fitting:
    """The grants of one layer whose globs fit a name."""

    __slots__ = ("closed", "grants", "layer", "strictest_first")

    def __init__(self, layer: str, grants: list[Ready], *, closed: bool) -> None:
        self.layer, self.closed = layer, closed
        self.grants = grants
        self.strictest_first = sorted(grants, key=_strictest_first) if len(grants) > 1 else grants

    def said(self, name: str, values: dict[str, Any]) -> Answer | None:
        """Return what the layer says; None where it has no opinion."""
        for ready in self.strictest_first:
            if ready.holds is None or ready.holds(values):
                return ready.answer
        if self.closed:
            return Answer("deny", "", "no_grant", f"no grant of layer {self.layer} allows {name!r}")
        return None


def _strictest_first(ready: Ready) -> int:
    return -ready.rank


class About:
    """What a policy has about names that the same grants fit: those of each layer, and the sums that they ask for."""

    __slots__ = ("layers", "sums")

    def __init__(self, layers: list[Fitting]) -> None:
        self.layers = layers
        self.sums = any(ready.sums for layer in layers for ready in layer.grants)


class Lookup:
    """The grants of one policy about one kind of call: `tools`, `models` or `agents`."""

    def __init__(self, policy: Policy, kind: str) -> None:
        self._layers = [
            (layer.name, any(grant.effect != "deny" for grant in about))
            for layer in policy.layers
            if (about := _about(layer, kind))
        ]
        spoken = [about for layer in policy.layers if (about := _about(layer, kind))]
        self._grants = [(at, Ready(grant)) for at, about in enumerate(spoken) for grant in about]
        patterns = [(glob, at) for at, (_, ready) in enumerate(self._grants) for glob in getattr(ready.grant, kind)]
        self._globs = Globs([glob for glob, _ in patterns])
        self._owners = [at for _, at in patterns]
        self._names: OrderedDict[str, About] = OrderedDict()
        self._known: OrderedDict[tuple[int, ...], About] = OrderedDict()

    def about(self, name: str) -> About:
        """Return what the policy has about a name."""
        found = self._names.get(name)
        return remember(self._names, name, self._found(name)) if found is None else found

    def _found(self, name: str) -> About:
        """Most names that nobody has heard of have the same grants."""
        owners = self._owners
        fitting = tuple(dict.fromkeys([owners[at] for at in self._globs.fitting(name)]))
        known = self._known.get(fitting)
        return remember(self._known, fitting, self._made(fitting)) if known is None else known

    def _made(self, fitting: tuple[int, ...]) -> About:
        found: list[list[Ready]] = [[] for _ in self._layers]
        for owner in fitting:
            layer, ready = self._grants[owner]
            found[layer].append(ready)
        both = zip(self._layers, found, strict=True)
        return About([Fitting(layer, grants, closed=closed) for (layer, closed), grants in both])


def remember(known: OrderedDict[K, V], key: K, value: V) -> V:
    """Keep an answer, and let the oldest go: names come from the agent, and it may invent any number."""
    known[key] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)
    return value


def _about(layer: Layer, kind: str) -> Sequence[Grant]:
    return [grant for grant in layer.grants if getattr(grant, kind)]
