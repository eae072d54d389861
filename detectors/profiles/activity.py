"""Steps reduced by agent, in `detect`: sightings of what is used, and running totals with the last windows.

Totals and windows are part of a partition's checkpoint, under the offset they include, so that none is counted twice;
what was sighted this hour is not: a sighting that repeats does no harm.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from detectors.base import Seen
from detectors.profiles.uses import Use, uses_of, whoever
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
_PLAIN: Final = frozenset({"message", "tool_result", "heartbeat", "run_ended", "memory_read", "memory_write"})
"""Steps that use nothing beyond what their run does."""
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
    uses: dict[str, int] = {}
    ungated: int = 0

    def count(self, seen: Seen, used: list[Use]) -> None:
        """Add a step."""
        step, kind = seen.step, seen.step.kind
        self.steps += 1
        self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
        if kind == "tool_call":
            tool = step.tool if step.tool in self.by_tool or len(self.by_tool) < MOST_TOOLS else OTHERS
            self.by_tool[tool] = self.by_tool.get(tool, 0) + 1
            self.ungated += step.gate is None
            if "egress" in seen.traits:
                self.egress_bytes += _egress(step)
        elif kind == "model_call":
            self.input_tokens += step.input_tokens
            self.output_tokens += step.output_tokens
            self.cost_usd += step.cost_usd
        if step.error or step.outcome == "failed":
            self.errors += 1
        self.duration_us += step.duration_us
        for use in used:
            self.uses[use.kind] = self.uses.get(use.kind, 0) + 1
            if use.kind == "resource" and len(self.resources) < MOST_RESOURCES:
                self.resources.add(digest64(use.name.encode()))

    def message(self) -> Window:
        """Return the window as it is published."""
        said = msgspec.structs.asdict(self) | {"resources": len(self.resources)}
        del said["uses"], said["ungated"]
        return Window.model_construct(**said)


class AgentActivity(msgspec.Struct, array_like=True):
    """What one agent has done in one partition of steps, up to an offset: totals, and the windows not in them yet."""

    agent_id: str
    offset: int = -1
    last_us: int = 0
    open_runs: dict[str, int] = {}
    ended_runs: dict[str, int] = {}
    windows: list[OpenWindow] = []
    steps: int = 0
    by_kind: dict[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    uses: dict[str, int] = {}
    ungated: int = 0

    def count(self, seen: Seen, used: list[Use]) -> None:
        """Add a step."""
        append_us = seen.append_us
        self.offset, self.last_us = seen.offset, append_us
        kept = self.ended_runs if seen.step.kind == "run_ended" else self.open_runs
        kept[seen.step.run_id] = append_us
        if len(kept) > MOST_RUNS:
            del kept[min(kept, key=lambda run: (kept[run], run))]
        windows = self.windows
        if not windows or append_us >= windows[-1].start_us + WINDOW_US:
            self._begin_window(append_us - append_us % WINDOW_US)
        windows[-1].count(seen, used)

    def _begin_window(self, start_us: int) -> None:
        self.windows.append(OpenWindow(start_us))
        if len(self.windows) > WINDOWS:
            self._add(self.windows.pop(0))

    def used(self, kind: str) -> int:
        """Return how often something of a kind was used."""
        return self.uses.get(kind, 0) + sum(window.uses.get(kind, 0) for window in self.windows)

    def _add(self, done: OpenWindow) -> None:
        """Put a window that is told of no more into the totals."""
        self.steps += done.steps
        _add_up(self.by_kind, done.by_kind)
        self.input_tokens += done.input_tokens
        self.output_tokens += done.output_tokens
        self.cost_usd += done.cost_usd
        _add_up(self.uses, done.uses)
        self.ungated += done.ungated

    def message(self, partition: int) -> Activity:
        """Return the totals as they are published."""
        whole = AgentActivity(self.agent_id, by_kind=dict(self.by_kind), uses=dict(self.uses))
        whole.steps, whole.ungated, whole.cost_usd = self.steps, self.ungated, self.cost_usd
        whole.input_tokens, whole.output_tokens = self.input_tokens, self.output_tokens
        for window in self.windows:
            whole._add(window)
        return Activity.model_construct(
            agent_id=self.agent_id,
            partition=partition,
            offset=self.offset,
            steps=whole.steps,
            by_kind=whole.by_kind,
            input_tokens=whole.input_tokens,
            output_tokens=whole.output_tokens,
            cost_usd=whole.cost_usd,
            uses=whole.uses,
            ungated=whole.ungated,
            last_us=self.last_us,
            open_runs=dict(self.open_runs),
            ended_runs=dict(self.ended_runs),
            windows=tuple(window.message() for window in self.windows),
        )


def _add_up(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def _egress(step: Step) -> int:
    """Return how many characters a call sends out, as far as its arguments say."""
    if step.gate is not None and step.gate.verdict in ("deny", "ask"):
        return 0
    return sum(len(item) for item in (step.arguments or {}).values() if isinstance(item, str))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AgentActivity).decode


class Activities:
    """All agents of one partition of steps, the longest silent first; over the bound that one is forgotten."""

    def __init__(self, partition: int = 0, most: int = MOST_AGENTS) -> None:
        self.partition = partition
        self.most = most
        self.by_agent: OrderedDict[str, AgentActivity] = OrderedDict()
        self.changed: set[str] = set()
        """Since the last checkpoint."""
        self.untold: set[str] = set()
        """Since they were last published."""
        self.forgotten: set[str] = set()
        self._hour_ends_us = 0
        self._sighted: set[tuple[str, str, str, str]] = set()
        self._who: set[tuple[str, str, str, tuple[str, ...], tuple[str, ...]]] = set()

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
        begins = step.run_id not in found.open_runs
        used = [] if step.kind in _PLAIN else list(uses_of(step))
        found.count(seen, [*whoever(step), *used] if begins else used)
        self.changed.add(step.agent_id)
        self.untold.add(step.agent_id)
        if seen.append_us >= self._hour_ends_us or len(self._sighted) + len(self._who) >= MOST_SIGHTED:
            self._turn_hour(seen.append_us)
        who = (step.agent_id, step.version, step.principal, step.delegation, step.labels)
        if who not in self._who:
            self._who.add(who)
            used = [*whoever(step), *used]
        new = [use for use in used if self._is_new(step.agent_id, use)] if used else ()
        return [_sighting(seen, use, self.partition, found.used(use.kind)) for use in new]

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

    def _turn_hour(self, append_us: int) -> None:
        self._hour_ends_us = append_us - append_us % HOUR_US + HOUR_US
        self._sighted.clear()
        self._who.clear()

    def _is_new(self, agent_id: str, use: Use) -> bool:
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

    def messages(self, most: int) -> Iterator[Activity]:
        """Yield the totals of agents that did something since they were last published, so many at most."""
        for _ in range(min(most, len(self.untold))):
            yield self.by_agent[self.untold.pop()].message(self.partition)


def _sighting(seen: Seen, use: Use, partition: int, uses: int) -> Sighting:
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
        partition=partition,
        uses=uses,
        identity=seen.identity,
        append_time_us=max(0, seen.append_us),
    )
