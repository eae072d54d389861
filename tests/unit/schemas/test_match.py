"""A building block of judgement that spans traces."""

import pytest

from schemas.match import Match
from tests.unit.builders import refused


@pytest.mark.parametrize("field", ["match_id", "rule_id", "agent_id", "run_id", "step_id", "scope"])
def test_a_match_says_what_matched_where(field: str) -> None:
    """A budget would be charged with what nobody can trace back to a step."""
    assert refused(Match, "match", **{field: None}).startswith(field)


def test_an_amount_is_a_number() -> None:
    """One NaN would swallow the sum of a whole day."""
    assert refused(Match, "match", amount=float("nan")) != ""
    assert refused(Match, "match", amount=-2.5) == ""
