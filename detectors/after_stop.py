"""Steps of a run that was ordered to stop: the proof that a stop took effect, or did not."""

from collections.abc import Sequence
from typing import ClassVar, Final

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts, Stopped
from detectors.state import RunState, TraceState
from schemas.finding import Finding
from schemas.message import Severity
from schemas.step import Kind

_CLOSING: Final = frozenset({"tool_result", "run_ended", "heartbeat"})

MOST_ENDING: Final = 16
"""As many model calls of a run may have been under way when it was stopped."""


class AfterStop(Detector):
    """After a stop only results of calls begun before it and one `run_ended` may still appear.

    A model call is published when it ends: one that by its own duration began before the order is such a result too.
    Any other step appended later than the order plus the grace is a claim; and, once the run's own receipt has named the
    last `seq` of each trace, any step above it, whenever it comes. So a receipt can only tighten the proof: an agent
    that lies in its receipt gains nothing. The claim makes the response climb its ladder.
    """

    name: ClassVar[str] = "after_stop"
    title: ClassVar[str] = "A stopped run goes on"
    severity: ClassVar[Severity] = "critical"
    impact: ClassVar[float] = 0.9
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi10",)
    blind_spots: ClassVar[str] = "What a run does without publishing a step."

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether it is of a kind that a stopped run may not take."""
        return kind not in _CLOSING

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Judge steps of stopped runs only."""
        if not facts.stopped:
            return ()
        step = seen.step
        stop = facts.stopped.get((step.agent_id, step.run_id))
        if stop is None or step.kind in _CLOSING or not _is_after(seen, stop, facts):
            return ()
        if _was_under_way(seen, stop, facts) and run.ending < MOST_ENDING:
            run.ending += 1
            return ()
        run.after_stop += 1
        ms = (seen.append_us - stop.ordered_us) / 1000
        what = shown(f"{step.kind} {step.tool}".strip())
        reason = f"{what} (step {step.seq}) appeared {ms:.0f} ms after the order to stop the run"
        return (self.finding(seen, reason, confidence=0.95, group=stop.command_id),)


def _is_after(seen: Seen, stop: Stopped, facts: Facts) -> bool:
    if seen.append_us > stop.ordered_us + facts.rules.stop_grace_ms * 1000:
        return True
    return stop.last_seq is not None and seen.step.seq > stop.last_seq.get(seen.step.trace_id, -1)


def _was_under_way(seen: Seen, stop: Stopped, facts: Facts) -> bool:
    began_us = seen.append_us - seen.step.duration_us
    return seen.step.kind == "model_call" and began_us <= stop.ordered_us + facts.rules.stop_grace_ms * 1000
