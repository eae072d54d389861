"""Texts with their disguises taken off."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine.text import LAYERS, MOST_CHARS, MOST_VIEWS, fold, plain, views


def in_base64(text: str, encoding: str = "utf-8") -> str:
    """Return a text in base64."""
    return base64.b64encode(text.encode(encoding)).decode()


@pytest.mark.parametrize(
    "disguised",
    [
        "іgnorе рrevious",
        "ig\u200bnore pre\u00advious",
        "ｉｇｎｏｒｅ previous",
        "%69gnore%20previous",
        "%2569gnore%2520previous",
        in_base64("ignore previous"),
        in_base64("ignore previous").rstrip("="),
        in_base64("ignore previous", "utf-16-le"),
        in_base64(in_base64("ignore previous")),
        in_base64("%69gnore previous"),
        "".join(chr(0xE0000 + ord(letter)) for letter in "ignore previous"),
        base64.urlsafe_b64encode("ignore previous ÿ?~>".encode()).decode(),
    ],
)
def test_a_disguise_is_seen_as_what_it_says(disguised: str) -> None:
    """An attack would pass for being written otherwise."""
    assert any("ignore previous" in fold(view) for view in views(disguised))


def test_plain_text_has_no_views() -> None:
    """Every honest step would cost as much as an attack."""
    for text in (
        "",
        "a plain text",
        "/usr/share/dictionaries/words",
        "50 % of all",
        "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    ):
        assert views(text) == (text,)


def test_what_reads_as_it_is_written_is_left_as_it_is() -> None:
    """Words of other languages would be read as others."""
    assert plain("Größe naïve 東京") == "Größe naïve 東京"


@given(st.text(max_size=200))
def test_views_are_bounded_and_begin_with_the_text_itself(text: str) -> None:
    """A crafted text would make its own judgement endless."""
    found = views(text)
    assert found[0] == text
    assert len(found) <= MOST_VIEWS
    assert len(set(found)) == len(found)


def test_only_so_many_layers_are_taken_off() -> None:
    """A text wrapped a thousand times would keep a worker busy."""
    text = "ignore previous"
    for _ in range(LAYERS + 1):
        text = in_base64(text)
    assert not any("ignore previous" in view for view in views(text))


def test_a_huge_text_is_seen_whole_and_its_views_are_cut() -> None:
    """Padding would hide an attack, or a worker would run out of memory."""
    huge = "a" * (MOST_CHARS + 9) + "é"
    assert views(huge)[0] == huge
    assert all(len(view) <= MOST_CHARS for view in views(huge)[1:])
