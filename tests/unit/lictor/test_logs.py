"""The log of a part stays small, and its end is told in one line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor.logs import LINE_CHARS, Log, told
from tests.unit.strategies import examples

JAVA = """[2026-01-01] ERROR Exiting Kafka due to fatal exception
java.io.IOException: {cause}
\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)
\tat kafka.Kafka$.main(Kafka.scala:92)
Caused by: java.io.IOException: {cause}
\t... 12 more
"""
PYTHON = """Traceback (most recent call last):
  File "x.py", line 3, in <module>
    main()
ValueError: the very reason
"""


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("No space left on device", "no space is left"),
        ("File too large", "ulimit -f"),
        ("Too many open files", "ulimit -n"),
        ("Address already in use", "port is taken"),
        ("something quite different", "java.io.IOException: something quite different"),
    ],
)
def test_a_java_trace_is_told_as_its_cause(cause: str, words: str) -> None:
    """A user with a full disk would read fifty lines of Java, and not that the disk is full."""
    said = told(JAVA.format(cause=cause))
    assert words in said
    assert "\tat " not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PYTHON, "ValueError: the very reason"),
        ("lictor: no Kafka answers (k:1)\n", "no Kafka answers (k:1)"),
        ("one\ntwo\n", "two"),
        ("2026 ERROR first\n2026 WARNING after\n", "2026 ERROR first"),
        ("", "it left no word"),
        (" \n\t\n", "it left no word"),
        ("error \x1b[2J\u202egone", "error ·[2J·gone"),
    ],
)
def test_the_telling_line_is_found(text: str, said: str) -> None:
    """A part would end and its reason stay in a file that nobody opens."""
    assert told(text) == said


@examples(200)
@given(st.text(max_size=2000))
def test_whatever_a_log_holds_one_line_is_told(text: str) -> None:
    """A log could write over the screen of whoever looks at Lictor's start."""
    said = told(text)
    assert said.isprintable()
    assert 0 < len(said) <= LINE_CHARS


def test_a_log_does_not_grow_on_and_its_end_is_kept(tmp_path: Path) -> None:
    """An outage of a night would fill the disk, or the one line that explains it be thrown away."""
    log = Log(tmp_path / "detect.log", most_bytes=1000)
    with log.open() as file:
        for number in range(500):
            file.write(b"line %d\n" % number)
            file.flush()
            log.bound()
    assert log.path.stat().st_size <= 1000
    assert (tmp_path / "detect.log.old").stat().st_size <= 1000
    kept = (tmp_path / "detect.log.old").read_text() + log.path.read_text()
    assert kept.splitlines()[-50:] == [f"line {number}" for number in range(450, 500)]
    assert {path.name for path in tmp_path.iterdir()} == {"detect.log", "detect.log.old"}


def test_only_the_last_start_is_told_of(tmp_path: Path) -> None:
    """A part that fails for a new reason would be told by the reason of last week."""
    log = Log(tmp_path / "archive.log")
    for reason in (b"error: No space left on device\n", b"error: another\n"):
        with log.open() as file:
            file.write(reason)
    assert log.last_words() == "error: another"
    with log.open():
        assert log.last_words() == "it left no word"


def test_a_log_that_was_never_written_tells_nothing(tmp_path: Path) -> None:
    """A failed start would hide its reason behind a second error."""
    log = Log(tmp_path / "none.log")
    log.bound()
    assert log.last_words() == "it left no word"
