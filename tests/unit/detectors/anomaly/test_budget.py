"""Thresholds that follow from how often an alarm may be false."""

import random

from detectors.anomaly.budget import Budget, Tally


def counted(days: int, seed: int = 3) -> Tally:
    """Return a tally of days whose strangest moments thin out exponentially."""
    chance = random.Random(seed)
    tally = Tally()
    for _ in range(days):
        tally.count(1 + chance.expovariate(1.0))
    return tally


def test_the_threshold_is_where_the_share_of_days_is_beyond_it() -> None:
    """The policy would ask for one false alarm a month and get one a day."""
    chance = random.Random(4)
    threshold = counted(20_000).threshold(0.01, 9.0)
    beyond = sum(1 + chance.expovariate(1.0) > threshold for _ in range(20_000))
    assert 0.005 < beyond / 20_000 < 0.012


def test_a_rare_share_is_read_off_the_line() -> None:
    """A small fleet could have no budget below one alarm in the days it has seen."""
    few = counted(2_000).threshold(0.001, 9.0)
    assert 6 < few < 12


def test_few_days_say_nothing() -> None:
    """The first quiet day would set a threshold that every later day is over."""
    assert counted(100).threshold(0.01, 9.0) == 9.0


def test_an_attackers_days_count_as_days_over_the_threshold_and_no_more() -> None:
    """Whoever goes far enough once would be out of reach the next time."""
    honest, attacked = Budget((4.0,)), Budget((4.0,))
    chance = random.Random(5)
    for number in range(5000):
        strangest = 1 + chance.expovariate(2.0)
        honest.count((strangest,), strangest / 4)
        attacked.count((1e9 if number % 1000 == 0 else strangest,), strangest / 4)
    honest.begin(1, 0.03, (4.0,))
    attacked.begin(1, 0.03, (4.0,))
    assert attacked.thresholds[0] < 1.2 * honest.thresholds[0]
