"""Children that end with their parent, whatever ends it."""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """In a child, before exec: have the kernel send SIGTERM when the parent's thread that made us ends (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def name_of_signal(status: int) -> str:
    """Return how a process ended, in words: `exit 1`, `SIGKILL`."""
    if status >= 0:
        return f"exit {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    if sys.platform != "linux":
        return True
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 - not a path of ours
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
