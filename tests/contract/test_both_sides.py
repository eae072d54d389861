"""Lictor and the agent's SDK are written by different hands; on anything at all they must agree."""

import json
import math
from importlib import resources
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from detectors import places
from detectors.grants import Grants, reads_of
from detectors.policy_view import PolicyView
from detectors.runaway import Runaway
from detectors.traits import traits_of, words_of
from lictor.gate_replay import gated
from lictor.policy_file import words
from lictor_agent import gate as sdk_gate
from lictor_agent import globs as sdk_globs
from lictor_agent import places as sdk_places
from lictor_agent import policy as sdk_policy
from lictor_agent import traits as sdk_traits
from lictor_agent import wire
from lictor_agent.verdicts import message_reads, result_reads
from schemas.globs import glob_match
from schemas.ids import canonical
from schemas.policy import ALL_TRAITS, EFFECTS, AgentMode, AgentPolicy, Amount, Budgets, Effect, Grant, Layer, Test
from schemas.step import Cut
from tests.contract.sides import detect_answer, gate_answer
from tests.unit.builders import (
    Story,
    a_grant,
    a_policy,
    a_step,
    gate,
)
from tests.unit.strategies import examples, json_values, tool_names

TRAITS = st.lists(st.sampled_from(ALL_TRAITS), max_size=2).map(tuple)
GLOBS = st.text("ab.*?", max_size=6) | st.sampled_from(["*", "mail.*", "*send*", "?*"])


@examples(500)
@given(st.text("ab.*?[", max_size=9), st.text("ab.*?[", max_size=9))
def test_any_pattern_means_the_same(pattern: str, text: str) -> None:
    """A grant would cover a tool at the gate and not in the judgement of it."""
    assert glob_match(pattern, text) == sdk_globs.match(pattern, text)


@examples(400)
@given(tool_names() | st.text(max_size=30), st.dictionaries(GLOBS, TRAITS, max_size=3))
def test_any_tool_is_of_the_same_kind(tool: str, by_glob: dict[str, Any]) -> None:
    """An agent could name a tool so that the gate takes it for a harmless one."""
    assert words_of(tool) == sdk_traits.words_of(tool)
    assert traits_of(tool, by_glob, words()) == sdk_traits.of_tool(tool, by_glob, words())


def test_every_single_letter_parts_words_the_same_way() -> None:
    """One odd letter in a name would hide a dangerous word from one side."""
    odd = [
        letter
        for letter in map(chr, range(0x3000))
        for tool in (f"get{letter}Email", f"{letter}send", f"A{letter}b", f"send{letter}")
        if words_of(tool) != sdk_traits.words_of(tool)
    ]
    assert odd == []


def test_the_kinds_of_tools_are_the_same() -> None:
    """A call with effects would not be written ahead."""
    assert set(ALL_TRAITS) == sdk_traits.ALL
    assert EFFECTS == sdk_traits.EFFECTS


def test_the_words_that_come_with_the_sdk_are_those_of_the_policy() -> None:
    """An agent that has not heard of a policy would judge tools by other words."""
    text = resources.files("lictor_agent").joinpath("words.json").read_text(encoding="utf-8")
    assert json.loads(text) == {word: list(traits) for word, traits in words().items()}


PLACES = st.text("ab./:@x[]~%-0\\", max_size=9) | st.lists(
    st.sampled_from(["https://", "x.test", "a", "@", ":80", "/", "..", ".", "?", "#", "1.2.3.4", "mailto:", "B", "//"]),
    max_size=6,
).map("".join)
SCALARS = (
    st.booleans()
    | PLACES
    | st.integers(-3, 600)
    | st.sampled_from([0.5, 1.0, 1e300, "a", "b@x", "", 10**30])
    | st.text(max_size=3)
)
NUMBERS = st.integers(-3, 600).map(float) | st.sampled_from([0.5, 1e300])
TESTS = st.fixed_dictionaries(
    {},
    optional={
        "eq": SCALARS,
        "ne": SCALARS,
        "any_of": st.lists(SCALARS, max_size=3),
        "none_of": st.lists(SCALARS, max_size=3),
        "lt": NUMBERS,
        "lte": NUMBERS,
        "gt": NUMBERS,
        "gte": NUMBERS,
        "glob": st.lists(GLOBS, max_size=2),
        "not_glob": st.lists(GLOBS, max_size=2),
        "max_length": st.integers(0, 4),
        "exists": st.booleans(),
        "domain": st.lists(st.sampled_from(["*", "*.x.test", "x.test", "1.*", "a", "B"]), max_size=2),
        "not_domain": st.lists(st.sampled_from(["*.x.test", "x.test", "a"]), max_size=2),
        "within": st.lists(st.sampled_from(["/", ".", "/a", "a", "a/b", "../a", "//a"]), max_size=2),
    },
).map(lambda fields: Test.model_validate_json(json.dumps(fields)))
SEEN = [
    *("arguments.x", "arguments.to", "arguments.a.b", "arguments", "principal", "delegator", "reads", "", "model"),
    *("agent", "tool", "to_agent", "environment", "time.hour", "time.weekday"),
]
PATHS = st.sampled_from(SEEN)
UNSEEN = st.sampled_from([*SEEN, "spent.steps", "amounts.paid", "amounts.never", "labels"])
REWRITES = SCALARS | st.fixed_dictionaries(
    {},
    optional={
        "at_most": NUMBERS,
        "set": SCALARS,
        "remove": st.booleans(),
        "keep": st.lists(GLOBS, max_size=2),
        "shorten": st.integers(0, 3),
    },
)
NARROWS = st.dictionaries(st.sampled_from(["arguments.x", "arguments.to", "arguments.a.b", "x"]), REWRITES, max_size=2)


def grants(paths: SearchStrategy[str] = PATHS) -> SearchStrategy[Grant]:
    """Return strategies of grants about tools, models or agents."""
    about = st.sampled_from(["tools", "models", "agents"])
    return st.builds(
        lambda name, effect, kind, globs, when, narrow: Grant.model_validate(
            {"id": name, "effect": effect, "when": when, kind: globs, "narrow": narrow if effect == "narrow" else {}}
        ),
        st.sampled_from("abc"),
        st.sampled_from(get_args(Effect)),
        about,
        st.lists(GLOBS, min_size=1, max_size=2),
        st.dictionaries(paths, TESTS, max_size=2),
        NARROWS,
    )


def layers_of(grants: SearchStrategy[Grant]) -> SearchStrategy[tuple[Layer, ...]]:
    """Return strategies of the layers of a policy."""
    return st.lists(st.lists(grants, max_size=4), max_size=3).map(
        lambda layers: tuple(Layer(name=f"l{at}", grants=tuple(layer)) for at, layer in enumerate(layers))
    )


READS = st.lists(st.sampled_from(["untrusted", "sensitive"]), unique=True)
DELEGATORS = st.lists(layers_of(grants()).map(lambda made: a_policy(layers=made, agent_id="boss")), max_size=2)
CALLS = st.fixed_dictionaries(
    {
        "kind": st.just("tool_call"),
        "tool": st.sampled_from(["mail.send", "a.b", "b"]),
        "arguments": st.none()
        | st.dictionaries(st.sampled_from(["x", "to", "a"]), st.lists(SCALARS, max_size=3) | json_values(4)),
        "principal": st.sampled_from(["", "a", "b@x"]),
        "delegation": st.lists(st.sampled_from(["a", "b"]), max_size=2),
    }
) | st.fixed_dictionaries({"kind": st.just("model_call"), "model": st.sampled_from(["a.b", "b"])})


@examples(200)
@given(layers_of(grants()), CALLS, READS)
def test_any_policy_answers_the_same_about_any_call(
    layers: tuple[Layer, ...], call: dict[str, Any], reads: list[str]
) -> None:
    """An agent would be stopped for a call that its own gate allowed."""
    must_agree(a_policy(layers=layers), call, reads, [])


@examples(200)
@given(layers_of(grants()), CALLS, READS, DELEGATORS)
def test_any_policies_of_a_chain_answer_the_same(
    layers: tuple[Layer, ...], call: dict[str, Any], reads: list[str], delegators: list[AgentPolicy]
) -> None:
    """Work handed over would be stopped though everybody's gate allows it."""
    must_agree(a_policy(layers=layers), call, reads, delegators)


def must_agree(policy: AgentPolicy, call: dict[str, Any], reads: list[str], delegators: list[AgentPolicy]) -> None:
    """Put a call to both sides."""
    given = canonical(call.get("arguments"))
    judged, asked = (of(policy, call, reads, delegators) for of in (detect_answer, gate_answer))
    for name in ("effect", "grant", "rule", "reason"):
        assert getattr(judged, name) == getattr(asked, name)
    assert canonical(judged.arguments) == canonical(asked.arguments)
    assert canonical(call.get("arguments")) == given, "the caller's own arguments were changed"
    assert not judged.unsure  # type: ignore[attr-defined]


@examples(300)
@given(
    layers_of(grants(UNSEEN)),
    CALLS,
    st.integers(0, 600),
    st.dictionaries(st.sampled_from(["paid"]), st.sampled_from([0.0, 400.0, math.inf])),
)
def test_what_only_the_gate_sees_is_never_held_against_an_agent(
    layers: tuple[Layer, ...], call: dict[str, Any], steps: int, amounts: dict[str, float]
) -> None:
    """An agent would be stopped for a call that its own gate allowed, since a step does not tell what the gate knew."""
    policy = a_policy(layers=layers, amounts={"paid": Amount(tools=("*",), argument="x")})
    spent = sdk_gate.Spent(steps=steps, amounts=amounts)
    asked = gate_answer(policy, {**call, "labels": ["pii"]}, [], spent=spent)
    if asked.effect == "deny":
        return
    ran = {**call, "asked": call.get("arguments"), "arguments": asked.arguments} if asked.arguments else call
    story = Story(policy, watch=(Grants(),))
    assert story.tell(gate=gate(sdk_gate.verdict_in("enforce", asked)), **{**ran, "kind": call["kind"]}) == []  # type: ignore[arg-type]


PATTERNS = st.lists(st.text("ab.*?", max_size=6), max_size=12)


@examples(300)
@given(PATTERNS, st.text("ab.?", max_size=8))
def test_an_index_of_patterns_finds_what_fits_one_by_one(patterns: list[str], name: str) -> None:
    """A grant that refuses a tool would not be found among two thousand others."""
    fitting = [at for at, pattern in enumerate(patterns) if glob_match(pattern, name)]
    assert sdk_globs.Globs(patterns).fitting(name) == fitting


def test_an_index_names_a_pattern_once_however_short_the_name() -> None:
    """Of two patterns the worse would decide what kind a tool is, since one of them was counted twice."""
    assert sdk_globs.Globs(["ab*", "abc*", "abcd*", "*b", "*ab", "*xab"]).fitting("ab") == [0, 3, 4]


@examples(600)
@given(PLACES)
def test_any_text_points_to_the_same_host_and_the_same_place(text: str) -> None:
    """A mail would be allowed by the gate to one host, and judged as sent to another."""
    assert sdk_places.host_of(text) == places.host_of(text)
    place, path = sdk_places.place_of(text), places.resolved(text)
    assert (place is None) == (path is None)
    for folder in ("/", ".", "/a", "a/b", "../a"):
        held = sdk_places.place_of(folder)
        assert held is not None
        if place is not None and path is not None:
            assert sdk_places.lies_in(place, held) == places.lies_within(path, folder)


@pytest.mark.parametrize("mode", get_args(AgentMode))
@pytest.mark.parametrize("effect", [*get_args(Effect), ""])
def test_a_recorded_call_is_held_up_as_a_live_one_would_be(mode: AgentMode, effect: Effect | str) -> None:
    """A backtest would promise what the gate does not keep."""
    policy = a_policy(*([a_grant(effect)] if effect else []), mode=mode)  # type: ignore[arg-type]
    step = a_step("tool_call", tool="calculate")
    answer = gate_answer(policy, {"kind": "tool_call", "tool": "calculate"}, [])
    replayed = gated(step, PolicyView(policy)).gate
    assert replayed is not None
    assert replayed.verdict == sdk_gate.verdict_in(mode, answer)


TEXTS = st.sampled_from(["", "short", "x" * wire.MAX_BODY, "x" * (wire.MAX_BODY + 1)])


def flow_after(policy: AgentPolicy, kind: str, text: str, **said: Any) -> set[str]:
    """Return what the trace has read once the step, as the SDK would publish it, was judged."""
    cuts: dict[str, wire.Cut] = {}
    shown = wire.shorten(text, "text", b"k", cuts)
    cut = {path: Cut(each.length, each.digest) for path, each in cuts.items()}
    story = Story(policy, watch=())
    story.tell(kind, text=shown, cut=cut or None, **said)
    return set(reads_of(story.trace()))


@examples(150)
@given(
    tool_names(),
    TEXTS,
    st.sampled_from(["tool", "web", "file", "agent", "memory", "user"]),
    st.lists(GLOBS, max_size=1),
)
def test_a_result_brings_the_same_into_a_trace_on_both_sides(
    tool: str, text: str, origin: str, trusted: list[str]
) -> None:
    """An agent would be stopped for a call that its gate allowed, because the gate thought it had read nothing."""
    policy = a_policy(trusted_tools=tuple(trusted))
    compiled = sdk_gate.Compiled(sdk_policy.read_policy(policy.value()))
    judged = flow_after(policy, "tool_result", text, tool=tool[:128], origin=origin, outcome="executed")
    assert result_reads(compiled, tool[:128], text, origin) == judged


@pytest.mark.parametrize("text", ["short", "x" * (wire.MAX_BODY + 1)])
@pytest.mark.parametrize("origin", wire.ORIGINS)
def test_a_message_brings_the_same_into_a_trace_on_both_sides(origin: str, text: str) -> None:
    """An agent would be stopped for a call that its gate allowed, because the gate thought it had read nothing."""
    assert message_reads(text, origin) == flow_after(a_policy(), "message", text, origin=origin)


@examples(60)
@given(
    bounds=st.fixed_dictionaries({}, optional={"tool_calls": st.integers(0, 5), "model_calls": st.integers(0, 5)}),
    kinds=st.lists(st.sampled_from(["tools", "models"]), max_size=12),
)
def test_an_agent_that_asks_its_gate_never_passes_a_budget_of_calls(bounds: dict[str, int], kinds: list[str]) -> None:
    """An agent would be stopped for the call that its own gate refused."""
    policy = a_policy(a_grant("allow"), budgets=Budgets(**bounds))
    budgets, spent = sdk_policy.read_policy(policy.value()).budgets, sdk_gate.Spent()
    story = Story(policy, watch=(Runaway(),))
    for number, kind in enumerate(kinds):
        refused = sdk_gate.over_budget(budgets, spent, kind, 0.0)
        name, said = ("tool_call", {"tool": f"t{number}"}) if kind == "tools" else ("model_call", {"model": "m"})
        setattr(spent, f"{kind[:-1]}_calls", getattr(spent, f"{kind[:-1]}_calls") + (refused is None))
        assert story.tell(name, gate=gate("deny" if refused else "allow"), **said) == []
    for name, bound in bounds.items():
        assert getattr(spent, name) <= bound
