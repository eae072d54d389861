"""Which course a series has just taken, drawn with a blunt pencil, and how seldom it took that one before."""

import math
from collections import deque
from typing import Final

_PARTS: Final = 3
_POINTS_A_PART: Final = 4
_MOST: Final = 3
"""A part is drawn as one of seven heights, -3 to 3: at most 343 courses are told apart."""
_KEPT: Final = 0.9995
"""What of a count is left a point later: the memory of a course halves in some 1,400 points."""
_SETTLED: Final = 100.0


class Shapes:
    """Counts courses of twelve points, in units of the usual deviation."""

    __slots__ = ("_last", "_now", "_seen", "_total")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_PARTS * _POINTS_A_PART)
        self._seen: dict[tuple[int, ...], tuple[float, int]] = {}
        self._total = 0.0
        self._now = 0

    def judge(self, height: float) -> float | None:
        """Return how rare the course up to this height is, as -log10 of its share; None until one can be drawn."""
        self._now += 1
        self._last.append(max(-1e3, min(1e3, height)))
        if len(self._last) < _PARTS * _POINTS_A_PART:
            return None
        points = list(self._last)
        course = tuple(
            max(-_MOST, min(_MOST, round(sum(points[at : at + _POINTS_A_PART]) / _POINTS_A_PART)))
            for at in range(0, len(points), _POINTS_A_PART)
        )
        return self._count(course)

    def _count(self, course: tuple[int, ...]) -> float:
        count, at = self._seen.get(course, (0.0, self._now))
        count *= _KEPT ** (self._now - at)
        self._total = self._total * _KEPT + 1
        self._seen[course] = (count + 1, self._now)
        return math.log10((self._total + 1) / (count + 1)) if self._total > _SETTLED else 0.0
