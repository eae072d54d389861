"""The same totals per agent on the batch lane: `python -m benchmarks.profile_lane '{"kafka": …}'`."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from benchmarks.profile_totals import Totals, read_event, read_totals
from benchmarks.profile_words import Teller
from schemas.checkpoint import Checkpoint
from streams.lane import Lane, LaneSettings
from streams.records import Output, Record
from streams.stream import Stream
from streams.topics import Topic


class TotalsStream(Stream):
    """Keeps totals by agent; a checkpoint holds those that changed."""

    name = "totals"

    def __init__(self, events: Topic, teller: Teller) -> None:
        self.inputs = (events,)
        self.teller = teller
        self.totals: dict[int, dict[str, Totals]] = {}
        self.dirty: dict[int, set[str]] = {}

    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Include each event."""
        mine, dirty = self.totals[place.partition], self.dirty[place.partition]
        for record in records:
            event = read_event(record.value)
            mine.setdefault(event.agent_id, Totals()).include(event, record.offset)
            dirty.add(event.agent_id)
        self.teller.tell(place.partition, records[-1].offset, len(records))
        return ()

    def open(self, partition: int, entries: Mapping[str, Checkpoint]) -> None:
        """Take over a partition's totals."""
        self.totals[partition] = {name: read_totals(entry.state) for name, entry in entries.items()}
        self.dirty[partition] = set()

    def close(self, partition: int) -> None:
        """Forget a partition."""
        del self.totals[partition], self.dirty[partition]

    def changed(self, partition: int, *, whole: bool) -> Mapping[str, bytes | None]:
        """Return the totals that changed."""
        names, self.dirty[partition] = self.dirty[partition], set()
        mine = self.totals[partition]
        return {name: mine[name].encode() for name in (mine if whole else names)}


def main() -> None:
    """Run one worker until it is told to stop."""
    asyncio.run(_run(json.loads(sys.argv[1])))


async def _run(where: dict[str, Any]) -> None:
    teller = Teller(Path(where["words"]), where["enough"], dict)
    stream = TotalsStream(Topic(where["events"], "event", "agent_id"), teller)
    lane = Lane(stream, LaneSettings(where["kafka"], where["state"], where["group"]))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lane.stopping.set)
    await lane.run()


if __name__ == "__main__":
    main()
