"""A proposal as the policy file that people read, correct and publish. Names are an agent's own and are written as such."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import yaml

from detectors.base import shown
from lictor.policy_case import Case
from lictor.policy_suggest import Proposal, Proposed
from lictor.policy_suggest_cases import plain
from schemas.globs import glob_any
from schemas.policy import AgentPolicy, Clearance

_WIDTH: Final = 116
_EACH: Final = "    "


def text_of(proposal: Proposal, policy: AgentPolicy, cases: Sequence[Case], head: Iterable[str]) -> str:
    """Return the file. `policy`: what is in force, whose owner, traits and clearance are kept. `head`: lines of comment."""
    lines = [f"# {shown(line, 200)}" for line in head]
    lines += [
        f"version: {policy.version + 1}",
        "",
        "agents:",
        *_block({proposal.agent_id: _about(proposal, policy)}, "  "),
    ]
    lines += ["    grants:"] if proposal.grants else ["    grants: []"]
    for proposed in proposal.grants:
        lines += _grant(proposed)
    if cases:
        lines += ["", "tests:", *(line for case in cases for line in _item(_case(case), "  "))]
    return "\n".join(lines) + "\n"


def _about(proposal: Proposal, policy: AgentPolicy) -> dict[str, Any]:
    tools = [tool for proposed in proposal.grants for tool in proposed.grant.tools if proposed.grant.effect != "deny"]
    traits = {
        glob: list(traits)
        for glob, traits in policy.traits.items()
        if any(glob_any((glob,), tool) for tool in tools)
    }  # fmt: skip
    asked = {path.removeprefix("amounts.") for proposed in proposal.grants for path in proposed.grant.when}
    amounts = {name: amount.model_dump(mode="json") for name, amount in policy.amounts.items() if name in asked}
    said: dict[str, Any] = {
        "mode": "enforce",
        "owner": policy.owner,
        "criticality": policy.criticality if policy.criticality != "normal" else "",
        "budgets": _plain(proposal.budgets.model_dump(exclude_none=True)),
        "clearance": policy.clearance.model_dump(mode="json") if policy.clearance != Clearance() else {},
        "traits": traits,
        "trusted_tools": list(policy.trusted_tools),
        "amounts": amounts,
    }
    return {name: value for name, value in said.items() if value}


def _grant(proposed: Proposed) -> Iterator[str]:
    """Yield a grant with what it rests on above it."""
    yield ""
    if proposed.calls:
        yield f"      # {proposed.calls} call{'' if proposed.calls == 1 else 's'}"
    for said in proposed.said:
        yield f"      # {shown(said, 200)}"
    yield from _item(_plain(proposed.grant.model_dump(mode="json", exclude_defaults=True)), "      ")


def _case(case: Case) -> dict[str, Any]:
    return {name: _plain(value) for name, value in case.model_dump(mode="json", exclude_defaults=True).items()}


def _plain(value: Any) -> Any:
    """Return JSON with whole numbers as people write them."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return plain(value) if isinstance(value, float) else value


def _item(value: dict[str, Any], indent: str) -> Iterator[str]:
    yield from _lines([value], indent)


def _block(value: dict[str, Any], indent: str) -> Iterator[str]:
    yield from _lines(value, indent)


def _lines(value: Any, indent: str) -> Iterator[str]:
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=_WIDTH)
    for line in text.splitlines():
        yield f"{indent}{line}"
