"""What waits for the broker and is too much for memory: a queue on disk, in files of a few megabytes, oldest first."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lictor_agent import spool
from lictor_agent.spool import Spool, Spooled, SpoolFull, records_in

SEGMENT: Final = 4 << 20


class Overflow:
    """Used by the link's thread alone. Files that were read to their end are removed once what came of them is acknowledged."""

    def __init__(self, folder: Path, agent_id: str, most: int = 0) -> None:
        self._where = (folder, agent_id)
        self._most = most or spool.MAX_BYTES
        self._numbers = itertools.count(1)
        self._segments: deque[Spool] = deque()
        self._reading: Iterator[Spooled | None] | None = None
        self._read: list[Spool] = []
        self.waiting = 0
        self.damaged = 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in (*self._segments, *self._read))

    def write(self, records: Sequence[Spooled]) -> None:
        """Append records. Raises `SpoolFull`, and then none of them is kept here."""
        if self.size + sum(len(record.value) for record in records) > self._most:
            raise SpoolFull(f"the spool holds {self.size} bytes, its bound is {self._most}")
        last = self._segments[-1] if self._segments else None
        if last is None or last.size > SEGMENT or (len(self._segments) == 1 and self._reading is not None):
            last = Spool(*self._where, number=next(self._numbers), most=2 * self._most)
            last.write_all(records, sync=False)
            self._segments.append(last)
        else:
            last.write_all(records, sync=False)
        self.waiting += len(records)

    def take(self) -> Spooled | None:
        """Return the oldest record; None where there is none."""
        while self.waiting:
            if self._reading is None:
                self._reading = records_in(self._segments[0].read())
            found = next(self._reading, _END)
            if found is _END:
                self._read.append(self._segments.popleft())
                self._reading = None
                if not self._segments:
                    self.waiting = 0
            else:
                self.waiting -= 1
                if isinstance(found, Spooled):
                    return found
                self.damaged += 1
        return None

    def acknowledged(self) -> None:
        """Remove what was read: all that was taken is acknowledged."""
        if not self.waiting and self._segments:
            self._read += self._segments
            self._segments.clear()
            self._reading = None
        for segment in self._read:
            segment.close(keep=False)
        self._read.clear()

    def close(self) -> None:
        """Leave the files for another process."""
        for segment in (*self._segments, *self._read):
            segment.close(keep=True)

    def after_fork(self) -> None:
        """In the child of a fork: the files are the parent's."""
        for segment in (*self._segments, *self._read):
            segment.after_fork()


_END: Final = object()
