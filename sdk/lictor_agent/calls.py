"""One call on its way through the gate: asked, published, waited for, run, and its outcome published."""

import asyncio
import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from lictor_agent import passage
from lictor_agent.errors import AgentStopped, LictorAgentError
from lictor_agent.link import monotonic_us
from lictor_agent.verdicts import Judged, gate_of
from lictor_agent.waits import Wait
from lictor_agent.wire import canonical, must_be_origin, name_of, plain_json

if TYPE_CHECKING:
    from lictor_agent.run import Run

MAX_TOKENS: Final = 2**53 - 1
"""The most that a step's field holds."""


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
        """What the tool is to be called with, as JSON: after entering, as the gate may have narrowed it."""
        self.asked: dict[str, Any] | None = None
        """What was asked for, where the gate narrowed it."""
        self.step_id = ""
        self.digest = ""
        """Of what was published: what a clearance must name."""
        self.run_id = ""
        self.time_us = 0
        self.trace_id = run.trace_id
        self.traits: frozenset[str] = frozenset()
        self.outcome: dict[str, Any] = {}
        self.began_us = 0
        self._task: asyncio.Task[Any] | None = None
        self._cancelled: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def result(self, value: object, *, origin: str = "tool", labels: Iterable[str] = ()) -> object:
        """Say what the call returned, and where that comes from (`tool`, `web`, `file`, …). Returns `value`.

        `labels`: what kind of data it is, as grants may ask about it (`pii`, `finance`, …).
        """
        must_be_origin(origin)
        text = value if isinstance(value, str) else json.dumps(plain_json(value), ensure_ascii=False)
        self.outcome.update(text=plain_json(text), origin=origin)
        if said := tuple(name_of(label) for label in labels):
            self.outcome["labels"] = said
        return value

    def take_verdict(self, run: "Run", judged: Judged) -> None:
        """Take what the gate said: the run this belongs to, the tool's traits, the arguments as they were narrowed."""
        self.run_id, self.traits = run.run_id, judged.traits
        if judged.arguments is not None:
            self.asked, self.arguments = self.arguments, judged.arguments
        self.fields["gate"] = gate_of(judged)

    def begun(self) -> dict[str, Any]:
        """Return what is published of the call when it begins."""
        fields = dict(self.fields)
        if self.arguments is not None:
            fields["arguments"] = self.arguments
        if self.asked is not None:
            fields["asked"] = self.asked
        return fields

    def given(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the agent's own `arguments` with what the gate narrowed put in its place: what the tool is to get."""
        if self.asked is None or self.arguments is None:
            return dict(arguments)
        kept = {name: value for name, value in arguments.items() if name in self.arguments}
        changed = {
            name: value
            for name, value in self.arguments.items()
            if name not in kept or canonical(value) != canonical(self.asked.get(name))
        }
        return {**kept, **changed}

    def __enter__(self) -> Self:
        self.run.orders.hold()
        for wait in passage.begin(self.run, self):
            self._or_finish(wait.sync)
        self._body_begins()
        return self

    async def __aenter__(self) -> Self:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        await self.run.agent.ready_async()
        await self.run.orders.hold_async()
        for wait in passage.begin(self.run, self):
            await self._or_finish_async(wait)
        self._body_begins()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        passage.finish(self.run, self, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task = None
        passage.finish(self.run, self, error)
        self._unless_stopped(error)

    def _unless_stopped(self, error: BaseException | None) -> None:
        """Raise the stop in the place of the cancellation by which it ended this call."""
        stop = self.run.stopped
        if isinstance(error, asyncio.CancelledError) and stop is not None:
            if self._cancelled is not None:
                self._cancelled.uncancel()  # the cancellation was ours, and ends here
            raise AgentStopped(stop.reason, command_id=stop.command_id, run_id=self.run.run_id) from error

    def _or_finish(self, wait: Callable[[], None]) -> None:
        try:
            wait()
        except BaseException as error:
            passage.finish(self.run, self, error)
            raise

    async def _or_finish_async(self, wait: Wait) -> None:
        try:
            await wait.asynchronous()
        except BaseException as error:
            self._task = None
            passage.finish(self.run, self, error)
            self._unless_stopped(error)
            raise

    def _body_begins(self) -> None:
        self.began_us = monotonic_us()

    def cancel(self) -> None:
        """Cancel the body if it runs in asyncio; a thread's body cannot be cancelled."""
        if self._task is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        """In the loop: a call that has ended meanwhile must not take its task along."""
        if self._task is not None:
            self._cancelled = self._task
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
