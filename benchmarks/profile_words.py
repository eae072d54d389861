"""What a worker of the profile experiment tells whoever watches it: lines in a file, whole even if it is killed."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

BETWEEN_S: Final = 0.1


class Teller:
    """Says how far a worker has come in each partition, at most ten times a second, and when it has handled enough."""

    def __init__(self, path: Path, enough: int, counters: Callable[[], Mapping[str, int]]) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self._enough = enough
        self._counters = counters
        self._due: dict[int, float] = {}
        self._began = 0.0
        self._first = 0
        self.handled = 0

    def tell(self, partition: int, offset: int, count: int = 1) -> None:
        """Count `count` events handled, the last of them at `offset`."""
        now = time.monotonic()
        before, self.handled = self.handled, self.handled + count
        if not before:
            self._began, self._first = now, count  # the first batch has taken its time before
        if now >= self._due.get(partition, 0.0):
            self._due[partition] = now + BETWEEN_S
            self._say(at=now, partition=partition, offset=offset, counters=dict(self._counters()))
        if before < self._enough <= self.handled:
            self._say(drained=self.handled - self._first, began=self._began, took_s=now - self._began)

    def _say(self, **words: Any) -> None:
        os.write(self._file, json.dumps(words).encode() + b"\n")


@dataclass(slots=True)
class Heard:
    """What one process has said so far."""

    path: Path
    read: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    """Partition → the last offset told of."""
    first_at: dict[int, float] = field(default_factory=dict)
    last_at: dict[int, float] = field(default_factory=dict)
    """Partition → when it was last told of, by the machine's monotonic clock."""
    counters: Counter[str] = field(default_factory=Counter)
    drained: dict[str, Any] | None = None

    def listen(self) -> None:
        """Read what was said since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.read)
            for line in file:
                if line.endswith(b"\n"):
                    self.read += len(line)
                    self._take(json.loads(line))

    def _take(self, words: dict[str, Any]) -> None:
        if "drained" in words:
            self.drained = words
            return
        partition = words["partition"]
        self.offsets[partition] = words["offset"]
        self.first_at.setdefault(partition, words["at"])
        self.last_at[partition] = words["at"]
        self.counters = Counter(words["counters"])
