"""The link to Kafka: a thread of its own that publishes in the background and listens for what the agent is told.

The agent's threads only append to a queue. Records are published in order. One of which nobody knows whether the broker has
it is published again before anything newer, and says so (`lictor-again`), so that the history can keep it once.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)

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
LOOKS: Final = 5
SPILL_EVERY_S: Final = 0.05
ACK_PATIENCE_S: Final = 1.0
"""How long a write-ahead waits for the broker before it turns to the disk."""
MAX_BATCH: Final = 1 << 20
MAX_FLYING: Final = 5000
MAX_FLYING_BYTES: Final = 16 << 20
"""Handed to the producer at once."""
SILENT_S: Final = 3.0
"""A broker that has acknowledged nothing for so long is away: the producer itself waits without a word."""
SAID_S: Final = 5.0
"""After so long at the start the agent has said itself under what it goes on."""
PATIENCE_S: Final = 24 * 3600.0
"""How long the producer keeps a batch that the broker does not take: it would reorder what it gave back."""
SPENT: Final = (InvalidProducerEpoch, OutOfOrderSequenceNumber, ProducerClosed, ProducerFenced, UnknownProducerId)
"""After these a producer publishes nothing more."""


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
    _asleep: bool = False
    """The loop waits to be woken. While records keep coming it looks again by itself: waking it costs the agent's thread
    a system call, and the interpreter's lock besides."""
    _flying_bytes: int = 0
    _moved_s: float = 0.0
    """When the broker last acknowledged something, or was given something with nothing else under way."""
    _hold_s: float = 0.0
    """Until when nothing is sent, after the broker refused something: nothing newer may overtake it."""
    _spent: bool = False
    """The producer publishes nothing more; another is needed."""
    _away: dict[str, float] = field(default_factory=dict)
    """What does not work now, `publish` or `listen`, and since when."""
    _told: bool = False
    _thread: threading.Thread | None = None
    _partitions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.settings.spool, self.agent_id, self.counters, self.settings.spool_mib << 20)

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
            if not self._tell(self._set_wake):
                self._waking = False

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

    def _tell(self, what: Callable[[], None]) -> bool:
        """Have the thread do something; tell whether it still can."""
        with contextlib.suppress(RuntimeError):
            if (loop := self._loop) is not None:
                loop.call_soon_threadsafe(what)
                return True
        return False

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
            except Exception as error:  # noqa: BLE001 - the agent goes on, and what is published goes to disk at its end
                self._stumbled(error)
            self.online = False
            self._loop = None

    def _stumbled(self, error: BaseException) -> None:
        """Count what should not have happened, and say it once."""
        if not self.counters["link_failed"]:
            log.warning("the link to Lictor failed and begins anew: %s: %s", type(error).__name__, error)
        self.counters["link_failed"] += 1

    async def _begin(self, started: threading.Event) -> None:
        self._wake = wake = asyncio.Event()
        self._work = asyncio.current_task()
        started.set()
        listener = Listener(self.settings, self.agent_id, self._heard, self.ready, self._lost, self._found)
        beside = [asyncio.create_task(self._again(work)) for work in (listener.run, self._keep_small)]
        try:
            await self._again(lambda: self._run(wake))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _again(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something until it is done, however often it fails in ways that nobody thought of."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 - an agent that hears no orders would be worse than any error
                self._stumbled(error)
                await self._nap(RETRY_S)

    def _heard(self, record: Heard) -> None:
        """Hand a record over. One that cannot be taken must not keep those behind it from being heard."""
        try:
            self.hear(record)
        except Exception as error:  # noqa: BLE001 - what is heard is hostile
            self._stumbled(error)

    async def _run(self, wake: asyncio.Event) -> None:
        while (producer := await self._producer()) is not None:
            drains = asyncio.create_task(drain_into(producer, self.settings.spool, self.agent_id, self.counters))
            try:
                await self._pump(producer, wake)
                if self.closing:
                    await asyncio.wait([drains])
            finally:
                drains.cancel()
                await asyncio.gather(drains, return_exceptions=True)
                await stopped(producer)
            if self.closing and not self.pending():
                return
            self._land()
            await self._nap(RETRY_S)

    def _land(self) -> None:
        """Take back what a producer that is gone has left open."""
        for record in list(self._flying.values()):
            self._not_sent(record, KafkaTimeoutError())
        self._spent = False

    async def _keep_small(self) -> None:
        """Keep what waits within its bounds, in memory and on disk, whatever the producer is doing."""
        while True:
            await asyncio.sleep(SPILL_EVERY_S)
            self.outbox.spill()
            self.outbox.forget(self._flying.values())
            if self._flying and time.monotonic() - self._moved_s > SILENT_S:
                self._lost("publish", KafkaTimeoutError(f"no answer for {SILENT_S:.0f} s"))

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
                self._lost("publish", error)
                await stopped(producer)
                await self._nap(RETRY_S)
            except asyncio.CancelledError:
                await stopped(producer)
                raise
            else:
                self._found("publish")
                return producer
        return None

    def _lost(self, side: str, error: BaseException) -> None:
        """Take note that `publish` or `listen` does not work; say so once. At the start the agent says it itself."""
        self.online = self.online and side != "publish"
        self.counters["offline"] += 1
        since = self._away.setdefault(side, time.monotonic())
        if self._told:
            return
        if self.ready.is_set():
            log.warning("Lictor's Kafka at %s cannot be reached: %s", self.settings.kafka, error)
            self._told = True
        else:
            self._told = time.monotonic() - since > SAID_S

    def _found(self, side: str) -> None:
        """Take note that a side works; say so once both do, if it was said that they did not."""
        self.online = self.online or side == "publish"
        if self._away.pop(side, None) is not None and self._told and not self._away:
            log.warning("Lictor's Kafka at %s is reached again", self.settings.kafka)
            self._told = False

    async def _nap(self, seconds: float) -> None:
        """Wait, but no longer than until the agent ends."""
        ends = time.monotonic() + seconds
        while (wake := self._wake) is not None and not self.closing and (left_s := ends - time.monotonic()) > 0:
            wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left_s)

    async def _pump(self, producer: AIOKafkaProducer, wake: asyncio.Event) -> None:
        """Publish what is queued, oldest first; end once the agent ends and nothing is left, or the producer is of no use."""
        while True:
            wake.clear()
            while self._may_send() and (record := self.outbox.take()) is not None:
                await self._send(producer, record)
            if self._spent or (self.closing and not self.pending()):
                return
            if not self._flying:
                self.outbox.forget()
            await self._linger(wake)

    def _may_send(self) -> bool:
        room = len(self._flying) < MAX_FLYING and self._flying_bytes < MAX_FLYING_BYTES
        return room and not self._spent and time.monotonic() >= self._hold_s

    async def _linger(self, wake: asyncio.Event) -> None:
        """Look again after a moment, some times; sleep only when nothing came in all of them."""
        for _ in range(LOOKS):
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
        if not self._flying:
            self._moved_s = time.monotonic()
        self._flying[id(record)] = record
        self._flying_bytes += record.size()
        headers = [*record.headers, (AGAIN, b"1")] if record.again else record.headers
        try:
            partition = await self._partition(producer, record.topic, record.key)
            future = await producer.send(
                record.topic, record.value, key=record.key.encode(), partition=partition, headers=headers
            )
        except (KafkaError, OSError) as error:
            self._not_sent(record, error, again=record.again)
            return
        future.add_done_callback(lambda done: self._done(record, done))

    def _done(self, record: Outgoing, future: "asyncio.Future[Any]") -> None:
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if self._flying.get(id(record)) is not record:  # taken back meanwhile, from a producer that was given up
            return
        if error is not None:
            self._not_sent(record, error)
            return
        self._landed(record)
        self._moved_s, self.slow = time.monotonic(), False
        self._found("publish")
        self.counters["published"] += 1
        if record.acked is not None:
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # whoever waited has given up
                record.acked.set_result(None)
        if self._wake is not None and (self.closing or len(self._flying) in (0, MAX_FLYING // 2)):
            self._wake.set()

    def _landed(self, record: Outgoing) -> None:
        if self._flying.pop(id(record), None) is not None:
            self._flying_bytes -= record.size()

    def _not_sent(self, record: Outgoing, error: BaseException, *, again: bool = True) -> None:
        """Keep the record for another try, after a while. `again`: whether the broker has it is not known."""
        self._landed(record)
        self._lost("publish", error)
        self._spent = self._spent or isinstance(error, SPENT) or type(error) is KafkaError
        if not isinstance(error, KafkaTimeoutError):  # which has waited long enough
            self._hold_s = time.monotonic() + RETRY_S
        record.again = again
        self.outbox.fail(record)
        self.counters["retried"] += 1

    async def _partition(self, producer: AIOKafkaProducer, topic: str, key: str) -> int:
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = len(await producer.partitions_for(topic))
        return partition_of(key, count)


def monotonic_us() -> int:
    """Return a monotonic time, microseconds."""
    return time.monotonic_ns() // 1000
