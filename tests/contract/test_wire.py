"""What goes over the wire: steps as the SDK writes them and Lictor reads them, orders as Lictor writes and agents read them."""

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor_agent import orders as sdk_orders
from lictor_agent import policy as sdk_policy
from lictor_agent import seal as sdk_seal
from lictor_agent import wire
from schemas import ids, seal
from schemas.command import Command
from schemas.containment import Containment
from schemas.keys import KEY_LIST, KeyList
from schemas.liveness import Liveness
from schemas.message import Message
from schemas.policy import AgentPolicy
from schemas.receipt import Receipt
from schemas.step import STEP_VERSION, Origin, Step, canonical_step, content, encode_step
from tests.unit.builders import AGENT, POLICIES, RUN, TRACE, a_private_key, an_entry, example, signed_list
from tests.unit.strategies import examples, steps


def as_sdk(step: Step) -> wire.Step:
    """Return the step as the SDK would hold it."""
    return msgspec.convert(msgspec.to_builtins(step), wire.Step)


@examples(150)
@given(steps())
def test_what_the_sdk_writes_is_read_without_a_second_look(step: Step) -> None:
    """Every step of every agent would take the slow path, or be refused."""
    value = wire.encode(as_sdk(step))
    assert canonical_step(value) == (step, value)
    assert value == encode_step(step)


@examples(100)
@given(steps())
def test_any_step_has_the_same_digest_on_both_sides(step: Step) -> None:
    """A clearance would not fit the call it was given for."""
    fields = msgspec.to_builtins(as_sdk(step))
    assert wire.content_digest(step.kind, fields) == ids.content_digest(content(step)) == step.digest


class Odd:
    """An object of the agent's that cannot even be printed."""

    def __repr__(self) -> str:
        """Raise, as somebody else's code may."""
        raise RuntimeError("no")


class Text(str):
    """A text of the agent's own kind, as template engines make them."""

    __slots__ = ()


class Number(float):
    """A number of the agent's own kind, as libraries for arrays make them."""


ODD_LEAVES = (
    st.text(max_size=8)
    | st.binary(max_size=4)
    | st.floats()
    | st.integers()
    | st.just(5000).map(lambda digits: 10**digits)  # Python cannot print it
    | st.sampled_from(
        [
            Text("a"),
            Text("\u00e9"),
            Number(1.5),
            -(10**4299),
            object,
            1 + 2j,
            {1, 2},
            b"\xff",
            "\ud800",
        ]
    )
)
ODD_VALUES = st.recursive(
    ODD_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
)


def published(arguments: Any, text: str) -> bytes:
    """Return the bytes of a call with these arguments, as the SDK publishes them."""
    said = {"tool": "t", "arguments": wire.plain_json(arguments), "text": wire.plain_json(text)}
    step_id = wire.step_id(AGENT, RUN, TRACE, 1)
    digest = wire.content_digest("tool_call", said)
    place = {"agent_id": AGENT, "run_id": RUN, "trace_id": TRACE, "seq": 1, "step_id": step_id, "digest": digest}
    return wire.encode(wire.Step(v=wire.STEP_VERSION, kind="tool_call", time_us=1, **place, **said))


@examples(250)
@given(st.dictionaries(st.text(max_size=4), ODD_VALUES, max_size=3), st.text(max_size=9))
def test_whatever_an_agent_passes_to_a_tool_can_be_published_and_read(arguments: dict[str, Any], text: str) -> None:
    """An agent would fail, or its call be lost, for an argument that JSON has no word for."""
    value = published(arguments, text)
    step, kept = canonical_step(value)
    assert kept == value
    assert step.digest == ids.content_digest(content(step))


def test_an_object_that_cannot_be_printed_is_named_by_its_kind() -> None:
    """An agent would fail because Lictor looks at it."""
    assert canonical_step(published({"x": [Odd()], Odd(): 1}, ""))[0].arguments == {"x": ["<Odd>"], "<Odd>": 1}


@pytest.mark.parametrize("levels", [31, 32, 33, 500])
def test_arguments_are_cut_at_the_depth_that_is_read(levels: int) -> None:
    """A deeply nested call would be lost instead of cut."""
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    assert canonical_step(published({"x": value}, ""))[0].arguments


def test_a_step_has_the_same_fields_in_the_same_order_on_both_sides() -> None:
    """A field would be published that nobody reads, or read that nobody publishes."""
    assert wire.Step.__struct_fields__ == Step.__struct_fields__
    assert wire.Step.__struct_defaults__ == Step.__struct_defaults__
    assert wire.STEP_VERSION == STEP_VERSION
    assert get_args(Origin) == wire.ORIGINS


READERS: list[tuple[str, Any]] = [
    ("command", sdk_orders.read_command),
    ("clearance", sdk_orders.read_command),
    ("containment", sdk_orders.read_containment),
    ("liveness", sdk_orders.read_liveness),
    ("policy", sdk_policy.read_policy),
]


@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
def test_what_lictor_sends_an_agent_is_read_as_it_was_meant(name: str, read: Any) -> None:
    """An agent would obey another order than was given."""
    message: dict[str, type[Message]] = {"containment": Containment, "liveness": Liveness, "policy": AgentPolicy}
    sent = message.get(name, Command).model_validate(example(name))
    heard = json.loads(msgspec.json.encode(read(sent.value())))
    assert subset(heard, json.loads(sent.value())) == []


def subset(part: Any, whole: Any, path: str = "") -> list[str]:
    """Return where the reader's values differ from what was written."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return [
            each
            for key, item in part.items()
            for each in (subset(item, whole[key], f"{path}.{key}") if key in whole else [f"{path}.{key}"])
        ]
    if isinstance(part, list) and isinstance(whole, list) and len(part) == len(whole):
        return [each for at, item in enumerate(part) for each in subset(item, whole[at], f"{path}[{at}]")]
    return [] if part == whole else [path]


def test_the_key_list_is_read_as_it_was_meant() -> None:
    """An agent would obey keys that were revoked."""
    ring = sdk_seal.Keyring(seal.public_bytes(a_private_key("root")))
    entries = (an_entry("a", "respond"), an_entry("b", "person", may=("stop",), revoked=True, expires_us=5))
    headers, value = signed_list(*entries)
    ring.load(POLICIES, KEY_LIST, headers, value)
    assert KeyList.read(value).version == ring.version
    for entry in entries:
        kept = ring._keys[entry.key_id][0]
        assert (kept.role, kept.public, kept.revoked, kept.expires_us, kept.may) == (
            entry.role, entry.public, entry.revoked, entry.expires_us, entry.may,
        )  # fmt: skip


def test_a_receipt_of_the_sdk_is_read_as_it_was_meant() -> None:
    """A stop that took effect would never be seen to have."""
    said = {**example("receipt"), "running": ("crm.get",)}
    value = sdk_orders.encode_receipt(sdk_orders.Receipt(**said))
    assert Receipt.read(value) == Receipt.model_validate(said)
