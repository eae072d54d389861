"""A log says a thing a few times, then how often."""

import logging
from collections.abc import Iterator

from lictor.sparing import FIRST, KINDS, WINDOW_S, Sparing


def lines(
    sparing: Sparing, times_s: Iterator[float] | list[float], text: str = "no broker at %s", **at: int
) -> list[str]:
    """Log the same wording at some times, with another value each; return what is written."""
    written = []
    for number, time_s in enumerate(times_s):
        record = logging.LogRecord("aiokafka", at.get("level", logging.ERROR), "f", 1, text, (number,), None)
        record.created = time_s
        if sparing.filter(record):
            written.append(record.getMessage())
    return written


def test_what_is_said_thousands_of_times_is_written_a_few_times_and_counted() -> None:
    """While a broker is away every part would write thousands of lines a minute."""
    sparing = Sparing()
    first = lines(sparing, [number / 1000 for number in range(5000)])
    assert first == [f"no broker at {number}" for number in range(FIRST)]
    (later,) = lines(sparing, [WINDOW_S])
    assert later == f"no broker at 0 (and {5000 - FIRST} times more since the last such line)"
    assert lines(sparing, [WINDOW_S + 1]) == ["no broker at 0"]


def test_another_wording_logger_or_level_is_not_held_back() -> None:
    """The one line that says what is really wrong would drown with the others."""
    sparing = Sparing()
    lines(sparing, [0.0] * 100)
    assert lines(sparing, [0.0], "disk of %s is full") == ["disk of 0 is full"]
    assert lines(sparing, [0.0], level=logging.CRITICAL) == ["no broker at 0"]


def test_very_many_wordings_take_no_more_memory() -> None:
    """A library that puts values into its wordings would fill the memory of a part."""
    sparing = Sparing()
    for number in range(3 * KINDS):
        lines(sparing, [0.0], f"wording {number}: %s")
    assert len(sparing.kinds) <= KINDS
