"""What every message but the step has in common."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.command import Command
from schemas.errors import BadRecord
from schemas.message import MAX_MESSAGE_BYTES, json_line
from tests.unit.builders import a_command


def wire(**changes: Any) -> bytes:
    """Return the bytes of a command with changes."""
    return json.dumps({**a_command().model_dump(), **changes}).encode()


def refusal(value: bytes | None) -> BadRecord:
    """Return the error a command is refused with."""
    with pytest.raises(BadRecord) as caught:
        Command.read(value)
    return caught.value


REFUSED = {
    "a tombstone": (None, "empty"),
    "nothing": (b"", "not_json"),
    "half of it": (wire()[:-9], "not_json"),
    "invalid UTF-8": (b'{"v":1,"reason":"\xff"}', "not_json"),
    "a lone surrogate": (wire().replace(b"a person", b"\\ud800"), "not_json"),
    "a list": (b"[]", "invalid"),
    "a missing field": (b'{"v":1}', "invalid"),
    "an unknown word": (wire(action="explode"), "invalid"),
    "a negative epoch": (wire(epoch=-1), "invalid"),
    "a text for a number": (wire(epoch="soon"), "invalid"),
    "too long a reason": (wire(reason="x" * 513), "invalid"),
    "10,000 levels": (wire()[:-1] + b',"arguments":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "not_json"),
    "more than 4 MiB": (wire(arguments={"x": "x" * MAX_MESSAGE_BYTES}), "too_large"),
    "a newer version": (wire(v=2), "version"),
    "a newer version of another shape": (b'{"v":2,"order":"stop"}', "version"),
}


@pytest.mark.parametrize(("value", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_message_is_refused_with_a_word_to_count_by(value: bytes | None, kind: str) -> None:
    """One bad record on the control topic would stop the workers that read it."""
    assert refusal(value).kind == kind


def test_a_refusal_names_the_first_field_that_is_wrong() -> None:
    """An operator could not tell from the dead letter what to mend."""
    assert str(refusal(wire(target={"run_id": "r"}))).startswith("target.agent_id: ")


def test_a_newer_version_says_what_to_do() -> None:
    """An operator would look for a damaged record where Lictor is too old."""
    assert "upgrade" in str(refusal(wire(v=2)))


def test_fields_of_a_later_version_are_ignored_at_every_depth() -> None:
    """Workers could not be upgraded one by one."""
    target = {**a_command().target.model_dump(), "pod": "p-1"}
    assert Command.read(wire(later=1, target=target)) == a_command()


def test_a_message_survives_its_bytes() -> None:
    """A signature over the bytes would not cover what was meant."""
    command = a_command(arguments={"x": [1, "\u00e9", {"y": None}]})
    assert Command.read(command.value()) == command
    assert Command.read(command.value()).value() == command.value()


def test_a_message_cannot_be_changed_after_it_was_signed() -> None:
    """Code could alter an order between its signature and its publication."""
    with pytest.raises(ValidationError):
        a_command().action = "pause"  # type: ignore[misc]


def test_a_line_of_json_is_one_line() -> None:
    """Agent text with a newline would forge a line of the log."""
    assert json_line({"text": "a\nb"}) == b'{"text":"a\\nb"}'
