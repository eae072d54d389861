"""A record that was refused: where it is, why, and its first 4 KiB."""

import base64
import hashlib
from typing import ClassVar, Final, Literal

from schemas import ids
from schemas.message import Message, Micros, ShortText

HEAD_BYTES: Final = 4096


class DeadLetter(Message):
    """Always fits: 4 KiB of the value (base64), its length and digest, and its coordinates.

    The id is the record's topic, partition and offset, so that two streams refusing the same record count once.
    """

    type: ClassVar[str] = "dead_letter"

    dead_letter_id: str
    topic: str
    partition: int
    offset: int
    key: ShortText = ""
    kind: ShortText
    reason: ShortText
    by: Literal["detect", "respond", "archive", "profile"]
    agent_id: ShortText = ""
    """As the record claims; empty where it could not be read."""
    length: int
    digest: str
    head: str
    append_time_us: Micros


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """Return the id of a refused record: its coordinates."""
    return ids.named("lictor.dead", topic, str(partition), str(offset))


def head_and_digest(value: bytes | None) -> tuple[str, str]:
    """Return the base64 of the first 4 KiB and the digest of the whole value."""
    body = value or b""
    return base64.b64encode(body[:HEAD_BYTES]).decode(), hashlib.blake2b(body, digest_size=16).hexdigest()
