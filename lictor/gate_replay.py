"""What the gate would have said of a recorded call, by the policy in force: for recordings made without one.

What only a gate in the agent's process knows (`spent`, `amounts`, `labels`) is taken not to have held a call up.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from detectors.grants import reads_of
from detectors.policy_view import PolicyView
from detectors.state import TraceEntry
from lictor.sessions import with_gate
from schemas import ids
from schemas.policy import AgentMode
from schemas.step import Gate, Step, Verdict, content

_ASKED = frozenset({"tool_call", "model_call", "handoff"})


def gated(step: Step, policy: PolicyView, reads: tuple[str, ...] = (), delegators: Sequence[PolicyView] = ()) -> Step:
    """Return the step as the SDK would have published it, with the gate's answer and the arguments as it narrows them."""
    if step.kind not in _ASKED:
        return step
    answer = policy.judge(step, reads, delegators)
    verdict = _verdict(policy.policy.mode, answer.effect, answer.rule)
    traits = policy.traits(step.tool) if step.kind == "tool_call" else frozenset()
    if (
        verdict in ("allow", "narrow")
        and policy.policy.mode != "observe"
        and not traits.isdisjoint(policy.policy.clearance.traits)
    ):
        verdict = "hold"
    version, mode = policy.policy.version, policy.policy.mode
    made = with_gate(step, Gate(verdict, answer.grant, version, answer.rule, mode))
    goes_ahead = mode != "observe" and verdict in ("narrow", "hold")
    return _narrowed(made, answer.arguments) if goes_ahead and answer.arguments is not None else made


def _narrowed(step: Step, arguments: dict[str, Any]) -> Step:
    """The digest is of what the tool got."""
    made = msgspec.structs.replace(step, asked=step.arguments, arguments=arguments)
    return msgspec.structs.replace(made, digest=ids.content_digest(content(made)))


def _verdict(mode: AgentMode, effect: str, rule: str) -> Verdict:
    if mode == "observe":
        return "allow"
    if rule == "no_grant" and mode == "ask":
        return "ask"
    known: dict[str, Verdict] = {"allow": "allow", "narrow": "narrow", "clear": "hold", "ask": "ask"}
    return known.get(effect, "deny")


def reads_so_far(trace: TraceEntry | None) -> tuple[str, ...]:
    """Return what a trace has read so far, as the gate in the process would know it."""
    return () if trace is None else reads_of(trace.marked)
