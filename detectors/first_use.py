"""A tool used for the first time, after untrusted content: it weighs more than either."""

from collections.abc import Sequence
from typing import ClassVar

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.instructions import kinds_of_call
from detectors.state import RunState, TraceState
from schemas.finding import Evidence, Finding
from schemas.message import Severity
from schemas.policy import EFFECTS
from schemas.step import Kind


class FirstUse(Detector):
    """Hold each call against the agent's inventory: what it has used in its life so far.

    An agent that has done enough to be known, whose trace has read untrusted content, and that now calls a tool that it never
    called: `high` where the tool has effects and no person in the trace has spoken of anything of the kind.
    """

    name: ClassVar[str] = "first_use"
    title: ClassVar[str] = "A tool never used before, after untrusted content"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.7
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi01", "owasp.asi02", "atlas.aml.t0051.001", "atlas.aml.t0053")
    blind_spots: ClassVar[str] = (
        "Agents that have done little yet; tools the agent uses every day; the seconds until an inventory has come round."
    )

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether it is a call of the agent's own."""
        return marked and kind == "tool_call"

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Judge one call."""
        step, untrusted = seen.step, trace.flow.untrusted
        if not untrusted:
            return ()
        known = facts.peers.agents.get(step.agent_id)
        if known is None or not known.settled or step.tool in known.tools or step.tool in run.tools:
            return ()
        last = untrusted[-1]
        grave = not seen.traits.isdisjoint(EFFECTS) and not kinds_of_call(seen.traits) & trace.flow.asked
        reason = (
            f"{shown(step.agent_id)} calls {shown(step.tool)}, which it never did in {known.calls} calls, in a trace that has "
            f"{last.what}"
        )
        evidence = [Evidence(step_id=last.step_id, seq=last.seq, role=last.what)]
        return (
            self.finding(
                seen, reason, confidence=0.75 if grave else 0.5, evidence=evidence, severity="high" if grave else None
            ),
        )
