"""Names derived from content: the same facts have the same name, and other facts another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from tests.unit.strategies import examples

PARTS = st.lists(st.text(max_size=4), max_size=4)


@pytest.mark.parametrize(
    ("one", "other"),
    [(["ab", "c"], ["a", "bc"]), (["a", ""], ["a"]), (["", "a"], ["a", ""]), (["1:a"], ["a"]), (["a1:b"], ["a", "b"])],
)
def test_parts_that_read_alike_have_different_names(one: list[str], other: list[str]) -> None:
    """An agent could choose its names so that one step takes the place of another."""
    assert ids.named("lictor.test", *one) != ids.named("lictor.test", *other)


@examples(150)
@given(PARTS, PARTS)
def test_names_are_equal_only_where_the_parts_are(one: list[str], other: list[str]) -> None:
    """Two findings could be taken for one, and the second never acted on."""
    assert (ids.named("d", *one) == ids.named("d", *other)) == (one == other)


def test_a_name_belongs_to_its_domain() -> None:
    """The id of a step could be passed off as that of a command."""
    assert ids.named("lictor.step", "a") != ids.named("lictor.command", "a")
    assert len(ids.named("lictor.step", "a")) == 32


def test_a_step_has_another_id_in_each_place() -> None:
    """Steps of two runs would overwrite each other in the history."""
    places = [("a", "r", "t", 1), ("a", "r", "t", 2), ("a", "r", "u", 1), ("a", "s", "t", 1), ("b", "r", "t", 1)]
    assert len({ids.step_id(*place) for place in places}) == len(places)


def test_a_finding_is_the_same_whatever_order_its_evidence_is_told_in() -> None:
    """Replay would report every finding a second time."""
    assert ids.finding_id("r", 1, "g", ["a", "b"]) == ids.finding_id("r", 1, "g", ["b", "a"])
    assert ids.finding_id("r", 1, "g", ["a", "b"]) != ids.finding_id("r", 2, "g", ["a", "b"])
    assert ids.finding_id("r", 1, "g", ["a"]) != ids.finding_id("r", 1, "h", ["a"])


def test_the_epoch_tells_a_second_stop_from_a_copy_of_the_first() -> None:
    """An agent resumed and stopped again would take the second stop for a repeat and run on."""
    first = ids.command_id("a", "r", 1, "stop", {"stop": "now"})
    assert first == ids.command_id("a", "r", 1, "stop", {"stop": "now"})
    assert first != ids.command_id("a", "r", 2, "stop", {"stop": "now"})
    assert first != ids.command_id("a", "r", 1, "stop", {})


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    """A clearance would not fit the call it was given for."""
    assert ids.canonical({"b": 1, "a": [{"d": 1, "c": 2}]}) == b'{"a":[{"c":2,"d":1}],"b":1}'
    assert ids.content_digest({"b": 1, "a": 2}) == ids.content_digest({"a": 2, "b": 1})
    assert len(ids.content_digest({})) == 64
