"""Following topics that every worker reads whole: policies, rules, containment, receipts, liveness."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.records import Record
from streams.topics import MAX_RECORD_BYTES, Topic

log = logging.getLogger("lictor.broadcast")

HOUR_MS = 3600 * 1000
LOOK_S = 0.01
"""Between two looks at how far following has come."""


class Follower:
    """Reads all partitions of its topics, without a group. `caught_up` returns once what was there has been applied.

    Compacted topics are read from their beginning, the others from one hour back: that is as far as a worker's
    knowledge of receipts and liveness needs to go.
    """

    def __init__(
        self, bootstrap: str, topics: Sequence[Topic], apply: Callable[[Record], None], client: Mapping[str, Any]
    ) -> None:
        self.topics = topics
        self.apply = apply
        self._consumer = AIOKafkaConsumer(
            *[topic.name for topic in topics],
            bootstrap_servers=bootstrap,
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            **client,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self, now_ms: int) -> None:
        """Connect and read to the present end; then keep following in the background."""
        await self._consumer.start()
        places = sorted(self._consumer.assignment())
        self._consumer.pause(*places)  # a fetch from where aiokafka would begin would only hold up the ones we want
        ends = await self._consumer.end_offsets(places)
        for place, offset in (await self._starts(places, ends, now_ms)).items():
            self._consumer.seek(place, offset)
        self._consumer.resume(*places)
        for place in places:
            while await self._consumer.position(place) < ends[place]:
                await self._poll()
        self._task = asyncio.create_task(self._follow())

    async def _starts(
        self, places: list[TopicPartition], ends: Mapping[TopicPartition, int], now_ms: int
    ) -> Mapping[TopicPartition, int]:
        """Return where to begin. By number: aiokafka's own way to the beginning loses against its start to the end."""
        compacted = {topic.name for topic in self.topics if topic.compacted}
        whole = [place for place in places if place.topic in compacted]
        dated = [place for place in places if place.topic not in compacted]
        starts = dict(await self._consumer.beginning_offsets(whole)) if whole else {}
        found = await self._consumer.offsets_for_times(dict.fromkeys(dated, now_ms - HOUR_MS)) if dated else {}
        return starts | {place: at.offset if (at := found.get(place)) else ends[place] for place in dated}

    async def _poll(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=200)).values():
            for record in records:
                self.apply(record)

    async def _follow(self) -> None:
        while True:
            await self._poll()

    async def catch_up(self) -> None:
        """Wait until all that is there now has been applied. Raises what following ended by, if it did."""
        for place, end in (await self._consumer.end_offsets(sorted(self._consumer.assignment()))).items():
            while await self._consumer.position(place) < end:
                if self._task is not None and self._task.done():
                    self._task.result()
                await asyncio.sleep(LOOK_S)

    async def ended(self) -> None:
        """Wait until following ends, which it does only by an error: then that is raised."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
        await self._consumer.stop()
