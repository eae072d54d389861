"""One series of numbers, one value at a time: how unlike its own past each is.

Several simple measures look at each value: how far it is from where the series just was, from where it has been for an hour
and for a day, from what this time of day usually brings; whether the series has become wilder or duller; whether the course
it takes is a rare one; whether it has ever been there. Each says how rare what it sees is among what it has seen. The
surprises are added up, because what several of them find odd a little is odder than what one finds very odd by chance;
they are summed over a few values, because what lasts is odder than what passes; and the sum is judged by its own past, so
that a series that is always a little odd does not keep alarming.
"""

import math
from collections import deque
from datetime import datetime
from typing import Final

from detectors.anomaly.refractory import Refractory
from detectors.anomaly.shapes import Shapes
from detectors.anomaly.tail import Tail, TwoTails

_FAST, _SLOW, _VERY_SLOW, _OF_DAY = 0.3, 0.02, 0.003, 0.05
_WILD_FAST, _WILD_SLOW = 0.1, 0.005
_MEAN_OF: Final = 15
_SLOTS_A_DAY: Final = 48
_HELPS: Final = 0.7
"""The time of day is believed where its error is at most this part of the error without it."""
_KEPT, _TOP, _KEPT_SUMS, _TOP_SUMS = 3000, 0.03, 4000, 0.02
_LASTS: Final = 0.85
_OTHERS: Final = 0.5
"""What the surprises beside the largest count."""
_BEYOND: Final = 0.05
"""By this part of the range seen a value must leave it to be somewhere new."""
_BEYOND_SURPRISE: Final = 3.0
_HALF: Final = 3.0
"""The surprise, in powers of ten, at which the score is a half: once in a thousand values."""
_SEEN_BEFORE_RANGE: Final = 50
_LARGEST: Final = 1e100


class SeriesDetector:
    """Scores each value of one series from 0 to 1 before it learns it. No look-ahead; about 1 MiB, however long the series.

    `warm_up` is how many values are only learnt. A score of 0.5 is a sum of surprises as seen once in a thousand values.
    The time is used as a time of day alone, so gaps and repetitions do no harm.
    """

    def __init__(self, warm_up: int = 750) -> None:
        self._warm_up = warm_up
        self._count = 0
        self._fast = self._slow = self._very_slow = 0.0
        self._wild_fast = self._wild_slow = 0.0
        self._error_of_day = self._error_of_level = 0.0
        self._low, self._high = math.inf, -math.inf
        self._last: deque[float] = deque(maxlen=_MEAN_OF)
        self._of_day: dict[int, float] = {}
        self._tails = [TwoTails(_KEPT, _TOP) for _ in range(6)]
        self._shapes = Shapes()
        self._lasting = 0.0
        self._sums = Tail(_KEPT_SUMS, _TOP_SUMS)
        self._refractory = Refractory(max(10, warm_up // 4))

    def score(self, moment: datetime, value: float) -> float:
        """Return how odd a value is, 0 to 1, and learn it. What is no finite number scores 0 and teaches nothing."""
        if not math.isfinite(value):
            return 0.0
        value = max(-_LARGEST, min(_LARGEST, value))
        if not self._count:
            self._fast = self._slow = self._very_slow = value
        self._count += 1
        surprises = self._surprises(moment, value)
        self._follow(value)
        largest = max(surprises)
        self._lasting = self._lasting * _LASTS + largest + _OTHERS * (sum(surprises) - largest)
        surprise = self._sums.surprise(self._lasting)
        self._sums.learn(self._lasting)
        if self._count < self._warm_up:
            return 0.0
        heard = self._refractory.heard(surprise)
        return heard / (heard + _HALF)

    def _surprises(self, moment: datetime, value: float) -> tuple[float, ...]:
        self._last.append(value)
        mean = sum(self._last) / len(self._last)
        fast, slow, lasting, of_day, wild, shape = self._tails
        course = self._shapes.judge((value - self._very_slow) / (1.5 * self._wild_slow + 1e-9))
        by_day, believed = self._beside_usual(moment, value)
        of_day_surprise = of_day.judge(by_day)
        return (
            fast.judge(value - self._fast),
            slow.judge(value - self._slow),
            lasting.judge(mean - self._very_slow),
            of_day_surprise if believed else 0.0,
            wild.judge(self._wilder(value)),
            shape.judge(course) if course is not None else 0.0,
            self._beyond(value),
        )

    def _beside_usual(self, moment: datetime, value: float) -> tuple[float, bool]:
        """Return how far a value is from what this time of day brings, and whether that is worth knowing."""
        slot = (moment.hour * 60 + moment.minute) * _SLOTS_A_DAY // 1440
        usual = self._of_day.setdefault(slot, value)
        error = value - usual
        self._of_day[slot] = usual + _OF_DAY * error
        self._error_of_day += 0.01 * (abs(error) - self._error_of_day)
        self._error_of_level += 0.01 * (abs(value - self._very_slow) - self._error_of_level)
        return error, self._error_of_day < _HELPS * self._error_of_level

    def _wilder(self, value: float) -> float:
        """Return how much wilder than usual the series now is, as a logarithm; below 0 for duller."""
        step = abs(value - self._fast)
        self._wild_fast += _WILD_FAST * (step - self._wild_fast)
        self._wild_slow += _WILD_SLOW * (step - self._wild_slow)
        return math.log((self._wild_fast + 1e-9) / (self._wild_slow + 1e-9))

    def _beyond(self, value: float) -> float:
        """Return the surprise at a value outside all that was seen, which is widened to it."""
        surprise = 0.0
        if self._count > _SEEN_BEFORE_RANGE:
            outside = max(value - self._high, self._low - value) / ((self._high - self._low) or 1e-9)
            if outside > _BEYOND:
                surprise = _BEYOND_SURPRISE + min(2.0, outside)
        self._low, self._high = min(self._low, value), max(self._high, value)
        return surprise

    def _follow(self, value: float) -> None:
        self._fast += _FAST * (value - self._fast)
        self._slow += _SLOW * (value - self._slow)
        self._very_slow += _VERY_SLOW * (value - self._very_slow)
