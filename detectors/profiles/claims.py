"""Findings about an agent as a whole, rather than about one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from detectors.facts import Facts
from schemas import ids
from schemas.finding import Evidence, Finding
from schemas.message import Severity
from schemas.sighting import Sighting

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A kind of finding: what it is called, how bad it is, what it is about."""

    rule_id: str
    title: str
    severity: Severity
    impact: float
    tags: tuple[str, ...]
    blind_spots: str

    def of(
        self,
        facts: Facts,
        agent_id: str,
        reason: str,
        *,
        confidence: float,
        group: str,
        append_us: int,
        severity: Severity | None = None,
        evidence: Sequence[Evidence] = (),
        run_id: str = "",
        at: Sighting | None = None,
    ) -> Finding:
        """Return the finding. `group` makes it one however often it is found: from the same history the same id."""
        policy = facts.policy_of(agent_id).policy
        group = f"{agent_id}/{group}"
        name = ids.finding_id(self.rule_id, VERSION, group, [])
        if at is not None:
            evidence = [*evidence, Evidence(step_id=at.step_id, seq=at.seq, role=f"{at.kind} {at.name}"[:200])]
        return Finding(
            finding_id=name,
            rule_id=self.rule_id,
            rule_version=VERSION,
            detector="profile",
            title=self.title,
            severity=severity or self.severity,
            confidence=confidence,
            impact=self.impact,
            reason=reason,
            agent_id=agent_id,
            run_id=at.run_id if at is not None else run_id,
            trace_id=at.trace_id if at is not None else "",
            step_id=at.step_id if at is not None else name,
            seq=at.seq if at is not None else 0,
            tool=at.name[:128] if at is not None and at.kind == "tool" else "",
            group=group[:512],
            evidence=tuple(evidence)[:64],
            identity=at.identity if at is not None else "marked",
            mode=policy.mode,
            tags=self.tags,
            append_time_us=max(0, append_us),
        )


NEW_USE: Final = Claim(
    "lictor.novelty.use",
    "An agent uses something it has not used before",
    "low",
    0.4,
    ("owasp.asi02", "owasp.asi10", "atlas.aml.t0053"),
    "What is new to an agent that has done little yet, or that uses new things all the time.",
)
ROLL_OUT: Final = Claim(
    "lictor.novelty.rollout",
    "A new version of an agent is at work",
    "informational",
    0.2,
    ("owasp.asi04",),
    "A change that keeps its version, where no digest is declared.",
)
CHANGED: Final = Claim(
    "lictor.changed.definition",
    "What an agent is made of has changed under the same version",
    "high",
    0.7,
    ("owasp.asi04", "atlas.aml.t0010"),
    "Digests are the agent's own word.",
)
SHADOW: Final = Claim(
    "lictor.shadow.agent",
    "An agent that no policy knows",
    "medium",
    0.5,
    ("owasp.asi10", "owasp.asi03"),
    "Agents that publish no steps: see `lictor agents` for witnesses that were not looked at.",
)
UNSEEN_PEER: Final = Claim(
    "lictor.shadow.peer",
    "Work is handed to an agent that nobody has seen",
    "medium",
    0.5,
    ("owasp.asi07", "owasp.asi10"),
    "Hand-overs that are not reported.",
)
SILENT_RUN: Final = Claim(
    "lictor.silence.run",
    "A run has fallen silent without an end",
    "medium",
    0.4,
    ("owasp.asi10", "owasp.asi08"),
    "Agents without heartbeats.",
)
SILENT_AGENT: Final = Claim(
    "lictor.silence.agent",
    "An agent has not been seen for longer than its rhythm",
    "low",
    0.3,
    ("owasp.asi08",),
    "Agents nobody registered; agents seen less than twenty times.",
)
ODD_WINDOW: Final = Claim(
    "lictor.anomaly.window",
    "An agent behaves unlike itself",
    "low",
    0.5,
    ("owasp.asi10", "owasp.asi02"),
    "What looks like every day's work in numbers.",
)
ALL: Final = (NEW_USE, ROLL_OUT, CHANGED, SHADOW, UNSEEN_PEER, SILENT_RUN, SILENT_AGENT, ODD_WINDOW)
