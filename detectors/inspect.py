"""One step through all detectors: the delicate order in one function."""

import functools
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from detectors import flow
from detectors.after_stop import AfterStop
from detectors.base import Detector, Seen
from detectors.bypass import Bypass
from detectors.facts import Facts
from detectors.first_use import FirstUse
from detectors.grants import Grants
from detectors.impersonation import Impersonation
from detectors.injected import Injected
from detectors.pressure import Pressure
from detectors.rules import SigmaRules
from detectors.runaway import Runaway
from detectors.sequence import StepSequence, is_repeat
from detectors.state import TOOLS_PER_RUN, UNKNOWN_POOL, Memory
from detectors.tainted_egress import TaintedEgress
from detectors.unjudged import Unjudged
from schemas.finding import Finding, Identity
from schemas.policy import Trait
from schemas.step import Kind, Step, message_key

log = logging.getLogger(__name__)

_NO_TRAITS: Final[frozenset[Trait]] = frozenset()

ALL: Final[tuple[Detector, ...]] = (
    Impersonation(),
    StepSequence(),
    AfterStop(),
    Grants(),
    Bypass(),
    FirstUse(),
    Injected(),
    TaintedEgress(),
    Runaway(),
    SigmaRules(),
)


class Judgement(msgspec.Struct):
    """What came of one step."""

    findings: Sequence[Finding] = ()
    repeat: bool = False
    """The record was judged before; nothing was counted again."""
    evicted: int = 0
    failed: int = 0
    """Detectors that could not judge it."""


QUIET: Final = Judgement()
"""What comes of nearly every step: nothing. One for all, so that nothing is made for it."""


@functools.lru_cache(maxsize=256)
def _watching(watch: tuple[Detector, ...], kind: Kind, marked: bool) -> tuple[Detector, ...]:
    """Return those whom such a step concerns, in order."""
    return tuple(detector for detector in watch if detector.watches(kind, marked=marked))


def see(step: Step, value_digest: int, offset: int, append_us: int, identity: Identity, facts: Facts) -> Seen:
    """Put a step together with what is known when it is judged: its clamped time, its agent's policy, its tool's traits."""
    policy = facts.policy_of(step.agent_id)
    clocks = facts.rules.clocks
    earliest, latest = append_us - clocks.lateness_s * 1_000_000, append_us + clocks.skew_s * 1_000_000
    time_us = step.time_us
    return Seen(
        step,
        offset,
        append_us,
        time_us if earliest <= time_us <= latest else earliest if time_us < earliest else latest,
        identity,
        value_digest,
        policy,
        policy.traits(step.tool) if step.tool else _NO_TRAITS,
    )


def inspect(seen: Seen, memory: Memory, facts: Facts, watch: tuple[Detector, ...] = ALL) -> Judgement:
    """Judge with every detector first; only then let the step add to what its trace has read.

    So a call is judged by what came before it, and a step that repeats is judged once.
    """
    step = seen.step
    marked = seen.identity == "marked"
    owner = step.agent_id if marked and seen.policy.registered else UNKNOWN_POOL
    entry, evicted = memory.open(message_key(step), owner)
    trace = entry.marked if marked else entry.of(seen.identity)
    run = trace.runs.get(step.run_id)
    crowded = False
    if run is None:
        run, crowded = trace.run(step.run_id, step.agent_id)
    elif is_repeat(seen, run):
        entry.last_us, entry.offset = seen.append_us, seen.offset
        return Judgement(repeat=True)
    entry.last_us, entry.offset = seen.append_us, seen.offset
    found: list[Finding] = []
    failed = 0
    for detector in _watching(watch, step.kind, marked):
        try:
            claims = detector.judge(seen, trace, run, facts)
        except Exception as error:
            log.exception("%s failed on step %s", detector.name, step.step_id)
            failed += 1
            claims = (Unjudged().claim(seen, detector.name, error),)
        if claims:
            found.extend(claims)
    if evicted or crowded:
        found.append(Pressure().claim(seen, owner))
    if step.kind == "tool_call" and step.tool not in run.tools and len(run.tools) < TOOLS_PER_RUN:
        run.tools.append(step.tool)
    if step.kind in flow.OBSERVED:
        flow.observe(seen, trace.flow, facts)
        if entry.doubted is not None and marked:
            flow.observe(seen, entry.doubted.flow, facts)
    return Judgement(found, evicted=bool(evicted) + crowded, failed=failed) if found else QUIET
