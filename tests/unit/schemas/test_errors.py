"""Every error that Lictor raises on purpose."""

import pytest

from schemas import errors
from schemas.errors import BadInput, BadRecord, BadSeal, InUse, KafkaUnavailable, LictorError


def every_error() -> list[type[LictorError]]:
    """Return the classes of errors."""
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, LictorError)]
    return [item for item in found if item not in (BadRecord, BadSeal)]


@pytest.mark.parametrize("error", every_error())
def test_an_error_without_a_message_still_says_what_happened(error: type[LictorError]) -> None:
    """A person would see an empty line instead of what to do."""
    assert str(error()) == (error.__doc__ or "").strip()
    assert error.exit_code in (1, 2, 3)


def test_an_error_says_where_it_happened() -> None:
    """A person would not know which file to mend."""
    assert str(BadInput("not YAML", where="policy.yml")) == "not YAML (policy.yml)"
    assert BadInput("not YAML", where="policy.yml").where == "policy.yml"


def test_exit_codes_tell_a_mistake_from_a_part_that_is_down() -> None:
    """A script could not tell whether trying again makes sense."""
    assert (BadInput.exit_code, KafkaUnavailable.exit_code, InUse.exit_code) == (2, 3, 3)


@pytest.mark.parametrize("error", [BadRecord, BadSeal])
def test_a_refusal_carries_a_word_to_count_by(error: type[BadRecord | BadSeal]) -> None:
    """Nobody could tell from the counters what is going wrong."""
    assert error("unsigned", "no signature").kind == "unsigned"
    assert str(error("unsigned", "no signature")) == "no signature"
