"""Totals per agent in a Faust table: `python -m benchmarks.faust_profile_app '{"kafka": …}'`.

`plain` trusts Faust with the offsets. `mended` keeps in the table, per partition, how far it has come and, per agent, the
highest offset included: what was skipped after a takeover is fetched, what comes again is left out.
"""

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.profile_totals import read_event, read_totals
from benchmarks.profile_words import Teller

TABLE: Final = "totals"
SESSION_S: Final = 6.0
"""As the batch lane's, so that a takeover may take equally long."""
MARK_EVERY: Final = 100
"""Offsets between two marks of a partition: a mark at each doubles what is written."""


def main() -> None:
    """Run one worker until it is told to stop."""
    where = json.loads(sys.argv[1])
    app = faust.App(
        where["group"],
        broker=f"kafka://{where['kafka']}",
        store=where["store"],
        datadir=where["folder"],
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=where["partitions"],
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
    )
    events = app.topic(where["events"], value_type=bytes, value_serializer="raw", key_serializer="raw")
    table = app.Table(TABLE, partitions=where["partitions"], key_type=bytes, value_type=bytes)
    handler = {"plain": Plain, "mended": Mended}[where["variant"]](app, table, where)

    @app.agent(events)
    async def total(stream: Any) -> None:
        async for event in stream.events():
            await handler.handle(event.message)

    faust.Worker(app, loglevel="WARN", blocking_timeout=None, redirect_stdouts=False).execute_from_commandline()


class Plain:
    """Adds each event that Faust hands over, once for each time it does."""

    def __init__(self, app: Any, table: Any, where: dict[str, Any]) -> None:
        self.app = app
        self.table = table
        self.counters: Counter[str] = Counter()
        self.teller = Teller(Path(where["words"]), where["enough"], lambda: self.counters)

    async def handle(self, message: Any) -> None:
        """Include one event."""
        totals = read_totals(self.table.get(message.key))
        totals.include(read_event(message.value), message.offset)
        self.table[message.key] = totals.encode()
        self.teller.tell(message.partition, message.offset)


class Mended(Plain):
    """Includes each offset once, and fetches the offsets that Faust has left out.

    The mark of a partition is written every so often: what lies between it and the truth is fetched again after a
    takeover, and left out where an agent's totals include it already.
    """

    def __init__(self, app: Any, table: Any, where: dict[str, Any]) -> None:
        super().__init__(app, table, where)
        self.missed = Missed(where["kafka"])
        self.generation: Any = None
        self.next: dict[int, int] = {}
        """Partition → the offset that must come next, while the assignment stays as it is."""

    async def handle(self, message: Any) -> None:
        """Include what is missing before this event, and the event, unless they are included."""
        if message.generation_id != self.generation:
            self.generation = message.generation_id
            self.next.clear()
        partition = message.partition
        if partition not in self.next:
            self.next[partition] = int(self.table.get(b"@%d" % partition) or 0)
        if message.offset > self.next[partition] and not await self._fetch(message):
            return
        self._include(message)
        if message.offset >= self.next[partition]:
            self._move(partition, message.offset + 1)
        self.teller.tell(partition, message.offset)

    async def _fetch(self, message: Any) -> bool:
        """Include what lies before a message; False if the partition was taken away: its new owner sees the same jump."""
        place = TopicPartition(message.topic, message.partition)
        self.counters["jumps"] += 1
        async for records in self.missed.fetch(place, self.next[message.partition], message.offset):
            if message.generation_id != self.app.consumer_generation_id:
                return False
            for record in records:
                self.counters["fetched_anew"] += self._include(record)
                self._move(record.partition, record.offset + 1)
            self.counters["fetched"] += len(records)
        return True

    def _move(self, partition: int, offset: int) -> None:
        self.next[partition] = offset
        if offset % MARK_EVERY == 0:
            self.table[b"@%d" % partition] = b"%d" % offset

    def _include(self, record: Any) -> bool:
        """Add an event, unless it is included; tell whether it was added."""
        totals = read_totals(self.table.get(record.key))
        if record.offset < totals.next:
            self.counters["left_out"] += 1
            return False
        totals.include(read_event(record.value), record.offset)
        self.table[record.key] = totals.encode()
        return True


class Missed:
    """Fetches ranges of offsets with a consumer of its own, outside the group."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._consumer: Any = None

    async def fetch(self, place: TopicPartition, first: int, end: int) -> AsyncIterator[list[Any]]:
        """Yield the records from `first` up to, not including, `end`, in order."""
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, fetch_max_wait_ms=5)
            await self._consumer.start()
        self._consumer.assign([place])
        self._consumer.seek(place, first)
        while first < end:
            fetched = (await self._consumer.getmany(place, timeout_ms=200)).get(place, [])
            records = [record for record in fetched if record.offset < end]
            if records:
                first = records[-1].offset + 1
                yield records


if __name__ == "__main__":
    main()
