"""Publishing many outputs at once: batches per partition, all acknowledged before it returns."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from schemas.errors import LictorError
from streams.records import Output, partition_of


class Sender:
    """Wraps a producer: `send` returns when the broker has acknowledged every output (acks=all)."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.partitions: dict[str, int] = {}

    async def send(self, outputs: Sequence[Output]) -> None:
        """Publish and wait. Raises `LictorError` if one cannot be published: then nothing may be committed."""
        if not outputs:
            return
        by_partition: defaultdict[tuple[str, int], list[Output]] = defaultdict(list)
        for output in outputs:
            count = await self._partitions(output.topic)
            partition = partition_of(output.key, count) if output.partition is None else output.partition
            by_partition[output.topic, partition].append(output)
        pending = [
            future
            for (topic, partition), group in by_partition.items()
            for future in await self._send_group(topic, partition, group)
        ]
        await asyncio.gather(*pending)

    async def _partitions(self, topic: str) -> int:
        found = self.partitions.get(topic)
        if found is None:
            found = self.partitions[topic] = len(await self.producer.partitions_for(topic))
        return found

    async def _send_group(self, topic: str, partition: int, group: list[Output]) -> list[asyncio.Future[object]]:
        futures: list[asyncio.Future[object]] = []
        batch = self.producer.create_batch()
        for output in group:
            if _append(batch, output):
                continue
            if batch.record_count() == 0:
                raise LictorError(f"an output of {len(output.value or b'')} bytes for {topic} fits no batch")
            futures.append(await self.producer.send_batch(batch, topic, partition=partition))
            batch = self.producer.create_batch()
            if not _append(batch, output):
                raise LictorError(f"an output of {len(output.value or b'')} bytes for {topic} fits no batch")
        futures.append(await self.producer.send_batch(batch, topic, partition=partition))
        return futures


def _append(batch: object, output: Output) -> bool:
    appended = batch.append(  # type: ignore[attr-defined]  # aiokafka's BatchBuilder is untyped
        key=output.key.encode(), value=output.value, timestamp=None, headers=output.headers
    )
    return appended is not None
