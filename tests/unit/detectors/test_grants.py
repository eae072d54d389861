"""Calls outside policy, and calls that never asked the gate."""

from typing import Any

import pytest

from detectors.grants import Grants
from schemas.finding import Finding
from tests.unit.builders import Story, a_grant, a_policy, claims, gate

ONLY_MAIL = (a_grant("allow", "mail.*"),)


def story(mode: str = "enforce", **more: Any) -> Story:
    """Return a trace of an agent that may only mail."""
    return Story(a_policy(*more.pop("grants", ONLY_MAIL), mode=mode, **more), watch=(Grants(),))


def only(findings: list[Finding]) -> Finding:
    """Return the one finding there is."""
    assert len(findings) == 1
    return findings[0]


@pytest.mark.parametrize("verdict", ["allow", "narrow", "hold", ""])
def test_a_refused_call_that_went_ahead_is_critical(verdict: Any) -> None:
    """An agent with a patched gate could do as it likes."""
    found = only(story().tell("tool_call", tool="shell.run", gate=gate(verdict) if verdict else None))
    assert (found.rule_id, found.severity) == ("lictor.grants.bypassed", "critical")
    assert "shell.run went ahead" in found.reason


@pytest.mark.parametrize("verdict", ["deny", "ask"])
def test_a_refused_call_that_the_gate_held_is_kept_as_an_attempt(verdict: Any) -> None:
    """Nobody would see what the agent tried."""
    found = only(story().call("shell.run", verdict))
    assert (found.rule_id, found.severity) == ("lictor.grants.denied", "medium")


def test_a_call_within_policy_is_silent() -> None:
    """Every honest call would be a finding."""
    assert story().call("mail.send") == []
    assert story().tell("tool_call", tool="mail.send") == []


def test_a_gate_stricter_than_the_policy_is_an_attempt_too() -> None:
    """What containment refused would leave no trace among the findings."""
    found = only(story().call("mail.send", "deny", "containment"))
    assert found.rule_id == "lictor.grants.denied"
    assert "containment" in found.reason


@pytest.mark.parametrize("rule", ["budget:steps", "clearance:deny", "clearance:timeout"])
def test_budgets_and_clearances_are_not_calls_outside_policy(rule: str) -> None:
    """A spent budget would be reported as a breach of policy."""
    assert story().call("mail.send", "deny", rule) == []


@pytest.mark.parametrize(("kind", "fields"), [("model_call", {"model": "big"}), ("handoff", {"to_agent": "eve"})])
def test_models_and_hand_overs_are_held_to_the_policy(kind: str, fields: dict[str, str]) -> None:
    """A delegated call would be outside every policy."""
    grants = (a_grant("allow", models=("small",)), a_grant("allow", agents=("reviewer",)))
    assert claims(story(grants=grants).tell(kind, **fields)) == ["lictor.grants.bypassed"]
    assert claims(story().tell(kind, **fields)) == []


@pytest.mark.parametrize("kind", ["message", "tool_result", "memory_read", "heartbeat", "run_ended"])
def test_steps_that_do_nothing_need_no_grant(kind: str) -> None:
    """Listening would be a breach of policy."""
    assert story().tell(kind, tool="shell.run") == []


def test_an_observed_agent_without_grants_is_left_alone() -> None:
    """Every call of an unprotected agent would be a finding."""
    assert story("observe", grants=()).call("shell.run") == []


def test_an_observed_agent_with_grants_shows_what_they_would_refuse() -> None:
    """Nobody could try a policy out before enforcing it."""
    found = only(story("observe").call("shell.run"))
    assert (found.rule_id, found.mode) == ("lictor.grants.denied", "observe")


def test_an_enforced_agent_without_grants_may_call_nothing() -> None:
    """Forgetting to write grants would allow everything."""
    assert claims(story(grants=()).call("mail.send")) == ["lictor.grants.bypassed"]


def test_conditions_see_what_the_trace_has_read() -> None:
    """A grant that ends with the first web page would go on for ever."""
    told = story(grants=(a_grant("allow"), a_grant("deny", "mail.*", when={"reads": {"any_of": ["untrusted"]}})))
    assert told.call("mail.send") == []
    told.result("web.get", origin="web")
    assert claims(told.call("mail.send")) == ["lictor.grants.bypassed"]


def test_a_run_nobody_registered_is_told_once() -> None:
    """Agents could run in the company that nobody knows of."""
    told = story()
    found = only(told.tell("run_started", agent_id="stranger", trace_id=""))
    assert (found.rule_id, found.severity) == ("lictor.grants.unregistered", "low")
    assert told.tell("message", agent_id="stranger") == []
    assert told.tell("run_started", trace_id="") == []


def test_the_reason_is_one_line_whatever_policy_and_tool_are_called() -> None:
    """A policy's multi-line reason, or a tool's name, would tear a report apart."""
    grants = (a_grant("deny", reason="mail goes\nthrough the desk\n"), a_grant("allow", "x"))
    found = only(story(grants=grants).call("a\nb\x1b[2J"))
    assert found.reason.isprintable()
    assert "mail goes through the desk" in found.reason
