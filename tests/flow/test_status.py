"""A status looks at the last moments alone, however long Lictor has been running."""

import asyncio
import time

import pytest

from lictor import status, topic_io
from schemas.liveness import Liveness
from streams.records import Record, plain
from tests.flow.world import PATIENCE_S, World


def say(world: World, instance: str) -> Record:
    """Let a part say that it is alive; return its word as Kafka took it."""
    word = Liveness(component="detect", instance=instance, time_us=1)
    world.publish(plain(world.topics.liveness, f"detect/{instance}", word))
    return world.read(world.topics.liveness)[-1]


def since(world: World, time_ms: int) -> list[int]:
    """Return the offsets of what was said from then on."""
    found = topic_io.read_since(world.settings.kafka, [world.topics.liveness], {}, time_ms)
    return [record.offset for record in asyncio.run(found)]


def test_only_what_was_said_lately_is_read(world: World) -> None:
    """After days of running a status would take minutes, and the health check of every container with it."""
    first = say(world, "h-1")
    ends = time.monotonic() + PATIENCE_S
    while (last := say(world, "h-1")).timestamp == first.timestamp:
        assert time.monotonic() < ends, "Kafka's clock stands still"
    assert since(world, last.timestamp) == [last.offset]
    assert since(world, first.timestamp)[0] == first.offset
    assert since(world, last.timestamp + 3_600_000) == []


def test_a_part_that_spoke_is_alive_and_one_that_did_not_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead detector would be shown as alive, or a living one as dead."""
    say(world, "h-1")
    parts = {part.name: part for part in asyncio.run(status.status_of(world.settings)).parts}
    assert (parts["detect"].alive, parts["detect"].said) == (True, "1 running: h-1")
    assert (parts["respond"].alive, parts["respond"].said) == (False, "not heard of for 30 s")
    monkeypatch.setattr(status, "BACK_MS", -60_000)
    assert not any(part.alive for part in asyncio.run(status.status_of(world.settings)).parts)
