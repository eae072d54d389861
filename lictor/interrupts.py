"""Ctrl-C, and what means the same: ends what is being started, and does not disturb what is being put away."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S: Final = 0.3
"""An interrupt is raised again until it is heard: Python drops what is raised in a `__del__` or in somebody's hook."""


class Interrupt:
    """What a signal leads to: `KeyboardInterrupt` where the program stands, or a call once `then` was given one."""

    def __init__(self) -> None:
        self._instead: Callable[[], None] | None = None
        self._holding = False
        self._held = False

    def then(self, call: Callable[[], None]) -> None:
        """From now on have signals make this call, and let the program go on."""
        self._instead = call

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        del number, frame
        if self._holding:
            self._held = True
        elif self._instead is None:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
            raise KeyboardInterrupt
        else:
            self._instead()

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Take what comes meanwhile only at the end."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._held:
            self._held = False
            self(signal.SIGINT, None)


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take SIGINT, SIGTERM and SIGHUP for as long as the context lasts; a SIGHUP that `nohup` keeps away stays away.

    Takes SIGALRM and the timer of real time too: with them an interrupt is raised again until it is heard.
    """
    interrupt = Interrupt()
    taken = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    before = {number: signal.signal(number, interrupt) for number in (*taken, signal.SIGALRM)}
    tell, sys.unraisablehook = sys.unraisablehook, _but_interrupts(sys.unraisablehook)
    try:
        yield interrupt
    finally:
        sys.unraisablehook = tell
        signal.setitimer(signal.ITIMER_REAL, 0)
        _restore(before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


@contextmanager
def unbroken() -> Iterator[None]:
    """Let an interrupt wait for the end of what must not be broken off: around a fork it would leave locks taken."""
    interrupt = signal.getsignal(signal.SIGINT)
    if isinstance(interrupt, Interrupt) and threading.current_thread() is threading.main_thread():
        with interrupt.held_back():
            yield
    else:
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal break off what is put away: a second Ctrl-C would leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if isinstance(signal.getsignal(signal.SIGALRM), Interrupt):
        signal.setitimer(signal.ITIMER_REAL, 0)  # it is heard, and need not come again
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        _restore(before)


def _but_interrupts(tell: Callable[[Any], None]) -> Callable[[Any], None]:
    """Say nothing of an interrupt that Python drops: it comes again."""

    def hook(dropped: Any) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            tell(dropped)

    return hook


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
