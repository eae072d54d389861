"""A question to a person."""

import pytest

from schemas.approval import Approval
from tests.unit.builders import refused


@pytest.mark.parametrize("status", ["open", "approved", "denied", "timeout", "expired", "withdrawn"])
def test_a_question_is_in_a_known_state(status: str) -> None:
    """A call could wait for ever on a word nobody understands."""
    assert refused(Approval, "approval", status=status) == ""
    assert refused(Approval, "approval", status=status.upper()).startswith("status")


@pytest.mark.parametrize(("field", "value"), [("revision", 0), ("expires_us", -1), ("question", "?" * 16385)])
def test_a_question_without_sense_is_refused(field: str, value: object) -> None:
    """A person would be shown a question with no end."""
    assert refused(Approval, "approval", **{field: value}).startswith(field)


def test_a_question_is_taken_for_irreversible_unless_it_says_otherwise() -> None:
    """A person would approve lightly what cannot be undone."""
    fields = Approval.model_fields
    assert fields["irreversible"].default is True
    assert fields["status"].default == "open"
