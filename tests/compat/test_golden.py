"""Messages as version 1 writes them, byte for byte: whatever is in a topic or a history today must be readable for good.

The files are never edited. A message that gains an optional field gains a second file; one that must change otherwise
gains a new major version, and a reader for both.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lictor_agent import orders as sdk_orders
from lictor_agent import policy as sdk_policy
from lictor_agent import wire
from schemas.checkpoint import encode_checkpoint, read_checkpoint
from schemas.command import Command
from schemas.errors import BadRecord
from schemas.export import MESSAGES
from schemas.message import Message
from schemas.step import canonical_step, read_step

GOLDEN = Path(__file__).parent / "v1"
BY_NAME: dict[str, type[Message]] = {**{message.type: message for message in MESSAGES}, "clearance": Command}
STEPS = sorted(path.stem for path in GOLDEN.glob("step*.json"))


def golden(name: str) -> bytes:
    """Return the bytes of a message, without the newline that an editor may have added."""
    return (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")


def today(name: str) -> bytes:
    """Return how a message of version 1 is written today: with the fields it gained since, at their defaults."""
    later = GOLDEN / f"{name}.today"
    return later.read_bytes().rstrip(b"\n") if later.exists() else golden(name)


def with_fields(name: str, **more: Any) -> bytes:
    """Return a golden message with fields changed or added."""
    return msgspec.json.encode({**json.loads(golden(name)), **more})


def refusal(read: Any, value: bytes) -> BadRecord:
    """Return why a value is not read."""
    with pytest.raises(BadRecord) as caught:
        read(value)
    return caught.value


def test_there_is_an_example_of_every_message() -> None:
    """A message could change its form and nobody would notice."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*BY_NAME, *STEPS}
    assert "step" in STEPS


def test_the_examples_say_what_a_message_can_say() -> None:
    """A field could change its form because no example has it."""
    shown = {name for step in STEPS for name in json.loads(golden(step))}
    rare = {"to_agent", "memory_id", "reason", "drill", "error"}
    assert set(msgspec.json.schema(type(read_step(golden("step"))))["$defs"]["Step"]["properties"]) - shown == rare
    for name, message in BY_NAME.items():
        assert set(json.loads(today(name))) == set(message.model_fields), name


@pytest.mark.parametrize("name", BY_NAME)
def test_a_message_of_version_1_is_read_and_written_as_it_was(name: str) -> None:
    """An upgrade would make the topics unreadable, or every old signature wrong."""
    assert BY_NAME[name].read(golden(name)).value() == today(name)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_of_version_1_is_read_and_written_as_it_was(name: str) -> None:
    """An upgrade would refuse every agent that was not upgraded with it."""
    assert canonical_step(golden(name))[1] == golden(name)


@pytest.mark.parametrize("name", STEPS)
def test_the_sdk_writes_steps_of_version_1_as_it_did(name: str) -> None:
    """An upgraded agent would be refused by a Lictor that was not upgraded with it."""
    assert wire.encode(msgspec.json.decode(golden(name), type=wire.Step)) == golden(name)


def test_a_checkpoint_of_version_1_is_read_and_written_as_it_was() -> None:
    """An upgrade would forget the state of every trace."""
    value = bytes.fromhex((GOLDEN / "checkpoint.hex").read_text(encoding="ascii"))
    entry = read_checkpoint(value)
    assert entry is not None
    assert (entry.stream, entry.partition, entry.generation, entry.state) == ("detect", 3, 7, b"\x93\xa5state\x00\xff")
    assert encode_checkpoint(entry) == value


@pytest.mark.parametrize("name", BY_NAME)
def test_a_message_with_a_field_of_later_is_still_read(name: str) -> None:
    """Workers and agents could not be upgraded one by one."""
    assert BY_NAME[name].read(with_fields(name, later={"x": [1]})).value() == today(name)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_with_a_field_of_later_is_still_read(name: str) -> None:
    """Agents could not be upgraded before Lictor is."""
    assert canonical_step(with_fields(name, later={"x": [1]}))[1] == golden(name)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_message_of_version_2_is_refused_with_what_to_do(name: str) -> None:
    """A new form would be misread, or an operator look for a damaged record."""
    error = refusal(BY_NAME[name].read, with_fields(name, v=2))
    assert error.kind == "version"
    assert "upgrade Lictor first" in str(error)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_of_version_2_is_refused_with_what_to_do(name: str) -> None:
    """A new form would be misread, or an operator look for a broken agent."""
    error = refusal(read_step, with_fields(name, v=2))
    assert error.kind == "version"
    assert "upgrade Lictor first" in str(error)


SDK_READERS: dict[str, Any] = {
    "command": sdk_orders.read_command,
    "clearance": sdk_orders.read_command,
    "containment": sdk_orders.read_containment,
    "liveness": sdk_orders.read_liveness,
    "policy": sdk_policy.read_policy,
}


@pytest.mark.parametrize("name", SDK_READERS)
def test_an_agent_reads_what_version_1_sends_it(name: str) -> None:
    """Agents that run for years would stop obeying after an upgrade of Lictor."""
    read = SDK_READERS[name]
    assert read(golden(name)) == read(with_fields(name, later={"x": [1]}))


@pytest.mark.parametrize("name", SDK_READERS)
def test_an_agent_refuses_what_version_2_would_send_it(name: str) -> None:
    """An agent would act on half of an order whose other half it does not know."""
    with pytest.raises(msgspec.ValidationError, match=r"`\$\.v`"):
        SDK_READERS[name](with_fields(name, v=2))
