"""Words as the flow detectors compare them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.words import MIN_WORD, digest64, host_of, strings_in, words
from schemas.step import MAX_DEPTH
from tests.unit.strategies import examples, json_values


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mail Bob <bob@example.com>,", ["mail", "bob", "bob@example.com"]),
        ("see https://Example.com/a?b=1&c=2.", ["see", "https://example.com/a?b=1&c=2"]),
        ("\u2018quoted\u2019 (bracketed) [x] a", ["quoted", "bracketed"]),
        ("STRASSE Stra\u00dfe", ["strasse", "strasse"]),
        ("DE89 3704 0044, it's", ["de89", "3704", "0044"]),
        ("a\u200bb\u202ecde\x00fgh", ["cde", "fgh"]),
        ("...---...", []),
        ("", []),
    ],
)
def test_a_text_is_cut_into_words_and_addresses(text: str, found: list[str]) -> None:
    """An address told in one form would not be recognised in another."""
    assert list(words(text)) == found


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("https://www.example.com:8080/a", "example.com"),
        ("bob@example.com", "example.com"),
        ("http://user:secret@evil.example/x", "evil.example"),
        ("example.com?next=good.example", "example.com"),
        ("http://10.0.0.7/x", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7"),
        ("256.1.1.1", ""),
        ("1.2.3", ""),
        ("3.14", ""),
        ("hello", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_link_is_found(word: str, host: str) -> None:
    """A link with another path would count as another destination."""
    assert host_of(word) == host


@pytest.mark.parametrize(
    "text", ["1.2.3.\u00b2", "\u0661.2.3.4", "1.2.3." + "9" * 5000, "1.2.3.\u2460", "....", "1..2.3"]
)
def test_digits_of_any_kind_are_no_address_and_no_error(text: str) -> None:
    """A web page with one odd number would end the worker that reads it, again and again."""
    assert [host_of(word) for word in words(f"see {text} now")][1:-1] in ([], [""])


@examples(200)
@given(st.text(max_size=80))
def test_any_text_can_be_cut(text: str) -> None:
    """An agent could end its judge by what it says."""
    found = list(words(text))
    assert all(len(word) >= MIN_WORD and not any(letter.isspace() for letter in word) for word in found)
    assert all(host_of(word) == "" or "." in host_of(word) for word in found)


def test_strings_are_found_wherever_a_call_hides_them() -> None:
    """A recipient inside a list of objects would be judged by nobody."""
    value = {"to": ["a@x", {"cc": "b@x"}], "n": 5, "f": 1.5, "no": None, "yes": True}
    assert list(strings_in(value)) == [
        ("arguments.to", "a@x"),
        ("arguments.to.cc", "b@x"),
        ("arguments.n", "5"),
        ("arguments.f", "1.5"),
    ]


def test_strings_are_found_as_deep_as_a_step_may_nest() -> None:
    """A recipient could be hidden by wrapping it often enough."""
    value: object = "eve@evil.example"
    for _ in range(MAX_DEPTH):
        value = {"x": value}
    assert [text for _, text in strings_in(value)] == ["eve@evil.example"]


@examples(100)
@given(json_values(20))
def test_any_json_can_be_searched_for_strings(value: object) -> None:
    """An agent could end its judge by the shape of an argument."""
    assert all(path.startswith("arguments") and isinstance(text, str) for path, text in strings_in(value))


def test_digests_are_64_bits_and_tell_words_apart() -> None:
    """What a stranger said would be taken for what the user said."""
    found = {digest64(f"word{number}".encode()) for number in range(2000)}
    assert len(found) == 2000
    assert all(0 <= each < 1 << 64 for each in found)
