"""What cannot be published is told before anything is."""

from pathlib import Path

import pytest

from lictor.ingest import MAX_PUBLISHED_BYTES, must_fit
from lictor.sessions import read_sessions
from schemas.errors import BadInput
from streams.topics import MAX_RECORD_BYTES
from tests.unit.lictor._recorded import called, honest, said, session, write


def filled(kib: int) -> dict[str, str]:
    """Return arguments that long in all, none of them long enough to be cut."""
    return {f"a{number}": "x" * 1024 for number in range(kib)}


def test_a_step_that_kafka_does_not_take_is_named_before_anything_is_published(tmp_path: Path) -> None:
    """Half of a recording would be published, and the rest end in another library's stack trace."""
    file = write(tmp_path / "s.jsonl", [session("long\x1b[2J", said("go"), called("save", **filled(4096)))])
    with pytest.raises(BadInput, match="step 1 of session long") as bad:
        [must_fit(one, file) for one in read_sessions(file)]
    assert str(MAX_PUBLISHED_BYTES) in str(bad.value)
    assert str(file) in str(bad.value)
    assert "\x1b" not in str(bad.value)


def test_all_that_kafka_takes_is_let_through(tmp_path: Path) -> None:
    """A recording that could be published would be refused."""
    file = write(tmp_path / "s.jsonl", [honest(), session("large", called("save", **filled(3500)))])
    assert [must_fit(one, file).session_id for one in read_sessions(file)] == ["honest", "large"]
    assert MAX_PUBLISHED_BYTES < MAX_RECORD_BYTES
