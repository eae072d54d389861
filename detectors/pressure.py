"""An agent holds more open traces than its share of memory; its oldest were forgotten."""

from collections.abc import Sequence
from typing import ClassVar

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.state import RunState, TraceState
from schemas.finding import Finding
from schemas.message import Severity


class Pressure(Detector):
    """Eviction is never silent: whoever floods to make Lictor forget has made a finding."""

    name: ClassVar[str] = "state_pressure"
    title: ClassVar[str] = "An agent makes Lictor forget its own past"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.4
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi08", "owasp.asi10")
    blind_spots: ClassVar[str] = "What was forgotten."

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Silent: the claim is made by `inspect`, which sees the eviction."""
        return ()

    def claim(self, seen: Seen, owner: str) -> Finding:
        """Return the claim; all evictions of one minute by Kafka's clock are one finding."""
        minute = seen.append_us // 60_000_000
        reason = f"{shown(owner)} holds more open traces than its bound; the oldest is forgotten from here on"
        return self.finding(seen, reason, confidence=0.9, group=f"{owner}:{minute}", by_group=True)
