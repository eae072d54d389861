"""Words in tables: the C part does what the plain one says, whatever an attacker writes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.values import MOST_SLOTS, Values
from detectors.words import host_of, words
from tests.unit.strategies import examples

KEY = b"sixteen secret b"
ODD = st.text(st.sampled_from("aA0.é-_/:@+'%#=&?~ \t\n\x00\u200bİßǅ①\u0661\u202e日😀\U0001d400,;<>()"), max_size=60)
TEXTS = (
    ODD
    | st.text(max_size=60)
    | st.lists(st.sampled_from(["https://a.example/x", "bob@example.com", "ab", "www.b.io."])).map(" ".join)
)


@examples(400)
@given(TEXTS)
def test_every_word_of_a_text_is_found_again(text: str) -> None:
    """An address that a page brought in, written oddly, would count as nobody's."""
    values, table = Values(KEY), bytearray()
    assert values.add(table, text)
    assert [word for word in words(text) if not values.has(table, word)] == []


@examples(400)
@given(TEXTS, TEXTS)
def test_a_word_that_was_not_in_a_text_is_not_found(text: str, other: str) -> None:
    """A value that nobody named would count as the user's own, and the call would go through."""
    values, table = Values(KEY), bytearray()
    values.add(table, text)
    known = set(words(text)) | {host_of(word) for word in words(text)}
    assert [word for word in words(other) if word not in known and values.has(table, word)] == []


@examples(200)
@given(TEXTS)
def test_the_host_of_an_address_is_known_by_any_address_there(text: str) -> None:
    """A page that names a host, and a call that goes to another path of it, would not be seen as related."""
    values, table = Values(KEY), bytearray()
    values.add(table, text)
    hosts = {host for word in words(text) if (host := host_of(word)) and len(host) >= 3}
    assert [host for host in hosts if not values.has_host(table, host)] == []


def test_a_full_table_says_so_and_forgets_nothing() -> None:
    """A page of filler would push out what the user has said, or pretend that nothing was lost."""
    values, table = Values(KEY), bytearray()
    many = [f"word-{number}" for number in range(3000)]
    fitted = [values.add(table, word) for word in many]
    assert fitted[0]
    assert not fitted[-1]
    kept = fitted.index(False)
    assert kept >= MOST_SLOTS * 3 // 4
    assert all(values.has(table, word) for word in many[:kept])
    assert len(table) == 4 + 4 * MOST_SLOTS


def test_who_does_not_know_the_key_knows_no_word() -> None:
    """Who can compute the table could look for words that collide with the user's."""
    table = bytearray()
    Values(KEY).add(table, "pay bob@example.com")
    assert not Values(b"another key 16 b").has(table, "bob@example.com")


@pytest.mark.parametrize("table", [b"", b"\x00", b"\x00" * 7, b"\xff" * 68, b"\x01" * 4100, b"\xff" * 8196])
def test_a_damaged_table_breaks_nothing(table: bytes) -> None:
    """A checkpoint with a torn table would take the worker down, again at each start."""
    values = Values(KEY)
    for ask in (lambda: values.has(table, "word"), lambda: values.add(bytearray(table), "word and others")):
        with contextlib.suppress(ValueError):
            assert ask() in (True, False)
