"""The link to Kafka: a thread of its own that publishes in the background and listens for what the agent is told.

The agent's threads only append to a queue. Records are published in order; one whose publishing failed is published
again before anything newer of its kind, and says so (`lictor-again`), so that the history can keep it once.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from lictor_agent.seal import AGAIN
from lictor_agent.settings import AgentSettings
from lictor_agent.spool import Leftover, Spool, Spooled, SpoolFull, leftovers

log = logging.getLogger("lictor_agent")
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

MAX_QUEUED: Final = 100_000
RETRY_S: Final = 0.5
LINGER_S: Final = 0.001
ACK_PATIENCE_S: Final = 1.0
"""How long a write-ahead waits for the broker before it turns to the disk."""
MAX_BATCH: Final = 1 << 20
HEARD: Final = ("policies", "containment", "commands", "liveness")
"""The topics that an agent reads."""


@dataclass(slots=True)
class Outgoing:
    """One record on its way. `acked` resolves when the broker has it."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    acked: "concurrent.futures.Future[None] | None" = None
    again: bool = False
    on_disk: bool = False

    def spooled(self) -> Spooled:
        """Return the record as it is kept on disk."""
        return Spooled(self.topic, self.key, self.value, self.headers)


@dataclass(slots=True)
class Heard:
    """A record of a topic the agent listens to."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    time_us: int


@dataclass(slots=True)
class Link:
    """Publishes and listens. `ready` is set once everything that stands has been read."""

    settings: AgentSettings
    agent_id: str
    hear: Callable[[Heard], None]
    ready: threading.Event = field(default_factory=threading.Event)
    counters: Counter[str] = field(default_factory=Counter)
    online: bool = False
    closing: bool = False
    _queue: deque[Outgoing] = field(default_factory=deque)
    _failed: deque[Outgoing] = field(default_factory=deque)
    _flying: dict[int, Outgoing] = field(default_factory=dict)
    """Handed to the producer and not acknowledged yet, by `id`."""
    _work: "asyncio.Task[None] | None" = None
    _spool: Spool = field(init=False)
    _spool_lock: threading.Lock = field(default_factory=threading.Lock)
    _loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event | None = None
    _waking: bool = False
    _asleep: bool = True
    """The loop waits to be woken. While records keep coming it looks again by itself: waking it costs the agent's thread
    a system call, and the interpreter's lock besides."""
    _thread: threading.Thread | None = None
    _partitions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spool = Spool(self.settings.spool, self.agent_id)

    def start(self) -> None:
        """Start the thread; returns at once."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), name="lictor-link", daemon=True)
        self._thread.start()
        started.wait(5)

    def publish(self, record: Outgoing) -> None:
        """Queue a record; never waits. Over the bound it is dropped and counted."""
        if self.settings.off:
            return
        if len(self._queue) >= MAX_QUEUED and record.acked is None:
            self.counters["dropped"] += 1
            return
        self._queue.append(record)
        if not self._waking and (self._asleep or record.acked is not None) and self._loop is not None:
            self._waking = True
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._set_wake)

    def on_disk(self, record: Outgoing) -> None:
        """Put a record that was not acknowledged in time on disk. Raises `SpoolFull`."""
        with self._spool_lock:
            if not record.on_disk:
                self._spool.write(record.spooled())
                record.on_disk = True
        self.counters["spooled"] += 1

    def stop(self, timeout_s: float) -> bool:
        """Publish what is queued, within the time; put the rest on disk. Return whether everything was acknowledged."""
        self.closing = True
        self._tell(self._set_wake)
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._tell(self._give_up)
            self._thread.join(1.0)
        left = [*self._flying.values(), *self._failed, *self._queue]
        for record in left:
            with contextlib.suppress(SpoolFull):
                self.on_disk(record)
        with self._spool_lock:
            self._spool.close(keep=bool(left))
        return not left

    def _tell(self, what: Callable[[], None]) -> None:
        """Have the thread do something, if it still can."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(what)

    def _give_up(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def pending(self) -> int:
        """Return how many records the broker has not acknowledged."""
        return len(self._queue) + len(self._failed) + len(self._flying)

    def _set_wake(self) -> None:
        self._waking = False
        if self._wake is not None:
            self._wake.set()

    def _main(self, started: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._begin(started))
            except asyncio.CancelledError:
                self.counters["gave_up"] += 1
            except Exception:
                log.exception("the link to Lictor failed; calls with effects go to disk from here on")
                self.counters["link_failed"] += 1
            self.online = False
            self._loop = None

    async def _begin(self, started: threading.Event) -> None:
        self._wake = asyncio.Event()
        self._work = asyncio.current_task()
        started.set()
        await self._run()

    async def _run(self) -> None:
        listener = asyncio.create_task(self._listen_for_ever())
        try:
            producer = await self._producer()
            if producer is not None:
                try:
                    await self._drain_leftovers(producer)
                    await self._pump(producer)
                finally:
                    await _stopped(producer)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _producer(self) -> AIOKafkaProducer | None:
        """Connect, again and again until it works or the agent ends."""
        while not self.closing:
            producer = AIOKafkaProducer(
                bootstrap_servers=self.settings.kafka,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=MAX_BATCH,
                max_request_size=4 * MAX_BATCH,
                request_timeout_ms=10_000,
                retry_backoff_ms=50,
                **self.settings.kafka_client,
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                self._offline(error)
                await _stopped(producer)
                await self._nap(RETRY_S)
            except asyncio.CancelledError:
                await _stopped(producer)
                raise
            else:
                self.online = True
                return producer
        return None

    def _offline(self, error: BaseException) -> None:
        if self.online and self.ready.is_set():  # at the start the agent itself says under what it goes on
            log.warning("Lictor's Kafka at %s cannot be reached: %s", self.settings.kafka, error)
        self.online = False
        self.counters["offline"] += 1

    async def _nap(self, seconds: float) -> None:
        """Wait, but wake up at once when the agent ends."""
        if self._wake is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)

    async def _pump(self, producer: AIOKafkaProducer) -> None:
        """Publish what is queued, oldest first; end once the agent ends and nothing is left."""
        wake = self._wake
        if wake is None:
            return
        while True:
            wake.clear()
            while self._failed or self._queue:
                record = self._failed.popleft() if self._failed else self._queue.popleft()
                await self._send(producer, record)
            if self.closing and not self.pending():
                return
            if not self._flying and not self._failed:
                with self._spool_lock:
                    self._spool.clear()
            if not self._queue and not self._failed:
                await self._linger(wake)

    async def _linger(self, wake: asyncio.Event) -> None:
        """Look again after a moment; sleep only when nothing came in it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), LINGER_S)
        if self._queue or self._failed or wake.is_set():
            return
        self._asleep = True
        if not self._queue:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), 1.0)
        self._asleep = False

    async def _send(self, producer: AIOKafkaProducer, record: Outgoing) -> None:
        self._flying[id(record)] = record
        headers = [*record.headers, (AGAIN, b"1")] if record.again else record.headers
        try:
            partition = await self._partition(producer, record.topic, record.key)
            future = await producer.send(
                record.topic, record.value, key=record.key.encode(), partition=partition, headers=headers
            )
        except (KafkaError, OSError) as error:
            self._not_sent(record, error)
            await asyncio.sleep(RETRY_S)
            return
        future.add_done_callback(lambda done: self._done(record, done))

    def _done(self, record: Outgoing, future: "asyncio.Future[Any]") -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            self._not_sent(record, error or asyncio.CancelledError())
            return
        del self._flying[id(record)]
        self.online = True
        self.counters["published"] += 1
        if record.acked is not None and not record.acked.done():
            record.acked.set_result(None)
        if self._wake is not None and (self.closing or not self._flying):
            self._wake.set()

    def _not_sent(self, record: Outgoing, error: BaseException) -> None:
        """Keep the record for another try. Whether the broker has it is not known."""
        self._flying.pop(id(record), None)
        self._offline(error)
        record.again = True
        self._failed.append(record)
        self.counters["retried"] += 1
        if self._wake is not None:
            self._wake.set()

    async def _partition(self, producer: AIOKafkaProducer, topic: str, key: str) -> int:
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = len(await producer.partitions_for(topic))
        return int((murmur2(key.encode()) & 0x7FFFFFFF) % count)

    async def _drain_leftovers(self, producer: AIOKafkaProducer) -> None:
        """Send what a dead process of this agent left on this machine."""
        for leftover in leftovers(self.settings.spool, self.agent_id):
            await self._drain(producer, leftover)

    async def _drain(self, producer: AIOKafkaProducer, leftover: Leftover) -> None:
        try:
            for record in leftover.records():
                partition = await self._partition(producer, record.topic, record.key)
                headers = [(name, value) for name, value in record.headers if name != AGAIN]
                await producer.send_and_wait(
                    record.topic,
                    record.value,
                    key=record.key.encode(),
                    partition=partition,
                    headers=[*headers, (AGAIN, b"1")],
                )
                self.counters["drained"] += 1
        except (KafkaError, OSError) as error:
            log.warning("the spool of an earlier process was not sent whole: %s", error)
            leftover.release()
        else:
            leftover.done()

    async def _listen_for_ever(self) -> None:
        while not self.closing:
            try:
                await self._listen()
            except (KafkaError, OSError) as error:
                self._offline(error)
                await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        """Read containment and policies to their end, then follow them and the control topic."""
        names = [f"{self.settings.namespace}.{name}" for name in HEARD]
        consumer = AIOKafkaConsumer(
            *names,
            bootstrap_servers=self.settings.kafka,
            max_partition_fetch_bytes=4 * MAX_BATCH,
            request_timeout_ms=10_000,
            **self.settings.kafka_client,
        )
        try:
            await consumer.start()
            standing = await self._choose(consumer, names)
            while standing:
                await self._poll(consumer, 50)
                standing = {place: end for place, end in standing.items() if await consumer.position(place) < end}
            self.ready.set()
            while not self.closing:
                await self._poll(consumer, 200)
        finally:
            await _stopped(consumer)

    async def _choose(self, consumer: AIOKafkaConsumer, names: list[str]) -> dict[TopicPartition, int]:
        """Keep only the partitions this agent's key falls into; return where what stands now ends."""
        consumer.pause(*consumer.assignment())  # a fetch from where aiokafka would begin would hold up the ones we want
        policies, containment, commands, liveness = names
        wanted = {TopicPartition(policies, 0), TopicPartition(liveness, 0)}
        for name in (containment, commands):
            count = len(consumer.partitions_for_topic(name) or {0})
            wanted.add(TopicPartition(name, int((murmur2(self.agent_id.encode()) & 0x7FFFFFFF) % count)))
        consumer.unsubscribe()
        consumer.assign(list(wanted))
        consumer.pause(*wanted)
        standing = [place for place in wanted if place.topic in (policies, containment)]
        ends = await consumer.end_offsets(list(wanted))
        for place, offset in (ends | await consumer.beginning_offsets(standing)).items():
            consumer.seek(place, offset)
        consumer.resume(*wanted)
        return {place: ends[place] for place in standing}

    async def _poll(self, consumer: AIOKafkaConsumer, timeout_ms: int) -> None:
        for records in (await consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                if record.value is not None:
                    key = (record.key or b"").decode("utf-8", "replace")
                    headers = list(record.headers)
                    self.hear(Heard(record.topic, key, record.value, headers, record.timestamp * 1000))


async def _stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stop a client, but not for ever: without a broker it would wait for one."""
    with contextlib.suppress(TimeoutError, KafkaError, OSError):
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(client.stop())), 2)


def monotonic_us() -> int:
    """Return a monotonic time, microseconds."""
    return time.monotonic_ns() // 1000
