"""Creating the topics, once, with the partitions they will keep."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import KafkaUnavailable
from streams.topics import Topic, Topics


async def ensure_topics(bootstrap: str, topics: Topics, partitions: int, client: Mapping[str, Any]) -> None:
    """Create what is missing; refuse where a topic has another number of partitions than is asked for.

    A key's partition follows from the count, so changing it would tear every trace in two.
    """
    admin = await connect(bootstrap, client)
    try:
        found = {
            entry["topic"]: len(entry["partitions"])
            for entry in await admin.describe_topics([topic.name for topic in topics.all()])
            if not entry["error_code"]
        }
        for topic in topics.all():
            _must_agree(topic, found.get(topic.name), topic.partitions or partitions)
        missing = [topic for topic in topics.all() if topic.name not in found]
        if missing:
            await _create(admin, missing, partitions, min(3, await _brokers(admin)))
            await _wait_for(admin, missing)
    finally:
        await admin.close()


async def connect(bootstrap: str, client: Mapping[str, Any], timeout_s: float = 10.0) -> AIOKafkaAdminClient:
    """Return a connected admin client. Raises `KafkaUnavailable`, in one line, when nobody answers."""
    ends = time.monotonic() + timeout_s
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **client)
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            await admin.close()
            if time.monotonic() > ends:
                raise KafkaUnavailable(f"no Kafka answers at {bootstrap}: {error}") from None
            await asyncio.sleep(0.2)
        else:
            return admin


def _must_agree(topic: Topic, found: int | None, wanted: int) -> None:
    if found is not None and found != wanted:
        raise KafkaUnavailable(
            f"topic {topic.name} has {found} partitions, {wanted} are asked for. A trace's partition follows from the "
            f"count, so it cannot be changed in place: set LICTOR_PARTITIONS={found}, or migrate by starting with another "
            "LICTOR_NAMESPACE and `lictor ingest` of what must be kept"
        )


async def _brokers(admin: AIOKafkaAdminClient) -> int:
    return len((await admin.describe_cluster())["brokers"])


async def _create(admin: AIOKafkaAdminClient, missing: list[Topic], partitions: int, replicas: int) -> None:
    wanted = [
        NewTopic(topic.name, topic.partitions or partitions, replicas, topic_configs=topic.config())
        for topic in missing
    ]
    try:
        await admin.create_topics(wanted)
    except TopicAlreadyExistsError:
        return


async def _wait_for(admin: AIOKafkaAdminClient, created: list[Topic]) -> None:
    """Return once every topic has leaders: before that a consumer that subscribes gets nothing for a long time."""
    names = [topic.name for topic in created]
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        found = await admin.describe_topics(names)
        if all(not entry["error_code"] and all(part["leader"] >= 0 for part in entry["partitions"]) for entry in found):
            return
        await asyncio.sleep(0.05)
    raise KafkaUnavailable("topics were created, but have no leaders after 30 s")
