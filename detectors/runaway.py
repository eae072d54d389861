"""The same calls again and again, a context that only grows, and budgets spent."""

import functools
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

import msgspec

from detectors.base import Detector, Seen, shown
from detectors.engine.correlate import Correlator
from detectors.engine.plan import About, Bound, Correlation, Lictor
from detectors.facts import Facts
from detectors.state import RunawayState, RunState, TraceState
from detectors.words import digest64
from schemas import ids
from schemas.finding import Evidence, Finding
from schemas.match import Match
from schemas.message import Severity
from schemas.policy import EFFECTS, Budgets
from schemas.step import Step

SAME_CALL: Final = 8
"""The same call this often in one trace is a loop, where the policy sets no other figure."""
KEPT_CALLS: Final = 12
DISTINCT_CALLS: Final = 256
ROUNDS: Final = 4
"""So often in a row the same two or three calls must come to be a cycle."""
GROWTHS: Final = 16
"""So many model calls in a row, each given more than the one before,"""
GROWN: Final = 8
"""and the last given so many times what the first was,"""
LARGE_CONTEXT: Final = 50_000
"""and no fewer tokens than this: the run drags ever more along."""
MOST_TOKENS: Final = 1 << 62
"""The sum stops here: what agents claim has no bound, what a checkpoint can hold has."""

HOUR: Final = "lictor.hour"
"""Under this name what a model call used travels to where all runs of an agent are added up."""

_COUNT: Final = 12
_CALL: Final = 16

_encode = msgspec.json.Encoder(order="deterministic").encode


class Runaway(Detector):
    """Count calls, tokens, money and time of each run in each trace.

    `lictor.runaway.loop`: the same tool with the same arguments, `budgets.same_call` times.
    `lictor.runaway.cycle`: the same two or three calls in turn, A-B-A-B, four rounds in a row.
    `lictor.runaway.context`: the model is given more with every call, and by now far more than at first.
    `lictor.runaway.hour_tokens`: all runs of the agent have used more tokens in an hour than its policy allows them together.
    `lictor.runaway.hour_cost_usd`: the same of money.
    `lictor.runaway.budget`: a bound of the policy passed; the gate refuses this too, so it also tells of a gate bypassed.
    A call that the gate refused is a step, and not a call made.
    Each is claimed once per run, trace and bound.
    """

    name: ClassVar[str] = "runaway"
    title: ClassVar[str] = "Runaway agent"
    severity: ClassVar[Severity] = "high"
    impact: ClassVar[float] = 0.6
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi08", "owasp.asi10", "atlas.aml.t0034")
    blind_spots: ClassVar[str] = (
        "Loops whose arguments change each time, until a budget ends them; cycles of more than three calls."
    )

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Count the step; claim what it completes."""
        state, step = run.runaway, seen.step
        _count(seen, state, trace)
        found: list[Finding] = []
        if step.kind == "tool_call":
            found.extend(self._repetition(seen, state))
        elif step.kind == "model_call" and step.input_tokens:
            found.extend(self._context(seen, state))
        if seen.policy.bounded:
            if step.kind == "model_call":
                _count_for_the_hour(seen, facts)
            found.extend(self._budgets(seen, state))
            found.extend(self._trace_budgets(seen, trace))
        return found

    def _repetition(self, seen: Seen, state: RunawayState) -> Iterator[Finding]:
        step = seen.step
        call = digest64(_encode((step.tool, step.arguments))).to_bytes(8, "big")
        count = _count_call(state, call)
        state.last_calls = state.last_calls[-(KEPT_CALLS - 1) * _CALL :] + call + step.seq.to_bytes(8, "big")
        allowed = seen.policy.policy.budgets.same_call
        most = SAME_CALL if allowed is None else allowed
        if count > most:
            yield from self._loop(seen, state, call, f"{count} times", most)
        elif allowed is None and count >= ROUNDS:
            yield from self._cycle(seen, state)

    def _loop(self, seen: Seen, state: RunawayState, call: bytes, count: str, most: int) -> Iterator[Finding]:
        step, name = seen.step, int.from_bytes(call, "big")
        if not _first(state, f"loop:{name}"):
            return
        evidence = [
            Evidence(step_id=_step_id(step, seq), seq=seq, role=f"the same {shown(step.tool)} before")
            for other, seq in _calls(state)[:-1]
            if other == call
        ]
        reason = f"{shown(step.tool)} was called {count} with the same arguments in one trace (bound: {most})"
        group = f"{step.run_id}:{step.trace_id}:{name}"
        harmless = seen.traits.isdisjoint(EFFECTS)
        yield self.finding(
            seen,
            reason,
            confidence=0.6 if harmless else 0.9,
            severity="medium" if harmless else "high",
            evidence=evidence,
            aspect="loop",
            group=group,
        )

    def _cycle(self, seen: Seen, state: RunawayState) -> Iterator[Finding]:
        calls = _calls(state)
        for period in (2, 3):
            last = calls[-period * ROUNDS :]
            digests = [call for call, _ in last]
            if len(last) < period * ROUNDS or len(set(digests)) != period or digests[period:] != digests[:-period]:
                continue
            step = seen.step
            if not _first(state, "cycle"):
                return
            evidence = [Evidence(step_id=_step_id(step, seq), seq=seq, role="one of the round") for _, seq in last[:-1]]
            reason = f"the same {period} calls in turn, {ROUNDS} rounds in a row, the last of them {shown(step.tool)}"
            group = f"{step.run_id}:{step.trace_id}"
            yield self.finding(
                seen, reason, confidence=0.7, severity="medium", evidence=evidence, aspect="cycle", group=group
            )
            return

    def _context(self, seen: Seen, state: RunawayState) -> Iterator[Finding]:
        tokens = min(seen.step.input_tokens, MOST_TOKENS)
        state.growths = state.growths + 1 if tokens > state.context > 0 else 0
        if not state.growths:
            state.first_context = tokens
        state.context = tokens
        large = tokens >= max(LARGE_CONTEXT, GROWN * state.first_context)
        if state.growths < GROWTHS or not large or not _first(state, "context"):
            return
        reason = (
            f"each of the last {state.growths + 1} model calls was given more than the one before: "
            f"{state.first_context} tokens at first, {tokens} now"
        )
        group = f"{seen.step.run_id}:{seen.step.trace_id}"
        yield self.finding(seen, reason, confidence=0.6, severity="medium", aspect="context", group=group)

    def _budgets(self, seen: Seen, state: RunawayState) -> Iterator[Finding]:
        budgets = seen.policy.policy.budgets
        spent: tuple[tuple[str, float, float | None], ...] = (
            ("steps", state.steps, budgets.steps),
            ("tool_calls", state.tool_calls, budgets.tool_calls),
            ("model_calls", state.model_calls, budgets.model_calls),
            ("tokens", state.tokens, budgets.tokens),
            ("cost_usd", state.cost_usd, budgets.cost_usd),
            ("seconds", (seen.append_us - state.began_us) / 1e6, budgets.seconds),
            ("handoffs", state.handoffs, budgets.handoffs),
            ("delegation_depth", len(seen.step.delegation), budgets.delegation_depth),
        )
        for name, used, bound in spent:
            if bound is None or used <= bound or not _first(state, name):
                continue
            reason = f"the run has used {used:g} {name} in one trace; its policy allows {bound:g} for all its traces"
            group = f"{seen.step.run_id}:{seen.step.trace_id}:{name}"
            yield self.finding(seen, reason, confidence=1.0, aspect="budget", group=group)

    def _trace_budgets(self, seen: Seen, trace: TraceState) -> Iterator[Finding]:
        """What all agents of a trace have used together, held against the bounds of the one whose step this is."""
        budgets = seen.policy.policy.budgets
        spent: tuple[tuple[str, float, float | None], ...] = (
            ("trace_steps", trace.steps, budgets.trace_steps),
            ("trace_tokens", trace.tokens, budgets.trace_tokens),
            ("trace_cost_usd", trace.cost_usd, budgets.trace_cost_usd),
        )
        for name, used, bound in spent:
            if bound is None or used <= bound or name in trace.reported or not seen.step.trace_id:
                continue
            trace.reported += (name,)
            reason = f"all agents of the trace have used {used:g} {name[6:]} together; the policy allows {bound:g}"
            group = f"{seen.step.trace_id}:{name}"
            yield self.finding(seen, reason, confidence=1.0, aspect="budget", group=group)


def _count_for_the_hour(seen: Seen, facts: Facts) -> None:
    """Hand what a call used to where all runs of the agent are added up."""
    budgets, step = seen.policy.policy.budgets, seen.step
    used = step.input_tokens + step.output_tokens
    if (budgets.hour_tokens is None and budgets.hour_cost_usd is None) or not (used or step.cost_usd):
        return
    facts.matches.append(
        Match(
            match_id=ids.named("lictor.match", HOUR, step.step_id),
            rule_id=HOUR,
            agent_id=step.agent_id,
            run_id=step.run_id,
            trace_id=step.trace_id,
            step_id=step.step_id,
            scope="agent",
            append_time_us=max(0, seen.append_us),
            seq=step.seq,
            judged_us=seen.judged_us,
            values={"tokens": (float(used),), "cost_usd": (step.cost_usd,)},
            identity=seen.identity,
            mode=seen.policy.policy.mode,
            drill=bool(step.drill),
        )
    )


def _count(seen: Seen, state: RunawayState, trace: TraceState) -> None:
    step = seen.step
    state.steps += 1
    trace.steps += 1
    if state.began_us == 0:
        state.began_us = seen.append_us
    if step.kind == "model_call":
        state.model_calls += not _refused(step)
        _spend(step, state, trace)
        return
    if step.kind == "tool_call":
        state.tool_calls += not _refused(step)
    elif step.kind == "handoff":
        state.handoffs += not _refused(step)
    if step.input_tokens or step.output_tokens or step.cost_usd:
        _spend(step, state, trace)


def _spend(step: Step, state: RunawayState, trace: TraceState) -> None:
    used = step.input_tokens + step.output_tokens
    state.tokens = min(state.tokens + used, MOST_TOKENS)
    trace.tokens = min(trace.tokens + used, MOST_TOKENS)
    state.cost_usd += step.cost_usd
    trace.cost_usd += step.cost_usd


def hour_budgets(budgets: Budgets) -> Correlator:
    """Return what judges the sums of an agent's last hour over all its traces."""
    return _hour_budgets(budgets.hour_tokens, budgets.hour_cost_usd)


@functools.lru_cache(maxsize=1024)
def _hour_budgets(tokens: float | None, cost_usd: float | None) -> Correlator:
    bounds = {"tokens": tokens, "cost_usd": cost_usd}
    return Correlator([_hour(name, bound) for name, bound in bounds.items() if bound is not None])


def _hour(name: str, bound: float) -> Correlation:
    title = f"All runs of the agent together pass its budget of {name} an hour"
    return Correlation(
        id=f"lictor.runaway.hour_{name}",
        about=About(title=title, level="high", tags=Runaway.tags),
        lictor=Lictor(confidence=1.0, impact=0.6, mode="enforce", scope="agent", suppress_s=3600),
        of="value_sum",
        rules=(HOUR,),
        timespan_us=3600 * 1_000_000,
        bounds=(Bound("gt", bound),),
        value_fields=(name,),
    )


def _refused(step: Step) -> bool:
    return step.gate is not None and step.gate.verdict in ("deny", "ask")


def _first(state: RunawayState, what: str) -> bool:
    if what in state.reported:
        return False
    state.reported += (what,)
    return True


def _count_call(state: RunawayState, call: bytes) -> int:
    """Count one more of this call; return how many there were. Beyond `DISTINCT_CALLS` the longest known is forgotten."""
    known = state.same_call
    at = known.find(call)
    while at > 0 and at % _COUNT:
        at = known.find(call, at + 1)
    if at >= 0:
        count = int.from_bytes(known[at + 8 : at + _COUNT], "big") + 1
        known[at + 8 : at + _COUNT] = min(count, 0xFFFFFFFF).to_bytes(4, "big")
        return count
    if len(known) >= DISTINCT_CALLS * _COUNT:
        oldest = f"loop:{int.from_bytes(known[:8], 'big')}"
        state.reported = tuple(what for what in state.reported if what != oldest)
        del known[:_COUNT]
    known += call + b"\0\0\0\1"
    return 1


def _calls(state: RunawayState) -> list[tuple[bytes, int]]:
    """Return the last calls as (digest, seq), oldest first."""
    kept = state.last_calls
    return [(kept[at : at + 8], int.from_bytes(kept[at + 8 : at + 16], "big")) for at in range(0, len(kept), _CALL)]


def _step_id(step: Step, seq: int) -> str:
    return ids.step_id(step.agent_id, step.run_id, step.trace_id, seq)
