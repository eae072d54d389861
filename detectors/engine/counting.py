"""Counts, sums and averages over a sliding window, kept up to date with each firing instead of counted anew."""

import bisect
import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from detectors.engine.firings import MOST_KEPT, Group, Hit, Value
from detectors.engine.plan import Bound, Correlation

_SCALE: Final = 10**6
_MOST: Final = 1e15


def number_of(value: Value | None) -> float | None:
    """Return a finite number, also of a text that is one; None for anything else. Larger ones count as 10^15."""
    try:
        found = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(-_MOST, min(_MOST, found)) if math.isfinite(found) else None


def within(bounds: Sequence[Bound], amount: float) -> bool:
    """Tell whether an amount fits all bounds. What is no finite number fits none."""
    return math.isfinite(amount) and all(_fits(bound, amount) for bound in bounds)


def _fits(bound: Bound, amount: float) -> bool:
    match bound.op:
        case "gt":
            return amount > bound.number
        case "gte":
            return amount >= bound.number
        case "lt":
            return amount < bound.number
        case "lte":
            return amount <= bound.number
        case "eq":
            return amount == bound.number
        case _:
            return amount != bound.number


class Tally:
    """The window that ends at a group's newest firing: which hits lie in it, and what they add up to."""

    __slots__ = ("begin", "counts", "numbers", "total")

    def __init__(self) -> None:
        self.begin = 0
        self.counts: Counter[Value | None] = Counter()
        self.numbers = 0
        self.total = 0
        """In millionths, as a whole number: no order of adding changes it."""

    def add(self, hit: Hit) -> None:
        """Take a hit in."""
        self.counts[hit.value] += 1
        number = number_of(hit.value)
        if number is not None:
            self.numbers += 1
            self.total += round(number * _SCALE)

    def drop(self, hit: Hit) -> None:
        """Let a hit go."""
        self.counts[hit.value] -= 1
        if not self.counts[hit.value]:
            del self.counts[hit.value]
        number = number_of(hit.value)
        if number is not None:
            self.numbers -= 1
            self.total -= round(number * _SCALE)


def tally_of(group: Group, timespan_us: int) -> Tally:
    """Return the group's running window, made from its hits where a checkpoint has left it behind."""
    found = group.__dict__.get("tally")
    if isinstance(found, Tally):
        return found
    tally = Tally()
    for hit in group.hits:
        tally.add(hit)
    group.__dict__["tally"] = tally
    _slide(group, tally, timespan_us)
    return tally


def take(correlation: Correlation, group: Group, hit: Hit) -> bool:
    """Put a hit in its place among the group's; return whether an older one had to go that still counted."""
    tally = tally_of(group, correlation.timespan_us)
    late = bool(group.hits) and hit.judged_us < group.hits[-1].judged_us
    if not late:
        group.hits.append(hit)
        tally.add(hit)
        _slide(group, tally, correlation.timespan_us)
    else:
        bisect.insort(group.hits, hit, key=_when)
        group.__dict__.pop("tally", None)
        tally = tally_of(group, correlation.timespan_us)
    return _trim(group, tally, correlation.timespan_us)


def _when(hit: Hit) -> tuple[int, int]:
    return hit.judged_us, hit.order


def _slide(group: Group, tally: Tally, timespan_us: int) -> None:
    if not group.hits:
        return
    begin_us = group.hits[-1].judged_us - timespan_us
    while group.hits[tally.begin].judged_us < begin_us:
        tally.drop(group.hits[tally.begin])
        tally.begin += 1


def _trim(group: Group, tally: Tally, timespan_us: int) -> bool:
    """Forget what lies two windows back, which not even a late firing can need, and what is beyond the bound."""
    oldest_us = group.hits[-1].judged_us - 2 * timespan_us
    gone = 0
    while gone < tally.begin and group.hits[gone].judged_us < oldest_us:
        gone += 1
    pushed = max(0, len(group.hits) - gone - MOST_KEPT)
    for hit in group.hits[max(gone, tally.begin) : gone + pushed]:
        tally.drop(hit)
    if gone + pushed:
        del group.hits[: gone + pushed]
        tally.begin = max(0, tally.begin - gone - pushed)
    return pushed > 0


def amounts(correlation: Correlation, group: Group, hit: Hit) -> tuple[float, Sequence[Hit]]:
    """Return what the window that contains this hit comes to, and its hits.

    For a late hit several windows contain it; of those that end at a hit the one counts whose amount fits the bounds, else
    the one that ends at the newest.
    """
    if hit is group.hits[-1]:
        tally = tally_of(group, correlation.timespan_us)
        return _amount(correlation, tally, group.hits[tally.begin :]), group.hits[tally.begin :]
    best: tuple[float, Sequence[Hit]] = (math.nan, ())
    at = next((i for i, each in enumerate(group.hits) if each is hit), len(group.hits))  # too late, and gone already
    for end in range(at, len(group.hits)):
        if group.hits[end].judged_us > hit.judged_us + correlation.timespan_us:
            break
        hits = [
            each
            for each in group.hits[: end + 1]
            if each.judged_us >= group.hits[end].judged_us - correlation.timespan_us
        ]
        tally = Tally()
        for each in hits:
            tally.add(each)
        best = (_amount(correlation, tally, hits), hits)
        if within(correlation.bounds, best[0]):
            break
    return best


def _amount(correlation: Correlation, tally: Tally, hits: Sequence[Hit]) -> float:
    match correlation.of:
        case "event_count":
            return float(len(hits))
        case "value_count":
            return float(len(tally.counts))
        case "value_sum":
            return tally.total / _SCALE if tally.numbers else math.nan
        case "value_avg":
            return tally.total / _SCALE / tally.numbers if tally.numbers else math.nan
        case "value_median":
            return _percentile(hits, 50.0)
        case _:
            return _percentile(hits, correlation.percentile)


def _percentile(hits: Sequence[Hit], share: float) -> float:
    """Return the percentile by linear interpolation between the closest ranks."""
    numbers = sorted(number for hit in hits if (number := number_of(hit.value)) is not None)
    if not numbers:
        return math.nan
    place = (len(numbers) - 1) * share / 100
    low, high = math.floor(place), math.ceil(place)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)
