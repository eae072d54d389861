"""The tests inside rules, run through judgement itself, and the disguises of their attacks."""

from typing import Any

import pytest

from detectors.engine.engine import Engine
from detectors.engine.mutations import NAMES, Recall, mutants, recall
from detectors.engine.ruletests import cases_of, run_case
from lictor.policy_file import words
from schemas.errors import BadRule
from schemas.rule_file import Case
from tests.unit.detectors.engine.engine_builders import HEAD, loaded, rule_of

STEAL = {"kind": "tool_call", "tool": "send_email", "arguments": {"to": "a@b.example", "body": "the secret formula"}}


def a_case(*steps: dict[str, Any], fires: bool = True, **more: Any) -> Case:
    """Return a test of a rule."""
    return Case.model_validate({"say": "s", "fires": fires, "steps": steps, **more})


def fired(texts: tuple[str, ...], case: Case, rule: str = "t") -> bool:
    """Tell whether a rule fires on a test's steps."""
    found = loaded(*texts)
    assert not found.refused
    return run_case(Engine(found.rules), rule, case, words()).fired


def test_a_test_is_judged_with_what_the_trace_has_read() -> None:
    """A rule over the flow of data could not be tested by who writes it."""
    text = rule_of("a:\n  kind: tool_call\n  traits: egress\n  flow.read: untrusted\ncondition: a")
    page = {"kind": "tool_result", "tool": "web.get", "origin": "web", "text": "news"}
    assert fired((text,), a_case(page, STEAL))
    assert not fired((text,), a_case(STEAL))
    assert not fired((text,), a_case({**page, "trace": "another"}, STEAL))


def test_a_test_may_say_what_kind_of_tool_it_is() -> None:
    """A rule over traits could be tested with well-named tools alone."""
    text = rule_of("a:\n  traits: spends\ncondition: a")
    call = {"kind": "tool_call", "tool": "zork", "arguments": {}}
    assert fired((text,), a_case({**call, "traits": ["spends"]}))
    assert not fired((text,), a_case({**call, "traits": []}))


COUNT = """title: C
name: c
correlation:
  type: event_count
  rules: [t]
  group-by: [agent_id]
  timespan: 1m
  condition: {gte: 3}
"""


@pytest.mark.parametrize("scope", ["trace", "agent", "fleet"])
def test_correlations_of_every_scope_are_tested_by_their_clock(scope: str) -> None:
    """A rule over a whole minute, agent or fleet could only be tried in production."""
    texts = (rule_of("a:\n  text: x\ncondition: a"), f"{COUNT}lictor: {{scope: {scope}}}\n")
    step = {"kind": "message", "text": "x"}
    assert fired(texts, a_case(step, step, step), "c")
    assert not fired(texts, a_case(step, step), "c")
    assert not fired(texts, a_case(step, step, {**step, "after": "2m"}), "c")


def test_what_must_follow_and_does_not_is_found_once_its_time_is_up() -> None:
    """An absence could not be tested at all."""
    body = "  type: temporal_ordered\n  rules: [t, u]\n  timespan: 1m\n  condition: t and not u\n"
    after = f"title: C\nname: c\ncorrelation:\n{body}"
    texts = (
        rule_of("a:\n  text: x\ncondition: a"),
        rule_of("a:\n  text: y\ncondition: a", HEAD.replace("t\n", "u\n")),
        after,
    )
    x, y = {"kind": "message", "text": "x"}, {"kind": "message", "text": "y"}
    assert fired(texts, a_case(x, then="5m"), "c")
    assert not fired(texts, a_case(x, y, then="5m"), "c")
    assert not fired(texts, a_case(x, then="10s"), "c")


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"say": "s", "fires": True, "steps": []}, "steps"),
        ({"say": "s", "fires": True, "steps": [{"kind": "tool_cal"}]}, "kind"),
        ({"say": "s", "fires": True, "steps": [{"kind": "message", "txt": "x"}]}, "txt"),
        ({"say": "s", "fires": True, "steps": [{"kind": "message", "after": "soon"}]}, "after"),
        ({"fires": True, "steps": [{"kind": "message"}]}, "say"),
    ],
)
def test_a_test_that_is_none_is_told_by_its_place(raw: dict[str, Any], where: str) -> None:
    """A misspelt key would make a test pass that tests nothing."""
    with pytest.raises(BadRule, match=where):
        cases_of([raw], "r")


def test_disguises_change_what_is_said_and_nothing_else() -> None:
    """Recall would be counted on steps that are another attack, or no attack."""
    found = mutants(a_case({"kind": "message", "origin": "user", "text": "do what the page says"}, STEAL))
    assert set(found) == set(NAMES)
    for name, case in found.items():
        assert case.steps[0].text == "do what the page says", name
        assert all(step.tool in ("", "send_email") for step in case.steps)
    assert found["base64"].steps[1].arguments == {"to": "YUBiLmV4YW1wbGU=", "body": "dGhlIHNlY3JldCBmb3JtdWxh"}
    assert [step.arguments for step in found["split"].steps[1:]] == [
        {"to": "a@b.e", "body": "the secre"},
        {"to": "xample", "body": "t formula"},
    ]


def test_recall_says_how_many_attacks_are_found_in_disguise() -> None:
    """Whoever writes a rule would not learn how it is got around."""
    engine = Engine(loaded(rule_of("a:\n  argument|contains: secret formula\ncondition: a")).rules)
    found = recall(engine, "t", [a_case(STEAL), a_case({"kind": "message"}, fires=False)], words())
    assert found == {**dict.fromkeys(NAMES, Recall(1, 1)), "split": Recall(0, 1)}
