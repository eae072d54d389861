"""How what is kept of an agent follows what nobody flagged, and how far it may follow."""

import math
from array import array
from collections.abc import Sequence
from typing import Final

from detectors.anomaly import layout as at
from detectors.anomaly.features import MEASURES
from detectors.anomaly.strange import SLACK, day_of, usual_day, usual_hour, usual_pace, usual_windows, weekend

_SLOWEST: Final = 0.01
_SLOWEST_OF_GROUP: Final = 0.002
_TOP_SHARE: Final = 0.95
_EXCESS_RATE: Final = 0.05
_MOST_EXCESS: Final = 3.0
_MOST_OF_RECORD: Final = 1.5
_RECORD_FADES, _LEAST_RECORD, _EXCESS_FADES = 0.95, 2.0, 0.08
_HOUR_RATE: Final = 0.02
_DAY_RATE: Final = 0.15
_LEAST_DAY_SPREAD: Final = 0.15
_PACE_OF_AT_LEAST: Final = 24
_LEAST_PACE_SPREAD: Final = 0.04
_MOST_OFF: Final = 8.0
_MOST_OFF_FROZEN, _FROZEN_SPREAD_RATE = 2.0, 0.03
_MOST_RISEN: Final = 20.0
_RISEN_KEPT: Final = 0.9
_FREEZE_AFTER_WINDOWS: Final = 500
_FREEZE_AFTER_DAYS: Final = 3
_FREEZE_DAYS_AFTER: Final = 7
_MAY_RISE: Final = 0.4
"""How far the adaptive baseline may rise above the frozen one, as a logarithm: half as much again."""
_PEAK_RATE: Final = 0.1
_LEAST_PEAK: Final = 2.0
_FORGETS_A_DAY: Final = 0.98
_FLOORS: Final = tuple(measure.floor for measure in MEASURES)
_HOUR_FLOORS: Final = tuple(measure.floor for measure in at.ADDED_UP)


def learn(state: "array[float]", start_s: float, slot: int, window: Sequence[float], amounts: Sequence[float]) -> None:
    """Move an agent's normality towards a window that nobody flagged."""
    state[at.LEARNT] += 1
    rate = max(_SLOWEST, 1 / (state[at.LEARNT] + 10))
    _learn_window(state, window, rate)
    _learn_hour(state, slot, amounts, rate)
    if state[at.FROZEN]:
        _hold(state)
    elif state[at.LEARNT] >= _FREEZE_AFTER_WINDOWS and day_of(start_s) - state[at.FIRST_DAY] >= _FREEZE_AFTER_DAYS:
        state[at.FROZEN] = 1.0
        state[at.FROZEN_MIDDLE : at.HOUR] = state[at.MIDDLE : at.EXCESS]


def learn_for_peers(
    group: "array[float]", of: "array[float]", window: Sequence[float], amounts: Sequence[float]
) -> None:
    """Move a peer group's normality towards a window of one of its agents."""
    group[at.LEARNT] += 1
    rate = max(_SLOWEST_OF_GROUP, 1 / (group[at.LEARNT] + 10))
    _learn_window(group, window, rate)
    group[at.HOUR : at.HOUR_USUAL] = of[at.HOUR : at.HOUR_USUAL]
    _learn_hour(group, at.SLOTS, amounts, rate)


def _learn_window(state: "array[float]", window: Sequence[float], rate: float) -> None:
    up, down = _TOP_SHARE * rate, (1 - _TOP_SHARE) * rate
    for place, here in enumerate(window):
        middle, top, excess = state[at.MIDDLE + place], state[at.TOP + place], state[at.EXCESS + place]
        step = max(excess, top - middle)
        if here > top:
            state[at.TOP + place] = top + min(here - top, up * step)
            strange = (here - top) / excess
            if strange > state[at.RECORD + place]:
                state[at.RECORD + place] = min(strange, _MOST_OF_RECORD * state[at.RECORD + place])
            beyond = min(here - top, _MOST_EXCESS * excess)
            state[at.EXCESS + place] = max(_FLOORS[place], excess + _EXCESS_RATE * (beyond - excess))
        else:
            state[at.TOP + place] = max(middle, top - min(top - here, down * step))
        if here != middle:
            move = 0.5 * rate * step
            state[at.MIDDLE + place] = min(here, middle + move) if here > middle else max(here, middle - move)


def _learn_hour(state: "array[float]", slot: int, amounts: Sequence[float], rate: float) -> None:
    if state[at.SLOT_NOW] != slot:
        state[at.SLOT_NOW], state[at.SLOT_COUNT] = float(slot), 0.0
    state[at.SLOT_COUNT] += 1
    slots = {slot, at.SLOTS}
    for each in slots:
        state[at.HOUR_SEEN + each] += 1
    for place, amount in enumerate(amounts):
        if amount <= 0:
            continue
        here = math.log1p(state[at.HOUR + place])
        beyond = here - usual_hour(state, slot, place)
        _learn_excess(state, place, beyond, rate)
        for each in slots:
            usual = at.HOUR_USUAL + at.SUMS * each + place
            seen = state[at.HOUR_SEEN + each]
            state[usual] += max(_HOUR_RATE if each < at.SLOTS else rate, 1 / (seen + 1)) * (here - state[usual])


def _learn_excess(state: "array[float]", place: int, beyond: float, rate: float) -> None:
    top, excess = state[at.HOUR_TOP + place], state[at.HOUR_EXCESS + place]
    if beyond > top:
        more = beyond - top
        state[at.HOUR_TOP + place] = top + min(more, _TOP_SHARE * rate * excess)
        excess += _EXCESS_RATE * (min(more, _MOST_EXCESS * excess) - excess)
        state[at.HOUR_EXCESS + place] = max(_HOUR_FLOORS[place], excess)
    else:
        state[at.HOUR_TOP + place] = max(0.0, top - (1 - _TOP_SHARE) * rate * excess)


def _hold(state: "array[float]") -> None:
    """Keep the adaptive baseline from rising far above the frozen one, however slowly it is led there."""
    for place, measure in enumerate(MEASURES):
        most = state[at.FROZEN_TOP + place] + (measure.floor if measure.linear else _MAY_RISE)
        if state[at.TOP + place] > most:
            state[at.TOP + place] = most
            state[at.MIDDLE + place] = min(most, state[at.MIDDLE + place])


def close_day(state: "array[float]", day: int) -> None:
    """End the day that the agent was last awake on, and begin another. A day on which it was flagged teaches nothing."""
    last = int(state[at.TODAY])
    if last < 0:
        state[at.FIRST_DAY] = state[at.SETTLED_AGAIN_S] = float(day)
    elif state[at.DAY + at.SUMS - 1] > 0:
        _end_day(state, weekend(last))
    state[at.TODAY] = float(day)
    state[at.FLAGGED_TODAY] = 0.0
    state[at.STRICTER] *= _FORGETS_A_DAY
    state[at.DAY : at.DAY_USUAL] = array("d", bytes(8 * at.SUMS))
    state[at.PACE_SUM : at.PACE_USUAL] = array("d", bytes(8 * at.MEASURED))
    state[at.PACE_COUNT] = state[at.SLOT_COUNT] = 0.0
    state[at.PEAK_RATIO : at.USUAL_PEAK] = array("d", bytes(8 * (1 + len(at.CHANNELS))))


def _end_day(state: "array[float]", kind: int) -> None:
    flagged = state[at.FLAGGED_TODAY] > 0
    days = at.WEEKEND_DAYS if kind else at.DAYS
    if not flagged:
        state[days] += 1
    rate = max(_DAY_RATE, 1 / (state[days] + 1))
    for place in range(at.SUMS):
        here, spread = math.log1p(state[at.DAY + place]), state[at.DAY_SPREAD + place]
        usual = usual_day(state, place, kind)
        if usual >= 0:
            risen = _RISEN_KEPT * state[at.DAY_RISEN + place] + here - usual - SLACK * spread
            state[at.DAY_RISEN + place] = max(0.0, min(risen, _MOST_RISEN * spread))
        if not flagged:
            _learn_day(state, place, kind, here, rate)
    _end_pace(state, rate=0.0 if flagged else max(_DAY_RATE, 1 / (state[at.DAYS] + state[at.WEEKEND_DAYS])))
    _fade(state)
    if not flagged:
        _learn_peaks(state)
    if not state[at.FROZEN_DAYS] and state[at.DAYS] >= _FREEZE_DAYS_AFTER:
        state[at.FROZEN_DAYS] = 1.0
        state[at.DAY_FROZEN : at.DAY_SPREAD] = state[at.DAY_USUAL : at.DAY_FROZEN]
        state[at.PACE_FROZEN : at.PACE_SPREAD] = state[at.PACE_USUAL : at.PACE_FROZEN]


def _end_pace(state: "array[float]", rate: float) -> None:
    count = state[at.PACE_COUNT]
    if count < _PACE_OF_AT_LEAST:
        return
    whole = usual_windows(state)
    for place in range(at.MEASURED):
        spread, usual = state[at.PACE_SPREAD + place], usual_pace(state, place)
        here = state[at.PACE_SUM + place] / count
        if usual >= 0:
            here = usual + (here - usual) * count / whole
            risen = _RISEN_KEPT * state[at.PACE_RISEN + place] + here - usual - SLACK * spread
            state[at.PACE_RISEN + place] = max(0.0, min(risen, _MOST_RISEN * spread))
        followed = state[at.PACE_USUAL + place]
        if followed < 0:
            state[at.PACE_USUAL + place] = here
        elif rate:
            state[at.PACE_SPREAD + place] = max(_LEAST_PACE_SPREAD, _widened(state, spread, abs(here - followed), rate))
            state[at.PACE_USUAL + place] = followed + rate * (here - followed)


def _fade(state: "array[float]") -> None:
    """Let what was once extreme become less so: a first day is full of firsts."""
    for place, floor in enumerate(_FLOORS):
        state[at.RECORD + place] = max(_LEAST_RECORD, _RECORD_FADES * state[at.RECORD + place])
        state[at.EXCESS + place] -= _EXCESS_FADES * (state[at.EXCESS + place] - floor)


def _learn_day(state: "array[float]", place: int, kind: int, here: float, rate: float) -> None:
    at_usual = at.DAY_USUAL + kind * at.SUMS + place
    usual = state[at_usual]
    if usual < 0:
        state[at_usual] = here
        return
    spread = state[at.DAY_SPREAD + place]
    state[at.DAY_SPREAD + place] = max(_LEAST_DAY_SPREAD, _widened(state, spread, abs(here - usual), rate))
    state[at_usual] = usual + rate * (here - usual)


def _widened(state: "array[float]", spread: float, off: float, rate: float) -> float:
    """Return a spread that follows how far a day was off: hardly any more once it is frozen, or a ramp would widen it."""
    most = _MOST_OFF
    if state[at.FROZEN_DAYS]:
        rate, most = min(rate, _FROZEN_SPREAD_RATE), _MOST_OFF_FROZEN
    return spread + rate * (min(1.25 * off, most * spread) - spread)


def _learn_peaks(state: "array[float]") -> None:
    """Follow how strange a day's strangest is, where that is not a matter of days: a ramp would raise its own measure."""
    for channel in (at.WINDOW, at.MINUTES, at.HOUR_CHANNEL):
        usual = state[at.USUAL_PEAK + channel]
        here = min(state[at.PEAK + channel] * usual, 2 * usual)
        state[at.USUAL_PEAK + channel] = max(_LEAST_PEAK, usual + _PEAK_RATE * (here - usual))
