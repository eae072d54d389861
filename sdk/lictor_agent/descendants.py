"""Everything a command has started, however it tried to get away: found, ended and reaped (Linux).

A supervisor that is a subreaper becomes the parent of whatever loses its own: so what a command started is always below it,
double forks and sessions of their own included.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_libc: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
MOST_ROUNDS: Final = 100
"""A command that starts processes faster than they are stopped is not followed for ever."""


def become_subreaper() -> bool:
    """Have orphans below this process become its children. Tells whether the system does so."""
    return _libc is not None and _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def end_with_parent() -> None:
    """In a child, before exec: have the kernel end it when its parent dies."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def below(pid: int) -> list[int]:
    """Return the processes below one, itself left out; nothing on a system without /proc."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, look = [], [pid]
    while look:
        young = children.get(look.pop(), [])
        found += young
        look += young
    return found


def end_all(keep: frozenset[int] = frozenset()) -> int:
    """Kill everything below this process but `keep`, and reap it; return how many could not be ended.

    All are stopped before any is killed, so that none of them can start another meanwhile.
    """
    stopped: set[int] = set()
    for _ in range(MOST_ROUNDS):
        fresh = [pid for pid in below(os.getpid()) if pid not in stopped and pid not in keep]
        if not fresh:
            break
        for pid in fresh:
            _send(pid, signal.SIGSTOP)
        stopped.update(fresh)
    for pid in stopped:
        _send(pid, signal.SIGKILL)
    ends = time.monotonic() + 10
    left = stopped
    while left and time.monotonic() < ends:
        reap(left)
        left &= set(below(os.getpid()))
        if left:
            time.sleep(0.002)  # who dies is not always ours to wait for: its own parent may have to die first
    return len(left)


def reap(pids: Iterable[int]) -> None:
    """Reap those of some processes that are our children and have ended."""
    for pid in list(pids):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _send(pid: int, number: int) -> None:
    """Signal a process, if it is still below us: its number may have become another's."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if pid in below(os.getpid()):
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)
