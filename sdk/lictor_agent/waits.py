"""Something a call waits for before its body may run."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any


class Wait:
    """In a thread or in asyncio. `then` is told whether it came in time, and raises where the call must not go on;
    `forget` is called at the end, whatever the end is."""  # noqa: D205, D209

    def __init__(
        self,
        future: "concurrent.futures.Future[Any]",
        timeout_s: float,
        then: Callable[[bool], None],
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self.future = future
        self.timeout_s = timeout_s
        self.then = then
        self.forget = forget

    def sync(self) -> None:
        """Wait in this thread. Not with `concurrent.futures.wait`: that sleeps on when the future is cancelled."""
        try:
            with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
                self.future.exception(self.timeout_s)
            self.then(self.future.done())
        finally:
            self.forget()

    async def asynchronous(self) -> None:
        """Wait in asyncio. Where it did not come in time, `then` may write to disk, which is no work for the loop."""
        try:
            done, _ = await asyncio.wait([asyncio.wrap_future(self.future)], timeout=self.timeout_s)
            if done:
                self.then(True)
            else:
                await asyncio.to_thread(self.then, self.future.done())
        finally:
            self.forget()
