"""One incarnation of an agent: its steps, counted without a gap; its calls, each through the gate; its obedience."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from lictor_agent import verdicts, wire
from lictor_agent.calls import Call, Handoff, ModelCall, Wait
from lictor_agent.errors import AgentStopped, ToolDenied
from lictor_agent.gate import Answer, Spent
from lictor_agent.link import ACK_PATIENCE_S, Outgoing, monotonic_us
from lictor_agent.spool import SpoolFull
from lictor_agent.traits import EFFECTS
from lictor_agent.verdicts import Judged

if TYPE_CHECKING:
    from lictor_agent.agent import Agent
    from lictor_agent.orders import Command, Ordered

_MAX_VALUE: Final = 768 * 1024
_REMEMBERED: Final = 256
_NAMES: Final = frozenset({"tool", "model", "provider", "to_agent", "tool_call_id"})
_BODIES: Final = frozenset({"text", "arguments", "error", "reasoning", "reason"})
current: contextvars.ContextVar["Run | None"] = contextvars.ContextVar("lictor_run", default=None)
_trace: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("lictor_trace", default=("", ""))
"""(run, trace) of the innermost `with run.trace()`."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The order that stopped a run."""

    command_id: str
    reason: str


class Run:
    """Use as a context manager, sync or async. Thread-safe.

    Every step goes into the run's current trace; `with run.trace():` opens another.
    """

    def __init__(
        self, agent: "Agent", *, principal: str = "", handoff: dict[str, str] | None = None, **more: str
    ) -> None:
        carried = handoff or {}
        self.agent = agent
        self.run_id = os.urandom(16).hex()
        self.principal = wire.name_of(principal)
        self.parent_run_id = wire.name_of(carried.get("lictor-run", ""))
        chain = carried.get("lictor-delegation", "").split(",")
        self.delegation = tuple(wire.name_of(name) for name in chain if name)[:32]
        self.workflow = wire.name_of(more.get("workflow", ""))
        self.conversation_id = wire.name_of(more.get("conversation_id", ""))
        self.stopped: Stop | None = None
        self.spent = Spent()
        self._trace_id = more.get("trace_id") or _trace_of(carried.get("traceparent", "")) or os.urandom(16).hex()
        self._lock = threading.Lock()
        self._seq: dict[str, int] = {}
        self._paused: set[str] = set()
        self._moved = threading.Condition()
        self._executing: dict[int, Call] = {}
        self._reads: dict[str, set[str]] = {}
        """Trace → what it has read so far, as conditions on `reads` see it: `untrusted`, `sensitive`."""
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._handed: OrderedDict[str, int] = OrderedDict()
        self._about_step = ""
        self._effective = False
        self._token: contextvars.Token[Run | None] | None = None

    @property
    def trace_id(self) -> str:
        """The trace that steps go into now."""
        run_id, trace_id = _trace.get()
        return trace_id if run_id == self.run_id else self._trace_id

    def __enter__(self) -> Self:
        self.agent.started(self)
        self._publish("run_started", {**self.agent.declared(), "mode": self.agent.mode()}, trace_id="")
        self._token = current.set(self)
        return self

    async def __aenter__(self) -> Self:
        return self.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            current.reset(self._token)
        reason = "stopped" if self.stopped else "failed" if error is not None else "done"
        self._publish("run_ended", {"reason": reason, "error": type(error).__name__ if error else ""}, trace_id="")
        self.agent.ended(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def trace(self, trace_id: str = "") -> Iterator[str]:
        """Put the steps of this block into another trace; yields its id."""
        name = trace_id or os.urandom(16).hex()
        token = _trace.set((self.run_id, name))
        try:
            yield name
        finally:
            _trace.reset(token)

    def message(self, text: str, *, origin: str = "user") -> None:
        """Publish a message the agent received or gave. Raises `AgentStopped` once the run was stopped."""
        wire.must_be_origin(origin)
        self.check()
        self._has_read(self.trace_id, *verdicts.message_reads(str(text), origin))  # the gate knows before `detect` does
        self._publish("message", {"text": text, "origin": origin})

    def model_call(self, model: str, *, provider: str = "") -> ModelCall:
        """Return a model call, to be used as a context manager."""
        return ModelCall(self, model, {"model": model, "provider": provider})

    def tool(self, tool_name: str, /, **arguments: Any) -> Call:
        """Return a tool call, to be used as a context manager: `with run.tool("mail.send", to=…) as call:`."""
        fields = {"tool": tool_name, "tool_call_id": os.urandom(8).hex()}
        return Call(self, tool_name, fields, arguments)

    def handoff(self, to_agent: str, text: str = "") -> dict[str, str]:
        """Hand work to another agent; return what to give it, as headers: `agent.run(handoff=…)` takes them there."""
        with Handoff(self, to_agent, {"to_agent": to_agent, "text": text}) as call:
            return {
                "traceparent": f"00-{call.trace_id}-{call.step_id[:16]}-01",
                "lictor-run": self.run_id,
                "lictor-delegation": ",".join([*self.delegation, self.agent.agent_id]),
            }

    def check(self) -> None:
        """Raise `AgentStopped` if the run was ordered to stop."""
        if self.stopped is not None:
            raise AgentStopped(self.stopped.reason, command_id=self.stopped.command_id, run_id=self.run_id)

    def reads(self, trace_id: str) -> list[str]:
        """Return what a trace has read so far."""
        return sorted(self._reads.get(trace_id, ()), reverse=True)

    def _has_read(self, trace_id: str, *what: str) -> None:
        self._reads.setdefault(trace_id, set()).update(what)

    # A call's way, in order: hold, begin, (waits), body, finish.

    def hold(self) -> None:
        """Wait while the run is paused. Raises `AgentStopped`."""
        self.check()
        if self._paused:
            with self._moved:
                self._moved.wait_for(lambda: self.stopped is not None or not self._paused)
        self.check()

    async def hold_async(self) -> None:
        """Wait in asyncio while the run is paused."""
        self.check()
        if self._paused:
            await asyncio.to_thread(self.hold)
        self.check()

    def begin(self, call: Call) -> Sequence[Wait]:
        """Ask the gate and publish the call; return what it has to wait for. Raises `ToolDenied`."""
        self.agent.policy()  # the very first call waits here for what stands, and not under the lock
        waits: Sequence[Wait] = ()
        with self._lock:
            self.check()
            judged = verdicts.judge(self, call)  # under the lock: of two calls one is the last that a budget allows
            goes_on = judged.verdict not in ("deny", "ask")
            call.fields["gate"] = verdicts.gate_of(judged)
            if call.kind != "model_call" or not goes_on:
                record = self._step(call.kind, _call_fields(call), call.trace_id, call)
                waits = self._waits(call, judged, record) if goes_on else ()
                self.agent.link.publish(record)
            self._count(call)
            if goes_on:
                self._executing[id(call)] = call
        if not goes_on:
            raise verdicts.refusal(judged.answer, self)
        return waits

    def _waits(self, call: Call, judged: Judged, record: Outgoing) -> Sequence[Wait]:
        if judged.verdict == "hold":
            return (self._clearance(call),)
        if judged.verdict == "allow" and not EFFECTS.isdisjoint(judged.traits):
            return (self._write_ahead(record),)
        return ()

    def _write_ahead(self, record: Outgoing) -> Wait:
        """Wait until the broker has the step, or else the disk: no effect without its step."""
        record.acked = concurrent.futures.Future()

        def then(acknowledged: bool) -> None:
            self.check()
            if acknowledged:
                return
            try:
                self.agent.link.on_disk(record)
            except SpoolFull as full:
                why = f"the step can be kept neither by Kafka nor on disk: {full}"
                raise verdicts.refusal(Answer("deny", "", "spool", why), self) from None

        return Wait(record.acked, ACK_PATIENCE_S, then)

    def _clearance(self, call: Call) -> Wait:
        """Wait until `detect` has judged this very step. Its answer fits this digest only; a late one is void."""
        future: concurrent.futures.Future[Command] = concurrent.futures.Future()
        digest = call.digest

        def answer(command: "Command") -> None:
            if command.target.digest == digest and command.target.run_id == self.run_id and not future.done():
                future.set_result(command)

        def then(answered: bool) -> None:
            self.agent.control.forget(call.step_id)
            self._waiting.discard(future)
            self.check()
            command = future.result() if answered and not future.cancelled() else None
            verdicts.after_clearance(self, command)

        self.agent.control.expect(call.step_id, answer)
        self._waiting.add(future)
        return Wait(future, self.agent.clearance_s(), then)

    def finish(self, call: Call, error: BaseException | None) -> None:
        """Publish how the call ended."""
        took = monotonic_us() - call.began_us if call.began_us else 0
        fields = {**call.fields, **call.outcome, "duration_us": max(0, took), **_ending(error)}
        if call.kind == "model_call":
            self._finish_model(call, fields)
        elif call.kind == "tool_call":
            del fields["gate"]
            if fields["outcome"] != "denied":
                self._has_read(call.trace_id, *verdicts.reads_through(self, call))
            self._publish("tool_result", fields, trace_id=call.trace_id)
        with self._lock:
            self._executing.pop(id(call), None)
        self._settle()

    def _finish_model(self, call: Call, fields: dict[str, Any]) -> None:
        fields.pop("outcome", None)
        with self._lock:
            self.spent.tokens += int(fields.get("input_tokens", 0)) + int(fields.get("output_tokens", 0))
            self.spent.cost_usd += float(fields.get("cost_usd", 0.0))
        self._publish("model_call", fields, trace_id=call.trace_id)

    def _count(self, call: Call) -> None:
        self.spent.model_calls += call.kind == "model_call"
        if call.kind == "tool_call":
            self.spent.tool_calls += 1
            self.spent.last_minute.append(time.monotonic())
            self.spent.same_call[verdicts.same_call(call)] += 1

    # Publishing.

    def _publish(self, kind: str, fields: dict[str, Any], trace_id: str | None = None) -> None:
        """Take the next `seq` and queue the step, under one lock."""
        with self._lock:
            record = self._step(kind, fields, self.trace_id if trace_id is None else trace_id)
            self.agent.link.publish(record)

    def _step(self, kind: str, fields: dict[str, Any], trace_id: str, call: Call | None = None) -> Outgoing:
        """Build the record of the next step of a trace. The caller holds the lock."""
        seq = self._seq[trace_id] = self._seq.get(trace_id, 0) + 1
        step_id = wire.step_id(self.agent.agent_id, self.run_id, trace_id, seq)
        step = self._built(kind, fields, trace_id, seq, step_id)
        value = wire.encode(step)
        if len(value) > _MAX_VALUE:
            step = self._built(kind, _bare(fields), trace_id, seq, step_id)
            value = wire.encode(step)
        if call is not None:
            call.step_id, call.digest = step_id, step.digest
        self._handed[step_id] = monotonic_us()
        if len(self._handed) > _REMEMBERED:
            self._handed.popitem(last=False)
        self.spent.steps += 1
        return self.agent.record("steps", trace_id or self.run_id, "step", value)

    def _built(self, kind: str, fields: dict[str, Any], trace_id: str, seq: int, step_id: str) -> wire.Step:
        cuts: dict[str, wire.Cut] = {}
        said: dict[str, Any] = {}
        for name, value in fields.items():
            if name in _BODIES:
                said[name] = wire.shorten(wire.plain_json(value), name, self.agent.cut_key, cuts)
            else:
                said[name] = wire.name_of(value) if name in _NAMES else value
        return wire.Step(
            v=wire.STEP_VERSION,
            step_id=step_id,
            agent_id=self.agent.agent_id,
            run_id=self.run_id,
            trace_id=trace_id,
            seq=seq,
            kind=kind,
            time_us=time.time_ns() // 1000,
            digest=wire.content_digest(kind, said),
            version=self.agent.version,
            principal=self.principal,
            workflow=self.workflow,
            conversation_id=self.conversation_id,
            parent_run_id=self.parent_run_id,
            delegation=self.delegation,
            cut=cuts or None,
            **said,
        )

    # Obeying.

    def obey(self, order: "Ordered") -> None:
        """Carry out an order; called once per command by `Control`."""
        action, command_id, reason, step_id, _ = order
        if action == "stop":
            self._stop(command_id, reason, step_id)
        elif action == "pause":
            self._paused.add(command_id)
            self._answer(command_id, "effective")
        elif action == "resume":
            self._paused.clear()
            self._answer(command_id, "effective")
        with self._moved:
            self._moved.notify_all()

    def _stop(self, command_id: str, reason: str, step_id: str) -> None:
        with self._lock:
            if self.stopped is not None:
                return
            self.stopped = Stop(command_id, reason)
            self._about_step = step_id
            executing, waiting = list(self._executing.values()), list(self._waiting)
        self._answer(command_id, "received", running=tuple(call.name for call in executing)[:256])
        self.agent.stopping(self, command_id)
        for future in waiting:
            future.cancel()
        for call in executing:
            call.cancel()
        self._settle()

    def _settle(self) -> None:
        """Say that the stop is effective, once nothing executes any more."""
        with self._lock:
            stop = self.stopped
            if stop is None or self._executing or self._effective:
                return
            self._effective = True
        self._answer(stop.command_id, "effective")

    def _answer(self, command_id: str, status: str, *, running: tuple[str, ...] = ()) -> None:
        handed = self._handed.get(self._about_step)
        since = monotonic_us() - handed if handed is not None else None
        with self._lock:
            last_seq = dict(self._seq)
        self.agent.answer(
            command_id,
            self.run_id,
            status,
            running=running,
            last_seq=last_seq,
            step_id=self._about_step,
            since_step_us=since,
        )


def _call_fields(call: Call) -> dict[str, Any]:
    return {**call.fields, "arguments": call.arguments} if call.arguments is not None else call.fields


def _ending(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {"outcome": "executed"}
    outcome = "denied" if isinstance(error, ToolDenied) else "failed"
    return {"outcome": outcome, "error": f"{type(error).__name__}: {error}"[:2000]}


def _bare(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with every body down to a preview: a step of many long values must still fit."""
    return {
        name: value[:2000] if isinstance(value, str) else {"cut": True} if name == "arguments" else value
        for name, value in fields.items()
    }


def _trace_of(traceparent: str) -> str:
    """Return the trace id of a W3C traceparent; "" if it is none."""
    parts = traceparent.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or parts[1] == "0" * 32:  # noqa: PLR2004 - W3C
        return ""
    return parts[1] if set(parts[1]) <= set("0123456789abcdef") else ""
