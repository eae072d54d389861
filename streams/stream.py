"""What a stream is: what the lane asks of it, and nothing of how the lane works."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import TopicPartition

from schemas.checkpoint import Checkpoint
from streams.records import Output, Record
from streams.topics import Topic


class Stream(ABC):
    """What a stream does. The lane calls these one at a time, never two at once."""

    name: str
    inputs: tuple[Topic, ...]
    leased = True
    """Whether a batch may be published only within the group's lease. Not for a sink that knows what it holds."""
    keeps_state = True
    """Whether the lane restores and checkpoints; a stream that keeps its place elsewhere says where in `resume`."""

    @abstractmethod
    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Handle records of one partition, in order; return what to publish."""

    def open(self, partition: int, entries: Mapping[str, Checkpoint]) -> None:  # noqa: B027 - for streams with state
        """Take over a partition, with the state that was checkpointed."""

    def close(self, partition: int) -> None:  # noqa: B027 - for streams with state
        """Give up a partition; forget its state."""

    def changed(self, partition: int, *, whole: bool) -> Mapping[str, bytes | None]:
        """Return the entries changed since the last call (all of them if `whole`); None: forgotten."""
        return {}

    def entry_of(self, topic: str, key: str) -> str:
        """Return the name of the entry that a record changes."""
        return key

    async def resume(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return offsets to go on from, for a stream that keeps its place elsewhere."""
        return {}

    def tick(self, lag: Mapping[TopicPartition, int]) -> Sequence[Output]:
        """Return what to publish each second: liveness, expiries."""
        return ()
