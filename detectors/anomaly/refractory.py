"""One anomaly, one alarm: what follows an alarm is heard only if it is clearly stranger."""

from collections import deque
from typing import Final

_STRANGER: Final = 1.2


class Refractory:
    """Lets a surprise through if none of the last `rows` came near it. Needs to know no threshold: it holds at any."""

    __slots__ = ("_at", "_recent", "_rows")

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._at = 0
        self._recent: deque[tuple[int, float]] = deque()
        """Falling from left to right: the largest of the last rows stands first."""

    def heard(self, surprise: float) -> float:
        """Return the surprise, or 0 while an earlier one still stands for it."""
        self._at += 1
        recent = self._recent
        while recent and recent[0][0] < self._at - self._rows:
            recent.popleft()
        loudest = recent[0][1] if recent else 0.0
        if surprise > 0:
            while recent and recent[-1][1] <= surprise:
                recent.pop()
            recent.append((self._at, surprise))
        return surprise if surprise > loudest * _STRANGER else 0.0
