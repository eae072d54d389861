"""The batch lane: restore, judge, publish, checkpoint, commit. Every stream runs on it.

Guarantees: an offset is committed only after everything its record led to is acknowledged, so nothing is lost; a kill
costs repeats, and repeats carry the ids they had. Records of one partition are handled in order, each key's state
includes each record once. A worker frozen for longer than its lease stops (`Fenced`) before it publishes anything.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from schemas.errors import Fenced, LictorError
from streams import checkpoints
from streams.records import Output, Record
from streams.sender import Sender
from streams.stream import Stream
from streams.topics import MAX_RECORD_BYTES

log = logging.getLogger("lictor.lane")

SESSION_MS: Final = 6000
STOP_S: Final = 3.0
LOOP_BOUND_MS: Final = 500
"""aiokafka's heartbeat lives in the event loop; nothing may hold it longer."""


@dataclass(slots=True)
class Place:
    """Where the lane stands in one input partition."""

    next: int
    """Offset of the next record to handle."""
    quiet_below: int = 0
    """Records below were answered before (their offsets are committed): judged for state, not published again."""


@dataclass(slots=True)
class Owned:
    """One partition number of this stream, over all its inputs."""

    generation: int = 0
    includes: dict[str, Mapping[str, int]] = field(default_factory=dict)
    """Restored entry → per topic, the offset its state includes."""
    stale: list[str] = field(default_factory=list)
    whole: bool = True
    """The next checkpoint must hold everything: the first of its generation."""
    moved: bool = False


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """How a lane runs. `checkpoint_s`: between two checkpoints; `commit_s`: between two commits."""

    bootstrap: str
    checkpoint_topic: str
    group: str
    max_records: int = 2000
    checkpoint_s: float = 2.0
    commit_s: float = 0.25
    tick_s: float = 1.0
    session_ms: int = SESSION_MS
    client: Mapping[str, Any] = field(default_factory=dict)
    """Security settings for every Kafka client."""


def producer_for(settings: LaneSettings) -> AIOKafkaProducer:
    """Return a producer that waits for all replicas and sends at once."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
        acks="all",
        linger_ms=0,
        max_batch_size=MAX_RECORD_BYTES,
        max_request_size=2 * MAX_RECORD_BYTES,
        **settings.client,
    )


class Lane(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Runs one stream until told to stop."""

    def __init__(self, stream: Stream, settings: LaneSettings) -> None:
        self.stream = stream
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.places: dict[TopicPartition, Place] = {}
        self.owned: dict[int, Owned] = {}
        self._assigned: list[TopicPartition] = []
        """Assigned, and not opened yet."""
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once partitions were assigned for the first time."""
        self.on_loop: list[Callable[[], Awaitable[None]]] = []
        self._lock = asyncio.Lock()
        self._torn = False
        """State includes what is not published: only ever outside the lock when something failed."""
        self._due = {"checkpoint": 0.0, "commit": 0.0, "tick": 0.0}
        self._producer = producer_for(settings)
        self.sender = Sender(self._producer)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap,
            group_id=settings.group,
            client_id=f"{settings.group}-{os.getpid()}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=settings.session_ms,
            heartbeat_interval_ms=settings.session_ms // 4,
            max_poll_interval_ms=300_000,
            partition_assignment_strategy=(RangePartitionAssignor,),
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            fetch_max_bytes=16 * MAX_RECORD_BYTES,
            metadata_max_age_ms=30_000,
            **settings.client,
        )

    async def run(self) -> None:
        """Run until `stopping` is set; then checkpoint, commit and leave the group, as far as the broker still answers."""
        await self._producer.start()
        watch = asyncio.create_task(self._watch_loop())
        try:
            await self._consumer.start()
            self._consumer.subscribe([topic.name for topic in self.stream.inputs], listener=self)
            await self._turn_until_stopped()
        finally:
            watch.cancel()
            for last in (self._keep_all, self._consumer.stop, self._producer.stop):
                await _within(STOP_S, last())

    async def _turn_until_stopped(self) -> None:
        """Take turns; when told to stop, give the last one a little time: without a broker it would wait for ever."""
        turning = asyncio.create_task(self._turns())
        stop = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({turning, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if turning.done():
            turning.result()
        await _within(STOP_S, turning)

    async def _turns(self) -> None:
        while not self.stopping.is_set():
            await self._turn()

    async def _keep_all(self) -> None:
        if self.stopping.is_set():
            async with self._lock:
                await self._keep(list(self.owned))

    async def _watch_loop(self) -> None:
        """Count how often something held the event loop for too long."""
        while True:
            started = time.monotonic()
            await asyncio.sleep(LOOP_BOUND_MS / 2000)
            self.counters["loop_held"] += (time.monotonic() - started) * 1000 > LOOP_BOUND_MS * 1.5

    async def _turn(self) -> None:
        if self._assigned:
            await self._open_assigned()
        fetched: Mapping[TopicPartition, Sequence[Record]] = await self._consumer.getmany(
            timeout_ms=100, max_records=self.settings.max_records
        )
        lease_ends = time.monotonic() + self.settings.session_ms / 1000
        async with self._lock:
            await self._handle_all(fetched, lease_ends)
            await self._when_due()

    async def _handle_all(self, fetched: Mapping[TopicPartition, Sequence[Record]], lease_ends: float) -> None:
        """Judge each partition while the outputs of those before it are on their way; return when all are acknowledged."""
        sending: list[asyncio.Task[None]] = []
        self._torn = True
        try:
            for place, records in fetched.items():
                known = self.places.get(place)
                if known is None or records[0].offset < known.next:
                    continue  # no longer ours: left to their new owner
                outputs = await self._judge(place, records, lease_ends)
                sending.append(asyncio.create_task(self._send(known, place.partition, records, outputs)))
        finally:
            await asyncio.gather(*sending)
        self._torn = False

    async def _judge(self, place: TopicPartition, records: Sequence[Record], lease_ends: float) -> Sequence[Output]:
        fresh = self._not_included(place, self.owned[place.partition], records)
        outputs = await self.stream.judge(place, fresh) if fresh else ()
        self.counters["records"] += len(records)
        if self.stream.leased and time.monotonic() > lease_ends:
            raise Fenced
        return outputs

    async def _send(self, known: Place, partition: int, records: Sequence[Record], outputs: Sequence[Output]) -> None:
        """Publish, and only then move on."""
        if records[-1].offset >= known.quiet_below:
            await self.sender.send(outputs)
            self.counters["outputs"] += len(outputs)
        known.next = records[-1].offset + 1
        self.owned[partition].moved = True

    def _not_included(self, place: TopicPartition, owned: Owned, records: Sequence[Record]) -> Sequence[Record]:
        """Leave out what a restored entry includes already."""
        if not owned.includes:
            return records
        fresh: list[Record] = []
        for record in records:
            key = (record.key or b"").decode("utf-8", "replace")
            included = owned.includes.get(self.stream.entry_of(place.topic, key))
            if included is None or record.offset >= included.get(place.topic, 0):
                fresh.append(record)
        return fresh

    async def _when_due(self) -> None:
        now = time.monotonic()
        if now >= self._due["tick"]:
            self._due["tick"] = now + self.settings.tick_s
            await self.sender.send(self.stream.tick(self._lag()))
        if now >= self._due["checkpoint"]:
            self._due["checkpoint"] = now + self.settings.checkpoint_s
            await self._keep(list(self.owned))
        elif now >= self._due["commit"]:
            self._due["commit"] = now + self.settings.commit_s
            await self._commit()

    def _lag(self) -> dict[TopicPartition, int]:
        """Return how many records of each partition are not handled yet, as far as the broker has told."""
        lag = {}
        for place, known in self.places.items():
            end = self._consumer.highwater(place)
            lag[place] = max(0, end - known.next) if end is not None else 0
        return lag

    async def _keep(self, partitions: Iterable[int]) -> None:
        """Checkpoint what changed, then commit.

        Never on the way out of a failure: what was judged and not published would be kept as done, and the next owner
        would take it for a repeat.
        """
        if self._torn:
            return
        if self.stream.keeps_state:
            for partition in partitions:
                await self._checkpoint(partition)
        await self._commit()

    async def _checkpoint(self, partition: int) -> None:
        owned = self.owned[partition]
        if not owned.moved and not owned.whole:
            return
        includes = {place.topic: known.next for place, known in self.places.items() if place.partition == partition}
        topic = self.settings.checkpoint_topic
        changed = self.stream.changed(partition, whole=owned.whole)
        await self.sender.send(
            checkpoints.written(topic, self.stream.name, partition, owned.generation, includes, changed)
        )
        if owned.whole:
            await self.sender.send(checkpoints.dropped(topic, partition, owned.stale))
        owned.whole, owned.moved, owned.stale = False, False, []
        if all(
            known >= included.get(topic, 0) for included in owned.includes.values() for topic, known in includes.items()
        ):
            owned.includes = {}
        self.counters["checkpointed_entries"] += len(changed)

    async def _commit(self) -> None:
        offsets = {place: known.next for place, known in self.places.items() if known.next > 0}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit refused, another worker owns the partitions now: %s", error)
            self.counters["commits_refused"] += 1
        except KafkaError as error:
            log.warning("commit failed, will be repeated: %s", error)
            self.counters["commits_failed"] += 1

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Keep what is ours to keep, and forget it."""
        gone = {place.partition for place in revoked}
        async with self._lock:
            held = [partition for partition in gone if partition in self.owned]
            if held:
                await self._keep(held)
            for partition in held:
                self.stream.close(partition)
                del self.owned[partition]
            for place in [place for place in self.places if place.partition in gone]:
                del self.places[place]
            self._assigned = []

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take note only: restoring may take long, and no heartbeat is sent while this runs."""
        self._assigned = sorted(assigned)
        self._consumer.pause(*self._assigned)

    async def _open_assigned(self) -> None:
        """Restore each partition's state and seek to where it goes on."""
        async with self._lock:
            places, self._assigned = self._assigned, []
            if self.stream.keeps_state:
                await self._restore(places)
            else:
                await self._resume(places)
            if not self._assigned:
                self._consumer.resume(*[place for place in places if place in self.places])
        self.ready.set()

    async def _resume(self, places: list[TopicPartition]) -> None:
        offsets = await self.stream.resume(places)
        first = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        for place in places:
            self.owned.setdefault(place.partition, Owned(whole=False))
            start = max(first[place], offsets.get(place, 0))
            if start > ends[place]:
                raise LictorError(
                    f"the history holds {place.topic}[{place.partition}] up to offset {start}, Kafka only up to {ends[place]}: "
                    "they do not belong together; give this Kafka a history of its own"
                )
            self._begin_at(place, Place(start))

    def _begin_at(self, place: TopicPartition, known: Place) -> None:
        """Go on from a place, unless it was taken away meanwhile."""
        if place in self._consumer.assignment():
            self._consumer.seek(place, known.next)
            self.places[place] = known

    async def _restore(self, places: list[TopicPartition]) -> None:
        reader = AIOKafkaConsumer(
            bootstrap_servers=self.settings.bootstrap,
            fetch_max_wait_ms=5,
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            **self.settings.client,
        )
        await reader.start()
        try:
            for partition in sorted({place.partition for place in places}):
                await self._restore_one(reader, partition, [place for place in places if place.partition == partition])
        finally:
            await reader.stop()

    async def _restore_one(self, reader: AIOKafkaConsumer, partition: int, places: list[TopicPartition]) -> None:
        found = await checkpoints.read_partition(reader, self.settings.checkpoint_topic, partition)
        restored = checkpoints.choose(self.stream.name, partition, found, group_generation(self._consumer))
        self.stream.open(partition, restored.entries)
        self.owned[partition] = Owned(
            generation=restored.generation,
            includes={name: entry.includes for name, entry in restored.entries.items()},
            stale=restored.stale,
        )
        first = await self._consumer.beginning_offsets(places)
        committed_at = {place: await self._consumer.committed(place) or 0 for place in places}
        for place in places:
            start = max(first[place], (restored.includes or {}).get(place.topic, 0))
            self._begin_at(place, Place(start, quiet_below=committed_at[place]))
        log.info("%s owns partition %d: %d entries restored", self.stream.name, partition, len(restored.entries))


async def _within(seconds: float, last: Awaitable[None]) -> None:
    """Do one thing on the way out, but not for ever: what is left undone is done again by the next owner."""
    try:
        await asyncio.wait_for(last, seconds)
    except (TimeoutError, KafkaError, LictorError) as error:
        log.warning("left undone on the way out: %s", error or "the broker does not answer")


def group_generation(consumer: AIOKafkaConsumer) -> int:
    """Return the consumer group's generation. aiokafka keeps it to itself; a test holds this one place to it."""
    return int(consumer._coordinator.generation)  # noqa: SLF001
