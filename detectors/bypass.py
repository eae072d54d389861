"""Results of calls that were never told of."""

from collections.abc import Sequence
from typing import ClassVar

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.state import TOOLS_PER_RUN, RunState, TraceState
from schemas.finding import Finding
from schemas.message import Severity
from schemas.step import Kind


class Bypass(Detector):
    """A tool's result, and the run never told of calling that tool; once a run and tool.

    What is called without a gate's word is `lictor.grants.bypassed`.
    """

    name: ClassVar[str] = "bypass"
    title: ClassVar[str] = "A tool was called past the gate"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.6
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi10", "owasp.asi02")
    blind_spots: ClassVar[str] = (
        "Calls that leave no step at all; results of a tool that the run has also called properly."
    )

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether it is a result of the agent's own."""
        return marked and kind == "tool_result"

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Judge one result."""
        step = seen.step
        known = step.tool in run.tools or len(run.tools) >= TOOLS_PER_RUN
        if not seen.policy.registered or known or "gap" in run.sequence.reported or step.outcome == "denied":
            return ()
        reason = (
            f"{shown(step.tool)} has returned something to {shown(step.agent_id)}, and its run never told of calling it"
        )
        group = f"{step.run_id}:{step.tool}"
        return (self.finding(seen, reason, confidence=0.7, group=group, by_group=True),)
