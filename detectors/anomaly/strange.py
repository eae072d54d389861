"""How strange a window is beside what is kept of the agent: by itself, as part of its hour, as part of its day."""

import math
from array import array
from collections.abc import Sequence
from typing import Final

from detectors.anomaly import layout as at
from detectors.anomaly.features import MEASURES

WINDOW_S: Final = 10
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600.0
_RHYTHM_AFTER_DAYS: Final = 14
_SLOT_KNOWN: Final = 400.0
_RECORD_IS: Final = 3.0
_AWAKE: Final = at.SUMS - 1
_MINUTES_S: Final = 40.0
_MOST_OF_ONE: Final = 8.0
_PACE_FROM: Final = 24
_PACE_BEYOND: Final = 0.1
"""Windows beyond what nineteen of twenty stay below count for little more than that: one frantic hour is not a pace."""
_PACE_EVERY: Final = 8
_WEEKENDS_KNOWN: Final = 6
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
    passed = max(0.0, start_s - state[at.LAST_S])
    kept = math.exp(-passed / _HOUR_S)
    state[at.UNBROKEN_FOR] = state[at.UNBROKEN_FOR] + 1 if passed <= WINDOW_S else 1.0
    state[at.LASTING] *= math.exp(-passed / _MINUTES_S)
    state[at.LAST_S] = max(start_s, state[at.LAST_S])
    for place, amount in enumerate(amounts):
        state[at.HOUR + place] = state[at.HOUR + place] * kept + amount
        state[at.DAY + place] += amount


def of_window(state: "array[float]", window: Sequence[float]) -> list[float]:
    """Return for each measure how far a window is beyond what nineteen of twenty windows stay below; 3 is as far as lately."""
    found = [
        _RECORD_IS * (here - top) / (excess * record) if here > top else 0.0
        for here, top, excess, record in zip(
            window,
            state[at.TOP : at.EXCESS],
            state[at.EXCESS : at.RECORD],
            state[at.RECORD : at.FROZEN_MIDDLE],
            strict=True,
        )
    ]
    for place in _LOW:
        low = 2 * state[at.MIDDLE + place] - state[at.TOP + place] - window[place]
        if low > 0 and window[_CALLS] > 0:
            found[place] = low / state[at.EXCESS + place]
    return found


def lasting(state: "array[float]", found: Sequence[float]) -> float:
    """Return how odd the last windows were together, and keep it for the next."""
    state[at.LASTING] += min(max(found), _MOST_OF_ONE)
    return state[at.LASTING]


def of_hour(state: "array[float]", slot: int, amounts: Sequence[float]) -> list[float]:
    """Return the same for the sums of the last hour that this window added to, beside what the time of day brings."""
    found = [0.0] * at.SUMS
    for place, amount in enumerate(amounts):
        if amount > 0:
            beyond = math.log1p(state[at.HOUR + place]) - usual_hour(state, slot, place) - state[at.HOUR_TOP + place]
            if beyond > 0:
                found[place] = beyond / state[at.HOUR_EXCESS + place]
    return found


def of_rhythm(state: "array[float]", slot: int) -> tuple[float] | None:
    """Return how odd it is to be awake so much at this time of day: the product of how rare that is and how much it is."""
    if not _knows_days(state):
        return None
    seen = state[at.HOUR_SEEN + slot] - (state[at.SLOT_COUNT] if slot == state[at.SLOT_NOW] else 0.0)
    rare = math.log((state[at.HOUR_SEEN + at.SLOTS] + at.SLOTS) / (max(0.0, seen) + 1) / at.SLOTS)
    return (max(0.0, rare) * math.sqrt(state[at.HOUR + _AWAKE]),)


def of_day(state: "array[float]", day: int, amounts: Sequence[float]) -> list[float] | None:
    """Return by how many usual spreads the day so far is above the usual, with how far the days before had risen."""
    if state[at.DAYS] < _DAYS_KNOWN:
        return None
    found = [0.0] * at.SUMS
    for place, amount in enumerate(amounts):
        if amount > 0:
            usual = usual_day(state, place, weekend(day))
            above = math.log1p(state[at.DAY + place]) - usual
            if usual >= 0 and above > 0:
                spread = state[at.DAY_SPREAD + place]
                found[place] = max(0.0, (state[at.DAY_RISEN + place] + above) / spread - SLACK)
    return _as_known(state, found)


def of_pace(state: "array[float]", window: Sequence[float]) -> list[float] | None:
    """Return the same for the means of the day's windows, and add this one to them; None when it is too early to say."""
    state[at.PACE_COUNT] += 1
    tops = at.FROZEN_TOP if state[at.FROZEN] else at.TOP
    for place, here in enumerate(window):
        state[at.PACE_SUM + place] += min(here, state[tops + place] + _PACE_BEYOND)
    count = state[at.PACE_COUNT]
    if count < _PACE_FROM or count % _PACE_EVERY or state[at.DAYS] + state[at.WEEKEND_DAYS] < _DAYS_KNOWN:
        return None
    whole = usual_windows(state)
    found = [0.0] * at.MEASURED
    for place in range(at.MEASURED):
        usual = usual_pace(state, place)
        above = (state[at.PACE_SUM + place] - count * usual) / whole
        if place in _LOW and above < 0:
            found[place] = max(0.0, -above / state[at.PACE_SPREAD + place] - SLACK)
        if usual >= 0 and above > 0:
            found[place] = max(0.0, (state[at.PACE_RISEN + place] + above) / state[at.PACE_SPREAD + place] - SLACK)
    return _as_known(state, found)


def _as_known(state: "array[float]", found: list[float]) -> list[float]:
    """Return what is found by days for less, the fewer days it rests on."""
    days = state[at.DAYS] + state[at.WEEKEND_DAYS]
    return [each * days / (days + _DAYS_KNOWN) for each in found]


def usual_windows(state: "array[float]") -> float:
    """Return how many windows a workday usually has, or today's if there were more: a day begun goes on as usual."""
    return max(state[at.PACE_COUNT], math.expm1(max(0.0, usual_day(state, _AWAKE, 0))))


def usual_pace(state: "array[float]", place: int) -> float:
    """Return the usual mean of a day's windows: frozen once it was known, below 0 before."""
    return state[(at.PACE_FROZEN if state[at.FROZEN_DAYS] else at.PACE_USUAL) + place]


def usual_day(state: "array[float]", place: int, kind: int) -> float:
    """Return what a day of a kind usually sums up to: frozen once it was known, below 0 before."""
    base = at.DAY_FROZEN if state[at.FROZEN_DAYS] else at.DAY_USUAL
    usual = state[base + place]
    return (
        max(usual, state[base + at.SUMS + place])
        if kind and state[at.WEEKEND_DAYS] < _WEEKENDS_KNOWN
        else state[base + kind * at.SUMS + place]
    )


def usual_hour(state: "array[float]", slot: int, place: int) -> float:
    """Return what an hour at this time of day usually sums up to; the less that is known, the more like any hour's."""
    seen = state[at.HOUR_SEEN + slot]
    own, any_hour = state[at.HOUR_USUAL + at.SUMS * slot + place], state[at.HOUR_USUAL + at.SUMS * at.SLOTS + place]
    return any_hour + (own - any_hour) * seen / (seen + _SLOT_KNOWN)


def _knows_days(state: "array[float]") -> bool:
    return state[at.TODAY] - state[at.FIRST_DAY] >= _RHYTHM_AFTER_DAYS


def amounts_of(window: Sequence[float]) -> list[float]:
    """Return a window's features that are added up, in units: they come as logarithms."""
    return [*(math.expm1(window[place]) for place in at.SUMMED_FROM), 1.0]
