"""What the lane does when something fails between judging and publishing. With a broker: `tests/flow/test_kills.py`."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aiokafka import TopicPartition

from schemas.errors import Fenced
from streams.lane import Lane, LaneSettings, Owned, Place
from streams.records import Output, Record
from streams.stream import Stream
from tests.unit.streams._builders import Read


class Failing(Stream):
    """Fails at the second partition; tells whether it was asked for a checkpoint."""

    name = "failing"
    inputs = ()

    def __init__(self) -> None:
        self.judged: list[int] = []
        self.asked: list[int] = []

    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Judge the first, fail at the second."""
        del records
        if self.judged:
            raise Fenced
        self.judged.append(place.partition)
        return ()

    def changed(self, partition: int, *, whole: bool) -> Mapping[str, bytes | None]:
        """Note that a checkpoint is about to be written."""
        del whole
        self.asked.append(partition)
        return {}


def test_nothing_is_kept_once_something_was_judged_and_not_published() -> None:
    """A worker that fails would write down as done what nobody was told of, and the next owner take it for a repeat."""

    async def fail_and_leave() -> Failing:
        stream = Failing()
        lane = Lane(stream, LaneSettings(bootstrap="127.0.0.1:9", checkpoint_topic="t.checkpoints", group="g"))
        places = [TopicPartition("t.steps", number) for number in range(2)]
        lane.places = {place: Place(0) for place in places}
        lane.owned = {place.partition: Owned(whole=True) for place in places}
        with pytest.raises(Fenced):
            await lane._handle_all(
                {place: [Read(place.topic, place.partition, 0, 1, b"k", b"v")] for place in places}, 1e9
            )
        await asyncio.wait_for(lane.on_partitions_revoked(places), 5)
        await lane._consumer.stop()
        await lane._producer.stop()
        return stream

    stream = asyncio.run(fail_and_leave())
    assert (stream.judged, stream.asked) == ([0], [])
