"""One call on its way through the gate: asked, published, waited for, run, and its outcome published."""

import asyncio
import concurrent.futures
import contextlib
import json
import math
import numbers
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from lictor_agent.errors import AgentStopped, LictorAgentError
from lictor_agent.link import monotonic_us
from lictor_agent.wire import must_be_origin, plain_json

if TYPE_CHECKING:
    from lictor_agent.run import Run

MAX_TOKENS: Final = 2**53 - 1
"""The most that a step's field holds."""


class Wait:
    """Something a call waits for before its body may run, in a thread or in asyncio.

    `then` is told whether it came in time, and raises where the call must not go on.
    """

    def __init__(
        self, future: "concurrent.futures.Future[Any]", timeout_s: float, then: Callable[[bool], None]
    ) -> None:
        self.future = future
        self.timeout_s = timeout_s
        self.then = then

    def sync(self) -> None:
        """Wait in this thread. Not with `concurrent.futures.wait`: that sleeps on when the future is cancelled."""
        with contextlib.suppress(TimeoutError, concurrent.futures.CancelledError):
            self.future.exception(self.timeout_s)
        self.then(self.future.done())

    async def asynchronous(self) -> None:
        """Wait in asyncio."""
        done, _ = await asyncio.wait([asyncio.wrap_future(self.future)], timeout=self.timeout_s)
        self.then(bool(done))


class Call:
    """A call as a context manager, sync or async; the body is the call itself.

    Entering asks the gate and raises `ToolDenied` or `AgentStopped` where the body must not run.
    """

    kind = "tool_call"
    asks = "tools"
    """Which of a grant's globs the name is held against."""

    def __init__(self, run: "Run", name: str, fields: dict[str, Any], arguments: dict[str, Any] | None = None) -> None:
        self.run = run
        self.name = name
        self.fields = fields
        self.arguments: dict[str, Any] | None = plain_json(arguments) if arguments is not None else None
        self.step_id = ""
        self.digest = ""
        """Of what was published: what a clearance must name."""
        self.trace_id = run.trace_id
        self.outcome: dict[str, Any] = {}
        self.began_us = 0
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def result(self, value: object, *, origin: str = "tool") -> object:
        """Say what the call returned, and where that comes from (`tool`, `web`, `file`, …). Returns `value`."""
        must_be_origin(origin)
        text = value if isinstance(value, str) else json.dumps(plain_json(value), ensure_ascii=False)
        self.outcome.update(text=plain_json(text), origin=origin)
        return value

    def __enter__(self) -> Self:
        self.run.hold()
        for wait in self._begin():
            self._or_finish(wait.sync)
        self._body_begins()
        return self

    async def __aenter__(self) -> Self:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        await self.run.hold_async()
        for wait in self._begin():
            try:
                await wait.asynchronous()
            except BaseException as error:
                self._task = None
                self.run.finish(self, error)
                self._unless_stopped(error)
                raise
        self._body_begins()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run.finish(self, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task = None
        self.run.finish(self, error)
        self._unless_stopped(error)

    def _unless_stopped(self, error: BaseException | None) -> None:
        """Raise the stop in the place of the cancellation by which it ended this call."""
        stop = self.run.stopped
        if isinstance(error, asyncio.CancelledError) and stop is not None:
            raise AgentStopped(stop.reason, command_id=stop.command_id, run_id=self.run.run_id) from error

    def _begin(self) -> Sequence[Wait]:
        return self.run.begin(self)

    def _or_finish(self, wait: Callable[[], None]) -> None:
        try:
            wait()
        except BaseException as error:
            self.run.finish(self, error)
            raise

    def _body_begins(self) -> None:
        self.began_us = monotonic_us()

    def cancel(self) -> None:
        """Cancel the body if it runs in asyncio; a thread's body cannot be cancelled."""
        if self._task is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel_body)

    def _cancel_body(self) -> None:
        """Cancel in the loop, unless the call has ended meanwhile: its task is about something else by now."""
        if self._task is not None:
            self._task.cancel()


class ModelCall(Call):
    """A call of a model. Published when it ends, with what it used."""

    kind = "model_call"
    asks = "models"

    def used(self, *, input_tokens: int = 0, output_tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Say what the call used. Raises `LictorAgentError` for what nothing can have used: budgets add these up."""
        self.outcome.update(
            input_tokens=_tokens("input_tokens", input_tokens),
            output_tokens=_tokens("output_tokens", output_tokens),
            cost_usd=_amount("cost_usd", cost_usd),
        )

    def said(self, text: str, *, reasoning: str = "") -> str:
        """Say what the model answered, and what it gave as its reasoning. Returns `text`."""
        self.outcome.update(text=plain_json(text), reasoning=plain_json(reasoning))
        return text


class Handoff(Call):
    """Work handed to another agent. Published before it is handed over."""

    kind = "handoff"
    asks = "agents"


def _tokens(name: str, value: object) -> int:
    if not isinstance(value, numbers.Integral) or not 0 <= int(value) <= MAX_TOKENS:
        raise LictorAgentError(f"{name} must be a whole number of at least 0, not {value!r:.40}")
    return int(value)


def _amount(name: str, value: object) -> float:
    if not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise LictorAgentError(f"{name} must be a finite number of at least 0, not {value!r:.40}")
    return float(value)
