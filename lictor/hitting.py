"""The smallest set that has something in common with each of several sets."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MOST_TRIES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Hitting:
    """What hits all sets. `exact`: whether no smaller set does; else it is the result of always taking the commonest."""

    members: tuple[str, ...]
    exact: bool


def smallest(sets: Iterable[frozenset[str]], most_tries: int = MOST_TRIES) -> Hitting | None:
    """Return a smallest hitting set, of several always the same; None where a set is empty and cannot be hit.

    >>> smallest([frozenset("ab"), frozenset("bc"), frozenset("cd")])
    Hitting(members=('b', 'c'), exact=True)
    """
    needed = _minimal(sets)
    if frozenset() in needed:
        return None
    greedy = _greedy(needed)
    search = _Search(most_tries)
    for size in range(len(greedy)):
        found = search.within(needed, size)
        if search.tries > most_tries:
            return Hitting(greedy, exact=False)
        if found is not None:
            return Hitting(tuple(sorted(found)), exact=True)
    return Hitting(greedy, exact=True)


def _minimal(sets: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Drop what is hit whenever a smaller set is."""
    kept: list[frozenset[str]] = []
    for one in sorted(set(sets), key=lambda one: (len(one), sorted(one))):
        if not any(smaller <= one for smaller in kept):
            kept.append(one)
    return kept


def _greedy(sets: Sequence[frozenset[str]]) -> tuple[str, ...]:
    left, found = list(sets), []
    while left:
        counts = Counter(member for one in left for member in one)
        best = min(counts, key=lambda member: (-counts[member], member))
        found.append(best)
        left = [one for one in left if best not in one]
    return tuple(sorted(found))


class _Search:
    """Tries, for a set that is not hit yet, each of its members; gives up after so many tries."""

    def __init__(self, most_tries: int) -> None:
        self.most_tries = most_tries
        self.tries = 0

    def within(self, sets: Sequence[frozenset[str]], size: int) -> frozenset[str] | None:
        """Return a hitting set of at most `size` members; None where there is none, or too many tries were needed."""
        self.tries += 1
        if not sets:
            return frozenset()
        if size == 0 or self.tries > self.most_tries:
            return None
        for member in sorted(sets[0]):
            rest = self.within([one for one in sets if member not in one], size - 1)
            if rest is not None:
                return rest | {member}
        return None
