"""A step is read exactly, or refused with a word to count by; never anything in between."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.errors import BadRecord
from schemas.step import (
    MAX_DEPTH,
    MAX_STEP_BYTES,
    Cut,
    Step,
    canonical_step,
    content,
    encode_step,
    message_key,
    read_step,
)
from tests.unit.builders import AGENT, RUN, TRACE, a_step
from tests.unit.strategies import examples, json_values, steps


def fields(**changes: Any) -> dict[str, Any]:
    """Return the fields of a good tool call, with changes; None takes a field away."""
    good = {
        **msgspec.to_builtins(a_step("tool_call", tool="web.get", arguments={"url": "https://a.example"})),
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


def wire(**changes: Any) -> bytes:
    """Return the bytes of a tool call with changes."""
    return json.dumps(fields(**changes), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def with_raw(name: str, raw: bytes) -> bytes:
    """Return the bytes of a tool call with one more field, whose value is put in as it stands."""
    return wire(**{name: None})[:-1] + b',"' + name.encode() + b'":' + raw + b"}"


def refusal(value: bytes | None) -> str:
    """Return the word a value is refused with."""
    with pytest.raises(BadRecord) as caught:
        read_step(value)
    return caught.value.kind


NOT_JSON = {
    "nothing": b"",
    "half an object": wire()[:-1],
    "two objects": wire() + wire(),
    "a byte order mark": b"\xef\xbb\xbf" + wire(),
    "UTF-16": wire().decode().encode("utf-16"),
    "a comment": wire()[:-1] + b"/**/}",
    "NaN": with_raw("cost_usd", b"NaN"),
    "NaN in arguments": with_raw("arguments", b'{"x":NaN}'),
    "NaN in an unknown field": with_raw("later", b"NaN"),
    "minus infinity": with_raw("cost_usd", b"-Infinity"),
    "a lone surrogate": with_raw("text", b'"\\ud800"'),
    "a lone low surrogate": with_raw("text", b'"\\udc00 and on"'),
    "a lone surrogate in arguments": with_raw("arguments", b'{"x":"\\ud83d"}'),
    "a raw control character": with_raw("text", b'"\x01"'),
}


@pytest.mark.parametrize("value", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_is_refused_as_that(value: bytes) -> None:
    """Two readers of the history would otherwise each understand another step."""
    assert refusal(value) == "not_json"


NOT_UTF8 = {
    "in a text": with_raw("text", b'"\xff"'),
    "in arguments": with_raw("arguments", b'{"x":"\xc3("}'),
    "in a key of arguments": with_raw("arguments", b'{"\xff":1}'),
    "an encoded surrogate": with_raw("text", b'"\xed\xa0\x80"'),
    "an overlong slash": with_raw("text", b'"\xc0\xaf"'),
    "in an unknown field": with_raw("later", b'"\xff"'),
    "an encoded surrogate in an unknown field": with_raw("later", b'"\xed\xa0\x80"'),
}


@pytest.mark.parametrize("value", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_invalid_utf8_is_refused_as_that(value: bytes) -> None:
    """Patterns match valid text only, so invalid text would slip past every rule."""
    assert refusal(value) == "not_utf8"


INVALID = {
    "null": b"null",
    "a list": b"[]",
    "a text": b'"step"',
    "seq is a text": wire(seq="1"),
    "seq is a fraction": wire(seq=1.5),
    "seq is true": wire(seq=True),
    "seq is 0": wire(seq=0),
    "seq is negative": wire(seq=-1),
    "seq is beyond 2^53": wire(seq=1 << 53),
    "text is a number": wire(text=5),
    "arguments is a list": wire(arguments=["x"]),
    "arguments is a text": wire(arguments="rm -rf"),
    "gate is a text": wire(gate="allow"),
    "gate says something unknown": wire(gate={"verdict": "maybe"}),
    "unknown kind": wire(kind="thought"),
    "unknown origin": wire(origin="heaven"),
    "unknown outcome": wire(outcome="perhaps"),
    "no kind": wire(kind=None),
    "no agent": wire(agent_id=None),
    "an empty agent id": wire(agent_id=""),
    "an agent id of 129 letters": wire(agent_id="a" * 129),
    "an empty run id": wire(run_id=""),
    "a short step id": wire(step_id="abc"),
    "a trace id of 33 digits": wire(trace_id="a" * 33),
    "v is 0": wire(v=0),
    "v is missing": wire(v=None),
    "tokens beyond 2^53": wire(input_tokens=1 << 53),
    "a negative duration": wire(duration_us=-1),
    "a negative cost": wire(cost_usd=-1),
    "a cost beyond any number": with_raw("cost_usd", b"1e999"),
    "an argument beyond any number": with_raw("arguments", b'{"x":1e999}'),
    "an integer of 5,000 digits": with_raw("arguments", b'{"x":' + b"1" * 5000 + b"}"),
    "a time beyond 2^62": wire(time_us=1 << 63),
    "tools of numbers": wire(tools=[1]),
    "a name of another kind in the delegation": wire(delegation=[{}]),
}


@pytest.mark.parametrize("value", INVALID.values(), ids=INVALID.keys())
def test_wrong_types_and_values_are_refused_as_invalid(value: bytes) -> None:
    """A detector would otherwise meet a value it cannot judge, and the partition would stand still."""
    assert refusal(value) == "invalid"


TWICE = {
    "at the top": wire()[:-1] + b',"tool":"mail.send"}',
    "spelt in two ways": wire()[:-1] + b',"t\\u006fol":"mail.send"}',
    "in arguments": with_raw("arguments", b'{"to":"bob","to":"eve"}'),
    "deep in arguments": with_raw("arguments", b'{"a":[{"b":{"c":1,"c":1}}]}'),
    "in the gate": with_raw("gate", b'{"verdict":"deny","verdict":"allow"}'),
    "in an unknown field": with_raw("later", b'{"x":1,"x":2}'),
    "an unknown field twice": wire()[:-1] + b',"later":1,"later":2}',
}


@pytest.mark.parametrize("value", TWICE.values(), ids=TWICE.keys())
def test_a_key_that_stands_twice_is_refused(value: bytes) -> None:
    """The detector would judge one recipient and the tool use the other."""
    assert refusal(value) == "duplicate_keys"


def nested(levels: int, inner: bytes = b"1") -> bytes:
    """Return a JSON value of that many levels."""
    return b'{"a":[' * (levels // 2) + inner + b"]}" * (levels // 2)


@pytest.mark.parametrize("name", ["arguments", "later"])
def test_ten_thousand_levels_are_refused(name: str) -> None:
    """One record would otherwise end every worker that reads it, again and again."""
    assert refusal(with_raw(name, nested(10_000))) == "too_deep"


def test_arguments_nest_as_deep_as_the_sdk_writes_them_and_no_deeper() -> None:
    """A recipient hidden below the depth that detectors look into would be judged by nobody."""
    assert read_step(with_raw("arguments", nested(MAX_DEPTH))).arguments
    assert refusal(with_raw("arguments", nested(MAX_DEPTH + 2))) == "too_deep"


def test_many_shallow_values_are_not_taken_for_deep_ones() -> None:
    """A call with a long list of objects would be lost."""
    rows = [{"id": number} for number in range(500)]
    assert read_step(wire(arguments={"rows": rows, "text": "[" * 500})).arguments


def test_three_megabytes_are_refused_unread() -> None:
    """A flood of huge steps would fill the memory of the workers."""
    assert refusal(wire(text="x" * (3 << 20))) == "too_large"
    assert refusal(b" " * (MAX_STEP_BYTES + 1)) == "too_large"


def test_the_largest_step_is_read() -> None:
    """A step just within the bound would be lost."""
    room = MAX_STEP_BYTES - len(wire(text=""))
    assert len(read_step(wire(text="x" * room)).text) == room


def test_a_tombstone_is_refused() -> None:
    """Whoever can write to the topic could make steps vanish from judgement."""
    assert refusal(None) == "empty"


@pytest.mark.parametrize("changes", [{}, {"kind": "dream"}, {"tool": {"name": "x"}}, {"run_id": None}])
def test_a_newer_format_is_refused_with_what_to_do(changes: dict[str, Any]) -> None:
    """An operator would look for a broken agent where Lictor is too old."""
    with pytest.raises(BadRecord, match="upgrade Lictor first") as caught:
        read_step(wire(v=2, **changes))
    assert caught.value.kind == "version"


BAD_TRACES = ["4BF92F3577B34DA6A3CE929D0E0E4736", "4bf92f", "0" * 32, "g" * 32, "4bf92f3577b34da6a3ce929d0e0e473\u00e9"]


@pytest.mark.parametrize("trace_id", BAD_TRACES)
def test_a_trace_id_that_is_not_w3c_is_refused(trace_id: str) -> None:
    """One workflow would be torn into two that no detector sees together."""
    assert refusal(wire(trace_id=trace_id)) == "trace_id"


@pytest.mark.parametrize(
    "changes", [{"step_id": "0" * 32}, {"agent_id": "other"}, {"run_id": "other"}, {"seq": 2}, {"trace_id": "a" * 32}]
)
def test_an_id_that_does_not_belong_to_the_step_is_refused(changes: dict[str, Any]) -> None:
    """A step could overwrite another one in the history, or take its clearance."""
    assert refusal(wire(**changes)) == "step_id"


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "\x1b[2J", "a\u202eb", "a\u2028b", "a\x7fb"])
@pytest.mark.parametrize("field", ["agent_id", "run_id"])
def test_control_characters_in_ids_are_refused(field: str, name: str) -> None:
    """An agent could write lines of its own into an operator's terminal, or pass for another."""
    said = {"agent_id": AGENT, "run_id": RUN, field: name}
    step_id = ids.step_id(said["agent_id"], said["run_id"], TRACE, 1)
    assert refusal(wire(**said, step_id=step_id)) == "control_characters"


def test_fields_of_a_later_version_are_ignored() -> None:
    """Agents could not be upgraded before Lictor is."""
    step, kept = canonical_step(wire(later={"x": [1, 2]}, risk_score=0.5))
    assert step == read_step(wire())
    assert kept == encode_step(step)


def test_order_and_spacing_do_not_matter() -> None:
    """Agents in other languages could not publish steps."""
    backwards = dict(reversed(list(fields().items())))
    step, kept = canonical_step(json.dumps(backwards, indent=2).encode())
    assert step == read_step(wire())
    assert kept == encode_step(step)


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31mred", "\u202egnp.exe", "\U0001f512", "line\nline", "\\ud800"])
def test_text_may_hold_any_character(text: str) -> None:
    """What an attacker wrote would be kept from the detectors that look for it."""
    assert read_step(encode_step(a_step(text=text))).text == text
    assert read_step(wire(text=text)).text == text


def test_the_largest_count_is_read() -> None:
    """A step just within the bound would be lost."""
    assert read_step(wire(input_tokens=(1 << 53) - 1)).input_tokens == (1 << 53) - 1


def test_a_number_of_four_hundred_digits_is_read_exactly() -> None:
    """An amount would be another in the history than at the tool."""
    assert read_step(wire(arguments={"amount": 10**400})).arguments == {"amount": 10**400}


def test_a_step_outside_a_trace_travels_under_its_run() -> None:
    """Starts and ends of a run would land on a worker that does not know it."""
    assert message_key(a_step("run_started", trace_id="")) == RUN
    assert message_key(a_step("message")) == TRACE


def test_the_digest_covers_what_a_step_says_and_not_when() -> None:
    """A clearance would fit another call, or not fit the same one told again."""
    call = a_step("tool_call", tool="pay", arguments={"amount": 5})
    later = a_step("tool_call", tool="pay", arguments={"amount": 5}, seq=9, time_us=0, reasoning="trust me")
    other = a_step("tool_call", tool="pay", arguments={"amount": 50})
    assert content(call) == content(later)
    assert call.digest == later.digest != other.digest


def test_defaults_are_not_written() -> None:
    """Every step on the firehose would carry forty empty fields."""
    assert set(msgspec.to_builtins(a_step())) == {
        "v", "step_id", "agent_id", "run_id", "trace_id", "seq", "kind", "time_us", "digest",
    }  # fmt: skip


def test_cut_bodies_keep_their_length_and_digest() -> None:
    """Nobody could tell that the end of a long document was never judged."""
    step = a_step("tool_result", tool="web.get", cut={"text": Cut(100_000, "d" * 32)})
    assert read_step(encode_step(step)).cut == {"text": Cut(100_000, "d" * 32)}


@examples(150)
@given(steps())
def test_every_step_survives_encoding(step: Step) -> None:
    """Replay and backtest would judge other steps than were judged live."""
    value = encode_step(step)
    assert canonical_step(value) == (step, value)


@examples(200)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_happens(value: bytes) -> None:
    """One garbage record would stop a partition for good."""
    assert refusal(value) in {"not_json", "invalid", "not_utf8"}


@examples(250)
@given(steps(), st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=3)), min_size=1, max_size=4))
def test_a_step_with_bytes_changed_is_read_or_refused(step: Step, changes: list[tuple[int, bytes]]) -> None:
    """One damaged record would stop a partition for good."""
    value = bytearray(encode_step(step))
    for at, put in changes:
        value[at % len(value) : at % len(value) + 1] = put or b"\x00"
    _read_or_refuse(bytes(value))


@examples(200)
@given(steps(), st.sampled_from(Step.__struct_fields__), json_values())
def test_a_step_with_a_field_replaced_is_read_or_refused(step: Step, name: str, value: Any) -> None:
    """An agent could end the worker that judges it by giving a field a surprising value."""
    _read_or_refuse(msgspec.json.encode({**msgspec.to_builtins(step), name: value}))


def _read_or_refuse(value: bytes) -> None:
    """What is read is canonical: reading its canonical bytes gives the same step."""
    try:
        step, kept = canonical_step(value)
    except BadRecord:
        return
    assert canonical_step(kept) == (step, kept)
