"""Whatever an agent's code hands over becomes a step that `detect` believes; nothing of it raises, nothing is lost unsaid."""

import enum
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lictor_agent import wire
from lictor_agent.errors import LictorAgentError
from schemas import ids
from schemas.step import MAX_DEPTH, STEP_VERSION, content, read_step
from tests.unit.streams._builders import AGENT, NOW_MS, RUN, TRACE


class Text(str):
    """Text of a kind of its own."""

    __slots__ = ()


class Broken:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Colour(enum.Enum):
    """A choice."""

    RED = "red"


def published(kind: str = "tool_call", **fields: Any) -> wire.Step:
    """Return a step as a run builds it."""
    place = {"agent_id": AGENT, "run_id": RUN, "trace_id": TRACE, "seq": 1}
    said = {"v": wire.STEP_VERSION, "step_id": wire.step_id(AGENT, RUN, TRACE, 1), "time_us": NOW_MS * 1000, **place}
    return wire.Step(kind=kind, digest=wire.content_digest(kind, fields), **said, **fields)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([Colour.RED, Text("x"), object(), 10**4000, "\ud800", math.inf, 1j, ...])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(LEAVES, inner, max_size=4)
        | st.tuples(inner)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_any_arguments_become_a_step_that_is_believed(arguments: dict[str, Any]) -> None:
    """A call with an odd argument would raise in the agent's own code, or go to dead letters."""
    step = published(tool="x", arguments=wire.plain_json(arguments))
    read = read_step(wire.encode(step))
    assert read.digest == ids.content_digest(content(read))
    assert set(read.arguments or {}) == {wire.plain_json(key) for key in arguments}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (1, 1),
        (True, True),
        (None, None),
        (1.5, 1.5),
        ("é", "é"),
        (Text("t"), "t"),
        ((1, 2), [1, 2]),
        ({1}, [1]),
        ({1: 2, None: 3, (4, 5): 6}, {"1": 2, "None": 3, "(4, 5)": 6}),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (b"x", "b'x'"),
        (Colour.RED, "<Colour.RED: 'red'>"),
        (Broken(), "<Broken>"),
        ("a\ud800b", "a?b"),
        (2**64, 2**64),
        (2**20_000, hex(2**20_000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_becomes_text(value: object, plain: object) -> None:
    """A finding would show something else than the agent did."""
    found = wire.plain_json(value)
    assert found == plain
    assert type(found) is type(plain)


def test_objects_that_cannot_be_shown_are_named_by_their_kind() -> None:
    """An agent would fail because it is looked at."""
    found = wire.plain_json({Broken(): [Broken(), {"a": Broken()}]})
    assert found == {"<Broken>": ["<Broken>", {"a": "<Broken>"}]}


def test_arguments_are_cut_off_where_detectors_stop_looking() -> None:
    """A call could hide its destination deeper than anybody looks, or make itself unreadable."""
    deep: Any = "eve@evil.example"
    for _ in range(100):
        deep = {"a": deep}
    text = wire.encode(published(tool="x", arguments=wire.plain_json(deep))).decode()
    assert read_step(text.encode()).arguments is not None
    assert "eve" not in text
    assert text.count('"a":') == MAX_DEPTH


def test_a_value_that_holds_itself_ends() -> None:
    """One odd argument would hang the agent."""
    loop: list[Any] = []
    loop.append(loop)
    assert "…" in str(wire.plain_json(loop))


@pytest.mark.parametrize("length", [0, wire.MAX_BODY - 1, wire.MAX_BODY])
def test_a_body_of_at_most_64_kib_is_whole(length: int) -> None:
    """Honest content would count as truncated, and so as untrusted."""
    cuts: dict[str, wire.Cut] = {}
    assert wire.shorten("x" * length, "text", b"k", cuts) == "x" * length
    assert cuts == {}


def test_a_longer_body_is_cut_and_says_so() -> None:
    """Nobody could tell that more was said, or whether two long texts were the same."""
    cuts: dict[str, wire.Cut] = {}
    long = "é" * (wire.MAX_BODY + 1)
    value = {"to": "bob", "parts": ["short", long, {"deep": long + "x"}]}
    short = wire.shorten(value, "arguments", b"key", cuts)
    assert short == {"to": "bob", "parts": ["short", long[: wire.PREVIEW], {"deep": long[: wire.PREVIEW]}]}
    assert {path: cut.length for path, cut in cuts.items()} == {
        "arguments.parts[1]": len(long),
        "arguments.parts[2].deep": len(long) + 1,
    }
    assert len({cut.digest for cut in cuts.values()}) == 2


def test_the_digest_of_what_was_cut_tells_nobody_without_the_key() -> None:
    """Whoever reads the topic could try which document was sent."""
    digests = set()
    for key in (b"one", b"two"):
        cuts: dict[str, wire.Cut] = {}
        wire.shorten("x" * (wire.MAX_BODY + 1), "text", key, cuts)
        digests.add(cuts["text"].digest)
    assert len(digests) == 2


@given(st.text(), st.text(), st.text(), st.integers(1, 1 << 53))
@settings(max_examples=100, deadline=None)
def test_ids_are_the_ones_that_lictor_computes(agent_id: str, run_id: str, trace_id: str, seq: int) -> None:
    """Every step would be refused for an id that does not belong."""
    assert wire.step_id(agent_id, run_id, trace_id, seq) == ids.step_id(agent_id, run_id, trace_id, seq)
    assert wire.STEP_VERSION == STEP_VERSION


@pytest.mark.parametrize("origin", wire.ORIGINS)
def test_known_origins_are_taken(origin: str) -> None:
    """An agent could not say where its content comes from."""
    wire.must_be_origin(origin)
    assert read_step(wire.encode(published("message", text="x", origin=origin))).origin == origin


@pytest.mark.parametrize("origin", ["", "User", "internet", "system"])
def test_an_unknown_origin_is_refused_where_it_is_given(origin: str) -> None:
    """The mistake would show as a dead letter, far from the line that made it."""
    with pytest.raises(LictorAgentError, match="origin must be one of user, operator"):
        wire.must_be_origin(origin)


@pytest.mark.parametrize("value", ["x" * 500, "漢" * 200, "\ud800", "ok", "", Broken()], ids=lambda v: type(v).__name__)
def test_names_are_plain_and_short(value: Any) -> None:
    """A long name of a tool would make its calls unreadable."""
    name = wire.name_of(value)
    assert len(name) <= wire.NAME
    assert name.encode().decode() == name
