"""What waits to be published: in memory while there is room, then on disk; in the order in which it was made."""

import bisect
import contextlib
import itertools
import threading
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lictor_agent import spool
from lictor_agent.overflow import Overflow
from lictor_agent.parcels import Outgoing, from_disk
from lictor_agent.spool import Spool, Spooled, SpoolFull, link_name

MAX_QUEUED: Final = 100_000
MAX_BYTES: Final = 64 << 20
"""Memory that waiting records may take when the disk takes no more; what comes then is dropped and counted."""
SPILL_RECORDS: Final = 20_000
SPILL_BYTES: Final = 16 << 20
"""What stays in memory; more goes to disk."""
_AT_ONCE: Final = 1000
_AHEAD_SHARE: Final = 4
"""One part in so many of the disk is kept for what is written ahead: the worst step must find room after the many harmless."""


class Outbox:
    """Any thread may `put` and `write_ahead`; only the link's thread takes, spills and forgets. `most`: bytes on disk."""

    def __init__(self, folder: Path, agent_id: str, counters: Counter[str], most: int = 0) -> None:
        most, link = most or spool.MAX_BYTES, link_name()
        self.counters = counters
        self.queue: deque[Outgoing] = deque()
        self.failed: deque[Outgoing] = deque()
        """Older than all else here, oldest first: the broker refused them, or nobody knows."""
        self.held = 0
        self._overflow = Overflow(folder, agent_id, counters, link=link, most=most - most // _AHEAD_SHARE)
        self._ahead = Spool(folder, agent_id, link=link, most=most // _AHEAD_SHARE)
        self._ahead_last = 0
        """The order of the last record written ahead."""
        self._ahead_lock = threading.Lock()
        self._lock = threading.Lock()
        self._orders = itertools.count(1)

    def put(self, record: Outgoing) -> bool:
        """Queue a record; tell whether there was room. A record that somebody waits for gets twice the room."""
        most = MAX_BYTES * (1 + (record.acked is not None))
        with self._lock:
            if self.held > most or (len(self.queue) >= MAX_QUEUED and record.acked is None):
                self.counters["dropped"] += 1
                record.refused = True
                return False
            record.order = next(self._orders)
            self.held += record.size()
            self.queue.append(record)
        return True

    def fail(self, record: Outgoing) -> None:
        """Take a record back that was not acknowledged."""
        bisect.insort(self.failed, record, key=lambda other: other.order)

    def take(self) -> Outgoing | None:
        """Return the oldest record; None where there is none."""
        if self.failed:
            return self.failed.popleft()
        waited = self._overflow.take()
        if waited is not None:
            return from_disk(waited)
        return self._pop()

    def _pop(self) -> Outgoing | None:
        with self._lock:
            if not self.queue:
                return None
            record = self.queue.popleft()
            self.held -= record.size()
            return record

    def __len__(self) -> int:
        return len(self.queue) + len(self.failed) + self._overflow.waiting

    def spill(self) -> None:
        """Move the oldest of what is too much for memory to disk. Where the disk takes no more it stays in memory."""
        while len(self.queue) > SPILL_RECORDS or self.held > SPILL_BYTES:
            batch = [record for _ in range(min(_AT_ONCE, len(self.queue))) if (record := self._pop()) is not None]
            try:
                self._overflow.write([record.spooled() for record in batch])
            except SpoolFull:
                with self._lock:
                    self.queue.extendleft(reversed(batch))
                    self.held += sum(record.size() for record in batch)
                self.counters["spool_full"] += 1
                return
            self.counters["overflowed"] += len(batch)

    def write_ahead(self, record: Outgoing) -> None:
        """Have a record on disk before this returns. Raises `SpoolFull`.

        One that was refused is not queued, and so would never be sent from here; and what stands in the file is removed once
        all that is queued was acknowledged.
        """
        if record.refused:
            raise SpoolFull("neither Kafka nor memory has room for more steps")
        with self._ahead_lock:
            if not record.on_disk:
                self._ahead.write(record.spooled())
                record.on_disk = True
                self._ahead_last = max(self._ahead_last, record.order)
            self.counters["spooled"] += 1

    def forget(self, under_way: Iterable[Outgoing] = ()) -> None:
        """Remove from disk what is acknowledged. `under_way`: what was taken and is not."""
        orders = [record.order for record in (*under_way, *self.failed)]
        self._overflow.acknowledged(min(orders, default=None))
        if self._overflow.waiting:
            return
        with self._ahead_lock:
            if self.queue:  # what is put from here on is written ahead after this, if at all
                orders.append(self.queue[0].order)
            oldest = min(orders, default=None)
            if oldest is None or oldest > self._ahead_last:
                self._ahead.clear()

    def close(self, under_way: Iterable[Outgoing]) -> bool:
        """Put what is not acknowledged on disk; tell whether there was nothing. What no disk takes is dropped and counted."""
        left = [*under_way, *self.failed, *self.queue]
        waits = [record.spooled() for record in left if not record.on_disk]
        with self._ahead_lock:
            for at in range(0, len(waits), _AT_ONCE):
                self._keep(waits[at : at + _AT_ONCE])
            nothing = not left and not self._overflow.waiting
            self._ahead.close(keep=bool(left))
        if nothing:
            self._overflow.acknowledged(None)
        self._overflow.close()
        return nothing

    def _keep(self, records: list[Spooled]) -> None:
        for write in (self._ahead.write_all, self._overflow.write):
            with contextlib.suppress(SpoolFull):
                return write(records)
        self.counters["dropped"] += len(records)
        return None

    def after_fork(self) -> None:
        """In the child of a fork: what waits here is the parent's to send."""
        self._ahead.after_fork()
        self._overflow.after_fork()
