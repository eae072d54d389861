"""One incarnation of an agent: what it says, what it calls, what it hands on."""

import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import Token
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

from lictor_agent import carriers, context, verdicts, wire
from lictor_agent.calls import Call, Handoff, ModelCall
from lictor_agent.carriers import Carrier
from lictor_agent.errors import BadConfiguration
from lictor_agent.gate import Spent
from lictor_agent.obedience import Obedience, OnStop, Stop
from lictor_agent.recorder import Recorder

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from lictor_agent.agent import Agent
    from lictor_agent.orders import Ordered

P = ParamSpec("P")
R = TypeVar("R")
MOST_LABELS: Final = 64


class Run:
    """Use as a context manager, sync or async. Thread-safe.

    Every step goes into the run's current trace; `with run.trace():` opens another. In threads of your own, wrap what
    they do with `run.bind`.
    """

    def __init__(
        self,
        agent: "Agent",
        *,
        principal: str = "",
        handoff: Carrier | None = None,
        traceparent: str = "",
        on_stop: OnStop | None = None,
        **more: str,
    ) -> None:
        carried = carriers.read(handoff)
        self.agent = agent
        self.run_id = os.urandom(16).hex()
        self.principal = wire.name_of(principal)
        self.parent_run_id = wire.name_of(more.get("parent_run_id", "")) or carried.parent_run_id
        self.delegation = carried.delegation
        self.workflow = wire.name_of(more.get("workflow", ""))
        self.conversation_id = wire.name_of(more.get("conversation_id", ""))
        self.spent = Spent()
        self.recorder = Recorder(self)
        self.orders = Obedience(self, on_stop)
        self._trace_id = (
            _given_trace(more.get("trace_id", ""), traceparent) or carried.trace_id or carriers.new_trace_id()
        )
        self._reads: dict[str, set[str]] = {self._trace_id: set(carried.reads)}
        """Trace → what it has read so far, as conditions on `reads` see it: `untrusted`, `sensitive`."""
        self._labels: dict[str, set[str]] = {self._trace_id: set(carried.labels)}
        self._token: Token[Run | None] | None = None

    @property
    def trace_id(self) -> str:
        """The trace that steps go into now."""
        return context.trace_in(self) or self._trace_id

    @property
    def stopped(self) -> Stop | None:
        """The order that stopped this run, if there is one."""
        return self.orders.stopped

    def __enter__(self) -> Self:
        self.agent.started(self)
        self.say_started()
        self._token = context.current.set(self)
        return self

    async def __aenter__(self) -> Self:
        await self.agent.ready_async()
        self.orders.loop = _running_loop()
        return self.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            context.current.reset(self._token)
            self._token = None
        reason = "stopped" if self.stopped else "failed" if error is not None else "done"
        said = {"reason": reason, "error": type(error).__name__ if error else "", "dropped": self.agent.dropped()}
        self.recorder.publish("run_ended", said, "")
        self.agent.ended(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def trace(self, trace_id: str = "", *, traceparent: str = "") -> AbstractContextManager[str]:
        """Put the steps of this block into another trace; yields its id. A new one, unless it is given as id or W3C."""
        return context.in_trace(self, _given_trace(trace_id, traceparent) or carriers.new_trace_id())

    def conversation(self, conversation_id: str) -> AbstractContextManager[str]:
        """Say of the steps of this block that they belong to a conversation; yields its id."""
        return context.in_conversation(self, wire.name_of(conversation_id))

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function` as it is to be handed to another thread: there it runs in this run and its present trace."""
        trace_id = self.trace_id

        @wraps(function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            with context.in_run(self, trace_id):
                return function(*args, **kwargs)

        return bound

    # What the agent says.

    def message(self, text: str, *, origin: str = "user", labels: Iterable[str] = ()) -> None:
        """Publish a message the agent received or gave. Raises `AgentStopped` once the run was stopped."""
        self._say("message", text, origin, labels)

    def memory_read(self, memory_id: str, text: str, *, origin: str = "memory", labels: Iterable[str] = ()) -> str:
        """Publish what the agent read from its memory; returns `text`. Untrusted, unless `origin` says whose word it is."""
        self._say("memory_read", text, origin, labels, memory_id=memory_id)
        return text

    def memory_write(self, memory_id: str, text: str, *, labels: Iterable[str] = ()) -> None:
        """Publish what the agent is about to write into its memory, before it does. Raises `AgentStopped`."""
        self.check()
        said = tuple(wire.name_of(label) for label in labels)
        self.recorder.publish("memory_write", {"memory_id": memory_id, "text": text, "labels": said}, self.trace_id)

    def _say(self, kind: str, text: str, origin: str, labels: Iterable[str], **more: str) -> None:
        wire.must_be_origin(origin)
        self.check()
        said = tuple(wire.name_of(label) for label in labels)
        self.has_read(self.trace_id, verdicts.message_reads(str(text), origin), said)  # the gate knows before `detect`
        self.recorder.publish(kind, {"text": text, "origin": origin, "labels": said, **more}, self.trace_id)

    # What the agent does.

    def model_call(self, model: str, *, provider: str = "") -> ModelCall:
        """Return a model call, to be used as a context manager."""
        return ModelCall(self, model, {"model": model, "provider": provider})

    def tool(self, tool_name: str, /, **arguments: Any) -> Call:
        """Return a tool call, to be used as a context manager: `with run.tool("mail.send", to=…) as call:`."""
        fields = {"tool": tool_name, "tool_call_id": os.urandom(8).hex()}
        return Call(self, tool_name, fields, arguments)

    def invoke(
        self, tool_name: str, function: Callable[..., R], arguments: dict[str, Any], *, origin: str = "tool"
    ) -> R:
        """Call a tool through the gate: `function(**arguments)`, narrowed where the policy says so; its result is said."""
        with self.tool(tool_name, **arguments) as call:
            value = function(**call.given(arguments))
            call.result(value, origin=origin)
        return value

    async def invoke_async(
        self,
        tool_name: str,
        function: Callable[..., Awaitable[R]],
        arguments: dict[str, Any],
        *,
        origin: str = "tool",
    ) -> R:
        """Call an async tool through the gate, as `invoke` does."""
        async with self.tool(tool_name, **arguments) as call:
            value = await function(**call.given(arguments))
            call.result(value, origin=origin)
        return value

    def handoff(self, to_agent: str, text: str = "") -> dict[str, str]:
        """Hand work to another agent; return what to give it, as headers: `agent.run(handoff=…)` takes them there.

        They carry the trace (W3C `traceparent`), who acts for whom, and what the trace has read so far.
        """
        with Handoff(self, to_agent, {"to_agent": to_agent, "text": text}) as call:
            return self._carrier(call)

    async def handoff_async(self, to_agent: str, text: str = "") -> dict[str, str]:
        """Hand work to another agent, in asyncio: a paused run does not hold up the loop."""
        async with Handoff(self, to_agent, {"to_agent": to_agent, "text": text}) as call:
            return self._carrier(call)

    def _carrier(self, call: Call) -> dict[str, str]:
        return carriers.write(
            trace_id=call.trace_id,
            step_id=call.step_id,
            run_id=self.run_id,
            delegation=[*self.delegation, self.agent.agent_id],
            reads=self.reads(call.trace_id),
            labels=self.labels(call.trace_id),
        )

    # What the gate and the orders need.

    def check(self) -> None:
        """Raise `AgentStopped` if the run was ordered to stop."""
        self.orders.check()

    def obey(self, order: "Ordered") -> None:
        """Carry out an order; called once per command by `Control`."""
        self.orders.obey(order)

    def reads(self, trace_id: str) -> list[str]:
        """Return what a trace has read so far: `untrusted`, `sensitive`."""
        return sorted(self._reads.get(trace_id, ()), reverse=True)

    def labels(self, trace_id: str) -> list[str]:
        """Return the labels of what a trace has read so far."""
        return sorted(self._labels.get(trace_id, ()))

    def has_read(self, trace_id: str, what: Iterable[str], labels: Iterable[str] = ()) -> None:
        """Take note of what a trace has read."""
        self._reads.setdefault(trace_id, set()).update(what)
        known = self._labels.setdefault(trace_id, set())
        known.update(list(labels)[: MOST_LABELS - len(known)])

    def forget(self, trace_id: str) -> None:
        """Forget what a trace has read: the run has opened too many since."""
        self._reads.pop(trace_id, None)
        self._labels.pop(trace_id, None)

    def say_started(self) -> None:
        """Publish that the run has started, and with what."""
        said = {**self.agent.declared(), "mode": self.agent.mode()}
        self.recorder.publish("run_started", said, "")

    def beat(self) -> None:
        """Publish that the run lives, and what it has lost. A stopped one says nothing any more but its end."""
        self.recorder.publish("heartbeat", {"dropped": self.agent.dropped()}, "", unless_stopped=True)

    def forked(self) -> None:
        """In the child of a fork: become a run of its own, whose parent is the one it came from."""
        self.parent_run_id, self.run_id = self.run_id, os.urandom(16).hex()
        self.recorder = Recorder(self)
        self.orders = Obedience(self, self.orders.on_stop, self.orders.stopped)
        self.recorder.unsaid = True


def _given_trace(trace_id: str, traceparent: str) -> str:
    if trace_id and not carriers.is_trace_id(trace_id):
        raise BadConfiguration(
            f"trace_id must be 32 lower-case hex digits and not all zero (W3C), not {trace_id[:40]!r}"
        )
    return trace_id or carriers.trace_of(traceparent)


def _running_loop() -> "AbstractEventLoop":
    import asyncio  # noqa: PLC0415 - agents without asyncio need not pay for it

    return asyncio.get_running_loop()
