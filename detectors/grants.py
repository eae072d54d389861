"""Tool, model, resource or argument outside policy; and calls that never asked the gate."""

from collections.abc import Sequence
from typing import ClassVar

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.hidden import cut_paths, same_where_seen
from detectors.policy_view import Answer
from detectors.state import RunState, TraceState
from schemas.finding import Finding
from schemas.message import Severity
from schemas.step import Kind, Step

_GATED = frozenset({"tool_call", "model_call", "handoff"})
_WENT_AHEAD = frozenset({"allow", "narrow", "hold"})


class Grants(Detector):
    """Judge every call by the same policy as the gate, and compare.

    `lictor.grants.bypassed`: the call went ahead although the policy in force refuses it, or narrows it otherwise.
    `lictor.grants.denied`: the gate refused it; the attempt is kept.
    `lictor.grants.unregistered`: no policy names the agent.
    """

    name: ClassVar[str] = "grants"
    title: ClassVar[str] = "Call outside policy"
    severity: ClassVar[Severity] = "high"
    impact: ClassVar[float] = 0.7
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi02", "owasp.asi03", "atlas.aml.t0053")
    blind_spots: ClassVar[str] = (
        "A call that the policy allows and that does harm all the same; a tool run without a step. Conditions on "
        "`spent`, `amounts` and `labels`, and on texts that were redacted or cut: only the gate sees those, so an agent "
        "that does not ask its gate passes them unseen."
    )

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether it is a call, or the start of a run."""
        return kind in _GATED or kind == "run_started"

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Findings for calls only, and for the first step of a run nobody registered."""
        step, policy_view = seen.step, seen.policy
        policy = policy_view.policy
        found: list[Finding] = []
        if not policy.registered and step.kind == "run_started":
            found.append(self._unregistered(seen))
        if step.kind not in _GATED or (policy.mode == "observe" and not policy.layers):
            return found
        delegators = facts.policies_of(step.delegation) if step.delegation else ()
        reads = reads_of(trace)
        answer = policy_view.judge(step, reads, delegators, seen.judged_us)
        gate = step.gate.verdict if step.gate else ""
        went_ahead = gate in _WENT_AHEAD or not gate
        if answer.unsure and step.asked is not None and answer.effect != "deny":
            answer = policy_view.judge(step, reads, delegators, seen.judged_us, as_run=True)
        if answer.effect == "deny":
            found.append(self._refused(seen, answer.reason, went_ahead=went_ahead))
        elif went_ahead and policy.mode != "observe" and _ran_otherwise(step, answer):
            why = "its arguments are not those that the policy's narrowing makes of what was asked for"
            found.append(self._refused(seen, why, went_ahead=True))
        elif gate == "deny" and step.gate and not step.gate.rule.startswith(("budget", "clearance")):
            found.append(self._refused(seen, f"the gate refused it ({shown(step.gate.rule)})", went_ahead=False))
        return found

    def _unregistered(self, seen: Seen) -> Finding:
        reason = f"agent {shown(seen.step.agent_id)} started a run, and no policy names it"
        return self.finding(
            seen, reason, confidence=1.0, severity="low", aspect="unregistered", group=seen.step.agent_id
        )

    def _refused(self, seen: Seen, why: str, *, went_ahead: bool) -> Finding:
        step = seen.step
        what = shown(step.tool or step.model or step.to_agent)
        why = shown(" ".join(why.split()), 600)
        if went_ahead and seen.policy.policy.mode != "observe":
            reason = f"{what} went ahead although the policy refuses it: {why}"
            return self.finding(seen, reason, confidence=0.95, severity="critical", aspect="bypassed")
        reason = f"{what} is outside the policy: {why}"
        return self.finding(seen, reason, confidence=0.95, severity="medium", aspect="denied")


def _ran_otherwise(step: Step, answer: Answer) -> bool:
    """Tell whether a tool got other arguments than the policy makes of what was asked for, as far as can be seen."""
    if answer.unsure or (answer.arguments is None and step.asked is None):
        return False
    expected = answer.arguments if answer.arguments is not None else step.asked
    return not same_where_seen(expected or {}, step.arguments or {}, cut_paths(step))


def reads_of(trace: TraceState) -> tuple[str, ...]:
    """Return what the trace has read so far, as conditions on `reads` see it."""
    flow = trace.flow
    return (("untrusted",) if flow.untrusted else ()) + (("sensitive",) if flow.sensitive else ())
