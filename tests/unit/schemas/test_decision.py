"""What the policy said to do."""

from typing import get_args

import pytest

from schemas.decision import Decision
from schemas.message import Action
from tests.unit.builders import refused


@pytest.mark.parametrize("action", get_args(Action))
def test_every_action_of_the_policy_can_be_decided(action: str) -> None:
    """A row of the autonomy table could match and lead to nothing."""
    assert refused(Decision, "decision", action=action, wanted=action) == ""


@pytest.mark.parametrize("field", ["action", "wanted", "row", "because", "incident_id", "finding_id"])
def test_a_decision_names_its_row_its_reason_and_its_cause(field: str) -> None:
    """Nobody could tell afterwards why an agent was stopped."""
    assert refused(Decision, "decision", **{field: None}).startswith(field)


def test_clearance_is_an_answer_and_no_decision() -> None:
    """Clearing one call would be counted as acting against the agent."""
    assert refused(Decision, "decision", action="clearance").startswith("action")
