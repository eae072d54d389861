"""Ctrl-C, and what means the same: ends what is being started, and does not disturb what is being put away."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """What a signal leads to: `KeyboardInterrupt` where the program stands, or a call once `then` was given one."""

    def __init__(self) -> None:
        self._instead: Callable[[], None] | None = None

    def then(self, call: Callable[[], None]) -> None:
        """From now on have signals make this call, and let the program go on."""
        self._instead = call

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        del number, frame
        if self._instead is None:
            raise KeyboardInterrupt
        self._instead()


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take SIGINT, SIGTERM and SIGHUP for as long as the context lasts; a SIGHUP that `nohup` keeps away stays away."""
    interrupt = Interrupt()
    taken = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in taken}
    try:
        yield interrupt
    finally:
        _restore(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal break off what is put away: a second Ctrl-C would leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
