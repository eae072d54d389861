"""A worker's state as it stood at an offset."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.checkpoint import CHECKPOINT_FORMAT, Checkpoint, encode_checkpoint, read_checkpoint
from tests.unit.strategies import examples

ENTRY = Checkpoint(CHECKPOINT_FORMAT, "detect", 3, 7, "trace", {"lictor.steps": 41}, b"\x00state")


@pytest.mark.parametrize("entry", [ENTRY, msgspec.structs.replace(ENTRY, name="", state=None)])
def test_an_entry_survives_its_bytes(entry: Checkpoint) -> None:
    """A worker that takes over would forget what every trace has read."""
    assert read_checkpoint(encode_checkpoint(entry)) == entry


def test_another_format_is_rebuilt_and_never_misread() -> None:
    """After an upgrade the state of every trace would be subtly wrong."""
    for other in (0, CHECKPOINT_FORMAT + 1):
        assert read_checkpoint(encode_checkpoint(msgspec.structs.replace(ENTRY, format=other))) is None


UNREADABLE = {
    "a tombstone": None,
    "nothing": b"",
    "cut short": encode_checkpoint(ENTRY)[:-1],
    "JSON": msgspec.json.encode(ENTRY),
    "a negative offset": encode_checkpoint(msgspec.structs.replace(ENTRY, includes={"lictor.steps": -1})),
    "a field missing": msgspec.msgpack.encode({"format": 1, "stream": "detect"}),
    "10,000 levels": b"\x91" * 10_000,
    "invalid UTF-8": encode_checkpoint(ENTRY).replace(b"detect", b"\xff\xfeect"),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_as_if_it_were_not_there(value: bytes | None) -> None:
    """One damaged checkpoint would keep a partition from ever being judged again."""
    assert read_checkpoint(value) is None


@examples(150)
@given(st.binary(max_size=80))
def test_random_bytes_are_no_checkpoint(value: bytes) -> None:
    """Garbage on the topic would be taken for state."""
    assert read_checkpoint(value) is None
