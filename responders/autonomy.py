"""What is done about a finding alone, and what is asked: the policy's table, first match wins. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from schemas.finding import Finding
from schemas.globs import glob_any
from schemas.message import SEVERITIES, Action
from schemas.rules import Row, RuleBook

ORDERS: Final[frozenset[Action]] = frozenset(
    {"deny", "throttle", "read_only", "pause", "stop", "revoke", "quarantine", "narrow", "hold"}
)
"""Everything beyond looking and asking."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do, which row said so, and why it may be milder than what that row wanted."""

    action: Action
    wanted: Action
    row: str
    because: str
    limited_by: str = ""
    clearance: Literal["", "deny", "hold", "ask"] = ""
    """What a call waiting for clearance is told, where the row says; empty follows from the action."""


def decide(finding: Finding, rules: RuleBook, *, criticality: str = "normal") -> Ruling:
    """Return the ruling on one finding: the same finding and rules, the same ruling.

    In mode `observe` nothing is done; in mode `ask`, and on the word of a step whose mark is not good, people are asked.
    """
    row = next((row for row in rules.autonomy if _fits(row, finding, criticality)), None)
    if row is None:
        return Ruling("observe", "observe", "", "no row of the autonomy table matches")
    because = row.because or f"row {row.id[:400]}: {finding.severity} at confidence {finding.confidence:.2f}"
    action, limited = _limited(row.action, finding, rules)
    clearance = row.clearance if not limited else ""
    return Ruling(action, row.action, row.id, because, limited, clearance)


def _limited(action: Action, finding: Finding, rules: RuleBook) -> tuple[Action, str]:
    if action == "observe" or finding.mode == "observe":
        return "observe", "the agent's mode is observe" if action != "observe" else ""
    if finding.mode == "ask" and action != "ask":
        return "ask", "the agent's mode is ask"
    if finding.identity != "marked" and action in ORDERS:
        return "ask", f"the step is {finding.identity}: an order would hit whoever was named, not whoever spoke"
    if rules.safety.dry_run and action in ORDERS:
        return "observe", "safety.dry_run is set"
    if action in ORDERS and glob_any(rules.safety.protected, finding.agent_id):
        return "ask", "the agent is protected"
    return action, ""


def _fits(row: Row, finding: Finding, criticality: str) -> bool:
    tests = (
        not row.rules or glob_any(row.rules, finding.rule_id),
        not row.agents or glob_any(row.agents, finding.agent_id),
        row.severity_at_least is None or SEVERITIES.index(finding.severity) >= SEVERITIES.index(row.severity_at_least),
        row.confidence_at_least is None or finding.confidence >= row.confidence_at_least,
        row.impact_at_least is None or finding.impact >= row.impact_at_least,
        not row.traits_any or not set(row.traits_any).isdisjoint(finding.traits),
        not row.criticality or criticality in row.criticality,
    )
    return all(tests)
