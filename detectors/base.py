"""What a detector is, what it sees, and how it speaks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from detectors.facts import Facts
from detectors.policy_view import PolicyView
from detectors.state import RunState, TraceState
from schemas import ids
from schemas.finding import Evidence, Finding, Identity
from schemas.message import Severity
from schemas.policy import Trait
from schemas.step import Kind, Step

MAX_EVIDENCE = 64


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A step as it was read: with its place, its times, whether its mark was good, and what the policy knows of it."""

    step: Step
    offset: int
    append_us: int
    """Kafka's append time, microseconds."""
    judged_us: int
    """The step's own time, clamped to append time minus lateness or + skew."""
    identity: Identity
    value_digest: int
    """64-bit digest of the record's bytes: tells a repeat from a rewrite."""
    policy: PolicyView
    traits: frozenset[Trait]
    """Of the step's tool; empty where it has none."""

    @property
    def clamped(self) -> bool:
        """Whether the agent's clock was too far off to be believed."""
        return self.judged_us != self.step.time_us


class Detector(ABC):
    """Judges one step in the light of its trace and run.

    `judge` may change only its own part of the state, and only by what it was given: no I/O, no clock, no randomness.
    Class variables describe the claim; `finding` fills in the rest.
    """

    name: ClassVar[str]
    """As in `lictor.<name>`: the rule id."""
    version: ClassVar[int] = 1
    title: ClassVar[str]
    severity: ClassVar[Severity]
    impact: ClassVar[float] = 0.5
    tags: ClassVar[tuple[str, ...]] = ()
    """OWASP ASI and MITRE ATLAS, as `owasp.asi01`, `atlas.aml.t0051.001`."""
    blind_spots: ClassVar[str]
    """What it does not see, for the people who rely on it."""

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Tell whether a step of this kind, with a good mark or without, can change anything or complete a claim."""
        return True

    @abstractmethod
    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Return the findings that this step completes."""

    def finding(
        self,
        seen: Seen,
        reason: str,
        *,
        confidence: float,
        evidence: Sequence[Evidence] = (),
        group: str = "",
        severity: Severity | None = None,
        aspect: str = "",
        by_group: bool = False,
    ) -> Finding:
        """Return a finding at this step. `aspect` names one of several claims a detector makes: `grants.denied`.

        `by_group`: all claims of one group are the same finding, whichever step completes it.
        """
        step = seen.step
        rule_id = f"lictor.{self.name}{'.' + aspect if aspect else ''}"
        chain = [*evidence, Evidence(step_id=step.step_id, seq=step.seq, role=_role(step))][-MAX_EVIDENCE:]
        steps = [] if by_group else sorted({item.step_id for item in chain})
        return Finding(
            finding_id=ids.finding_id(rule_id, self.version, group, steps),
            rule_id=rule_id,
            rule_version=self.version,
            detector=self.name,
            title=self.title,
            severity=severity or self.severity,
            confidence=confidence,
            impact=self.impact,
            reason=reason,
            agent_id=step.agent_id,
            run_id=step.run_id,
            trace_id=step.trace_id,
            step_id=step.step_id,
            seq=step.seq,
            tool=step.tool,
            traits=tuple(sorted(seen.traits)),
            group=group,
            evidence=tuple(chain),
            identity=seen.identity,
            mode=seen.policy.policy.mode,
            tags=self.tags,
            step_time_us=step.time_us,
            append_time_us=max(0, seen.append_us),
            drill=bool(step.drill),
        )


def _role(step: Step) -> str:
    what = step.tool or step.model or step.to_agent or step.memory_id
    return shown(f"{step.kind} {what}".strip(), 200)


def shown(text: str, most: int = 120) -> str:
    """Return agent text fit for a sentence: one line, no control characters, cut."""
    clean = text[: most + 1]
    if not clean.isprintable():
        clean = "".join(letter if letter.isprintable() else "·" for letter in clean)
    return clean if len(clean) <= most else clean[:most] + "…"
