"""Asks the agents' own gate about a call that nobody makes: the answer is the one production gives.

Left out are what only a running agent has: orders that stand against it, budgets already spent, a cold start.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from lictor.policy_case import Case
from lictor_agent import denials
from lictor_agent.gate import Answer, Call, Compiled, verdict_in
from lictor_agent.policy import Grant as AgentsGrant
from lictor_agent.policy import Layer as AgentsLayer
from lictor_agent.policy import read_policy
from schemas.policy import AgentPolicy, Grant

_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONDAY: Final = 4
"""Days from the first of 1970 to a Monday."""
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Said:
    """What the gate does with a call (`allow deny ask hold`), and by which grant or rule."""

    verdict: str
    grant: str
    rule: str
    reason: str
    told: str = ""
    """What the model is told, where the call is refused."""


def compiled(policy: AgentPolicy) -> Compiled:
    """Return a policy as an agent holds it, read from the bytes that an agent is sent."""
    return Compiled(read_policy(policy.model_dump_json()))


def with_grant(policy: Compiled, layer: str, grant_id: str, changed: Grant | None) -> Compiled:
    """Return the policy with one grant of a layer changed, or dropped where `changed` is None."""
    new = None if changed is None else msgspec.json.decode(changed.model_dump_json(), type=AgentsGrant)
    layers = [
        _replaced(held, grant_id, new) if held.name == layer else held
        for held in policy.policy.layers
    ]  # fmt: skip
    return Compiled(msgspec.structs.replace(policy.policy, layers=tuple(held for held in layers if held.grants)))


def ask(policy: Compiled, case: Case) -> Said:
    """Return what the gate says to the call of a case."""
    kind, name = subject(case)
    answer = policy.judge(Call(kind, name, _values(case), case.amounts))
    verdict = verdict_in(policy.policy.mode, answer)
    if kind == "tools" and verdict in ("allow", "narrow") and _waits(policy, name):
        return _said("hold", answer)
    if verdict not in ("deny", "ask"):
        return _said(verdict, answer)
    instead = answer.instead or policy.instead(answer, kind, name)
    told = denials.message(replace(answer, instead=instead), policy.policy.version, asks=verdict == "ask")
    return replace(_said(verdict, answer), told=told)


def subject(case: Case) -> tuple[str, str]:
    """Return which globs of a grant the call is held against, and its name."""
    if case.tool is not None:
        return "tools", case.tool
    return ("models", case.model) if case.model is not None else ("agents", case.to_agent or "")


def _replaced(layer: AgentsLayer, grant_id: str, new: AgentsGrant | None) -> AgentsLayer:
    grants = [new if grant.id == grant_id else grant for grant in layer.grants]
    return AgentsLayer(layer.name, tuple(grant for grant in grants if grant is not None))


def _waits(policy: Compiled, tool: str) -> bool:
    clearance = policy.policy.clearance.traits
    return policy.policy.mode != "observe" and not policy.traits(tool).isdisjoint(clearance)


def _said(verdict: str, answer: Answer) -> Said:
    return Said(verdict, answer.grant, answer.rule, answer.reason)


def _values(case: Case) -> dict[str, Any]:
    return {
        "arguments": case.arguments,
        "agent": case.agent,
        "principal": case.principal,
        "version": case.version,
        "workflow": case.workflow,
        "delegator": list(case.delegation),
        "tool": case.tool or "",
        "model": case.model or "",
        "to_agent": case.to_agent or "",
        "environment": case.environment,
        "reads": list(case.reads),
        "labels": list(case.labels),
        "time_us": _time_us(case),
        "spent": dict(case.spent),
    }


def _time_us(case: Case) -> int | None:
    """Return a moment of the day and hour that a case names; of what it leaves out, the first. None where it names none."""
    if case.time.hour is None and case.time.weekday is None:
        return None
    day = _MONDAY + (_WEEK.index(case.time.weekday) if case.time.weekday is not None else 0)
    return (day * 24 + (case.time.hour or 0)) * _HOUR_US
