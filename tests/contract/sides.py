"""One policy and one call, put to both sides: the gate in the agent's process, and the detector afterwards."""

from collections.abc import Sequence
from typing import Any

from detectors.policy_view import Answer, PolicyView
from lictor_agent import gate as sdk_gate
from lictor_agent import policy as sdk_policy
from lictor_agent.budgets import COUNTED
from schemas.policy import AgentPolicy
from tests.unit.builders import AGENT, NOW, a_policy, a_step


def policy_of(row: dict[str, Any]) -> AgentPolicy:
    """Return the policy of an example: one layer for each of its lists of grants."""
    layers = [{"name": f"layer {at}", "grants": grants} for at, grants in enumerate(row["layers"])]
    return AgentPolicy.model_validate({**a_policy().model_dump(), "layers": layers})


def delegators_of(row: dict[str, Any]) -> list[AgentPolicy]:
    """Return the policies of those for whom the agent of an example acts."""
    return [
        policy_of({"layers": each["layers"]}).model_copy(
            update={"agent_id": each["agent_id"], "mode": each.get("mode", "enforce")}
        )
        for each in row.get("delegators", ())
    ]


def gate_answer(
    policy: AgentPolicy,
    call: dict[str, Any],
    reads: list[str],
    delegators: Sequence[AgentPolicy] = (),
    spent: sdk_gate.Spent | None = None,
) -> sdk_gate.Answer:
    """Return what the gate in an agent's process says, of the policy as it is sent there."""
    spent = spent or sdk_gate.Spent()
    name = call.get("tool") or call.get("model") or call.get("to_agent", "")
    asks = {"tool_call": "tools", "model_call": "models", "handoff": "agents"}[call["kind"]]
    said = {key: call.get(key, "") for key in ("principal", "version", "workflow", "environment")}
    values = {
        **said,
        "arguments": call.get("arguments") or {},
        "agent": call.get("agent_id", AGENT),
        "delegator": list(call.get("delegation", ())),
        "tool": name if asks == "tools" else "",
        "model": name if asks == "models" else "",
        "to_agent": name if asks == "agents" else "",
        "reads": reads,
        "labels": call.get("labels", []),
        "time_us": call.get("time_us", NOW),
        "spent": {counted: getattr(spent, counted) for counted in COUNTED},
    }
    made = [sdk_gate.Compiled(sdk_policy.read_policy(each.value())) for each in (policy, *delegators)]
    return made[0].judge(sdk_gate.Call(asks, name, values, spent.amounts), made[1:])


def detect_answer(
    policy: AgentPolicy, call: dict[str, Any], reads: list[str], delegators: Sequence[AgentPolicy] = ()
) -> Answer:
    """Return what the detector says of the step that the call becomes."""
    said = {name: tuple(value) if name == "delegation" else value for name, value in call.items() if name != "kind"}
    return PolicyView(policy).judge(
        a_step(call["kind"], **said), tuple(reads), [PolicyView(each) for each in delegators]
    )
