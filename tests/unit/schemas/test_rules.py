"""What workers alone may know."""

import pytest
from pydantic import ValidationError

from schemas.rules import ActionLimit, Bounds, Clocks, Row, RuleBook
from tests.unit.builders import refused


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "explode"},
        {"severity_at_least": "huge"},
        {"confidence_at_least": 1.1},
        {"traits_any": ["x"]},
        {"clearance": "allow"},
    ],
)
def test_a_row_without_sense_is_refused(changes: dict[str, object]) -> None:
    """A misspelt row would never match, and nobody would notice."""
    with pytest.raises(ValidationError):
        Row.model_validate({"id": "r", "action": "stop", **changes})


@pytest.mark.parametrize("changes", [{"per_minute": -1}, {"fleet_share": 0}, {"fleet_share": 1.1}, {"fleet_floor": 0}])
def test_a_limit_without_sense_is_refused(changes: dict[str, object]) -> None:
    """Lictor could stop the whole fleet at once, or nothing ever."""
    with pytest.raises(ValidationError):
        ActionLimit.model_validate(changes)


def test_there_are_limits_where_the_policy_sets_none() -> None:
    """One bad rule would stop the whole fleet."""
    limit = RuleBook(version=1, issued_us=0).safety.default
    assert limit.per_minute > 0
    assert limit.fleet_share < 1
    assert (Bounds().traces_per_agent, Clocks().lateness_s) > (0, 0)


@pytest.mark.parametrize(("field", "value"), [("version", 0), ("identity", "off"), ("stop_grace_ms", -1)])
def test_a_rule_book_without_sense_is_refused(field: str, value: object) -> None:
    """The last good rules would be replaced by some that cannot be judged by."""
    assert refused(RuleBook, "rules", **{field: value}).startswith(field)
