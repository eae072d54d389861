"""One step through all detectors: the delicate order in one function."""

from dataclasses import dataclass, field
from typing import Final

from detectors import flow
from detectors.after_stop import AfterStop
from detectors.base import Detector, Seen
from detectors.facts import Facts
from detectors.grants import Grants
from detectors.impersonation import Impersonation
from detectors.pressure import Pressure
from detectors.runaway import Runaway
from detectors.sequence import StepSequence, is_repeat
from detectors.state import UNKNOWN_POOL, Memory
from detectors.tainted_egress import TaintedEgress
from detectors.words import digest64
from schemas.finding import Finding, Identity
from schemas.policy import Trait
from schemas.step import Step, message_key

_NO_TRAITS: Final[frozenset[Trait]] = frozenset()

ALL: Final[tuple[Detector, ...]] = (Impersonation(), StepSequence(), AfterStop(), Grants(), TaintedEgress(), Runaway())


@dataclass(slots=True)
class Judgement:
    """What came of one step."""

    findings: list[Finding] = field(default_factory=list)
    repeat: bool = False
    """The record was judged before; nothing was counted again."""
    evicted: int = 0


def see(step: Step, value: bytes, offset: int, append_us: int, identity: Identity, facts: Facts) -> Seen:
    """Put a step together with what is known when it is judged: its clamped time, its agent's policy, its tool's traits."""
    policy = facts.policy_of(step.agent_id)
    clocks = facts.rules.clocks
    earliest, latest = append_us - clocks.lateness_s * 1_000_000, append_us + clocks.skew_s * 1_000_000
    return Seen(
        step=step,
        offset=offset,
        append_us=append_us,
        judged_us=min(max(step.time_us, earliest), latest),
        identity=identity,
        value_digest=digest64(value),
        policy=policy,
        traits=policy.traits(step.tool) if step.tool else _NO_TRAITS,
    )


def inspect(seen: Seen, memory: Memory, facts: Facts, watch: tuple[Detector, ...] = ALL) -> Judgement:
    """Judge with every detector first; only then let the step add to what its trace has read.

    So a call is judged by what came before it, and a step that repeats is judged once.
    """
    step = seen.step
    owner = step.agent_id if seen.policy.policy.registered else UNKNOWN_POOL
    trace, evicted = memory.open(message_key(step), owner)
    run = trace.run(step.run_id, step.agent_id)
    trace.last_us, trace.offset = seen.append_us, seen.offset
    if is_repeat(seen, run):
        return Judgement(repeat=True)
    found = [finding for detector in watch for finding in detector.judge(seen, trace, run, facts)]
    if evicted:
        found.append(Pressure().claim(seen, owner))
    flow.observe(seen, trace.flow)
    return Judgement(found, evicted=bool(evicted))
