"""A worker's state as it stood at an offset, so that another can go on from there."""

from typing import Annotated, Final

import msgspec

CHECKPOINT_FORMAT: Final = 1
"""Another format is rebuilt from steps, never misread."""


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """One entry of one partition, written by one generation of the consumer group.

    `includes` holds, per input topic, the offset (exclusive) that the state includes. The entry named "" is the
    manifest: everything changed up to its offsets has been written. `state` is None where the entry was forgotten.
    """

    format: int
    stream: str
    partition: int
    generation: int
    name: str
    includes: dict[str, Annotated[int, msgspec.Meta(ge=0)]]
    state: bytes | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Checkpoint)


def encode_checkpoint(entry: Checkpoint) -> bytes:
    """Return the bytes to publish."""
    return _encoder.encode(entry)


def read_checkpoint(value: bytes | None) -> Checkpoint | None:
    """Return the entry, or None for a tombstone or anything of another format."""
    if value is None:
        return None
    try:
        entry = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return entry if entry.format == CHECKPOINT_FORMAT else None
