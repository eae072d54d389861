"""State on a compacted topic: who may write it, how it is read back, and when the old is dropped.

Every owner of a partition writes under its own generation, so a frozen owner that wakes up cannot overwrite its
successor. A generation counts from the moment its manifest (the entry named "") is there; until then its predecessor's
does. The first checkpoint of a generation is whole; later ones hold what changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.checkpoint import CHECKPOINT_FORMAT, Checkpoint, encode_checkpoint, read_checkpoint
from streams.records import Output

MANIFEST: Final = ""
_ERA: Final = 1 << 32
"""Kafka may start counting generations anew once a group was empty for days; then a new era begins."""


@dataclass(slots=True)
class Restored:
    """What the topic holds for one partition of one stream."""

    generation: int = 0
    """The generation to write under: above every one seen."""
    includes: dict[str, int] | None = None
    """Per input topic, the offset from which to go on; None where there is nothing to go on from."""
    entries: dict[str, Checkpoint] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    """Keys of older generations, to be dropped once the new one is whole."""


def checkpoint_key(stream: str, partition: int, generation: int, name: str) -> str:
    """Return the key of one entry."""
    return f"{stream}/{partition}/{generation:016x}/{name}"


def choose(stream: str, partition: int, found: Mapping[str, Checkpoint], group_generation: int) -> Restored:
    """Pick the newest generation that has a manifest, and a generation to write under. Pure."""
    mine = {key: entry for key, entry in found.items() if entry.stream == stream and entry.partition == partition}
    highest = max((entry.generation for entry in mine.values()), default=0)
    era, seen = divmod(highest, _ERA)
    generation = (era if group_generation > seen else era + 1) * _ERA + group_generation
    whole = [entry for entry in mine.values() if entry.name == MANIFEST]
    restored = Restored(generation=generation, stale=list(mine))
    if not whole:
        return restored
    manifest = max(whole, key=lambda entry: entry.generation)
    restored.includes = dict(manifest.includes)
    restored.entries = {
        entry.name: entry
        for entry in mine.values()
        if entry.generation == manifest.generation and entry.name != MANIFEST and entry.state is not None
    }
    return restored


async def read_partition(consumer: AIOKafkaConsumer, topic: str, partition: int) -> dict[str, Checkpoint]:
    """Read one partition of the checkpoints to its end; the last value of each key counts."""
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    end = (await consumer.end_offsets([place]))[place]
    consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
    found: dict[str, Checkpoint] = {}
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=200)).get(place, []):
            key = (record.key or b"").decode("utf-8", "replace")
            entry = read_checkpoint(record.value)
            if entry is None:
                found.pop(key, None)
            else:
                found[key] = entry
    return found


def written(
    topic: str,
    stream: str,
    partition: int,
    generation: int,
    includes: Mapping[str, int],
    changed: Mapping[str, bytes | None],
) -> list[Output]:
    """Return the entries that changed (None: forgotten) and, last, the manifest."""
    out = [_entry(topic, stream, partition, generation, includes, name, state) for name, state in changed.items()]
    return [*out, _entry(topic, stream, partition, generation, includes, MANIFEST, b"")]


def _entry(
    topic: str,
    stream: str,
    partition: int,
    generation: int,
    includes: Mapping[str, int],
    name: str,
    state: bytes | None,
) -> Output:
    key = checkpoint_key(stream, partition, generation, name)
    if state is None:
        return Output(topic, key, None, partition=partition)
    entry = Checkpoint(CHECKPOINT_FORMAT, stream, partition, generation, name, dict(includes), state)
    return Output(topic, key, encode_checkpoint(entry), partition=partition)


def dropped(topic: str, partition: int, stale: list[str]) -> list[Output]:
    """Return the tombstones of older generations."""
    return [Output(topic, key, None, partition=partition) for key in stale]
