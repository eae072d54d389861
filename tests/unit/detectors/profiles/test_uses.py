"""What a step uses, as an inventory lists it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.profiles.uses import MOST_RESOURCES, NAME_CHARS, resources_of, uses_of, whoever
from schemas.step import DeclaredTool
from tests.unit.builders import a_step, gate
from tests.unit.strategies import examples, json_values


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"url": "https://www.api.example.com:8443/v1?x=1"}, ["api.example.com"]),
        ({"to": "Bob@Example.org"}, ["@example.org"]),
        ({"path": "/srv/data/2026/a.csv"}, ["/srv/data/"]),
        ({"path": "/srv/a.csv"}, ["/srv/a.csv"]),
        ({"uri": "s3://backups/2026/x"}, ["s3://backups"]),
        ({"table": "customers"}, ["table:customers"]),
        ({"body": "see https://a.example and /srv/data"}, []),
        ({"n": 5, "flag": True, "none": None}, []),
        ({"url": "http://[broken"}, []),
        ({"body": "x" * 5000}, []),
        (None, []),
    ],
)
def test_resources_are_named_by_what_they_have_in_common(arguments: dict[str, Any] | None, found: list[str]) -> None:
    """An inventory of every id ever used would be a log; one without hosts and folders would say nothing."""
    assert resources_of(arguments) == found


@examples(150)
@given(st.dictionaries(st.sampled_from(["url", "to", "path", "table", "x"]), json_values(), max_size=12))
def test_no_arguments_make_more_resources_than_are_bounded(arguments: dict[str, Any]) -> None:
    """An agent could fill the inventory with one call."""
    found = resources_of(arguments)
    assert len(found) <= MOST_RESOURCES
    assert all(0 < len(name) <= NAME_CHARS for name in found)


@pytest.mark.parametrize(("verdict", "used"), [("allow", True), ("narrow", True), ("deny", False), ("ask", False)])
def test_a_call_that_was_refused_used_nothing(verdict: Any, used: bool) -> None:
    """What an agent tried and must not do would be listed as its work, and be granted to it."""
    step = a_step("tool_call", tool="pay", gate=gate(verdict))
    assert ("tool", "pay", "") in list(uses_of(step)) or not used
    assert bool(list(uses_of(step))) is used


def test_who_acts_for_whom_is_seen() -> None:
    """Nobody could tell on whose behalf an agent works."""
    step = a_step("message", version="2", principal="alice", delegation=("a", "b"), labels=("pii",))
    assert {(use.kind, use.name) for use in whoever(step)} >= {
        ("version", "2"),
        ("principal", "alice"),
        ("caller", "b"),
        ("label", "pii"),
    }


def test_what_a_run_declares_is_seen_with_its_digests() -> None:
    """A tool could change what it does under its old name."""
    step = a_step(
        "run_started", tools=(DeclaredTool("pay", "d1"),), prompt_digest="p", mcp_servers={"s": "d2"}, owner="o"
    )
    assert {tuple(use) for use in uses_of(step)} == {
        ("owner", "o", ""),
        ("prompt", "p", ""),
        ("definition", "pay", "d1"),
        ("server", "s", "d2"),
    }
