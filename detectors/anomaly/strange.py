"""How strange a window is beside what is kept of the agent: by itself, as part of its hour, as part of its day."""

import math
from array import array
from collections.abc import Sequence
from typing import Final

from detectors.anomaly import layout as at
from detectors.anomaly.features import MEASURES

_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600.0
_BY_TIME_OF_DAY_AFTER_DAYS: Final = 14
_SLOT_KNOWN: Final = 40
_ODD_HOUR_EXCESS: Final = 0.9
_ODD_HOUR_SUM: Final = at.SUMS - 1
_DAYS_KNOWN: Final = 5
SLACK: Final = 0.5
"""The part of a day's usual spread by which it may be above the usual without being counted as risen."""
_CALLS: Final = next(place for place, measure in enumerate(MEASURES) if measure.name == "tool_calls")
_LOW: Final = tuple(place for place, measure in enumerate(MEASURES) if measure.low_counts)


def day_of(start_s: float) -> int:
    """Return the number of a day since 1970."""
    return int(start_s // _DAY_S)


def weekend(day: int) -> int:
    """Return 1 for a Saturday or Sunday, UTC, else 0."""
    return 1 if (day + 3) % 7 >= 5 else 0  # noqa: PLR2004 - day 0 was a Thursday


def slot_of(start_s: float) -> int:
    """Return which of eight times of day it is, of workdays or of weekends."""
    return int(start_s % _DAY_S) * 8 // _DAY_S + 8 * weekend(day_of(start_s))


def add(state: "array[float]", start_s: float, amounts: Sequence[float]) -> None:
    """Add a window's amounts, in units, to the hour and to the day. What lies longer ago has faded, not stopped."""
    kept = math.exp(-max(0.0, start_s - state[at.LAST_S]) / _HOUR_S)
    state[at.LAST_S] = max(start_s, state[at.LAST_S])
    for place, amount in enumerate(amounts):
        state[at.HOUR + place] = state[at.HOUR + place] * kept + amount
        state[at.DAY + place] += amount


def of_window(state: "array[float]", window: Sequence[float]) -> list[float]:
    """Return for each measure by how many usual excesses a window is beyond what nineteen of twenty windows stay below."""
    found = [
        (here - top) / excess if here > top else 0.0
        for here, top, excess in zip(
            window, state[at.TOP : at.EXCESS], state[at.EXCESS : at.FROZEN_MIDDLE], strict=True
        )
    ]
    for place in _LOW:
        low = 2 * state[at.MIDDLE + place] - state[at.TOP + place] - window[place]
        if low > 0 and window[_CALLS] > 0:
            found[place] = low / state[at.EXCESS + place]
    return found


def of_hour(state: "array[float]", slot: int, amounts: Sequence[float]) -> list[float]:
    """Return the same for the sums of the last hour that this window added to, beside what the time of day brings."""
    base = at.HOUR_USUAL + at.SUMS * usual_slot(state, slot)
    found = [0.0] * at.SUMS
    for place, amount in enumerate(amounts):
        if amount > 0:
            beyond = math.log1p(state[at.HOUR + place]) - state[base + place] - state[at.HOUR_TOP + place]
            if beyond > 0:
                found[place] = beyond / state[at.HOUR_EXCESS + place]
    if never_here(state, slot):
        awake = math.log1p(state[at.HOUR + _ODD_HOUR_SUM]) / _ODD_HOUR_EXCESS
        found[_ODD_HOUR_SUM] = max(found[_ODD_HOUR_SUM], awake)
    return found


def of_day(state: "array[float]", day: int, amounts: Sequence[float]) -> list[float]:
    """Return by how many usual spreads the day so far, with how far the days before had risen, is above the usual."""
    found = [0.0] * at.SUMS
    if state[at.DAYS] < _DAYS_KNOWN:
        return found
    for place, amount in enumerate(amounts):
        if amount > 0:
            usual = usual_day(state, place, weekend(day))
            if usual >= 0:
                spread = state[at.DAY_SPREAD + place]
                risen = state[at.DAY_RISEN + place] + math.log1p(state[at.DAY + place]) - usual
                found[place] = max(0.0, risen / spread - SLACK)
    return found


def usual_day(state: "array[float]", place: int, kind: int) -> float:
    """Return what a day of a kind usually sums up to: frozen once it was known, below 0 before."""
    frozen = state[at.DAY_FROZEN + kind * at.SUMS + place] if state[at.FROZEN_DAYS] else -1.0
    return frozen if frozen >= 0 else state[at.DAY_USUAL + kind * at.SUMS + place]


def usual_slot(state: "array[float]", slot: int) -> int:
    """Return by which slot an hour is judged: its own once that is known, else that of all hours."""
    known = state[at.HOUR_SEEN + slot] >= _SLOT_KNOWN and _knows_days(state)
    return slot if known else at.SLOTS


def never_here(state: "array[float]", slot: int) -> bool:
    """Tell whether an agent whose days are known has hardly ever been awake at this time of day."""
    return state[at.HOUR_SEEN + slot] < _SLOT_KNOWN and _knows_days(state)


def _knows_days(state: "array[float]") -> bool:
    return state[at.TODAY] - state[at.FIRST_DAY] >= _BY_TIME_OF_DAY_AFTER_DAYS


def amounts_of(window: Sequence[float]) -> list[float]:
    """Return a window's features that are added up, in units: they come as logarithms."""
    return [*(math.expm1(window[place]) for place in at.SUMMED_FROM), 1.0]
