"""Reading topics to their present end, and publishing a few records: what command-line verbs need of Kafka."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from lictor.admin import connect
from schemas.errors import KafkaUnavailable
from streams.lane import LaneSettings, producer_for
from streams.records import Output, Record
from streams.sender import Sender
from streams.topics import MAX_RECORD_BYTES, Topic


@asynccontextmanager
async def consumer(
    bootstrap: str, topics: Iterable[Topic], client: Mapping[str, Any], begin: Literal["beginning", "end"]
) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a consumer of all partitions, without a group, at their beginning or end. Raises `KafkaUnavailable`."""
    found = AIOKafkaConsumer(
        *[topic.name for topic in topics],
        bootstrap_servers=bootstrap,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=50,
        **client,
    )
    try:
        await found.start()
    except UnknownTopicOrPartitionError:
        await found.stop()
        raise KafkaUnavailable(f"{bootstrap} has no Lictor topics; `lictor up` makes them") from None
    except (KafkaError, OSError) as error:
        await found.stop()
        raise KafkaUnavailable(f"no Kafka answers at {bootstrap}: {error}") from None
    try:
        await _begin(found, begin)
        yield found
    finally:
        await found.stop()


async def _begin(found: AIOKafkaConsumer, begin: Literal["beginning", "end"]) -> None:
    """Go to where reading begins. Paused meanwhile: a fetch from elsewhere would hold up the ones we want."""
    places = found.assignment()
    found.pause(*places)
    offsets = await (found.beginning_offsets(places) if begin == "beginning" else found.end_offsets(places))
    for place, offset in offsets.items():
        found.seek(place, offset)
    found.resume(*places)


async def read_all(bootstrap: str, topics: Sequence[Topic], client: Mapping[str, Any]) -> list[Record]:
    """Return every record that is there now, partition by partition in order."""
    records: list[Record] = []
    async with consumer(bootstrap, topics, client, "beginning") as source:
        places = source.assignment()
        ends: dict[TopicPartition, int] = await source.end_offsets(places)
        for place in sorted(places):
            while await source.position(place) < ends[place]:
                records.extend((await source.getmany(place, timeout_ms=200)).get(place, []))
    return records


async def read_since(bootstrap: str, topics: Sequence[Topic], client: Mapping[str, Any], since_ms: int) -> list[Record]:
    """Return the records that Kafka took at that time or later, partition by partition in order."""
    records: list[Record] = []
    async with consumer(bootstrap, topics, client, "end") as source:
        ends: dict[TopicPartition, int] = await source.end_offsets(source.assignment())
        starts = await source.offsets_for_times(dict.fromkeys(ends, since_ms))
        for place, end in sorted(ends.items()):
            source.seek(place, starts[place].offset if starts.get(place) else end)
            while await source.position(place) < end:
                records.extend((await source.getmany(place, timeout_ms=200)).get(place, []))
    return records


async def end_offsets(bootstrap: str, topics: Sequence[Topic], client: Mapping[str, Any]) -> dict[TopicPartition, int]:
    """Return the end offset of each partition."""
    async with consumer(bootstrap, topics, client, "end") as source:
        found: dict[TopicPartition, int] = await source.end_offsets(source.assignment())
        return found


@asynccontextmanager
async def sender(bootstrap: str, client: Mapping[str, Any]) -> AsyncIterator[Sender]:
    """Yield a sender whose `send` returns once everything is acknowledged. Raises `KafkaUnavailable`."""
    producer = producer_for(LaneSettings(bootstrap, "", "", client=client))
    try:
        await producer.start()
    except (KafkaError, OSError) as error:
        await producer.stop()
        raise KafkaUnavailable(f"no Kafka answers at {bootstrap}: {error}") from None
    try:
        yield Sender(producer)
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka at {bootstrap} did not take what was published: {error}") from None
    finally:
        await producer.stop()


async def publish(bootstrap: str, outputs: Sequence[Output], client: Mapping[str, Any]) -> None:
    """Publish a few records and wait until they are acknowledged."""
    async with sender(bootstrap, client) as out:
        await out.send(outputs)


async def committed(bootstrap: str, group: str, client: Mapping[str, Any]) -> dict[TopicPartition, int]:
    """Return what a consumer group has committed."""
    admin = await connect(bootstrap, client)
    try:
        found = await admin.list_consumer_group_offsets(group)
        return {place: meta.offset for place, meta in found.items() if meta.offset >= 0}
    except KafkaError:
        return {}
    finally:
        await admin.close()
