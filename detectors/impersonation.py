"""Steps whose mark is missing or does not belong to the agent they claim to be."""

from collections.abc import Sequence
from typing import ClassVar

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.state import RunState, TraceState
from schemas.finding import Finding
from schemas.message import Severity
from schemas.step import Kind


class Impersonation(Detector):
    """Under `identity: observe`, ask a person; an order against the *named* agent would punish the victim.

    `lictor.identity.forged`: a mark made with another key. `lictor.identity.unmarked`: none at all. Once per run.
    Under `identity: require` such steps are dead letters and never get here.
    """

    name: ClassVar[str] = "identity"
    title: ClassVar[str] = "Somebody may be speaking in this agent's name"
    severity: ClassVar[Severity] = "high"
    impact: ClassVar[float] = 0.7
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi03", "owasp.asi07")
    blind_spots: ClassVar[str] = "A stolen agent key."

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether the mark is not good."""
        return not marked

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Claim once per run and trace and kind of fault."""
        if seen.identity == "marked" or seen.identity in run.sequence.reported:
            return ()
        run.sequence.reported += (seen.identity,)
        agent = shown(seen.step.agent_id)
        if seen.identity == "forged":
            reason = f"a step in the name of {agent} carries a mark that its key did not make"
            return (self.finding(seen, reason, confidence=0.95, aspect="forged", group=seen.step.run_id),)
        reason = f"a step in the name of {agent} carries no mark; whoever can write to the topic can have sent it"
        return (
            self.finding(seen, reason, confidence=0.6, severity="medium", aspect="unmarked", group=seen.step.run_id),
        )
