"""Rules on their way to the workers: what arrives is what was sent, or nothing."""

import base64
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadRecord
from schemas.rule_bundle import MAX_BYTES, RuleBundle, bundle_digest
from tests.unit.strategies import examples, texts

FILES = st.dictionaries(texts(20), texts(60), max_size=5)


def packed(plain: bytes) -> str:
    """Return bytes as a bundle carries them."""
    return base64.b64encode(zlib.compress(plain)).decode()


@examples(60)
@given(FILES)
def test_the_files_that_arrive_are_those_that_were_sent(sources: dict[str, str]) -> None:
    """A worker would judge by other rules than a person published."""
    bundle = RuleBundle.read(RuleBundle.of(sources, 3, 1).value())
    assert bundle.sources() == sources
    assert bundle.digest == bundle_digest(dict(reversed(sources.items())))


@pytest.mark.parametrize(
    "carried",
    ["%", "AAAA", packed(b"[]"), packed(b'{"a": 1}'), packed(b'{"a": "other"}'), packed(b"{}")[:-8], packed(b"\xff")],
)
def test_what_is_damaged_or_something_else_is_refused(carried: str) -> None:
    """Half the rules would be in force, and nobody would know which."""
    bundle = RuleBundle.of({"a": "b"}, 1, 1).model_copy(update={"packed": carried})
    with pytest.raises(BadRecord):
        bundle.sources()


def test_a_bundle_that_unpacks_without_end_is_refused() -> None:
    """Three megabytes could fill a worker's memory."""
    bomb = msgspec.json.encode({"a": "x" * (MAX_BYTES + 1)})
    bundle = RuleBundle.of({"a": "b"}, 1, 1).model_copy(update={"packed": packed(bomb)})
    with pytest.raises(BadRecord, match="unpacks to more"):
        bundle.sources()


def test_rules_that_fit_into_no_message_are_refused_at_once() -> None:
    """They would be published, and refused by every worker."""
    noise = "".join(chr(0x4E00 + (n * 7919 + n * n) % 20000) for n in range(3_000_000))
    with pytest.raises(BadRecord, match="3 MiB"):
        RuleBundle.of({"a": noise}, 1, 1)
