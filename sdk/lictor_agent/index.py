"""Globs, found by the name they may fit: so that asking about a name costs the same under ten grants and two thousand."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from lictor_agent import globs

T = TypeVar("T")


class GlobIndex(Generic[T]):
    """Globs by what they must begin or end with. `find` returns items in the order in which they were given."""

    def __init__(self, items: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, list[tuple[int, T]]] = {}
        self._begin: dict[int, dict[str, list[tuple[int, str, T]]]] = {}
        self._end: dict[int, dict[str, list[tuple[int, str, T]]]] = {}
        self._rest: list[tuple[int, str, T]] = []
        for at, (glob, item) in enumerate(items):
            self._add(at, glob, item)

    def _add(self, at: int, glob: str, item: T) -> None:
        head, tail = _before_wildcard(glob), _before_wildcard(glob[::-1])[::-1]
        if head == glob:
            self._exact.setdefault(glob, []).append((at, item))
        elif head:
            self._begin.setdefault(len(head), {}).setdefault(head, []).append((at, glob, item))
        elif tail:
            self._end.setdefault(len(tail), {}).setdefault(tail, []).append((at, glob, item))
        else:
            self._rest.append((at, glob, item))

    def find(self, name: str) -> list[T]:
        """Return the items whose glob fits; an item with two globs that fit, twice."""
        found = list(self._exact.get(name, ()))
        for length, heads in self._begin.items():
            found += [(at, item) for at, glob, item in heads.get(name[:length], ()) if globs.match(glob, name)]
        for length, tails in self._end.items():
            found += [(at, item) for at, glob, item in tails.get(name[-length:], ()) if globs.match(glob, name)]
        found += [(at, item) for at, glob, item in self._rest if globs.match(glob, name)]
        found.sort(key=lambda pair: pair[0])
        return [item for _, item in found]


def _before_wildcard(glob: str) -> str:
    return glob[: min((at for wild in "*?" if (at := glob.find(wild)) >= 0), default=len(glob))]
