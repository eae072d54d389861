"""Where what stands in the numbers kept of one agent: one array of doubles, so that a hundred thousand fit into memory.

The same array holds the pooled normality of a peer group. It is written to a checkpoint as it is: a model read back is the
same to the bit.
"""

from array import array
from typing import Final

from detectors.anomaly.features import ACTIVE, MEASURES

MEASURED: Final = len(MEASURES)
ADDED_UP: Final = (*(measure for measure in MEASURES if measure.added_up), ACTIVE)
SUMS: Final = len(ADDED_UP)
SUMMED_FROM: Final = tuple(at for at, measure in enumerate(MEASURES) if measure.added_up)
"""Of which features the sums are; the last sum, of windows, is of none."""
WINDOW, MINUTES, HOUR_CHANNEL, RHYTHM, DAY_CHANNEL, PACE = range(6)
CHANNELS: Final = ("window", "minutes", "hour", "rhythm", "day", "pace")
"""What is judged: the window by itself; how odd the last ones were together; the sums of the last hour; being awake at this
time of day; the sums of the day, with the days before; and the means of the day's windows, with the days before."""
SLOTS: Final = 16
"""Eight times of day, of workdays and of weekends."""

LEARNT, DAYS, WEEKEND_DAYS, TODAY, LAST_S = 0, 1, 2, 3, 4
FLAGGED_TODAY, STRICTER, ALARM_DAY, ALARM = 5, 6, 7, 8
SETTLED_AGAIN_S, FROZEN, FROZEN_DAYS, FIRST_DAY, LEARNT_BEFORE = 9, 10, 11, 12, 13
LASTING: Final = 14
"""How odd the last windows were, added up, fading within a minute or two."""
PACE_COUNT: Final = 15
UNBROKEN_FOR: Final = 16
SLOT_NOW, SLOT_COUNT = 17, 18
"""Which time of day it is, and how many of its windows were learnt since it began: they say nothing of the days before."""
PEAK_RATIO: Final = 19
"""By how much today's strangest was over its channel's threshold."""
PEAK: Final = PEAK_RATIO + 1
"""Today's strangest, by channel."""
USUAL_PEAK: Final = PEAK + len(CHANNELS)
"""What a day's strangest usually is, by channel."""

MIDDLE: Final = USUAL_PEAK + len(CHANNELS)
TOP: Final = MIDDLE + MEASURED
"""Half of the windows are below MIDDLE, nineteen of twenty below TOP."""
EXCESS: Final = TOP + MEASURED
"""By how much those beyond TOP are beyond it, in the mean."""
RECORD: Final = EXCESS + MEASURED
"""How strange the strangest of the last weeks was, by feature, fading."""
FROZEN_MIDDLE: Final = RECORD + MEASURED
FROZEN_TOP: Final = FROZEN_MIDDLE + MEASURED
HOUR: Final = FROZEN_TOP + MEASURED
"""Sums that fade within an hour."""
HOUR_USUAL: Final = HOUR + SUMS
"""By slot, and at the end over all slots."""
HOUR_SEEN: Final = HOUR_USUAL + SUMS * (SLOTS + 1)
HOUR_TOP: Final = HOUR_SEEN + SLOTS + 1
HOUR_EXCESS: Final = HOUR_TOP + SUMS
DAY: Final = HOUR_EXCESS + SUMS
"""Sums since midnight."""
DAY_USUAL: Final = DAY + SUMS
"""Of workdays, then of weekends; below 0 while unknown."""
DAY_FROZEN: Final = DAY_USUAL + 2 * SUMS
DAY_SPREAD: Final = DAY_FROZEN + 2 * SUMS
DAY_RISEN: Final = DAY_SPREAD + SUMS
"""By how much the days were above the usual, added up."""
PACE_SUM: Final = DAY_RISEN + SUMS
"""Of all features of the day's windows; over their count, PACE_COUNT, it is the mean."""
PACE_USUAL: Final = PACE_SUM + MEASURED
PACE_FROZEN: Final = PACE_USUAL + MEASURED
PACE_SPREAD: Final = PACE_FROZEN + MEASURED
PACE_RISEN: Final = PACE_SPREAD + MEASURED
SIZE: Final = PACE_RISEN + MEASURED

_FIRST_SPREAD: Final = 0.3
_FIRST_PACE_SPREAD: Final = 0.1
_FIRST_RECORD: Final = 3.0
_FIRST_PEAK: Final = 3.0


def empty() -> "array[float]":
    """Return the numbers of an agent or group of which nothing is known."""
    state = array("d", bytes(8 * SIZE))
    state[TODAY] = state[FIRST_DAY] = state[ALARM_DAY] = -1.0
    for channel in range(len(CHANNELS)):
        state[USUAL_PEAK + channel] = _FIRST_PEAK
    for at, measure in enumerate(MEASURES):
        state[EXCESS + at] = measure.floor
        state[RECORD + at] = _FIRST_RECORD
        state[PACE_USUAL + at] = -1.0
        state[PACE_SPREAD + at] = _FIRST_PACE_SPREAD
    for at in range(SUMS):
        state[HOUR_EXCESS + at] = ADDED_UP[at].floor
        state[DAY_USUAL + at] = state[DAY_USUAL + SUMS + at] = -1.0
        state[DAY_SPREAD + at] = _FIRST_SPREAD
    return state


def beginner(group: "array[float]") -> "array[float]":
    """Return the numbers of a new agent: what is normal for its peers, and nothing of its own."""
    state = empty()
    state[MIDDLE:RECORD] = group[MIDDLE:RECORD]
    state[HOUR_TOP:DAY] = group[HOUR_TOP:DAY]
    last = HOUR_USUAL + SUMS * SLOTS
    state[last : last + SUMS] = group[last : last + SUMS]
    state[USUAL_PEAK:MIDDLE] = group[USUAL_PEAK:MIDDLE]
    return state
