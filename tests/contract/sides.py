"""One policy and one call, put to both sides: the gate in the agent's process, and the detector afterwards."""

from collections.abc import Sequence
from typing import Any

from detectors.policy_view import Answer, PolicyView
from lictor_agent import gate as sdk_gate
from lictor_agent import policy as sdk_policy
from schemas.policy import AgentPolicy
from tests.unit.builders import AGENT, a_policy, a_step


def policy_of(row: dict[str, Any]) -> AgentPolicy:
    """Return the policy of an example: one layer for each of its lists of grants."""
    layers = [{"name": f"layer {at}", "grants": grants} for at, grants in enumerate(row["layers"])]
    return AgentPolicy.model_validate({**a_policy().model_dump(), "layers": layers})


def gate_answer(
    policy: AgentPolicy,
    call: dict[str, Any],
    reads: list[str],
    labels: Sequence[str] = (),
    delegators: Sequence[AgentPolicy] = (),
) -> sdk_gate.Answer:
    """Return what the gate in an agent's process says, of the policies as they are sent there."""
    labels = list(labels)
    name = call.get("tool") or call.get("model") or call.get("to_agent", "")
    asks = {"tool_call": "tools", "model_call": "models", "handoff": "agents"}[call["kind"]]
    values = {
        "arguments": call.get("arguments") or {},
        "agent": AGENT,
        "environment": call.get("environment", ""),
        "tool": name if asks == "tools" else "",
        "to_agent": name if asks == "agents" else "",
        "labels": labels,
        "principal": call.get("principal", ""),
        "version": call.get("version", ""),
        "workflow": call.get("workflow", ""),
        "delegator": list(call.get("delegation", ())),
        "model": name if asks == "models" else "",
        "reads": reads,
    }
    asked = sdk_gate.Call(asks, name, values, call.get("time_us", 0))
    return compiled(policy).judge(asked, [compiled(other) for other in delegators])


def compiled(policy: AgentPolicy) -> sdk_gate.Compiled:
    """Return a policy as an agent has it."""
    return sdk_gate.Compiled(sdk_policy.read_policy(policy.value()))


def detect_answer(
    policy: AgentPolicy,
    call: dict[str, Any],
    reads: list[str],
    labels: Sequence[str] = (),
    delegators: Sequence[AgentPolicy] = (),
) -> Answer:
    """Return what the detector says of the step that the call becomes."""
    said = {name: tuple(value) if name == "delegation" else value for name, value in call.items() if name != "kind"}
    views = [PolicyView(other) for other in delegators]
    said.setdefault("time_us", 0)
    return PolicyView(policy).judge(a_step(call["kind"], **said), reads, labels, None, views)
