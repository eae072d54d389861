"""One step through all detectors: the delicate order in one function."""

from dataclasses import dataclass, field
from typing import Final

from detectors import flow
from detectors.after_stop import AfterStop
from detectors.base import Detector, Seen
from detectors.facts import Facts
from detectors.grants import Grants
from detectors.identity import Identity
from detectors.pressure import Pressure
from detectors.runaway import Runaway
from detectors.sequence import StepSequence, is_repeat
from detectors.state import UNKNOWN_POOL, Memory
from detectors.tainted_egress import TaintedEgress
from schemas.finding import Finding
from schemas.step import message_key

ALL: Final[tuple[Detector, ...]] = (Identity(), StepSequence(), AfterStop(), Grants(), TaintedEgress(), Runaway())


@dataclass(slots=True)
class Judgement:
    """What came of one step."""

    findings: list[Finding] = field(default_factory=list)
    repeat: bool = False
    """The record was judged before; nothing was counted again."""
    evicted: int = 0


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
