"""Conditions describe what was seen closely enough to mean something, and never a stranger's place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.conditions import holds
from lictor.policy_hosts import host_globs
from lictor.policy_patterns import pattern_of, rounded_up
from tests.unit.strategies import examples, json_values, texts

MANY = range(40)


@pytest.mark.parametrize(
    ("name", "values", "bounds"),
    [
        ("amount", [12, 480, 33.5], {"gt": 0.0, "lte": 500.0}),
        ("limit", [0, 10], {"gte": 0.0, "lte": 10.0}),
        ("shift", [-7, 3], {"gte": -7.5, "lte": 3.0}),
        ("url", [f"https://api.example.com/{at}" for at in MANY], {"domain": ("api.example.com",)}),
        ("to", [["bob@example.org"], ["al@example.org", "eve@other.example"]], {"domain": ("example.org", "other.example")}),
        ("to", [f"a@{at % 5}.corp.example" for at in MANY], {"domain": ("*.corp.example",)}),
        ("path", [f"/srv/data/{at}/x.txt" for at in MANY], {"within": ("/srv/data",)}),
        ("path", ["/srv/a/1", "/srv/a/../b/2"] * 20, {"any_of": ("/srv/a/../b/2", "/srv/a/1")}),
        ("path", [f"/srv/a/../b/{at}" for at in MANY], {"within": ("/srv/b",)}),
        ("path", [f"reports/{at}.csv" for at in MANY], {"within": ("reports",)}),
        ("folder", ["inbox", "sent"] * 10, {"any_of": ("inbox", "sent")}),
        ("invoice", [f"INV-2026-{at:04}" for at in MANY], {"glob": ("INV-????-????",)}),
        ("id", [f"c{at:05}" for at in MANY], {"glob": ("c?????",)}),
        ("booking", [f"Z{chr(65 + at % 26)}{at:02}Q{chr(90 - at % 7)}" for at in MANY] + ["A1B2C3"], {"glob": ("??????",)}),
        ("url", ["www.example.com", "https://www.example.com/x"] * 9, {"domain": ("www.example.com",)}),
        ("dry_run", [True] * 5, {"eq": True}),
    ],
)  # fmt: skip
def test_values_become_a_pattern_and_not_a_list_of_ids(name: str, values: list[Any], bounds: dict[str, Any]) -> None:
    """The proposal would be a log of the past that refuses tomorrow's work."""
    found = pattern_of(name, values).test
    assert found is not None
    assert found.model_dump(exclude_none=True) == bounds


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("customer_id", [48_211, 48_219]),
        ("url", [f"https://host{at}.example/" for at in MANY]),
        ("body", [f"Dear {at}, thank you" for at in MANY]),
        ("path", [f"/{at}" for at in MANY]),
        ("path", [f"../{at}" for at in MANY]),
        ("flag", [True, False]),
        ("flag", [True]),
        ("x", [None, "a"]),
        ("x", [1, "1"]),
        ("object", [{"a": 1}]),
        ("x", []),
        ("x", [10**400]),
        ("word", ["alpha", "bravo", "tango"] + [f"w{chr(97 + at)}{chr(98 + at)}" for at in range(9)]),
    ],
)
def test_what_no_pattern_describes_has_no_condition_and_a_reason(name: str, values: list[Any]) -> None:
    """A condition made up for the sake of one would refuse honest calls at random."""
    found = pattern_of(name, values)
    assert found.test is None
    assert found.said or name == "object"


def test_a_shape_is_never_made_of_letters_that_are_patterns_themselves() -> None:
    """An agent could have `*` proposed to its owner by using it in an id."""
    assert pattern_of("id", [f"IN*-{at:04}" for at in MANY]).test is None


@pytest.mark.parametrize(
    ("hosts", "globs"),
    [
        (["a.x.example.com", "b.x.example.com", "c.x.example.com"], ("*.x.example.com",)),
        (["one.co.uk", "two.co.uk", "three.co.uk"], ("one.co.uk", "three.co.uk", "two.co.uk")),
        (["a.github.io", "b.github.io", "c.github.io"], ("a.github.io", "b.github.io", "c.github.io")),
        (["a.eu.amazonaws.com", "b.eu.amazonaws.com", "c.eu.amazonaws.com"],
         ("a.eu.amazonaws.com", "b.eu.amazonaws.com", "c.eu.amazonaws.com")),
        (["10.0.0.1", "10.0.0.2", "10.0.0.3"], ("10.0.0.1", "10.0.0.2", "10.0.0.3")),
        ([f"h{at}.com" for at in MANY], ()),
    ],
)  # fmt: skip
def test_hosts_are_put_together_only_under_a_domain_of_one_owner(hosts: list[str], globs: tuple[str, ...]) -> None:
    """Three customers under `co.uk` or `github.io` would open the door to every stranger there."""
    assert host_globs(hosts) == globs


@given(st.floats(-1e15, 1e15, allow_nan=False))
@examples(200)
def test_a_rounded_bound_is_never_below_and_never_far_above(bound: float) -> None:
    """The largest honest payment would be refused, or ten times as much be allowed."""
    assert bound <= rounded_up(bound) <= bound + abs(bound)


@given(st.lists(json_values() | texts(), min_size=1, max_size=30), st.sampled_from(["to", "amount", "id", "path"]))
@examples(300)
def test_whatever_was_seen_passes_its_own_condition(values: list[Any], name: str) -> None:
    """The proposal would refuse what it was made from."""
    found = pattern_of(name, values).test
    assert found is None or all(holds(found, value, wary=False) for value in values)
