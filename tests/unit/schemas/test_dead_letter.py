"""A refused record leaves its place, its reason and its first 4 KiB."""

import base64
import hashlib

from schemas.dead_letter import HEAD_BYTES, DeadLetter, dead_letter_id, head_and_digest
from schemas.message import MAX_MESSAGE_BYTES
from tests.unit.builders import NOW


def a_letter(value: bytes | None) -> DeadLetter:
    """Return the dead letter of a value."""
    head, digest = head_and_digest(value)
    return DeadLetter(
        dead_letter_id=dead_letter_id("lictor.steps", 3, 99),
        topic="lictor.steps",
        partition=3,
        offset=99,
        kind="not_json",
        reason="it is not JSON",
        by="detect",
        length=len(value or b""),
        digest=digest,
        head=head,
        append_time_us=NOW,
    )


def test_the_id_is_the_records_place() -> None:
    """Two streams refusing one record would count two losses."""
    assert dead_letter_id("t", 1, 2) == dead_letter_id("t", 1, 2)
    places = [("t", 1, 2), ("t", 2, 1), ("t", 12, 0), ("t", 1, 20), ("u", 1, 2)]
    assert len({dead_letter_id(*place) for place in places}) == len(places)


def test_a_dead_letter_of_the_largest_record_still_fits() -> None:
    """The record that is too large would also be lost without a trace."""
    value = bytes(range(256)) * (MAX_MESSAGE_BYTES // 256) + b"!"
    letter = a_letter(value)
    assert len(letter.value()) < 2 * HEAD_BYTES
    assert base64.b64decode(letter.head) == value[:HEAD_BYTES]
    assert letter.digest == hashlib.blake2b(value, digest_size=16).hexdigest()


def test_any_bytes_can_be_kept() -> None:
    """Evidence of an attack on the parser would be lost for not being text."""
    letter = a_letter(b"\xff\x00\xed\xa0\x80")
    assert DeadLetter.read(letter.value()) == letter
    assert base64.b64decode(letter.head) == b"\xff\x00\xed\xa0\x80"


def test_a_tombstone_has_an_empty_head() -> None:
    """A refused tombstone would end the stream that refuses it."""
    assert a_letter(None).head == ""
    assert head_and_digest(None) == head_and_digest(b"")
