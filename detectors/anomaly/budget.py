"""How strange is too strange: so that honest agents alarm as seldom as the budget says, whatever their strangeness is like.

Of every agent and day the strangest moment is counted, once: an agent can move the thresholds by one day's worth and no
more. Thresholds are read off those counts, or off the line along which they thin out where they do not reach.
"""

import math
from array import array
from collections.abc import Sequence
from typing import Final

BINS: Final = 200
_BIN: Final = 0.1
_SETTLED_DAYS: Final = 300
"""Before so many days of agents were seen, a threshold is the first one."""
_WELL_KNOWN_DAYS: Final = 1500
"""Before so many, half of the share is aimed at: what is read off few days is uncertain."""
_LEAST_ABOVE: Final = 12
_FORGETS_FROM_DAYS: Final = 2000
_KEPT_A_DAY: Final = 0.95
"""What is strange changes as agents become known, so days long ago count less; where few were counted, all are needed."""
_MOST_UP_A_DAY, _MOST_UP_AT_FIRST = 1.03, 1.15
_MOST_COUNTED: Final = 1.5
"""A day far over the threshold counts as one over it: how far an attacker goes does not say what honest agents do."""

_RATIO_BINS: Final = 10.0
"""Ratios are counted in hundredths."""
_LEAST_SCALE, _MOST_SCALE = 0.7, 2.0


class Tally:
    """Counts of days by how strange their strangest moment was."""

    __slots__ = ("counts", "days")

    def __init__(self, counts: "array[float] | None" = None, days: float = 0.0) -> None:
        self.counts = counts if counts is not None else array("d", bytes(8 * BINS))
        self.days = days

    def count(self, strangest: float) -> None:
        """Count an agent's day."""
        self.counts[min(BINS - 1, int(strangest / _BIN))] += 1
        self.days += 1

    def fade(self) -> None:
        """Let the days counted count less, once a day."""
        if self.days > _FORGETS_FROM_DAYS:
            self.days *= _KEPT_A_DAY
            for place in range(BINS):
                self.counts[place] *= _KEPT_A_DAY

    def threshold(self, share: float, first: float) -> float:
        """Return how strange a moment must be so that this share of days has one; `first` while too few were seen."""
        if self.days < _SETTLED_DAYS:
            return first
        if self.days < _WELL_KNOWN_DAYS:
            share /= 2
        read = max(share, _LEAST_ABOVE / self.days)
        above, at = 0.0, BINS
        while at and above < read * self.days:
            at -= 1
            above += self.counts[at]
        mean = sum(self.counts[more] * (more - at + 0.5) * _BIN for more in range(at, BINS)) / above
        return at * _BIN + mean * max(0.0, math.log(above / self.days / share))

    def moved(self, before: float, threshold: float) -> float:
        """Return the threshold to go by: however many agents are attacked at once, it does not jump."""
        most = _MOST_UP_A_DAY if self.days > _WELL_KNOWN_DAYS else _MOST_UP_AT_FIRST
        return min(threshold, most * before)


class Budget:
    """The thresholds of all channels, so that together they keep to the budget.

    Each channel gets a third of the budget by itself; how often any of them goes over its threshold is counted again, and
    scales them all, for they often go over it together.
    """

    __slots__ = ("day", "scale", "tallies", "thresholds")

    def __init__(self, first: Sequence[float], day: int = -1) -> None:
        self.tallies = [Tally() for _ in (*first, None)]
        self.thresholds = list(first)
        self.scale = 1.0
        self.day = day
        """The day that the thresholds were read on."""

    def count(self, strangest: Sequence[float], ratio: float) -> None:
        """Count an agent's day: the strangest of each channel, 0 where nothing could be judged, and of all together."""
        for tally, here, threshold in zip(self.tallies, strangest, self.thresholds, strict=False):
            if here > 0:
                tally.count(min(here, _MOST_COUNTED * threshold))
        self.tallies[-1].count(_RATIO_BINS * min(ratio, _MOST_COUNTED * self.scale))

    def begin(self, day: int, alarms_per_day: float, first: Sequence[float]) -> None:
        """Read the thresholds off the counts, once a day."""
        if day <= self.day:
            return
        self.day = day
        for tally in self.tallies:
            tally.fade()
        each = alarms_per_day / 3
        self.thresholds = [
            tally.moved(before, tally.threshold(each, start))
            for tally, before, start in zip(self.tallies, self.thresholds, first, strict=False)
        ]
        together = self.tallies[-1]
        scale = together.moved(self.scale, together.threshold(alarms_per_day, _RATIO_BINS) / _RATIO_BINS)
        self.scale = min(_MOST_SCALE, max(_LEAST_SCALE, scale))
