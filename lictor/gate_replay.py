"""What the gate would have said of a recorded call, by the policy in force: for recordings made without one."""

import msgspec

from detectors.grants import reads_of
from detectors.policy_view import PolicyView
from detectors.state import TraceEntry
from lictor.sessions import with_gate
from schemas import ids
from schemas.policy import AgentMode
from schemas.step import Gate, Step, Verdict, content

_ASKED = frozenset({"tool_call", "model_call", "handoff"})


def gated(step: Step, policy: PolicyView, reads: tuple[str, ...] = ()) -> Step:
    """Return the step as the SDK would have published it, with the gate's answer."""
    if step.kind not in _ASKED:
        return step
    answer = policy.judge(step, reads)
    version, mode = policy.policy.version, policy.policy.mode
    verdict = _verdict(mode, answer.effect, answer.rule)
    traits = policy.traits(step.tool) if step.kind == "tool_call" else frozenset()
    if (
        verdict in ("allow", "narrow")
        and policy.policy.mode != "observe"
        and not traits.isdisjoint(policy.policy.clearance.traits)
    ):
        verdict = "hold"
    if answer.arguments is not None and mode != "observe":
        step = msgspec.structs.replace(step, arguments=answer.arguments, asked=step.arguments)
        step = msgspec.structs.replace(step, digest=ids.content_digest(content(step)))
    return with_gate(step, Gate(verdict, answer.grant, version, answer.rule, mode))


def _verdict(mode: AgentMode, effect: str, rule: str) -> Verdict:
    if mode == "observe":
        return "allow"
    if rule == "no_grant" and mode == "ask":
        return "ask"
    known: dict[str, Verdict] = {"allow": "allow", "clear": "hold", "ask": "ask", "narrow": "narrow"}
    return known.get(effect, "deny")


def reads_so_far(trace: TraceEntry | None) -> tuple[str, ...]:
    """Return what a trace has read so far, as the gate in the process would know it."""
    return () if trace is None else reads_of(trace.marked)
