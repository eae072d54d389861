"""What an agent is told: reads what stands (policies, containment) to its end, then follows it and the control topic."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from lictor_agent.parcels import Heard
from lictor_agent.settings import AgentSettings

HEARD: Final = ("policies", "containment", "commands", "liveness")
"""The topics that an agent reads."""
RETRY_S: Final = 0.5
MAX_FETCH: Final = 4 << 20


class Listener:
    """`ready` is set once everything that stands has been read."""

    def __init__(
        self,
        settings: AgentSettings,
        agent_id: str,
        hear: Callable[[Heard], None],
        ready: threading.Event,
        lost: Callable[[str, BaseException], None],
        found: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._agent_id = agent_id
        self._hear = hear
        self._ready = ready
        self._lost = lost
        self._found = found
        self._next: dict[TopicPartition, int] = {}
        """Where to go on: what was ordered while the connection was away must still be heard."""

    async def run(self) -> None:
        """Listen until cancelled; connect again whenever the broker is back."""
        while True:
            try:
                await self._listen()
            except (KafkaError, OSError) as error:
                self._lost("listen", error)
                await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        names = [f"{self._settings.namespace}.{name}" for name in HEARD]
        consumer = AIOKafkaConsumer(
            *names,
            bootstrap_servers=self._settings.kafka,
            max_partition_fetch_bytes=MAX_FETCH,
            request_timeout_ms=10_000,
            **self._settings.kafka_client,
        )
        try:
            await consumer.start()
            standing = await self._choose(consumer, names)
            while standing:
                await self._poll(consumer, 50)
                standing = {place: end for place, end in standing.items() if await consumer.position(place) < end}
            self._ready.set()
            self._found("listen")
            while True:
                await self._poll(consumer, 200)
        finally:
            await stopped(consumer)

    async def _choose(self, consumer: AIOKafkaConsumer, names: list[str]) -> dict[TopicPartition, int]:
        """Keep only the partitions this agent's key falls into; return where what stands now ends."""
        consumer.pause(*consumer.assignment())  # a fetch from where aiokafka would begin would hold up the ones we want
        policies, containment, commands, liveness = names
        wanted = {TopicPartition(policies, 0), TopicPartition(liveness, 0)}
        for name in (containment, commands):
            count = len(consumer.partitions_for_topic(name) or {0})
            wanted.add(TopicPartition(name, partition_of(self._agent_id, count)))
        consumer.unsubscribe()
        consumer.assign(list(wanted))
        consumer.pause(*wanted)
        standing = [place for place in wanted if place.topic in (policies, containment)]
        ends = await consumer.end_offsets(list(wanted))
        begin = ends | {place: offset for place, offset in self._next.items() if place in ends}
        for place, offset in (begin | await consumer.beginning_offsets(standing)).items():
            consumer.seek(place, offset)
        consumer.resume(*wanted)
        return {place: ends[place] for place in standing}

    async def _poll(self, consumer: AIOKafkaConsumer, timeout_ms: int) -> None:
        for place, records in (await consumer.getmany(timeout_ms=timeout_ms)).items():
            for record in records:
                self._next[place] = record.offset + 1
                if record.value is not None:
                    key = (record.key or b"").decode("utf-8", "replace")
                    headers = list(record.headers)
                    self._hear(Heard(record.topic, key, record.value, headers, record.timestamp * 1000))


def partition_of(key: str, count: int) -> int:
    """Return the partition a key falls into, as Kafka's own clients have it."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % count)


async def stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stop a client, but not for ever: without a broker it would wait for one."""
    with contextlib.suppress(TimeoutError, KafkaError, OSError):
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(client.stop())), 2)
