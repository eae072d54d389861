"""What goes in and comes out of a stream: records as read, outputs as published."""

from dataclasses import dataclass, field
from typing import Protocol

from aiokafka.partitioner import murmur2

from schemas import dead_letter
from schemas.dead_letter import DeadLetter
from schemas.errors import BadRecord
from schemas.message import Message
from schemas.seal import TYPE, Headers, Signer
from streams.topics import Topic


class Record(Protocol):
    """A record as aiokafka hands it out: the part we rely on."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Append time, milliseconds."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Output:
    """A record to publish. `partition` None: by the key, as every Kafka client computes it."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers = field(default_factory=list)
    partition: int | None = None


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key: murmur2, as the Java client's default."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def signed(topic: Topic, key: str, message: Message, signer: Signer, *, kind: str = "") -> Output:
    """Return a signed output."""
    value = message.value()
    return Output(topic.name, key, value, signer.seal(topic.name, key, kind or message.type, value))


def plain(topic: Topic, key: str, message: Message) -> Output:
    """Return an output that says its type and carries no signature."""
    return Output(topic.name, key, message.value(), [(TYPE, message.type.encode())])


def refused(topic: Topic, record: Record, error: BadRecord, by: str, *, agent_id: str = "") -> Output:
    """Return the dead letter of a record. Its id is its place, so that refusing it twice counts once."""
    head, digest = dead_letter.head_and_digest(record.value)
    letter = DeadLetter(
        dead_letter_id=dead_letter.dead_letter_id(record.topic, record.partition, record.offset),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=(record.key or b"").decode("utf-8", "replace")[:500],
        kind=error.kind,
        reason=str(error)[:500],
        by=by,  # type: ignore[arg-type]  # checked by the model
        agent_id=agent_id[:500],
        length=len(record.value or b""),
        digest=digest,
        head=head,
        append_time_us=record.timestamp * 1000,
    )
    return plain(topic, letter.dead_letter_id, letter)
