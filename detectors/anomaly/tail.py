"""How rare a strangeness is among the strange things seen: the scale on which unlike measures are compared and added."""

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Final

_LEAST: Final = 50
"""So few values say nothing about what is rare."""
_ENOUGH: Final = 3
"""With more values as large, they are counted; with fewer, the line is followed."""
_LEAST_TOP: Final = 8
_LEAST_SLOPE: Final = 0.02


class Tail:
    """The largest of the last values, and the line along which they thin out.

    Holds `size` numbers. The line is that of a power law, which is the careful choice: where the values thin out faster, a
    surprise is understated.
    """

    __slots__ = ("_last", "_order", "_size", "_top_share")

    def __init__(self, size: int, top_share: float) -> None:
        self._last: deque[float] = deque()
        self._order: list[float] = []
        self._size = size
        self._top_share = top_share

    def surprise(self, strange: float) -> float:
        """Return -log10 of the share of values as large as this one; 0 for what is not among the largest."""
        count = len(self._order)
        if count < _LEAST:
            return 0.0
        top = max(_LEAST_TOP, int(count * self._top_share))
        least = self._order[-top]
        if strange <= least:
            return 0.0
        as_large = count - bisect_left(self._order, strange)
        counted = math.log10(count / max(as_large, 1))
        if least <= 0 or as_large > _ENOUGH:
            return counted
        slope = sum(math.log(value / least) for value in self._order[-top:]) / top
        return math.log10(count / top) + math.log10(strange / least) / max(slope, _LEAST_SLOPE)

    def learn(self, strange: float) -> None:
        """Take a value in, and the oldest out if there is no room. The value must be a finite number."""
        self._last.append(strange)
        insort(self._order, strange)
        if len(self._last) > self._size:
            del self._order[bisect_left(self._order, self._last.popleft())]


class TwoTails:
    """Two tails of one measure: what is strangely high is not compared with what is strangely low.

    Surprise is counted from where the tail begins, so that what comes back every day, and is rare only by the clock, adds
    little.
    """

    __slots__ = ("_above", "_below", "_edge")

    def __init__(self, size: int, top_share: float) -> None:
        self._above, self._below = Tail(size, top_share), Tail(size, top_share)
        self._edge = -math.log10(top_share)

    def judge(self, strange: float) -> float:
        """Return the surprise of a value, and then learn it."""
        tail = self._above if strange >= 0 else self._below
        surprise = max(0.0, tail.surprise(abs(strange)) - self._edge)
        tail.learn(abs(strange))
        return surprise
