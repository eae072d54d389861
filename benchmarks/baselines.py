"""What a detector of anomalies has to be better than: nothing, chance, and a Gaussian over the last thousand values."""

import math
import random
from collections import deque
from datetime import datetime
from typing import Final

_WINDOW: Final = 1000


class Null:
    """Never alarms: every value is as odd as every other."""

    def score(self, moment: datetime, value: float) -> float:
        """Return 0.5."""
        del moment, value
        return 0.5


class Chance:
    """Alarms by chance."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)

    def score(self, moment: datetime, value: float) -> float:
        """Return a number between 0 and 1."""
        del moment, value
        return self._chance.random()


class WindowedGaussian:
    """How far out a value is, if the last values were normally distributed: the likelihood that one is less far out."""

    def __init__(self, window: int = _WINDOW) -> None:
        self._last: deque[float] = deque(maxlen=window)
        self._sum = self._squares = 0.0

    def score(self, moment: datetime, value: float) -> float:
        """Return 0.5 for the mean to 1 for what is far from it; a value that is no number is not odd, and not learnt."""
        del moment
        if not math.isfinite(value):
            return 0.0
        count = len(self._last)
        mean = self._sum / count if count else value
        spread = math.sqrt(max(0.0, self._squares / count - mean * mean)) if count else 0.0
        self._learn(value)
        return 1 - 0.5 * math.erfc(abs(value - mean) / (spread or 1e-6) / math.sqrt(2))

    def _learn(self, value: float) -> None:
        if len(self._last) == self._last.maxlen:
            old = self._last[0]
            self._sum -= old
            self._squares -= old * old
        self._last.append(value)
        self._sum += value
        self._squares += value * value
