"""One series of numbers, judged value by value."""

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.anomaly.refractory import Refractory
from detectors.anomaly.series import SeriesDetector
from detectors.anomaly.tail import Tail

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
WARM_UP = 300
ALARM = 0.36
"""About one sum of surprises in fifty."""


def times(count: int) -> list[datetime]:
    """Return moments five minutes apart."""
    return [BEGIN + timedelta(minutes=5 * at) for at in range(count)]


def scores(values: Sequence[float], warm_up: int = WARM_UP) -> list[float]:
    """Return the score of every value."""
    detector = SeriesDetector(warm_up)
    return [detector.score(moment, value) for moment, value in zip(times(len(values)), values, strict=True)]


def noise(count: int, seed: int = 1) -> list[float]:
    """Return a level with noise."""
    chance = random.Random(seed)
    return [50 + chance.gauss(0, 1) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("spike", lambda at, value: value + 20 * (at < 3)),
        ("dip", lambda at, value: value - 20 * (at < 3)),
        ("level", lambda _, value: value + 6),
        ("wild", lambda at, value: value + 8 * (-1) ** at),
    ],
)
def test_what_changes_is_the_oddest_of_all(name: str, change: object) -> None:
    """An outage would look like any other hour."""
    values = noise(2000)
    values[1500:] = [change(at, value) for at, value in enumerate(values[1500:])]  # type: ignore[operator]
    found = scores(values)
    assert max(found[1500:1540]) > max(found[:1500]), name
    assert max(found[1500:1540]) > ALARM


def test_a_series_that_stands_still_is_odd() -> None:
    """A sensor that hangs would look healthy."""
    values = noise(2000)
    values[1500:] = [50.0] * 500
    assert max(scores(values)[1500:1600]) > ALARM


def test_the_time_of_day_is_learnt() -> None:
    """A day on which nobody came would be nothing but low values, as they come every night."""
    chance = random.Random(5)
    days = [10 - 9 * math.cos(at % 288 / 288 * 2 * math.pi) + chance.gauss(0, 1) for at in range(288 * 14)]
    honest = scores(days, 288 * 4)
    days[288 * 12 : 288 * 13] = [1 + chance.gauss(0, 1) for _ in range(288)]
    missing = scores(days, 288 * 4)
    assert max(missing[288 * 12 : 288 * 13]) > max(ALARM, *honest[288 * 12 : 288 * 13])


def test_one_anomaly_is_one_alarm() -> None:
    """A level that stays higher would alarm at every value."""
    values = noise(2000)
    values[1500:] = [value + 15 for value in values[1500:]]
    assert sum(score > ALARM for score in scores(values)[1500:1575]) <= 2


def test_nothing_is_said_before_anything_is_known() -> None:
    """The first values of every series would be alarms."""
    assert max(scores([0.0, 1e9, -1e9, *noise(WARM_UP - 5)])) == 0


def test_no_value_is_judged_by_what_comes_after_it() -> None:
    """The figures of the bench would be those of an oracle."""
    values = noise(1500)
    assert scores(values)[:1200] == scores([*values[:1200], *(1e6 for _ in range(300))])[:1200]


def test_what_is_no_number_scores_nothing_and_teaches_nothing() -> None:
    """One broken sensor reading would blind the detector for good, or be an alarm itself."""
    values = noise(1600)
    broken = [*values[:1000], math.nan, math.inf, -math.inf, *values[1000:]]
    found = scores(broken)
    assert found[1000:1003] == [0.0] * 3
    assert found[:1000] + found[1003:] == pytest.approx(scores(values), abs=0)


@given(st.lists(st.floats(), max_size=400))
@settings(max_examples=30, deadline=None)
def test_every_score_lies_between_0_and_1(values: list[float]) -> None:
    """A hostile number would stop the judgement, or pass every threshold."""
    assert all(0 <= score <= 1 for score in scores(values, 20))


def test_memory_is_bounded() -> None:
    """A process that watches many series for months would grow until it is killed."""
    tail = Tail(100, 0.05)
    for value in noise(5000):
        tail.learn(value)
    assert len(tail._order) == len(tail._last) == 100
    refractory = Refractory(50)
    for value in noise(5000):
        refractory.heard(value)
    assert len(refractory._recent) <= 51


def test_the_same_series_scores_the_same() -> None:
    """An alarm could not be reproduced."""
    assert scores(noise(900)) == scores(noise(900))
