"""What the model of windows has to be better than, on the same windows: nothing, chance, a Gaussian, a forest."""

import math
import random
from collections import deque
from typing import Final

NAMES: Final = ("half_space_trees", "windowed_gaussian", "random", "null")
_FEATURES: Final = ("tool_calls", "tokens", "egress_bytes")
_WINDOWS: Final = 500


class Rivals:
    """The others beside one agent: the strangest of each honest day, and the strangeness of what was planted."""

    __slots__ = ("_chance", "_gaussians", "_planted", "_seen", "_today", "days")

    def __init__(self, name: str) -> None:
        self._chance = random.Random(f"rival/{name}")
        self._gaussians = [_Gaussian() for _ in _FEATURES]
        self._today = dict.fromkeys(NAMES, 0.0)
        self._planted: dict[str, list[tuple[float, int]]] = {name: [] for name in NAMES}
        self._seen = 0
        self.days: dict[str, list[float]] = {name: [] for name in NAMES}

    def see(self, values: dict[str, float], forest: float, *, planted: bool) -> None:
        """Judge a window, then learn it; the forest, which is its trade's, has judged it already."""
        far = max(one.distance(values[name]) for name, one in zip(_FEATURES, self._gaussians, strict=True))
        for name, score in (
            ("half_space_trees", forest),
            ("windowed_gaussian", far),
            ("random", self._chance.random()),
            ("null", 0.0),
        ):
            self._today[name] = max(self._today[name], score)
            if planted:
                self._rise(name, score)
        self._seen += planted

    def _rise(self, name: str, score: float) -> None:
        """Keep a score only if it is larger than all before it: only those can be the first over a threshold."""
        seen = self._planted[name]
        if not seen or score > seen[-1][0]:
            seen.append((score, self._seen))

    def end_day(self, *, honest: bool) -> None:
        """Keep the strangest of a day on which nothing was planted, and begin another."""
        for name, strangest in self._today.items():
            if honest:
                self.days[name].append(strangest)
            self._today[name] = 0.0

    def found_after(self, name: str, threshold: float) -> int | None:
        """Return after how many planted windows one was over the threshold; None if none was."""
        return next((count for score, count in self._planted[name] if score > threshold), None)


def threshold(rivals: list[Rivals], name: str, alarms: int) -> float:
    """Return the threshold over which so many of the honest days went."""
    days = sorted((day for one in rivals for day in one.days[name]), reverse=True)
    return days[min(alarms, len(days) - 1)] if days else math.inf


class _Gaussian:
    """How many standard deviations a value is from the mean of the last ones."""

    __slots__ = ("_last", "_squares", "_sum")

    def __init__(self) -> None:
        self._last: deque[float] = deque()
        self._sum = self._squares = 0.0

    def distance(self, value: float) -> float:
        count = len(self._last)
        mean = self._sum / count if count else 0.0
        spread = math.sqrt(max(0.0, self._squares / count - mean * mean)) if count else 0.0
        self._learn(value)
        return abs(value - mean) / (spread or 1.0) if count >= 50 else 0.0  # noqa: PLR2004

    def _learn(self, value: float) -> None:
        self._last.append(value)
        self._sum += value
        self._squares += value * value
        if len(self._last) > _WINDOWS:
            old = self._last.popleft()
            self._sum -= old
            self._squares -= old * old
