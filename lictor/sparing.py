"""A log that says a thing a few times and then how often it came: an outage must not fill a disk."""

import logging
from dataclasses import dataclass
from typing import Final

FIRST: Final = 3
"""Of lines that say the same, so many are written in each window."""
WINDOW_S: Final = 60.0
KINDS: Final = 500
"""So many kinds of line are told apart; beyond that counting begins anew."""


@dataclass(slots=True)
class _Kind:
    since_s: float
    seen: int = 0
    held: int = 0


class Sparing(logging.Filter):
    """Lets the first lines of a kind through in each window, and tells with the next how many it held back.

    A kind is logger, level and wording before values are put in. Judged by the times that records carry.
    """

    def __init__(self, first: int = FIRST, window_s: float = WINDOW_S) -> None:
        super().__init__()
        self.first = first
        self.window_s = window_s
        self.kinds: dict[tuple[str, int, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written."""
        name = (record.name, record.levelno, str(record.msg)[:500])
        if name not in self.kinds and len(self.kinds) >= KINDS:
            self.kinds.clear()
        kind = self.kinds.setdefault(name, _Kind(record.created))
        if record.created - kind.since_s >= self.window_s:
            kind.since_s, kind.seen = record.created, 0
        kind.seen += 1
        if kind.seen > self.first:
            kind.held += 1
            return False
        if kind.held:
            record.msg = f"{record.msg} (and {kind.held} times more since the last such line)"
            kind.held = 0
        return True
