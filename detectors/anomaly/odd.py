"""What is said of an odd window: which features, what they were, what they usually are."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from detectors.anomaly import layout as at
from detectors.anomaly import strange
from detectors.anomaly.features import MEASURES

_NAMED: Final = 4
_NEAR: Final = 0.5


@dataclass(frozen=True)
class Feature:
    """A feature of the window, or its sum over the last hour or the day, with the usual range, in the feature's own unit."""

    name: str
    value: float
    usual_low: float
    usual_high: float


@dataclass(frozen=True)
class Odd:
    """A window unlike its agent. `score` is 0.5 at the threshold and nears 1; the oddest features stand first.

    `repeated`: an alarm of these days stands for it already. Nobody need be told again, and it must not be learnt either.
    """

    score: float
    features: tuple[Feature, ...]
    repeated: bool


def describe(
    state: "array[float]",
    window: Sequence[float],
    slot: int,
    found: Sequence[Sequence[float]],
    channel: int,
    ratio: float,
    *,
    repeated: bool,
) -> Odd:
    """Return what is said of a window, given how strange its features are in each channel."""
    strangest = found[at.WINDOW] if channel == at.MINUTES else found[channel]
    order = sorted(range(len(strangest)), key=lambda place: -strangest[place])
    places = [place for place in order[:_NAMED] if strangest[place] >= _NEAR * strangest[order[0]]]
    features = [_feature(state, window, slot, channel, place) for place in places]
    return Odd(ratio / (1 + ratio), tuple(features), repeated)


def _feature(state: "array[float]", window: Sequence[float], slot: int, channel: int, place: int) -> Feature:
    if channel in {at.WINDOW, at.MINUTES}:
        return _of_window(state, window, place)
    if channel == at.PACE:
        return _of_pace(state, place)
    if channel == at.DAY_CHANNEL:
        return _of_day(state, place)
    return _of_hour(state, slot, at.SUMS - 1 if channel == at.RHYTHM else place)


def _of_window(state: "array[float]", window: Sequence[float], place: int) -> Feature:
    measure = MEASURES[place]
    middle, top = state[at.MIDDLE + place], state[at.TOP + place]
    return Feature(
        measure.name, measure.unscaled(window[place]), measure.unscaled(2 * middle - top), measure.unscaled(top)
    )


def _of_hour(state: "array[float]", slot: int, place: int) -> Feature:
    unit = at.ADDED_UP[place].unit
    usual = strange.usual_hour(state, slot, place)
    spread = state[at.HOUR_TOP + place]
    return Feature(
        f"{at.ADDED_UP[place].name} in the last hour",
        unit * state[at.HOUR + place],
        unit * max(0.0, math.expm1(usual - spread)),
        unit * math.expm1(usual + spread),
    )


def _of_day(state: "array[float]", place: int) -> Feature:
    unit = at.ADDED_UP[place].unit
    usual = strange.usual_day(state, place, strange.weekend(int(state[at.TODAY])))
    spread = 2 * state[at.DAY_SPREAD + place]
    return Feature(
        f"{at.ADDED_UP[place].name} these days, by the day",
        unit * state[at.DAY + place],
        unit * max(0.0, math.expm1(usual - spread)),
        unit * math.expm1(usual + spread),
    )


def _of_pace(state: "array[float]", place: int) -> Feature:
    measure = MEASURES[place]
    usual, spread = strange.usual_pace(state, place), 2 * state[at.PACE_SPREAD + place]
    return Feature(
        f"{measure.name} of a window these days, in the mean",
        measure.unscaled(state[at.PACE_SUM + place] / max(1.0, state[at.PACE_COUNT])),
        measure.unscaled(usual - spread),
        measure.unscaled(usual + spread),
    )
