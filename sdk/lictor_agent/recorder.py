"""A run's account of itself: its steps, counted without a gap within each trace, published in that order."""

import itertools
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from lictor_agent import wire
from lictor_agent.context import conversation_in
from lictor_agent.link import Outgoing, monotonic_us

if TYPE_CHECKING:
    from lictor_agent.calls import Call
    from lictor_agent.run import Run

MAX_VALUE: Final = 768 * 1024
MOST_TRACES: Final = 50_000
"""Of one run; those used longest ago are forgotten."""
MOST_NAMED: Final = 1000
"""Traces in a receipt."""
REMEMBERED: Final = 256
"""Steps whose time is kept, to say how long after a bad one its stop took effect."""
_NAMES: Final = frozenset({"tool", "model", "provider", "to_agent", "tool_call_id", "memory_id"})
_BODIES: Final = frozenset({"text", "arguments", "asked", "error", "reasoning", "reason"})
NO_TRAITS: Final[frozenset[str]] = frozenset()


class Recorder:
    """Builds and publishes the steps of one run. Whoever takes a step holds `lock`."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.lock = threading.Lock()
        self.unsaid = False
        """After a fork, until the child's first step: its own `run_started` has yet to be published."""
        self._seq: OrderedDict[str, int] = OrderedDict()
        self._handed: OrderedDict[str, int] = OrderedDict()

    def publish(
        self,
        kind: str,
        fields: dict[str, Any],
        trace_id: str,
        traits: frozenset[str] = NO_TRAITS,
        *,
        unless_stopped: bool = False,
    ) -> None:
        """Take the next `seq` of a trace and queue the step, under one lock."""
        if self.run.agent.settings.off:
            return
        self.begin()
        with self.lock:
            if unless_stopped and self.run.stopped is not None:
                return
            self.run.agent.link.publish(self.take(kind, fields, trace_id, traits=traits))

    def take(
        self,
        kind: str,
        fields: dict[str, Any],
        trace_id: str,
        *,
        traits: frozenset[str] = NO_TRAITS,
        time_us: int = 0,
        call: "Call | None" = None,
    ) -> Outgoing:
        """Build the record of the next step of a trace. The caller holds the lock, and publishes it before letting go."""
        agent, run = self.run.agent, self.run
        seq = self._next(trace_id)
        step_id = wire.step_id(agent.agent_id, run.run_id, trace_id, seq)
        time_us = time_us or time.time_ns() // 1000
        step = self._built(kind, fields, trace_id, seq, step_id, traits, time_us)
        value = wire.encode(step)
        if len(value) > MAX_VALUE:
            step = self._built(kind, _bare(fields), trace_id, seq, step_id, traits, time_us)
            value = wire.encode(step)
        if call is not None:
            call.step_id, call.digest = step_id, step.digest
        self._handed[step_id] = monotonic_us()
        if len(self._handed) > REMEMBERED:
            self._handed.popitem(last=False)
        run.spent.steps += 1
        if not trace_id:
            agent.told_seq(run, seq)
        return agent.record("steps", trace_id or run.run_id, "step", value)

    def begin(self) -> None:
        """Publish the start of a run that a fork made, before its first step."""
        if self.unsaid:
            self.unsaid = False
            self.run.agent.started(self.run)
            self.run.say_started()

    def _next(self, trace_id: str) -> int:
        seq = self._seq.pop(trace_id, 0) + 1
        self._seq[trace_id] = seq
        if len(self._seq) > MOST_TRACES:
            self.run.forget(self._seq.popitem(last=False)[0])
        return seq

    def last_seq(self) -> dict[str, int]:
        """Return the last `seq` of the traces used last: a receipt must fit into a record."""
        with self.lock:
            return dict(itertools.islice(reversed(self._seq.items()), MOST_NAMED))

    def since_us(self, step_id: str) -> int | None:
        """Return how long ago a step was handed over, in microseconds; None where that is not known any more."""
        handed = self._handed.get(step_id)
        return None if handed is None else monotonic_us() - handed

    def _built(
        self,
        kind: str,
        fields: dict[str, Any],
        trace_id: str,
        seq: int,
        step_id: str,
        traits: frozenset[str],
        time_us: int,
    ) -> wire.Step:
        run, agent = self.run, self.run.agent
        cuts: dict[str, wire.Cut] = {}
        said: dict[str, Any] = {}
        for name, value in fields.items():
            if name in _BODIES:
                shown = agent.shown(name, wire.plain_json(value), traits, cuts)
                said[name] = wire.shorten(shown, name, agent.cut_key, cuts)
            else:
                said[name] = wire.name_of(value) if name in _NAMES else value
        return wire.Step(
            v=wire.STEP_VERSION,
            step_id=step_id,
            agent_id=agent.agent_id,
            run_id=run.run_id,
            trace_id=trace_id,
            seq=seq,
            kind=kind,
            time_us=time_us,
            digest=wire.content_digest(kind, said),
            version=agent.version,
            principal=run.principal,
            workflow=run.workflow,
            conversation_id=conversation_in(run) or run.conversation_id,
            parent_run_id=run.parent_run_id,
            delegation=run.delegation,
            environment=agent.environment,
            cut=cuts or None,
            **said,
        )


def _bare(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with every body down to a preview: a step of many long values must still fit."""
    return {
        name: value[:2000] if isinstance(value, str) else {"cut": True} if name in ("arguments", "asked") else value
        for name, value in fields.items()
    }
