"""Steps reduced by agent, in `detect`: sightings of what is used, and running totals with the last windows.

Totals and windows are part of a partition's checkpoint, under the offset they include, so that none is counted twice;
what was sighted this hour is not: a sighting that repeats does no harm.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from detectors.base import Seen
from detectors.profiles.uses import Use, uses_of
from detectors.words import digest64
from schemas.activity import WINDOW_US, Activity, Window
from schemas.errors import BadRecord
from schemas.sighting import Sighting
from schemas.step import Step

MOST_AGENTS: Final = 100_000
MOST_SIGHTED: Final = 500_000
MOST_RUNS: Final = 64
MOST_TOOLS: Final = 64
"""Different tools counted in one window; the others are counted together."""
MOST_RESOURCES: Final = 256
OTHERS: Final = "…"
HOUR_US: Final = 3_600_000_000
WINDOWS: Final = 3


class OpenWindow(msgspec.Struct, array_like=True):
    """One window, as it grows."""

    start_us: int
    steps: int = 0
    by_kind: dict[str, int] = {}
    by_tool: dict[str, int] = {}
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    egress_bytes: int = 0
    duration_us: int = 0
    resources: set[int] = set()
    """Digests of different ones."""

    def count(self, step: Step, used: list[Use], egress: int) -> None:
        """Add a step."""
        self.steps += 1
        self.by_kind[step.kind] = self.by_kind.get(step.kind, 0) + 1
        if step.kind == "tool_call":
            tool = step.tool if step.tool in self.by_tool or len(self.by_tool) < MOST_TOOLS else OTHERS
            self.by_tool[tool] = self.by_tool.get(tool, 0) + 1
        self.errors += bool(step.error) or step.outcome == "failed"
        self.input_tokens += step.input_tokens
        self.output_tokens += step.output_tokens
        self.cost_usd += step.cost_usd
        self.duration_us += step.duration_us
        self.egress_bytes += egress
        for use in used:
            if use.kind == "resource" and len(self.resources) < MOST_RESOURCES:
                self.resources.add(digest64(use.name.encode()))

    def message(self) -> Window:
        """Return the window as it is published."""
        said = msgspec.structs.asdict(self) | {"resources": len(self.resources)}
        return Window.model_construct(**said)


class AgentActivity(msgspec.Struct, array_like=True):
    """What one agent has done in one partition of steps, up to an offset."""

    agent_id: str
    offset: int = -1
    steps: int = 0
    by_kind: dict[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    uses: dict[str, int] = {}
    ungated: int = 0
    last_us: int = 0
    open_runs: dict[str, int] = {}
    ended_runs: dict[str, int] = {}
    windows: list[OpenWindow] = []

    def count(self, seen: Seen, used: list[Use]) -> None:
        """Add a step; one that is included already changes nothing."""
        step = seen.step
        self.offset, self.last_us = seen.offset, seen.append_us
        self.steps += 1
        self.by_kind[step.kind] = self.by_kind.get(step.kind, 0) + 1
        self.input_tokens += step.input_tokens
        self.output_tokens += step.output_tokens
        self.cost_usd += step.cost_usd
        for use in used:
            self.uses[use.kind] = self.uses.get(use.kind, 0) + 1
        self.ungated += step.kind == "tool_call" and step.gate is None
        self._note_run(step, seen.append_us)
        self._window(seen.append_us).count(step, used, _egress(seen, used))

    def _note_run(self, step: Step, append_us: int) -> None:
        self.open_runs.pop(step.run_id, None)
        kept = self.ended_runs if step.kind == "run_ended" else self.open_runs
        kept[step.run_id] = append_us
        if len(kept) > MOST_RUNS:
            del kept[next(iter(kept))]

    def _window(self, append_us: int) -> OpenWindow:
        start_us = append_us - append_us % WINDOW_US
        for window in reversed(self.windows):
            if window.start_us == start_us:
                return window
        self.windows = [*self.windows, OpenWindow(start_us)][-WINDOWS:]
        return self.windows[-1]

    def message(self, partition: int) -> Activity:
        """Return the totals as they are published."""
        said = msgspec.structs.asdict(self) | {"windows": tuple(window.message() for window in self.windows)}
        return Activity.model_construct(partition=partition, **said)


def _egress(seen: Seen, used: list[Use]) -> int:
    """Return how many characters a call sends out, as far as its arguments say."""
    if "egress" not in seen.traits or not any(use.kind == "tool" for use in used):
        return 0
    return sum(len(item) for item in (seen.step.arguments or {}).values() if isinstance(item, str))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AgentActivity).decode


class Activities:
    """All agents of one partition of steps, the longest silent first; over the bound that one is forgotten."""

    def __init__(self, most: int = MOST_AGENTS) -> None:
        self.most = most
        self.by_agent: OrderedDict[str, AgentActivity] = OrderedDict()
        self.changed: set[str] = set()
        """Since the last checkpoint."""
        self.untold: set[str] = set()
        """Since they were last published."""
        self.forgotten: set[str] = set()
        self._hour = 0
        self._sighted: set[tuple[str, str, str, str]] = set()

    def feed(self, seen: Seen) -> list[Sighting]:
        """Count a step, unless it is included; return what its agent was not yet seen to use in this hour.

        Rehearsals are no use; nor is a step that anybody may have written in a registered agent's name.
        """
        step = seen.step
        if step.drill or (seen.identity != "marked" and seen.policy.registered):
            return []
        found = self._of(step.agent_id)
        if seen.offset <= found.offset:
            return []
        used = list(uses_of(seen))
        found.count(seen, used)
        self.changed.add(step.agent_id)
        self.untold.add(step.agent_id)
        return [_sighting(seen, use) for use in used if self._is_new(step.agent_id, use, seen.append_us)]

    def _of(self, agent_id: str) -> AgentActivity:
        found = self.by_agent.get(agent_id)
        if found is None:
            found = self.by_agent[agent_id] = AgentActivity(agent_id)
            self.forgotten.discard(agent_id)
            if len(self.by_agent) > self.most:
                self._forget(next(iter(self.by_agent)))
        else:
            self.by_agent.move_to_end(agent_id)
        return found

    def _forget(self, agent_id: str) -> None:
        del self.by_agent[agent_id]
        self.changed.discard(agent_id)
        self.untold.discard(agent_id)
        self.forgotten.add(agent_id)

    def _is_new(self, agent_id: str, use: Use, append_us: int) -> bool:
        hour = append_us // HOUR_US
        if hour != self._hour or len(self._sighted) >= MOST_SIGHTED:
            self._hour = hour
            self._sighted.clear()
        key = (agent_id, *use)
        if key in self._sighted:
            return False
        self._sighted.add(key)
        return True

    def dump(self, agent_id: str) -> bytes:
        """Return an agent's totals for a checkpoint."""
        return _encode(self.by_agent[agent_id])

    def restore(self, data: bytes) -> None:
        """Take over an agent's totals. Raises `BadRecord` where they are of another shape."""
        try:
            found = _decode(data)
        except msgspec.MsgspecError as error:
            raise BadRecord("checkpoint", str(error)) from None
        self.by_agent[found.agent_id] = found

    def messages(self, partition: int, most: int) -> Iterator[Activity]:
        """Yield the totals of agents that did something since they were last published, so many at most."""
        for _ in range(min(most, len(self.untold))):
            yield self.by_agent[self.untold.pop()].message(partition)


def _sighting(seen: Seen, use: Use) -> Sighting:
    step = seen.step
    return Sighting(
        agent_id=step.agent_id,
        run_id=step.run_id,
        kind=use.kind,
        name=use.name[:500],
        digest=use.digest,
        version=step.version,
        trace_id=step.trace_id,
        step_id=step.step_id,
        seq=step.seq,
        identity=seen.identity,
        append_time_us=max(0, seen.append_us),
    )
