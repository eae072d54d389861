"""The targets of `make fuzz` without Atheris: all corpora again, and some thousand seeded mutations of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.corpora import corpus_of
from tests.fuzz.targets import TARGETS
from tests.unit.strategies import examples

MANY = {"rules": 300, "compiled": 500}
TELLING = (
    *(b'"', b"\\", b"{", b"[", b"}", b"null", b"NaN", b"Infinity", b"1e999", b"-0", b"\\u0000", b"\\ud800", b"%41%"),
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\x8b",
        b"aGVsbG8gd29ybGQgZ29v",
        b"|re",
        b"|all",
        b"1 of them",
        b"*",
        b"&a ",
    ),
)


def edited(data: bytes, corpus: list[bytes], chance: random.Random) -> bytes:
    """Return the input with up to six places changed: cut, doubled, written over, put in from elsewhere."""
    for _ in range(chance.randrange(1, 7)):
        at, drop = chance.randrange(len(data) + 1), chance.choice((0, 0, 1, 4, chance.randrange(400)))
        other = chance.choice(corpus)
        start = chance.randrange(len(other) + 1)
        put = chance.choice(
            (chance.choice(TELLING), chance.randbytes(4), other[start : start + 64], b"", data[at : at + 99])
        )
        data = data[:at] + put + data[at + drop :]
    return data


def tried(name: str, data: bytes) -> None:
    """Run a target; what breaks it is told, to be kept in its corpus."""
    try:
        TARGETS[name](data)
    except Exception as error:
        raise AssertionError(f"{name} broke on {data!r}") from error


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_ever_broke_it_breaks_it_again(name: str) -> None:
    """A mistake that fuzzing found would come back unseen."""
    for data in corpus_of(name):
        tried(name, data)


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutation_breaks_it(name: str) -> None:
    """Bytes that an attacker writes would stop a worker, or be believed to be something else than they are."""
    corpus, chance = corpus_of(name), random.Random(name)
    for _ in range(MANY.get(name, 3000)):
        tried(name, edited(chance.choice(corpus), corpus, chance))


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_at_all_break_it(name: str) -> None:
    """What resembles nothing that was ever sent would do what nothing sent can do."""

    @examples(200)
    @given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()
