"""Lictor and the agent's SDK are written by different hands; on anything at all they must agree."""

import json
from importlib import resources
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from detectors.grants import reads_of
from detectors.policy_view import PolicyView
from detectors.runaway import Runaway
from detectors.traits import traits_of, words_of
from lictor.gate_replay import gated
from lictor.policy_file import words
from lictor_agent import gate as sdk_gate
from lictor_agent import globs as sdk_globs
from lictor_agent import policy as sdk_policy
from lictor_agent import traits as sdk_traits
from lictor_agent import wire
from lictor_agent.verdicts import message_reads, result_reads
from schemas.globs import glob_match
from schemas.policy import ALL_TRAITS, EFFECTS, AgentMode, AgentPolicy, Budgets, Effect, Grant, Layer, Test
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


SCALARS = (
    st.booleans()
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
        "domain": st.lists(GLOBS, max_size=2),
        "not_domain": st.lists(GLOBS, max_size=2),
        "within": st.lists(st.text("/.ab", max_size=6), max_size=2),
    },
).map(lambda fields: Test.model_validate_json(json.dumps(fields)))
ABOUT_THE_CALL = ["arguments.x", "arguments.to", "arguments.a.b", "arguments", "tool", "model", "to_agent", ""]
CIRCUMSTANCES = [
    "principal",
    "delegator",
    "reads",
    "labels",
    "agent",
    "environment",
    "time.hour",
    "time.weekday",
    "time",
]
PATHS = st.sampled_from([*ABOUT_THE_CALL, *CIRCUMSTANCES])
REWRITES = st.dictionaries(
    st.sampled_from(["arguments.x", "arguments.to", "arguments.a.b", "arguments"]),
    st.integers(-3, 9)
    | st.booleans()
    | st.sampled_from(["v", {"remove": True}, {"keep": ["*a*"]}, {"shorten": 2}, {"at_most": 1.5}, {"set": 3}]),
    max_size=2,
)


def grants() -> SearchStrategy[Grant]:
    """Return strategies of grants about tools, models or agents."""
    about = st.sampled_from(["tools", "models", "agents"])
    return st.builds(
        lambda name, effect, kind, globs, when, how: Grant.model_validate(
            {"id": name, "effect": effect, "when": when, kind: globs, "narrow": how if effect == "narrow" else {}}
        ),
        st.sampled_from("abc"),
        st.sampled_from(get_args(Effect)),
        about,
        st.lists(GLOBS, min_size=1, max_size=2),
        st.dictionaries(PATHS, TESTS, max_size=2),
        REWRITES,
    )


PLACES = st.text("ab.:/@\\[]1", max_size=12).map(lambda text: text if len(text) % 2 else f"http://{text}")
"""Texts that look like hosts, addresses and paths, and are not quite."""
CALLS = st.fixed_dictionaries(
    {
        "kind": st.just("tool_call"),
        "tool": st.sampled_from(["mail.send", "a.b", "b"]),
        "arguments": st.none()
        | st.dictionaries(st.sampled_from(["x", "to", "a"]), st.lists(SCALARS, max_size=3) | json_values(4) | PLACES),
        "environment": st.sampled_from(["", "a"]),
        "time_us": st.integers(0, 1 << 52),
        "principal": st.sampled_from(["", "a", "b@x"]),
        "delegation": st.lists(st.sampled_from(["a", "b"]), max_size=2),
    }
) | st.fixed_dictionaries({"kind": st.just("model_call"), "model": st.sampled_from(["a.b", "b"])})


@examples(500)
@given(
    st.lists(st.lists(grants(), max_size=4), max_size=3),
    CALLS,
    st.lists(st.sampled_from(["untrusted", "sensitive"]), unique=True),
    st.lists(st.lists(grants(), max_size=3), max_size=2),
)
def test_any_policy_answers_the_same_about_any_call(
    layers: list[list[Grant]], call: dict[str, Any], reads: list[str], others: list[list[Grant]]
) -> None:
    """An agent would be stopped for a call that its own gate allowed."""
    named = tuple(Layer(name=f"l{at}", grants=tuple(layer)) for at, layer in enumerate(layers))
    policy = a_policy(layers=named)
    chain = [a_policy(layers=(Layer(name="l", grants=tuple(grants)),), agent_id="boss") for grants in others]
    judged, asked = (answer(policy, call, reads, ("a",), chain) for answer in (detect_answer, gate_answer))
    said = [(found.effect, found.grant, found.rule, found.reason, found.arguments) for found in (judged, asked)]
    assert said[0] == said[1]


@pytest.mark.parametrize("mode", get_args(AgentMode))
@pytest.mark.parametrize("effect", [*get_args(Effect), ""])
def test_a_recorded_call_is_held_up_as_a_live_one_would_be(mode: AgentMode, effect: Effect | str) -> None:
    """A backtest would promise what the gate does not keep."""
    how = {"narrow": {"arguments.n": 1}} if effect == "narrow" else {}
    policy = a_policy(*([a_grant(effect, **how)] if effect else []), mode=mode)  # type: ignore[arg-type]
    step = a_step("tool_call", tool="calculate", arguments={"n": 2})
    answer = gate_answer(policy, {"kind": "tool_call", "tool": "calculate", "arguments": {"n": 2}}, [])
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
