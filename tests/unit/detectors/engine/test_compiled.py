"""The compiled matcher against the plain one, and what it does when something breaks."""

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.engine.compiled import Compiled
from detectors.engine.engine import Engine, compile_sources, read_engine
from detectors.engine.load import load_rules
from detectors.engine.plan import About, Both, Either, Neither, Node, Rule, RuleSet
from detectors.engine.plan import Test as Asks
from detectors.engine.text import fold
from schemas.errors import BadRecord
from tests.reference.plain_matcher import matches
from tests.unit.detectors.engine.engine_builders import HEAD, NOTHING, Known, rule_of, seen

LETTERS = (
    *(
        "drop",
        "DROP",
        "É",
        "é",
        "ß",
        "ss",
        "\u212a",
        "k",
        "ſ",
        "s",
        "\n",
        "\0",
        "$",
        "^",
        "a",
        "b",
        " ",
        "*",
        "?",
        "\\",
        "\v",
    ),
    *(
        "%64rop",
        "%2564rop",
        "ZHJvcCB0YWJsZSBub3c=",
        "WkhKdmNDQjBZV0pzWlNCdWIzYz0",
        "dr\u200bop",
        "dгор",
        "ｄ",
        "\t",
        "_",
        "a\n",
    ),
    *("evil.example", "http://evil.example/a", "10.1.2.3", "true", "7", "7.5", "\f", "\r", "\x85", "a" * 17),
)
PIECES = st.sampled_from(("", *LETTERS))
TEXTS = st.lists(PIECES, max_size=4).map("".join)
TOOLS = st.sampled_from(["", "send_email", "bash", "web.get", "drop", "DROP", "write_file"])
JSON = st.recursive(
    TEXTS
    | st.integers(-10, 10)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
STEPS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["message", "tool_call", "tool_result", "model_call", "handoff"]),
        "text": TEXTS,
        "error": TEXTS,
        "tool": TOOLS,
        "origin": st.sampled_from(["", "web", "user", "file"]),
        "arguments": st.none()
        | st.dictionaries(st.sampled_from(["a", "b", "url", "command", "path", "a.b"]), JSON, max_size=3),
        "input_tokens": st.integers(0, 9),
        "labels": st.lists(st.sampled_from(["pii", "drop"]), max_size=2).map(tuple),
    }
)
FIELDS = st.sampled_from(
    [
        *(
            "",
            "text",
            "error",
            "argument",
            "arguments.a",
            "arguments.a.b",
            "argument_name",
            "tool",
            "kind",
            "origin",
            "labels",
        ),
        *(
            "event_type",
            "command",
            "file_path",
            "url",
            "content",
            "traits",
            "destination.host",
            "destination.domain",
            "source",
        ),
        *("value.origin", "value.origin.a", "run.tool_calls", "input_tokens", "gate.verdict"),
    ]
)
REGEXES = st.sampled_from(
    [
        *(
            "drop",
            "^drop$",
            "(?i)drop",
            "d.op",
            "$",
            "^$",
            "",
            "a*",
            "a|b",
            r"\bdrop\b",
            "(?m)^a$",
            "(?s)a.b",
            "é",
            "(?i)é",
            "[^a]",
        ),
        *(
            r"\s",
            r"\S",
            r"[^\s]b",
            r"\Adrop",
            r"drop\z",
            r"\x00",
            "(?i)k",
            "(?i)s{2}",
            "[[:alpha:]]{4}",
            r"\Qa*\E",
            "(?-s)a.b",
            "(?U)a+",
        ),
        *(
            r"\w+\.example",
            r"^\d+$",
            "d[rR]op",
            "drop|É",
            r"\pL",
            "(?P<n>drop)",
            "[]a]",
            r"a\v",
            ".",
            "(?i)^ß$",
            r"\\",
            r"\$",
        ),
    ]
)
PLAIN = st.sampled_from(["eq", "contains", "startswith", "endswith"])
FLAGS = st.sampled_from(["", "i", "m", "s", "ims"])
NUMBERS = st.sampled_from([-1.0, 0.0, 7.0, 7.5])


def _text_test(field: str, op: str, text: str, cased: bool) -> Asks:
    text = text.encode("utf-8", "ignore").decode()  # YAML holds no half surrogates
    return Asks(field, op, text if cased else fold(text), cased=cased)  # type: ignore[arg-type]


TESTS = st.one_of(
    st.builds(_text_test, FIELDS, PLAIN, TEXTS, st.booleans()),
    st.builds(_text_test, FIELDS, st.just("glob"), st.lists(PIECES | st.just("*"), max_size=4).map("".join), st.booleans()),
    st.builds(lambda field, regex, flags: Asks(field, "re", regex, flags=flags), FIELDS, REGEXES, FLAGS),
    st.builds(
        lambda field, op, number: Asks(field, op, number=number, numeric=True),
        FIELDS, st.sampled_from(["eq", "lt", "lte", "gt", "gte"]), NUMBERS,
    ),
    st.builds(lambda field, number: Asks(field, "exists", number=number), FIELDS, st.sampled_from([0.0, 1.0])),
    st.builds(lambda field: Asks(field, "null"), FIELDS),
    st.builds(lambda field: Asks(field, "cidr", "10.0.0.0/8"), FIELDS),
    st.builds(lambda a, b, op: Asks(a, "fieldref", b, flags=op), FIELDS, FIELDS, PLAIN),
    st.builds(lambda hour: Asks("time_us", "time", number=hour, flags="hour"), st.sampled_from([0.0, 8.0, 23.0])),
)  # fmt: skip
NODES: st.SearchStrategy[Node] = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: Both(tuple(items))),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: Either(tuple(items))),
        inner.map(Neither),
    ),
    max_leaves=5,
)
CONTEXTS = st.dictionaries(
    st.sampled_from(["value.origin", "value.origin.a", "run.tool_calls"]),
    st.lists(st.sampled_from(["untrusted", "person", "drop", 3.0, 7.0]), max_size=2).map(tuple),
).map(Known)


def rules_of(nodes: list[Node]) -> RuleSet:
    """Return conditions as a set of rules."""
    return RuleSet(tuple(Rule(id=f"r{n}", about=About(title="t"), condition=node) for n, node in enumerate(nodes)))


def ids_of(compiled: Compiled, step: Any, context: Any = NOTHING) -> list[str]:
    """Return which rules hold; none may fail."""
    outcome = compiled.match(step, context)
    assert not outcome.failed, outcome.failed
    return [rule.id for rule in outcome.fired]


@settings(max_examples=300, deadline=None)
@given(nodes=st.lists(NODES, min_size=1, max_size=7), steps=st.lists(STEPS, min_size=1, max_size=4), context=CONTEXTS)
@example(nodes=[Asks("text", "re", "^$")], steps=[{"kind": "message", "text": "\n"}], context=NOTHING)
@example(nodes=[Asks("text", "re", "(?i)k.$")], steps=[{"kind": "message", "text": "\u212aß"}], context=NOTHING)
@example(nodes=[Asks("text", "re", "a$")], steps=[{"kind": "message", "text": "a\nb"}], context=NOTHING)
@example(
    nodes=[Asks("argument", "eq", "é\0x")], steps=[{"kind": "tool_call", "arguments": {"a": ["É\0X"]}}], context=NOTHING
)
def test_the_compiled_matcher_finds_what_the_plain_one_finds(
    nodes: list[Node], steps: list[dict[str, Any]], context: Known
) -> None:
    """A rule would be silent, or fire, because of how it was made fast."""
    rules = rules_of(nodes)
    compiled = Compiled(rules, None)
    for fields in steps:
        step = seen(**fields)
        assert ids_of(compiled, step, context) == matches(rules, step, context)


DIFFERING = (
    *(
        r"\S",
        r"a\S",
        r"\Sb",
        r"[\S]b",
        r"[^\s]b",
        r"a\v",
        r"\Adrop",
        r"drop\z",
        "(?m)^$",
        "(?m)a$\n^$",
        "(?-m:^k)",
        "(?-s)a.b",
    ),
    *(
        "(?i)k.$",
        "(?i)s{2}",
        "(?i)é",
        "(?i)^ß$",
        r"(?i)\x{e9}",
        "(?U)a+",
        r"\Qa*\E",
        r"\pL",
        r"\012",
        "[]a]",
        "[[:alpha:]]{4}",
    ),
    *("^.$", "^..$", "[^a]", r"[^\w]a", r"\Ba", "(?P<n>drop)", "drop|É", "^$", "", "a*", r"\x00"),
)
"""Expressions that RE2 and Hyperscan read otherwise, or nearly."""


@pytest.mark.parametrize("regex", DIFFERING)
def test_expressions_that_the_engines_read_otherwise_are_found_as_re2_finds_them(regex: str) -> None:
    """A rule would be silent wherever Hyperscan's reading of its expression is narrower."""
    chance = random.Random(7)
    for flags in ("", "i", "m", "ims"):
        rules = rules_of([Asks("text", "re", regex, flags=flags), Asks("error", "re", regex, flags=flags)])
        compiled = Compiled(rules, None)
        for _ in range(60):
            text = "".join(chance.choices(LETTERS, k=chance.randrange(5)))
            step = seen(text=text, error=chance.choice(("", "z", "k", "a")))
            assert ids_of(compiled, step) == matches(rules, step, NOTHING), repr(text)


def test_a_cache_gives_the_same_matches() -> None:
    """A worker that starts from its cache would judge otherwise than the one that compiled."""
    files = {
        "a.yml": rule_of("a:\n  text|contains: drop\ncondition: a"),
        "b.yml": rule_of("a:\n  text|re: x+y$\ncondition: a", HEAD.replace("t\n", "u\n")),
    }
    engine = read_engine(compile_sources(files))
    assert ids_of(engine.compiled, seen(text="Drop xxy")) == ["t", "u"]
    assert ids_of(engine.compiled, seen(text="nothing")) == []


def test_damaged_bytes_are_refused() -> None:
    """A worker would judge by rules that are no rules."""
    data = compile_sources({"a.yml": rule_of("a:\n  text|contains: drop\ncondition: a")})
    for cut in (0, 1, 20, len(data) // 2):
        with pytest.raises(BadRecord, match="damaged"):
            read_engine(data[:cut])
    for at in (0, 15, 16, 60, len(data) // 2, len(data) - 1):
        with pytest.raises(BadRecord, match="damaged"):
            read_engine(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])


def test_no_rules_match_nothing() -> None:
    """A deployment without rules would not start."""
    assert ids_of(Compiled(RuleSet(), None), seen(text="drop")) == []


@pytest.mark.parametrize("spelt", [500, 500.0, 5.5, 1e16, True, [True], {"b": [7.0]}, "500"])
@pytest.mark.parametrize("asked", [r"^\d+$", "e.16", "t.ue", "5.?5", r"\.0", "^7$", "500"])
def test_numbers_and_truth_values_are_scanned_as_tests_see_them(spelt: Any, asked: str) -> None:
    """A rule over an argument would be silent where the agent sends a number in place of a text."""
    fields = ("arguments.a", "argument", "arguments.a.b", "command", "content", "")
    tests = [Asks(field, "re", asked) for field in fields] + [Asks(field, "contains", "true") for field in fields]
    rules = rules_of([*tests, Asks("arguments.a", "contains", "e+1")])
    for arguments in ({"a": spelt}, {"command": spelt}, {"x": {"content": [spelt]}}):
        step = seen("tool_call", tool="bash", arguments=arguments)
        assert ids_of(Compiled(rules, None), step) == matches(rules, step, NOTHING)


def test_a_field_that_is_compared_with_another_is_asked_anew_on_every_step() -> None:
    """What was true of one step of a tool would be taken to hold for all."""
    rule = rule_of("call: {'tool|fieldref': arguments.name}\ncondition: call")
    engine = Engine(load_rules({"r.yml": rule}, untested=True).rules)
    named = [seen("tool_call", tool="pay", arguments={"name": name}) for name in ("other", "pay", "other")]
    assert [len(engine.compiled.match(one, NOTHING).fired) for one in named] == [0, 1, 0]
