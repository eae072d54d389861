"""What an agent was seen to call: each call with how it ended and which findings speak against it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lictor.backtest import Backtest
from lictor.sessions import Session
from schemas.step import Outcome, Step

SURE: Final = 0.8
"""A finding of at least this confidence keeps a call out of what a proposal rests on."""
SEVERE: Final = frozenset({"high", "critical"})
ASKED: Final = frozenset({"tool_call", "model_call", "handoff"})
REFUSED: Final = frozenset({"deny", "ask"})


@dataclass(frozen=True, slots=True)
class Flag:
    """A finding that is believed: where it was complete, and whether the rest of that trace is in doubt as well."""

    step_id: str
    run_id: str
    trace_id: str
    seq: int
    rule_id: str
    severe: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One `tool_call`, `model_call` or `handoff`."""

    step: Step
    outcome: Outcome
    rules: tuple[str, ...] = ()
    """The rules whose findings speak against it."""

    @property
    def usable(self) -> bool:
        """Whether a proposal may rest on it: done, and nothing speaks against it."""
        return self.outcome == "executed" and not self.rules


@dataclass(frozen=True, slots=True)
class Observed:
    """The calls of one agent, oldest first."""

    calls: tuple[Call, ...]
    where: str
    """Where they come from, in words."""
    more: bool = False
    """Whether there were older ones, more than can be looked at."""


@dataclass(slots=True)
class Flags:
    """Which findings speak against a step."""

    found: Iterable[Flag]
    _at: dict[str, set[str]] = field(default_factory=dict)
    _after: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for flag in self.found:
            self._at.setdefault(flag.step_id, set()).add(flag.rule_id)
            if flag.severe:
                self._after.setdefault((flag.run_id, flag.trace_id), []).append((flag.seq, flag.rule_id))

    def of(self, step: Step) -> tuple[str, ...]:
        """Return the rules that claim this step, or something severe earlier in what its run did in the trace."""
        later = {rule for seq, rule in self._after.get((step.run_id, step.trace_id), ()) if seq <= step.seq}
        return tuple(sorted(self._at.get(step.step_id, set()) | later))


def calls_of(steps: Iterable[Step], results: Mapping[str, Outcome], flags: Flags) -> tuple[Call, ...]:
    """Put calls together with how they ended (by step id) and what speaks against them; each call once, drills left out."""
    found = {step.step_id: step for step in steps if step.kind in ASKED and not step.drill}
    return tuple(Call(step, _outcome(step, results), flags.of(step)) for step in found.values())


def _outcome(step: Step, results: Mapping[str, Outcome]) -> Outcome:
    """Models and hand-overs have no result of their own: what the gate let through counts as done."""
    if step.gate is not None and step.gate.verdict in REFUSED:
        return "denied"
    return results.get(step.step_id, "unknown") if step.kind == "tool_call" else "executed"


def outcomes(steps: Iterable[Step]) -> dict[str, Outcome]:
    """Return how each tool call ended, by its step id: the result with its call id, else the next one of its tool."""
    open_calls: dict[tuple[str, str, str], list[Step]] = {}
    found: dict[str, Outcome] = {}
    for step in steps:
        if step.kind not in ("tool_call", "tool_result"):
            continue
        waiting = open_calls.setdefault((step.run_id, step.trace_id, step.tool_call_id or f"~{step.tool}"), [])
        if step.kind == "tool_call":
            waiting.append(step)
        elif waiting:
            found[waiting.pop(0).step_id] = step.outcome or "unknown"
    return found


def recorded_calls(sessions: Iterable[Session], agent_id: str, bench: Backtest, where: str) -> Observed:
    """Return the calls of an agent in recorded sessions, judged as a backtest judges them."""
    steps: list[Step] = []
    flags: list[Flag] = []
    results: dict[str, Outcome] = {}
    for session in sessions:
        if session.agent_id != agent_id:
            continue
        flags += _flags(session, bench)
        steps += session.steps
        results |= outcomes(session.steps)
    ordered = sorted(steps, key=lambda step: step.time_us)
    return Observed(calls_of(ordered, results, Flags(flags)), where)


def _flags(session: Session, bench: Backtest) -> Sequence[Flag]:
    found = [judged.finding for judged in bench.judge(session).found]
    return [
        Flag(one.step_id, one.run_id, one.trace_id, one.seq, one.rule_id, one.severity in SEVERE)
        for one in found
        if one.confidence >= SURE
    ]
