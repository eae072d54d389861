"""Steps that repeat, go back, leave gaps, were rewritten, or come from a clock that cannot be believed."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from detectors.base import Detector, Seen
from detectors.facts import Facts
from detectors.state import REMEMBERED, RunState, SequenceState, TraceState
from schemas.finding import Finding
from schemas.message import Severity


def is_repeat(seen: Seen, run: RunState) -> bool:
    """Tell whether this very record was judged before: a producer's retry or a spool sent twice. It counts once."""
    sequence, seq = run.sequence, seen.step.seq
    return seq <= sequence.last and sequence.digest_of(seq) == (seen.value_digest or 1)


class StepSequence(Detector):
    """Hold a run to its own count: `seq` rises by one within a trace.

    `lictor.sequence.rewritten`: a `seq` came again with other content.
    `lictor.sequence.backwards`: a `seq` older than what is remembered came again.
    `lictor.sequence.gap`: steps are missing (they may still come from a spool).
    `lictor.sequence.lost`: the run says that steps of it were lost, since neither Kafka nor its spool could take them.
    `lictor.sequence.clock`: the agent's clock was clamped again and again.
    """

    name: ClassVar[str] = "sequence"
    title: ClassVar[str] = "The run's account of itself does not add up"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.4
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi10", "owasp.asi03")
    blind_spots: ClassVar[str] = "An agent that lies consistently; steps it never published."

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Compare with what the run said before."""
        state, step = run.sequence, seen.step
        if step.seq == state.last + 1 and not step.dropped and not seen.clamped:
            state.remember(step.seq, seen.value_digest)
            return ()
        found = [*self._order(seen, state), *self._lost(seen, state), *self._clock(seen, state, facts)]
        state.remember(step.seq, seen.value_digest)
        return found

    def _order(self, seen: Seen, state: SequenceState) -> Iterator[Finding]:
        step, last = seen.step, state.last
        group = f"{step.run_id}:{step.trace_id}"
        if state.digest_of(step.seq):
            reason = f"step {step.seq} was published before with other content; both are kept"
            yield self.finding(seen, reason, confidence=0.9, severity="high", aspect="rewritten", group=group)
        elif step.seq <= last - REMEMBERED:
            reason = f"step {step.seq} came after step {last}: too far back to be a late one"
            yield self.finding(seen, reason, confidence=0.7, aspect="backwards", group=group)
        elif last and step.seq > last + 1 and self._first(state, "gap"):
            reason = f"step {step.seq} follows step {last}: {step.seq - last - 1} missing, lost or still in a spool"
            yield self.finding(seen, reason, confidence=0.5, severity="low", aspect="gap", group=group)

    def _lost(self, seen: Seen, state: SequenceState) -> Iterator[Finding]:
        if seen.step.dropped <= state.lost:
            return
        reason = (
            f"{seen.step.dropped - state.lost} steps were lost: neither Kafka nor the agent's spool could take them"
        )
        state.lost = seen.step.dropped
        yield self.finding(seen, reason, confidence=0.9, aspect="lost", group=f"{seen.step.run_id}:{state.lost}")

    def _clock(self, seen: Seen, state: SequenceState, facts: Facts) -> Iterator[Finding]:
        if not seen.clamped:
            return
        state.clamps += 1
        if state.clamps >= facts.rules.clocks.clamps_before_finding and self._first(state, "clock"):
            seconds = (seen.step.time_us - seen.append_us) / 1e6
            reason = f"the agent's clock is off by {seconds:+.0f} s; {state.clamps} of its steps were judged by Kafka's clock"
            group = f"{seen.step.run_id}:{seen.step.trace_id}"
            yield self.finding(seen, reason, confidence=0.8, severity="low", aspect="clock", group=group)

    @staticmethod
    def _first(state: SequenceState, what: str) -> bool:
        if what in state.reported:
            return False
        state.reported += (what,)
        return True
