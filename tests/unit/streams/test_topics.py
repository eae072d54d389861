"""The map of the topics: names, partitions and cleanup that everything else relies on."""

import re

import pytest

from schemas.message import Message
from storage.tables import ROWERS, table_of
from streams.detect import Detect
from streams.respond import Respond
from streams.topics import MAX_RECORD_BYTES, Topic, Topics
from tests.unit.streams._builders import World

TOPICS = Topics("team.eu")
COMPACTED = {"containment", "inventory", "policies", "rules", "taints", "checkpoints"}
ONE_PARTITION = {"policies", "rules", "taints", "liveness", "audit"}


def last(topic: Topic) -> str:
    """Return a topic's name within its namespace."""
    return topic.name.removeprefix("team.eu.")


def test_every_name_is_in_the_namespace_and_stands_once() -> None:
    """Two Lictors on one Kafka would read each other's orders."""
    names = [topic.name for topic in TOPICS.all()]
    assert all(name.startswith("team.eu.") for name in names)
    assert len(set(names)) == len(names) == 21


def test_every_name_is_one_that_kafka_takes() -> None:
    """`lictor up` would fail to create its topics."""
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic.name) for topic in TOPICS.all())


def test_namespaces_do_not_meet() -> None:
    """An order for a test agent would stop an agent in production."""
    assert {topic.name for topic in Topics("a").all()}.isdisjoint(topic.name for topic in Topics("a.b").all())


def test_topics_that_a_stream_reads_together_have_equal_partitions() -> None:
    """A worker would get findings of agents whose receipts another worker reads."""
    world = World()
    know = world.knowledge()
    detect = Detect(know, world.signers["detect"], "i", partitions=4)
    respond = Respond(know, world.signers["respond"], "i")
    for stream in (detect, respond):
        assert {topic.partitions for topic in stream.inputs} == {0}
        assert all(not topic.compacted for topic in stream.inputs)


def test_checkpoints_have_the_partitions_of_what_they_are_of() -> None:
    """A partition's state would have nowhere to be kept."""
    assert TOPICS.checkpoints.partitions == 0


def test_topics_that_everybody_reads_whole_have_one_partition() -> None:
    """The order of policies and key lists would be lost between partitions."""
    assert {last(topic) for topic in TOPICS.all() if topic.partitions == 1} == ONE_PARTITION


def test_only_what_stands_is_compacted() -> None:
    """Compaction would delete history, or retention would delete the orders that stand."""
    assert {last(topic) for topic in TOPICS.all() if topic.compacted} == COMPACTED


@pytest.mark.parametrize("topic", TOPICS.all(), ids=last)
def test_a_topic_is_created_as_the_map_says(topic: Topic) -> None:
    """A broker's defaults would decide how long a finding lives and whose clock stamps it."""
    config = topic.config()
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert int(config["max.message.bytes"]) == MAX_RECORD_BYTES == 4 << 20
    if topic.compacted:
        assert config["cleanup.policy"] == "compact"
        assert "retention.ms" not in config
    else:
        assert (config["cleanup.policy"], int(config["retention.ms"])) == ("delete", topic.retention_ms)


def test_what_people_decide_is_kept_for_a_year() -> None:
    """The reasons for an order would be gone before the year's audit."""
    year_ms = 365 * 24 * 3600 * 1000
    lasting = {"verdicts", "incidents", "decisions", "approvals", "audit"}
    assert {last(topic) for topic in TOPICS.all() if not topic.compacted and topic.retention_ms == year_ms} == lasting


def test_everything_but_checkpoints_is_archived_and_has_a_table() -> None:
    """Part of what happened would never reach the history."""
    missing = set(TOPICS.all()) - set(TOPICS.archived())
    assert missing == {TOPICS.checkpoints}
    assert {table_of(topic.name) for topic in TOPICS.archived()} == set(ROWERS)


def test_what_a_topic_carries_is_a_message_there_is() -> None:
    """The reference would name messages that nobody can read."""
    known = {kind.type for kind in _kinds(Message)} | {"step", "clearance", "checkpoint"}
    assert all(set(topic.carries.split()) <= known for topic in TOPICS.all())


def _kinds(base: type[Message]) -> list[type[Message]]:
    return [kind for child in base.__subclasses__() for kind in (child, *_kinds(child))]
