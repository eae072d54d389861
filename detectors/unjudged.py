"""What Lictor itself could not judge: a detector that failed, records that could not be read. Never in silence."""

from collections.abc import Sequence
from typing import ClassVar

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.state import RunState, TraceState
from schemas import ids
from schemas.finding import Finding
from schemas.message import Severity

NOBODY = "~unreadable"
"""Stands where a record does not even say which agent it is about."""


class Unjudged(Detector):
    """A step that a detector failed on counts as suspicious: whoever finds such a step must not get past it unseen.

    `lictor.unjudged.detector`: a detector failed; once per minute and detector.
    `lictor.unjudged.input`: records of a partition are refused again and again; once per minute and partition.
    """

    name: ClassVar[str] = "unjudged"
    title: ClassVar[str] = "Something passed Lictor unjudged"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.5
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi10",)
    blind_spots: ClassVar[str] = "What the detector would have found."

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Silent: the claims are made where the failure shows."""
        return ()

    def claim(self, seen: Seen, detector: str, error: Exception) -> Finding:
        """Return the claim that a detector failed on a step."""
        reason = f"detector {detector} failed on this step ({type(error).__name__}); the other detectors judged it"
        group = f"{detector}:{seen.append_us // 60_000_000}"
        return self.finding(
            seen, reason, confidence=0.9, severity="high", aspect="detector", group=group, by_group=True
        )

    def refused(self, place: str, count: int, last: str, agent_id: str, append_us: int) -> Finding:
        """Return the claim that records of a partition are refused again and again. It orders nothing: nobody is proven."""
        group = f"{place}:{append_us // 60_000_000}"
        name = ids.finding_id("lictor.unjudged.input", self.version, group, [])
        return Finding(
            finding_id=name,
            rule_id="lictor.unjudged.input",
            rule_version=self.version,
            detector=self.name,
            title=self.title,
            severity=self.severity,
            confidence=0.9,
            impact=self.impact,
            reason=f"{count} records of {place} were refused within a minute, the last as {shown(last)}; see dead_letters",
            agent_id=agent_id or NOBODY,
            run_id="",
            step_id=name,
            group=group,
            evidence=(),
            identity="unmarked",
            mode="observe",
            tags=self.tags,
            append_time_us=max(0, append_us),
        )
