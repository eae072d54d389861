"""What a run was ordered to do, and how far it has got: stop, pause, resume, and the receipts that say so."""

import asyncio
import concurrent.futures
import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lictor_agent.errors import AgentStopped

if TYPE_CHECKING:
    from lictor_agent.calls import Call
    from lictor_agent.orders import Ordered
    from lictor_agent.run import Run

log = logging.getLogger("lictor_agent")


@dataclass(frozen=True, slots=True)
class Stop:
    """The order that stopped a run."""

    command_id: str
    reason: str
    step_id: str = ""
    """The step that it is about, where it names one."""


OnStop = Callable[[Stop], "Awaitable[object] | object"]
"""The agent's own tidying up; in a thread of its own, or in the loop of `async with agent.run()` if it is async."""


@dataclass(slots=True)
class Obedience:
    """Of one run. The lock is the recorder's, so that no call begins between a stop and its receipt."""

    run: "Run"
    on_stop: OnStop | None = None
    stopped: Stop | None = None
    executing: "dict[int, Call]" = field(default_factory=dict)
    clearing: "set[concurrent.futures.Future[Any]]" = field(default_factory=set)
    """Calls that wait for clearance."""
    loop: asyncio.AbstractEventLoop | None = None
    _paused: set[str] = field(default_factory=set)
    _moved: threading.Condition = field(default_factory=threading.Condition)
    _held: "set[concurrent.futures.Future[None]]" = field(default_factory=set)
    """Tasks that wait for a resume."""
    _tidied: threading.Event = field(default_factory=threading.Event)
    _effective: bool = False

    def check(self) -> None:
        """Raise `AgentStopped` if the run was ordered to stop."""
        stop = self.stopped
        if stop is not None:
            raise AgentStopped(stop.reason, command_id=stop.command_id, run_id=self.run.run_id)

    def hold(self) -> None:
        """Wait while the run is paused. Raises `AgentStopped`."""
        self.check()
        if self._paused:
            with self._moved:
                self._moved.wait_for(lambda: self.stopped is not None or not self._paused)
        self.check()

    async def hold_async(self) -> None:
        """Wait in asyncio while the run is paused. Raises `AgentStopped`."""
        while self._paused and self.stopped is None:
            waiter: concurrent.futures.Future[None] = concurrent.futures.Future()
            with self._moved:
                if not self._paused or self.stopped is not None:
                    break
                self._held.add(waiter)
            try:
                await asyncio.wrap_future(waiter)
            finally:
                self._held.discard(waiter)
        self.check()

    def obey(self, order: "Ordered") -> None:
        """Carry out an order; called once per command by `Control`."""
        if order.action == "stop":
            self._stop(order)
        elif order.action == "pause":
            self._paused.add(order.command_id)
            self._answer(order.command_id, "effective", order.step_id)
        elif order.action == "resume":
            self._paused.clear()
            self._answer(order.command_id, "effective", order.step_id)
        with self._moved:
            self._moved.notify_all()
            if not self._paused or self.stopped is not None:
                for waiter in list(self._held):
                    with contextlib.suppress(concurrent.futures.InvalidStateError):
                        waiter.set_result(None)

    def _stop(self, order: "Ordered") -> None:
        with self.run.recorder.lock:
            if self.stopped is not None:
                return
            self.stopped = stop = Stop(order.command_id, order.reason, order.step_id)
            executing, clearing = list(self.executing.values()), list(self.clearing)
        self._answer(stop.command_id, "received", stop.step_id, tuple(call.name for call in executing)[:256])
        self.run.agent.stopping(self.run, stop.command_id)
        for future in clearing:
            future.cancel()
        if self._how(order) != "drain":
            for call in executing:
                call.cancel()
        self._tidy(stop)
        self.settle()

    def _how(self, order: "Ordered") -> str:
        return str(order.arguments.get("how") or self.run.agent.stopping_policy().how)

    def _tidy(self, stop: Stop) -> None:
        """Have the agent's own `on_stop` run, and the stop not wait longer for it than the policy says."""
        if self.on_stop is None:
            self._tidied.set()
            return
        threading.Thread(target=self._tidying, args=(self.on_stop, stop), name="lictor-on-stop", daemon=True).start()
        late = threading.Timer(self.run.agent.stopping_policy().on_stop_ms / 1000, self._tidied_late)
        late.daemon = True
        late.start()

    def _tidying(self, on_stop: OnStop, stop: Stop) -> None:
        try:
            answer = on_stop(stop)
            if inspect.isawaitable(answer):
                self._finish(answer)
        except BaseException:  # whatever the agent's own code raises, the stop goes on
            log.exception("on_stop of run %s failed; the stop goes on without it", self.run.run_id)
        self._tidied.set()
        self.settle()

    def _finish(self, answer: Awaitable[object]) -> None:
        async def waited() -> None:
            await answer

        loop = self.loop
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(waited(), loop).result()
        else:
            asyncio.run(waited())

    def _tidied_late(self) -> None:
        if not self._tidied.is_set():
            log.warning("on_stop of run %s is not done in time; the stop is effective without it", self.run.run_id)
            self._tidied.set()
            self.settle()

    def settle(self) -> None:
        """Say that the stop is effective, once nothing executes any more and the agent has tidied up."""
        if self.stopped is None:
            return
        with self.run.recorder.lock:
            stop = self.stopped
            if self.executing or self._effective or not self._tidied.is_set():
                return
            self._effective = True
        self._answer(stop.command_id, "effective", stop.step_id)

    def _answer(self, command_id: str, status: str, step_id: str, running: tuple[str, ...] = ()) -> None:
        recorder = self.run.recorder
        self.run.agent.answer(
            command_id,
            self.run.run_id,
            status,
            running=running,
            last_seq=recorder.last_seq(),
            step_id=step_id,
            since_step_us=recorder.since_us(step_id) if step_id else None,
        )
