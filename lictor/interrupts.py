"""Ctrl-C, and what means the same: ends what is being started, and does not disturb what is being put away."""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S: Final = 0.3
"""An interrupt is raised again until it is heard: Python drops what is raised in a `__del__` or in somebody's hook."""


class Interrupt:
    """What a signal leads to: `KeyboardInterrupt` where the program stands, or a call once `then` was given one."""

    def __init__(self) -> None:
        self._instead: Callable[[], None] | None = None
        self._meanwhile: Callable[[], None] | None = None
        self._held = False

    def then(self, call: Callable[[], None]) -> None:
        """From now on have signals make this call, and let the program go on."""
        self._instead = call

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        del number, frame
        if self._meanwhile is not None:
            self._held = True
            self._meanwhile()
        elif self._instead is None:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
            raise KeyboardInterrupt
        else:
            self._instead()

    @contextmanager
    def held_back(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Take what comes only at the end; when it comes, make a call."""
        self._meanwhile = meanwhile
        try:
            yield
        finally:
            self._meanwhile = None
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
    interrupt = _ours()
    with interrupt.held_back() if interrupt is not None else nullcontext():
        yield


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does; an interrupt cancels it, and is raised once it has put away what it had.

    Raised wherever the loop stands it would leave half-made connections, and the stack traces of their ends.
    """
    interrupt = _ours()
    if interrupt is None:
        return asyncio.run(work)
    running: list[asyncio.Task[T]] = []

    def cancel() -> None:
        for task in running:
            task.get_loop().call_soon_threadsafe(task.cancel)

    async def begun() -> T:
        task = asyncio.ensure_future(work)
        running.append(task)
        return await task

    with interrupt.held_back(cancel), suppress(asyncio.CancelledError):
        return asyncio.run(begun())
    raise KeyboardInterrupt


def _ours() -> Interrupt | None:
    """Return what takes signals here, if that is one of ours and this is the thread that they come in."""
    found = signal.getsignal(signal.SIGINT)
    mine = threading.current_thread() is threading.main_thread()
    return found if mine and isinstance(found, Interrupt) else None


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
