"""The log of a child process: bounded on disk, and asked for the line that says what went wrong."""

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

LOG_BYTES: Final = 4 << 20
"""Of one log; as much again is kept of what came before."""
TAIL_BYTES: Final = 16 << 10
LINE_CHARS: Final = 300

CAUSES: Final = (
    (re.compile(r"No space left on device", re.IGNORECASE), "no space is left on the device"),
    (re.compile(r"Disk quota exceeded", re.IGNORECASE), "the disk quota is used up"),
    (re.compile(r"File too large", re.IGNORECASE), "a file may not grow as large as it must (`ulimit -f`, or a quota)"),
    (re.compile(r"Too many open files", re.IGNORECASE), "too many files are open (`ulimit -n`)"),
    (re.compile(r"Address already in use", re.IGNORECASE), "its port is taken by another program"),
    (
        re.compile(r"OutOfMemoryError|Cannot allocate memory|insufficient memory", re.IGNORECASE),
        "there is not enough memory",
    ),
    (re.compile(r"Read-only file system", re.IGNORECASE), "the file system is read-only"),
    (re.compile(r"AccessDeniedException|Permission denied", re.IGNORECASE), "a file may not be read or written"),
)
"""What a machine can lack, in whatever words a program complains of it."""
_FRAME: Final = re.compile(r"\s|Traceback ")
_TELLING: Final = re.compile(r"exception|error|fatal|lictor: ", re.IGNORECASE)


def told(text: str) -> str:
    """Return in one line what the end of a log says went wrong: the machine's own lack, else the last telling line."""
    lines = [line for line in text.splitlines() if line.strip() and not _FRAME.match(line)]
    telling = next((line for line in reversed(lines) if _TELLING.search(line)), lines[-1] if lines else "")
    cause = next((words for pattern, words in CAUSES if pattern.search(text)), "")
    said = "".join(letter if letter.isprintable() else "·" for letter in telling.strip().removeprefix("lictor: "))
    return cause or said[:LINE_CHARS] or "it left no word"


@dataclass(slots=True)
class Log:
    """One file that a child appends to. It never grows far beyond `most_bytes`; one older piece is kept beside it."""

    path: Path
    most_bytes: int = LOG_BYTES
    begin: int = field(default=0, init=False)
    """Where the words of the child that was started last begin."""

    def open(self) -> IO[bytes]:
        """Open the log for a child that is about to start. Raises `OSError`."""
        self.bound()
        file = self.path.open("ab")
        self.begin = file.tell()
        return file

    def bound(self) -> None:
        """Put away what is there once it is too long: moved aside and cut in place, since the child keeps its file open.

        Lines written between the two are lost. That nothing can be put away on a full disk is no reason to let it grow.
        """
        with contextlib.suppress(OSError):
            if self.path.stat().st_size <= self.most_bytes:
                return
            with contextlib.suppress(OSError):
                self._end(self.most_bytes, self.path.with_suffix(".log.old"))
            os.truncate(self.path, 0)
            self.begin = 0

    def _end(self, most_bytes: int, into: Path) -> None:
        with self.path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
            into.write_bytes(file.read(most_bytes))

    def last_words(self) -> str:
        """Return in one line what the child that was started last said went wrong."""
        with contextlib.suppress(OSError), self.path.open("rb") as file:
            file.seek(max(self.begin, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return told(file.read(TAIL_BYTES).decode("utf-8", "replace"))
        return told("")
