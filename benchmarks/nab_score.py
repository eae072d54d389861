"""The score of the Numenta Anomaly Benchmark, as its papers and its scorer define it: early finds count, alarms cost.

Within a labelled window the earliest finds earn most, after it an alarm costs the more the later it comes; a window nobody
found costs as well. One threshold for a whole set of series, chosen to be the best for the detector. 0 is what a detector
that never alarms gets, 100 what one gets that finds every window at its first point and alarms nowhere else.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PROBATION_SHARE: Final = 0.15
"""The part at the beginning of a series in which a detector may learn and nothing is counted."""
_PROBATION_OF_AT_MOST: Final = 5000
_FAR: Final = 3.0
"""How many window widths after a window an alarm has nothing to do with it any more."""


@dataclass(frozen=True)
class Profile:
    """What a find earns, an alarm for nothing costs, a missed window costs."""

    name: str
    found: float
    false_alarm: float
    missed: float


PROFILES: Final = (
    Profile("standard", 1.0, 0.11, 1.0),
    Profile("reward_low_FP_rate", 1.0, 0.22, 1.0),
    Profile("reward_low_FN_rate", 1.0, 0.11, 2.0),
)


@dataclass(frozen=True)
class Scored:
    """One series with a detector's scores. `windows` are pairs of the first and last row of each, in order."""

    scores: Sequence[float]
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Result:
    """The best a detector can get over a set, and the threshold at which it gets it."""

    profile: str
    score: float
    threshold: float
    windows_found: int
    windows: int
    false_alarms: int


@dataclass(frozen=True)
class _Row:
    score: float
    worth: float
    window: int | None


def probation(rows: int) -> int:
    """Return how many rows at the beginning of a series are not counted."""
    return int(PROBATION_SHARE * min(rows, _PROBATION_OF_AT_MOST))


def score(series: Sequence[Scored], profile: Profile) -> Result:
    """Return the best score over all thresholds, for all series together."""
    rows: list[_Row] = []
    windows = 0
    for one in series:
        rows += _rows(one, profile, windows)
        windows += len(one.windows)
    counted = len({row.window for row in rows if row.window is not None})
    rows.sort(key=lambda row: -row.score)
    return _sweep(rows, counted, profile)


def _sweep(rows: Sequence[_Row], windows: int, profile: Profile) -> Result:
    """Lower the threshold from row to row; of equal scores either all are over it or none."""
    earned: dict[int, float] = {}
    lost, alarms = 0.0, 0
    least = -profile.missed * windows
    best = Result(profile.name, 0.0, 1.1, 0, windows, 0)
    total = least
    for at, row in enumerate(rows):
        if row.window is None:
            lost += row.worth
            total += row.worth
            alarms += 1
        elif row.window not in earned:
            earned[row.window] = row.worth
            total += row.worth + profile.missed
        elif row.worth > earned[row.window]:
            total += row.worth - earned[row.window]
            earned[row.window] = row.worth
        if at + 1 < len(rows) and rows[at + 1].score == row.score:
            continue
        points = 100 * (total - least) / (profile.found * windows - least) if windows else 0.0
        if points > best.score:
            best = Result(profile.name, points, row.score, len(earned), windows, alarms)
    return best


def _rows(one: Scored, profile: Profile, first_window: int) -> list[_Row]:
    counted_from = probation(len(one.scores))
    worths = _worths(len(one.scores), one.windows, profile)
    return [
        _Row(value, worth, None if window is None else first_window + window)
        for at, (value, (worth, window)) in enumerate(zip(one.scores, worths, strict=True))
        if at >= counted_from
    ]


def _worths(rows: int, windows: Sequence[tuple[int, int]], profile: Profile) -> list[tuple[float, int | None]]:
    """Return for each row what an alarm there is worth, and in which window it is."""
    worths: list[tuple[float, int | None]] = []
    at_window, most = 0, _sigmoid(-1.0)
    for at in range(rows):
        while at_window < len(windows) and windows[at_window][1] < at:
            at_window += 1
        if at_window < len(windows) and windows[at_window][0] <= at:
            first, last = windows[at_window]
            place = -(last - at + 1) / (last - first + 1)
            worths.append((_sigmoid(place) * profile.found / most, at_window))
            continue
        place = _FAR
        if at_window:
            first, last = windows[at_window - 1]
            place = (at - last) / max(1, last - first)
        worths.append((_sigmoid(place) * profile.false_alarm, None))
    return worths


def _sigmoid(place: float) -> float:
    return -1.0 if place >= _FAR else 2 / (1 + math.exp(5 * place)) - 1
