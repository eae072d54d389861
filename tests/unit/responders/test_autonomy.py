"""What is done about a finding alone, and what is asked."""

from typing import Any, get_args

import pytest

from lictor.policy_file import load_policies
from responders.autonomy import ORDERS, Ruling, decide
from schemas.message import SEVERITIES, Action
from schemas.rules import Row, RuleBook, Safety
from tests.unit.builders import a_finding, a_rule_book

ASKED_ABOUT = sorted(set(get_args(Action)) - {"observe", "ask"})


def ruling(action: Action = "stop", safety: Safety | None = None, **fields: Any) -> Ruling:
    """Return what a table of one row says of a finding."""
    return decide(a_finding(**fields), a_rule_book(Row(id="it", action=action), safety=safety))


def test_the_first_row_that_matches_decides() -> None:
    """An exception at the top of the table would be undone by the rule below it."""
    rows = [Row(id="exception", rules=("lictor.tainted_*",), action="ask"), Row(id="rest", action="stop")]
    assert decide(a_finding(), a_rule_book(*rows)).row == "exception"
    assert decide(a_finding(), a_rule_book(*reversed(rows))).row == "rest"


def test_where_no_row_matches_lictor_looks_on() -> None:
    """Every finding nobody thought of would stop an agent."""
    found = decide(a_finding(), RuleBook(version=1, issued_us=0))
    assert (found.action, found.row) == ("observe", "")
    assert "no row" in found.because


MATCHING: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"rules": ["lictor.*"]}, {}, True),
    ({"rules": ["lictor.grants.*"]}, {}, False),
    ({"agents": ["invoice-*"]}, {}, True),
    ({"agents": ["payroll-*"]}, {}, False),
    ({"severity_at_least": "high"}, {"severity": "high"}, True),
    ({"severity_at_least": "high"}, {"severity": "medium"}, False),
    ({"severity_at_least": "informational"}, {"severity": "informational"}, True),
    ({"confidence_at_least": 0.9}, {"confidence": 0.9}, True),
    ({"confidence_at_least": 0.9}, {"confidence": 0.8999}, False),
    ({"confidence_at_least": 0.0}, {"confidence": 0.0}, True),
    ({"impact_at_least": 0.5}, {"impact": 0.4}, False),
    ({"traits_any": ["egress", "spends"]}, {"traits": ["spends"]}, True),
    ({"traits_any": ["egress"]}, {"traits": []}, False),
    ({"criticality": ["high"]}, {}, False),
    ({"criticality": ["normal"]}, {}, True),
    ({"rules": ["lictor.*"], "agents": ["x"]}, {}, False),
]


@pytest.mark.parametrize(("row", "fields", "matches"), MATCHING)
def test_all_that_a_row_sets_must_hold(row: dict[str, Any], fields: dict[str, Any], matches: bool) -> None:
    """A row would stop agents that its author never meant."""
    found = decide(a_finding(**fields), a_rule_book(Row.model_validate({"id": "it", "action": "stop", **row})))
    assert (found.action == "stop") is matches


@pytest.mark.parametrize("severity", SEVERITIES)
def test_severities_are_ordered(severity: str) -> None:
    """`at least medium` would leave out what is critical."""
    row = Row.model_validate({"id": "it", "action": "stop", "severity_at_least": severity})
    found = [level for level in SEVERITIES if decide(a_finding(severity=level), a_rule_book(row)).action == "stop"]
    assert tuple(found) == SEVERITIES[SEVERITIES.index(severity) :]  # type: ignore[arg-type]


@pytest.mark.parametrize("action", get_args(Action))
def test_in_mode_observe_nothing_is_done(action: Action) -> None:
    """An agent that was only to be watched would be stopped."""
    found = ruling(action, mode="observe")
    assert (found.action, found.wanted) == ("observe", action)
    assert found.limited_by == ("the agent's mode is observe" if action != "observe" else "")


@pytest.mark.parametrize("action", ASKED_ABOUT)
def test_in_mode_ask_a_person_is_asked(action: Action) -> None:
    """An agent whose owner wants to be asked would be stopped over their head."""
    found = ruling(action, mode="ask")
    assert (found.action, found.wanted, found.limited_by) == ("ask", action, "the agent's mode is ask")


@pytest.mark.parametrize("identity", ["unmarked", "forged"])
@pytest.mark.parametrize("action", ASKED_ABOUT)
def test_an_order_never_follows_from_a_step_without_a_good_mark(action: Action, identity: str) -> None:
    """Whoever can write to the topic could have any agent stopped."""
    found = ruling(action, identity=identity)
    assert found.action == "ask"
    assert identity in found.limited_by


@pytest.mark.parametrize("action", ASKED_ABOUT)
def test_a_dry_run_orders_nothing_and_says_so(action: Action) -> None:
    """Trying Lictor out would stop agents."""
    found = ruling(action, Safety(dry_run=True))
    assert (found.action, found.limited_by) == ("observe", "safety.dry_run is set")
    assert ruling("ask", Safety(dry_run=True)).action == "ask"


@pytest.mark.parametrize("action", ASKED_ABOUT)
def test_a_protected_agent_is_never_touched_without_a_person(action: Action) -> None:
    """The agent that keeps the plant running would be stopped by a bad rule."""
    found = ruling(action, Safety(protected=("invoice-*",)))
    assert (found.action, found.limited_by) == ("ask", "the agent is protected")
    assert ruling(action, Safety(protected=("payroll-*",))).action == action


def test_a_milder_ruling_takes_its_clearance_back() -> None:
    """A call of an agent that is only watched would be denied all the same."""
    row = Row(id="it", action="stop", clearance="deny")
    assert decide(a_finding(), a_rule_book(row)).clearance == "deny"
    assert decide(a_finding(mode="observe"), a_rule_book(row)).clearance == ""
    assert decide(a_finding(identity="forged"), a_rule_book(row)).clearance == ""


def test_the_reason_is_the_rows_or_names_it() -> None:
    """Nobody could tell which row of the table to change."""
    assert decide(a_finding(), a_rule_book(Row(id="it", action="ask", because="we agreed"))).because == "we agreed"
    long = decide(a_finding(), a_rule_book(Row(id="r" * 512, action="ask")))
    assert "high at confidence 0.90" in ruling().because
    assert len(long.because) <= 512


def test_everything_but_looking_and_asking_is_an_order() -> None:
    """A new action would slip past every safety limit."""
    assert set(get_args(Action)) - {"observe", "ask"} == ORDERS


DEFAULTS: list[tuple[dict[str, Any], Action]] = [
    ({"rule_id": "lictor.after_stop", "severity": "critical", "confidence": 0.95}, "quarantine"),
    ({"rule_id": "lictor.grants.bypassed", "severity": "critical", "confidence": 0.95}, "stop"),
    ({"rule_id": "lictor.grants.denied", "severity": "medium", "confidence": 0.95}, "observe"),
    ({"rule_id": "lictor.sequence.rewritten", "severity": "high", "confidence": 0.9}, "ask"),
    ({"severity": "high", "confidence": 0.9}, "stop"),
    ({"severity": "high", "confidence": 0.6}, "ask"),
    ({"severity": "high", "confidence": 0.4}, "observe"),
    ({"severity": "medium", "confidence": 1.0}, "observe"),
]


@pytest.mark.parametrize(("fields", "action"), DEFAULTS)
def test_the_policy_that_comes_with_lictor_does_what_it_says(fields: dict[str, Any], action: Action) -> None:
    """A new installation would stop too much, or nothing."""
    assert decide(a_finding(**fields), load_policies().rules).action == action
