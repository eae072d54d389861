"""The one pattern language of policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.globs import glob_any, glob_match
from tests.unit.strategies import examples

LETTERS = st.text("ab.*?[", max_size=8)


def by_definition(pattern: str, text: str) -> bool:
    """Return the answer as the definition has it, however slow."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(by_definition(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and by_definition(pattern[1:], text[1:])


@examples(400)
@given(LETTERS, st.text("ab.*?[", max_size=8))
def test_a_pattern_means_what_its_definition_says(pattern: str, text: str) -> None:
    """A grant would cover a tool that its author never meant."""
    assert glob_match(pattern, text) == by_definition(pattern, text)


@pytest.mark.parametrize("text", ["[ab]", "a[", "mail.send!", "a\\b", "{x,y}", "^$", "(a|b)"])
def test_nothing_but_star_and_question_mark_is_special(text: str) -> None:
    """A tool with a bracket in its name could not be named by a policy."""
    assert glob_match(text, text)
    assert not glob_match("[ab]", "a")


def test_case_counts() -> None:
    """`Mail.Send` and `mail.send` may be two tools, one of them granted."""
    assert not glob_match("mail.*", "Mail.send")


def test_a_hostile_pattern_takes_no_longer_than_its_length_times_the_texts() -> None:
    """An agent could hold up its judge by the name of a tool."""
    assert not glob_match("*a" * 200 + "b", "a" * 5000)


def test_any_pattern_is_enough_and_none_is_not() -> None:
    """An empty list of tools would mean every tool."""
    assert glob_any(["x", "mail.*"], "mail.send")
    assert not glob_any([], "mail.send")
