"""A Faust agent that counts events per key in a table, as `profile` would keep agents: `… '{"kafka": …, "mending": true}'`.

With `mending`, the table also holds the last offset of each partition and the highest offset of each key: a jump after a
takeover is fetched with a consumer of our own, and what an entry includes already is skipped.
"""

import json
import sys
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition

SOURCE: Final = "profile-source"
PARTITIONS: Final = 4


def main() -> None:
    """Run one worker until it is killed."""
    said = json.loads(sys.argv[1])
    app = faust.App(
        said["app"],
        broker=f"kafka://{said['kafka']}",
        store="memory://",
        datadir=said["home"],
        web_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=10,
        broker_heartbeat_interval=2,
        stream_wait_empty=True,
    )
    source = app.topic(SOURCE, value_type=bytes, value_serializer="raw", key_serializer="raw", partitions=PARTITIONS)
    totals = app.Table(
        "totals",
        partitions=PARTITIONS,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
    mend = Mending(said["kafka"], totals) if said["mending"] else None

    @app.agent(source)
    async def count(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            if mend is not None:
                await mend.before(message.partition, message.offset)
            _add(totals, message.key, message.offset, skip=mend is not None)

    worker = faust.Worker(app, loglevel="ERROR", blocking_timeout=None, redirect_stdouts=False)
    worker.execute_from_commandline()


def _add(totals: Any, key: bytes, offset: int, *, skip: bool) -> None:
    count, digest, highest = json.loads(totals.get(key) or b"[0, 0, -1]")
    if skip and offset <= highest:
        return
    totals[key] = json.dumps([count + 1, digest ^ (offset * 2654435761 % (1 << 32)), max(highest, offset)]).encode()


class Mending:
    """Sees jumps in the offsets of a partition and fetches what was left out.

    A table's entry goes to the partition of the event that changed it: a partition's place is kept under a key of its own.
    """

    def __init__(self, kafka: str, totals: Any) -> None:
        self.kafka = kafka
        self.totals = totals

    async def before(self, partition: int, offset: int) -> None:
        """Make up for what lies between the last offset and this one."""
        place = b"~%d" % partition
        last = int(self.totals.get(place) or b"-1")
        if offset > last + 1:
            await self._fetch(partition, last + 1, offset)
        if offset > last:
            self.totals[place] = b"%d" % offset

    async def _fetch(self, partition: int, first: int, end: int) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False)
        await consumer.start()
        try:
            place = TopicPartition(SOURCE, partition)
            consumer.assign([place])
            consumer.seek(place, first)
            while first < end:
                for record in (await consumer.getmany(timeout_ms=500)).get(place, ()):
                    first = record.offset + 1
                    if record.offset < end:
                        _add(self.totals, record.key or b"", record.offset, skip=True)
        finally:
            await consumer.stop()


if __name__ == "__main__":
    main()
