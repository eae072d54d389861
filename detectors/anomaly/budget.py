"""How strange is too strange: so that honest agents alarm as seldom as the budget says, whatever their strangeness is like.

Of every agent and day the strangest moment is counted, once: an agent can move the threshold of its peers by one day's worth
and no more. Thresholds are read off those counts, or off the line along which they thin out where they do not reach.
"""

import math
from array import array
from typing import Final

BINS: Final = 160
_BIN: Final = 0.2
_SETTLED_DAYS: Final = 60
"""Before so many days of agents were seen, the threshold is the first one."""
_WELL_KNOWN_DAYS: Final = 1000
"""Before so many, half of the budget is aimed at: what is read off few days is uncertain."""
_FIRST: Final = 8.0
_LEAST: Final = 1.3
_LEAST_ABOVE: Final = 12
_HALVED_AT: Final = 60_000.0


class Budget:
    """Counts of one channel in one peer group: how strange the strangest moment of an agent's day was."""

    __slots__ = ("counts", "days")

    def __init__(self, counts: "array[float] | None" = None, days: float = 0.0) -> None:
        self.counts = counts if counts is not None else array("d", bytes(8 * BINS))
        self.days = days

    def count(self, strangest: float, weight: float = 1.0) -> None:
        """Count an agent's day; with weight -1 take it back."""
        at = min(BINS - 1, int(strangest / _BIN))
        self.counts[at] = max(0.0, self.counts[at] + weight)
        self.days = max(0.0, self.days + weight)
        if self.days > _HALVED_AT:
            self.days /= 2
            for place in range(BINS):
                self.counts[place] /= 2

    def threshold(self, alarms_per_day: float) -> float:
        """Return how strange a moment must be so that this share of days has one."""
        if self.days < _SETTLED_DAYS:
            return _FIRST
        if self.days < _WELL_KNOWN_DAYS:
            alarms_per_day /= 2
        share = max(alarms_per_day, _LEAST_ABOVE / self.days)
        above, at = 0.0, BINS
        while at and above < share * self.days:
            at -= 1
            above += self.counts[at]
        beyond = at * _BIN
        if share > alarms_per_day:
            mean = sum(self.counts[more] * (more - at + 0.5) * _BIN for more in range(at, BINS)) / above
            beyond += mean * math.log(above / self.days / alarms_per_day)
        else:
            beyond += _BIN
        return max(_LEAST, beyond)
