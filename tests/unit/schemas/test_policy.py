"""What one agent may do."""

from typing import get_args

import pytest
from pydantic import ValidationError

from schemas.policy import ALL_TRAITS, EFFECTS, AgentPolicy, Budgets, Clearance, Test, Trait
from tests.unit.builders import a_policy, refused


def test_the_kinds_of_value_in_a_test_are_kept_apart() -> None:
    """A grant for `"1"` would let 1 and true through."""
    kept = [Test(eq=value).eq for value in (1, 1.5, "1", True)]
    assert [type(value) for value in kept] == [int, float, str, bool]
    assert type(Test.model_validate_json('{"eq":1.0}').eq) is float
    assert type(Test.model_validate_json('{"any_of":[true]}').any_of[0]) is bool  # type: ignore[index]


@pytest.mark.parametrize("bound", ["lt", "lte", "gt", "gte"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many"])
def test_a_bound_is_a_finite_number(bound: str, value: object) -> None:
    """A bound of NaN would allow every amount."""
    with pytest.raises(ValidationError):
        Test.model_validate({bound: value})


def test_what_leaves_a_mark_on_the_world_has_effects() -> None:
    """A call with effects would run before its step is safe on disk."""
    assert set(ALL_TRAITS) == set(get_args(Trait))
    assert set(ALL_TRAITS) - {"reads_untrusted", "reads_sensitive"} == EFFECTS


def test_a_policy_that_says_nothing_is_careful_where_it_counts() -> None:
    """A call that cannot be undone would not wait for its judgement."""
    policy = AgentPolicy(agent_id="a", version=1, issued_us=0)
    assert policy.mode == "observe"
    assert policy.clearance.traits == ("irreversible",)
    assert policy.clearance.on_timeout == "deny"
    assert set(policy.cold_start_deny) == {"irreversible", "egress", "spends"}


@pytest.mark.parametrize(
    "changes", [{"timeout_ms": 9}, {"timeout_ms": 600_001}, {"on_timeout": "ask"}, {"traits": ["x"]}]
)
def test_a_clearance_that_cannot_work_is_refused(changes: dict[str, object]) -> None:
    """Every call that cannot be undone would hang."""
    with pytest.raises(ValidationError):
        Clearance.model_validate(changes)


@pytest.mark.parametrize("name", Budgets.model_fields)
def test_a_budget_is_never_negative_and_no_bound_by_itself(name: str) -> None:
    """An agent would be refused everything, or nothing, by a misprint."""
    assert getattr(Budgets(), name) is None
    with pytest.raises(ValidationError):
        Budgets.model_validate({name: -1})


def test_a_policy_survives_its_bytes() -> None:
    """An agent would be held to another policy than was signed."""
    policy = a_policy(budgets=Budgets(cost_usd=2.5))
    assert AgentPolicy.read(policy.value()) == policy


@pytest.mark.parametrize(
    ("field", "value"), [("version", 0), ("mode", "off"), ("criticality", "huge"), ("traits", {"x": ["y"]})]
)
def test_a_policy_without_sense_is_refused(field: str, value: object) -> None:
    """The last good policy would be replaced by one that cannot be judged by."""
    assert refused(AgentPolicy, "policy", **{field: value}).startswith(field)
