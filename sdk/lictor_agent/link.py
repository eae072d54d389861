"""The link to Kafka: a thread of its own that publishes in the background and listens for what the agent is told.

The agent's threads only append to a queue. Records are published in order. One of which nobody knows whether the broker has
it is published again before anything newer, and says so (`lictor-again`), so that the history can keep it once.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from lictor_agent.drain import drain_into
from lictor_agent.listener import HEARD, Listener, partition_of, stopped
from lictor_agent.outbox import Outbox
from lictor_agent.parcels import Heard, Outgoing
from lictor_agent.seal import AGAIN
from lictor_agent.settings import AgentSettings

__all__ = ["ACK_PATIENCE_S", "HEARD", "Heard", "Link", "Outgoing", "monotonic_us"]

log = logging.getLogger("lictor_agent")
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

RETRY_S: Final = 0.5
LINGER_S: Final = 0.001
SPILL_EVERY_S: Final = 0.05
ACK_PATIENCE_S: Final = 1.0
"""How long a write-ahead waits for the broker before it turns to the disk."""
MAX_BATCH: Final = 1 << 20
MAX_FLYING: Final = 5000
PATIENCE_S: Final = 24 * 3600.0
"""How long the producer keeps a batch that the broker does not take: it would reorder what it gave back."""


@dataclass(slots=True)
class Link:
    """Publishes and listens. `ready` is set once everything that stands has been read."""

    settings: AgentSettings
    agent_id: str
    hear: Callable[[Heard], None]
    ready: threading.Event = field(default_factory=threading.Event)
    counters: Counter[str] = field(default_factory=Counter)
    online: bool = False
    slow: bool = False
    """The last record that a call waited for was not acknowledged in time, and nothing was since."""
    closing: bool = False
    outbox: Outbox = field(init=False)
    _flying: dict[int, Outgoing] = field(default_factory=dict)
    """Handed to the producer and not acknowledged yet, by `id`."""
    _work: "asyncio.Task[None] | None" = None
    _loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event | None = None
    _waking: bool = False
    _asleep: bool = True
    """The loop waits to be woken. While records keep coming it looks again by itself: waking it costs the agent's thread
    a system call, and the interpreter's lock besides."""
    _thread: threading.Thread | None = None
    _partitions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.settings.spool, self.agent_id, self.counters)

    def start(self) -> None:
        """Start the thread; returns at once."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), name="lictor-link", daemon=True)
        self._thread.start()
        started.wait(5)

    def publish(self, record: Outgoing) -> None:
        """Queue a record; never waits. Where neither memory nor disk has room it is dropped and counted."""
        if self.settings.off or not self.outbox.put(record):
            return
        if not self._waking and (self._asleep or record.acked is not None):
            self._waking = True
            self._tell(self._set_wake)

    def on_disk(self, record: Outgoing) -> None:
        """Put a record that was not acknowledged in time on disk. Raises `SpoolFull`."""
        self.slow = True
        self.outbox.write_ahead(record)

    def stop(self, timeout_s: float) -> bool:
        """Publish what is queued, within the time; put the rest on disk. Return whether everything was acknowledged."""
        self.closing = True
        self._tell(self._set_wake)
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._tell(self._give_up)
            self._thread.join(1.0)
        return self.outbox.close(list(self._flying.values()))

    def after_fork(self) -> None:
        """In the child of a fork: the thread is the parent's, and so is what waits to be published."""
        self._thread, self._loop, self._wake = None, None, None
        self.outbox.after_fork()

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
        return len(self.outbox) + len(self._flying)

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
        listener = Listener(self.settings, self.agent_id, self.hear, self.ready, self._offline)
        beside = [asyncio.create_task(listener.run()), asyncio.create_task(self._keep_small())]
        try:
            await self._run(self._wake)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _run(self, wake: asyncio.Event) -> None:
        producer = await self._producer()
        if producer is not None:
            try:
                await drain_into(producer, self.settings.spool, self.agent_id, self.counters)
                await self._pump(producer, wake)
            finally:
                await stopped(producer)

    async def _keep_small(self) -> None:
        """Keep what waits in memory within its bound, whatever the producer is doing."""
        while True:
            await asyncio.sleep(SPILL_EVERY_S)
            self.outbox.spill()

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
            producer._message_accumulator._batch_ttl = PATIENCE_S  # noqa: SLF001 - aiokafka ties it to the request's timeout
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                self._offline(error)
                await stopped(producer)
                await self._nap(RETRY_S)
            except asyncio.CancelledError:
                await stopped(producer)
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

    async def _pump(self, producer: AIOKafkaProducer, wake: asyncio.Event) -> None:
        """Publish what is queued, oldest first; end once the agent ends and nothing is left."""
        while True:
            wake.clear()
            while len(self._flying) < MAX_FLYING and (record := self.outbox.take()) is not None:
                await self._send(producer, record)
            if self.closing and not self.pending():
                return
            if not self._flying and not self.outbox.failed:
                self.outbox.forget()
            if not len(self.outbox) or len(self._flying) >= MAX_FLYING:
                await self._linger(wake)

    async def _linger(self, wake: asyncio.Event) -> None:
        """Look again after a moment; sleep only when nothing came in it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), LINGER_S)
        if len(self.outbox) or wake.is_set():
            return
        self._asleep = True
        if not len(self.outbox):
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
            self._flying.pop(id(record), None)
            self.outbox.failed.appendleft(record)  # the oldest there is, and never sent
            self._offline(error)
            await asyncio.sleep(RETRY_S)
            return
        future.add_done_callback(lambda done: self._done(record, done))

    def _done(self, record: Outgoing, future: "asyncio.Future[Any]") -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            self._not_sent(record, error or asyncio.CancelledError())
            return
        del self._flying[id(record)]
        self.online, self.slow = True, False
        self.counters["published"] += 1
        if record.acked is not None and not record.acked.done():
            record.acked.set_result(None)
        if self._wake is not None and (self.closing or len(self._flying) in (0, MAX_FLYING // 2)):
            self._wake.set()

    def _not_sent(self, record: Outgoing, error: BaseException) -> None:
        """Keep the record for another try. Whether the broker has it is not known."""
        self._flying.pop(id(record), None)
        self._offline(error)
        record.again = True
        self.outbox.failed.append(record)
        self.counters["retried"] += 1
        if self._wake is not None:
            self._wake.set()

    async def _partition(self, producer: AIOKafkaProducer, topic: str, key: str) -> int:
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = len(await producer.partitions_for(topic))
        return partition_of(key, count)


def monotonic_us() -> int:
    """Return a monotonic time, microseconds."""
    return time.monotonic_ns() // 1000
