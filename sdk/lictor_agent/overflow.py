"""What waits for the broker and is too much for memory: a queue on disk, in files of a few megabytes, oldest first."""

import itertools
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lictor_agent.spool import Spool, Spooled, SpoolFull, records_in

SEGMENT: Final = 4 << 20


@dataclass(slots=True)
class Segment:
    """One file: how many of its records have not been read yet, and the order of the last."""

    spool: Spool
    unread: int = 0
    last: int = 0


class Overflow:
    """Used by the link's thread alone. A file that was read to its end is removed once what came of it is acknowledged."""

    def __init__(self, folder: Path, agent_id: str, counters: Counter[str], *, link: str, most: int) -> None:
        self._where = (folder, agent_id)
        self._counters = counters
        self._link = link
        self._most = most
        self._numbers = itertools.count(1)
        self._segments: deque[Segment] = deque()
        self._reading: Iterator[Spooled | None] | None = None
        self._read: deque[Segment] = deque()
        self.waiting = 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.spool.size for segment in (*self._segments, *self._read))

    def write(self, records: Sequence[Spooled]) -> None:
        """Append records. Raises `SpoolFull`, and then none of them is kept here."""
        if self.size + sum(len(record.value) for record in records) > self._most:
            raise SpoolFull(f"the spool holds {self.size} bytes, its bound is {self._most}")
        segment = self._open()
        try:
            segment.spool.write_all(records, sync=False)
        except SpoolFull:
            if not segment.spool.size:  # a disk that stays full must not fill with empty files
                segment.spool.close(keep=False)
            raise
        if not segment.last:
            self._segments.append(segment)
        segment.unread += len(records)
        segment.last = records[-1].order
        self.waiting += len(records)

    def _open(self) -> Segment:
        """Return the file to append to: not one that is full, and not the one that is being read."""
        last = self._segments[-1] if self._segments else None
        being_read = len(self._segments) == 1 and self._reading is not None
        if last is not None and last.spool.size <= SEGMENT and not being_read:
            return last
        return Segment(Spool(*self._where, link=self._link, number=next(self._numbers), most=2 * self._most))

    def take(self) -> Spooled | None:
        """Return the oldest record; None where there is none. What is damaged, or gone, is counted as dropped."""
        while self._segments:
            segment = self._segments[0]
            if self._reading is None:
                self._reading = records_in(segment.spool.read())
            found = next(self._reading, _END)
            if found is _END:
                self._end(segment)
                continue
            self._count(segment, 1)
            if isinstance(found, Spooled):
                return found
            self._lose(1)
        return None

    def _end(self, segment: Segment) -> None:
        """Go on to the next file. What this one should have held and did not is lost."""
        self._lose(segment.unread)
        self._count(segment, segment.unread)
        self._read.append(self._segments.popleft())
        self._reading = None

    def _count(self, segment: Segment, records: int) -> None:
        segment.unread -= records
        self.waiting -= records

    def _lose(self, records: int) -> None:
        if records:
            self._counters["damaged"] += records
            self._counters["dropped"] += records

    def acknowledged(self, oldest: int | None) -> None:
        """Remove files that were read and of which all is acknowledged.

        `oldest`: the order of the oldest record that was taken and is not acknowledged; None where there is none.
        """
        if not self.waiting and self._segments:
            self._read += self._segments
            self._segments.clear()
            self._reading = None
        while self._read and (oldest is None or self._read[0].last < oldest):
            self._read.popleft().spool.close(keep=False)

    def close(self) -> None:
        """Leave the files for another process."""
        for segment in (*self._segments, *self._read):
            segment.spool.close(keep=True)

    def after_fork(self) -> None:
        """In the child of a fork: the files are the parent's."""
        for segment in (*self._segments, *self._read):
            segment.spool.after_fork()


_END: Final = object()
