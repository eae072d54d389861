"""A match re-keyed to a wider scope."""

from schemas.correlation import Correlation
from schemas.match import Match
from tests.unit.builders import example, refused


def test_a_correlation_says_whom_it_sums_over() -> None:
    """Amounts of different people would be added up as one person's."""
    assert refused(Correlation, "correlation", scope_value=None).startswith("scope_value")


def test_a_correlation_carries_all_of_its_match() -> None:
    """The evidence behind a sum could not be found again."""
    assert set(Match.model_fields) < set(Correlation.model_fields)
    assert set(example("match")) < set(example("correlation"))
    assert Correlation.type != Match.type
