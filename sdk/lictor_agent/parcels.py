"""One record on its way out, one record as it was heard."""

import concurrent.futures
from dataclasses import dataclass

from lictor_agent.spool import Spooled


@dataclass(slots=True)
class Outgoing:
    """`acked` resolves when the broker has it; `again`: it may have been sent before; `refused`: nothing had room for it."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    acked: "concurrent.futures.Future[None] | None" = None
    again: bool = False
    on_disk: bool = False
    refused: bool = False
    order: int = 0

    def spooled(self) -> Spooled:
        """Return the record as it is kept on disk."""
        return Spooled(self.topic, self.key, self.value, self.headers, self.order)

    def size(self) -> int:
        """Return about how much memory it takes, bytes."""
        return len(self.value) + 512


def from_disk(record: Spooled) -> Outgoing:
    """Return a record that waited on disk and was not sent before."""
    return Outgoing(record.topic, record.key, record.value, list(record.headers), on_disk=True, order=record.order)


@dataclass(slots=True)
class Heard:
    """A record of a topic the agent listens to."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    time_us: int
