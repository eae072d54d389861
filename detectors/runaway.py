"""The same call again and again, and budgets spent."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

import msgspec

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.state import RunawayState, RunState, TraceState
from detectors.words import digest64
from schemas.finding import Evidence, Finding
from schemas.message import Severity

SAME_CALL: Final = 8
"""The same call this often in one trace is a loop, where the policy sets no other figure."""
KEPT_CALLS: Final = 12
DISTINCT_CALLS: Final = 256
MOST_TOKENS: Final = 1 << 62
"""The sum stops here: what agents claim has no bound, what a checkpoint can hold has."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Runaway(Detector):
    """Count calls, tokens and money of each run in each trace.

    `lictor.runaway.loop`: the same tool with the same arguments, `budgets.same_call` times.
    `lictor.runaway.budget`: a bound of the policy passed; the gate refuses this too, so it also tells of a gate bypassed.
    A call that the gate refused is a step, and not a call made.
    Each is claimed once per run, trace and bound.
    """

    name: ClassVar[str] = "runaway"
    title: ClassVar[str] = "Runaway agent"
    severity: ClassVar[Severity] = "high"
    impact: ClassVar[float] = 0.6
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi08", "owasp.asi10", "atlas.aml.t0034")
    blind_spots: ClassVar[str] = "Loops whose arguments change each time; sums over traces (judged in respond)."

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Count the step; claim what it completes."""
        state = run.runaway
        self._count(seen, state)
        found = list(self._loop(seen, state)) if seen.step.kind == "tool_call" else []
        found.extend(self._budgets(seen, state))
        return found

    @staticmethod
    def _count(seen: Seen, state: RunawayState) -> None:
        step = seen.step
        refused = step.gate is not None and step.gate.verdict in ("deny", "ask")
        state.steps += 1
        state.tool_calls += step.kind == "tool_call" and not refused
        state.model_calls += step.kind == "model_call" and not refused
        state.tokens = min(state.tokens + step.input_tokens + step.output_tokens, MOST_TOKENS)
        state.cost_usd += step.cost_usd

    def _loop(self, seen: Seen, state: RunawayState) -> Iterator[Finding]:
        step = seen.step
        call = digest64(_encode((step.tool, step.arguments)))
        if call not in state.same_call and len(state.same_call) >= DISTINCT_CALLS:
            oldest = next(iter(state.same_call))
            del state.same_call[oldest]
            state.reported.discard(f"loop:{oldest}")
        count = state.same_call[call] = state.same_call.get(call, 0) + 1
        state.last_calls = [*state.last_calls[-KEPT_CALLS + 1 :], (call, step.step_id, step.seq)]
        allowed = seen.policy.policy.budgets.same_call
        most = SAME_CALL if allowed is None else allowed
        if count <= most or f"loop:{call}" in state.reported:
            return
        state.reported.add(f"loop:{call}")
        evidence = [
            Evidence(step_id=step_id, seq=seq, role=f"the same {shown(step.tool)} before")
            for other, step_id, seq in state.last_calls[:-1]
            if other == call
        ]
        reason = f"{shown(step.tool)} was called {count} times with the same arguments in one trace (bound: {most})"
        group = f"{step.run_id}:{step.trace_id}:{call}"
        yield self.finding(seen, reason, confidence=0.9, evidence=evidence, aspect="loop", group=group)

    def _budgets(self, seen: Seen, state: RunawayState) -> Iterator[Finding]:
        budgets = seen.policy.policy.budgets
        spent: tuple[tuple[str, float, float | None], ...] = (
            ("steps", state.steps, budgets.steps),
            ("tool_calls", state.tool_calls, budgets.tool_calls),
            ("model_calls", state.model_calls, budgets.model_calls),
            ("tokens", state.tokens, budgets.tokens),
            ("cost_usd", state.cost_usd, budgets.cost_usd),
        )
        for name, used, bound in spent:
            if bound is None or used <= bound or name in state.reported:
                continue
            state.reported.add(name)
            reason = f"the run has used {used:g} {name} in one trace; its policy allows {bound:g} for all its traces"
            group = f"{seen.step.run_id}:{seen.step.trace_id}:{name}"
            yield self.finding(seen, reason, confidence=1.0, aspect="budget", group=group)
