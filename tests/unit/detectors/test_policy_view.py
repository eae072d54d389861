"""What the policy says of one step."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.policy_view import STRICTNESS, Answer, PolicyView, facts_of, holds, value_at
from schemas.policy import Effect, Grant, Layer, Rewrite, Test
from tests.unit.builders import a_grant, a_policy, a_step
from tests.unit.strategies import examples


def answer(*layers: tuple[Grant, ...], reads: tuple[str, ...] = (), kind: str = "tool_call", **said: Any) -> Answer:
    """Return what layers of grants say of a call."""
    policy = a_policy(layers=tuple(Layer(name=f"l{at}", grants=grants) for at, grants in enumerate(layers)))
    said = {"tool": "mail.send"} | said if kind == "tool_call" else said
    return PolicyView(policy).judge(a_step(kind, **said), reads)


def effect(when: dict[str, Any], arguments: dict[str, Any] | None, *, of: Effect = "allow") -> Effect:
    """Return what one conditional grant makes of a call; a grant that refuses stands beside one that allows."""
    grants = (a_grant(of, when=when, name="it"),) + ((a_grant("allow"),) if of != "allow" else ())
    return answer(grants, arguments=arguments).effect


def test_nothing_is_allowed_where_nothing_grants() -> None:
    """Enforcing an empty policy would allow everything."""
    assert answer() == Answer("deny", "", "no_grant", "no layer of the policy grants anything")
    assert answer((a_grant("allow", "web.*"),)).effect == "deny"
    assert "'mail.send'" in answer((a_grant("allow", "web.*"),)).reason


def test_an_answer_names_its_grant_and_its_reason() -> None:
    """Nobody could tell which line of the policy to change."""
    found = answer((a_grant("deny", name="no-mail", reason="mail goes through the desk"),))
    assert found == Answer("deny", "no-mail", "grant", "mail goes through the desk")
    assert answer((a_grant("allow", name="all"),)).reason == "grant all says allow"


@pytest.mark.parametrize("strict", STRICTNESS)
def test_the_strictest_grant_that_fits_decides(strict: Effect) -> None:
    """An allow written later would undo a deny."""
    said: dict[str, Any] = {"narrow": {"narrow": {"arguments.x": 1}}}
    for other in STRICTNESS[: STRICTNESS.index(strict) + 1]:
        pair = [a_grant(each, **said.get(each, {})) for each in (other, strict)]
        for grants in (pair, pair[::-1]):
            assert answer(tuple(grants), arguments={"x": 2}).effect == strict


def test_a_grant_that_narrows_has_the_arguments_rewritten() -> None:
    """A call that the policy wanted capped would be judged as allowed in full."""
    grants = (a_grant("narrow", name="cap", narrow={"arguments.limit": 10}, reason="ten at a time"), a_grant("allow"))
    asked = {"limit": 100, "of": {"x": 1}}
    assert answer(grants, arguments=asked) == Answer("narrow", "cap", "grant", "ten at a time", {**asked, "limit": 10})
    assert asked["limit"] == 100
    assert answer(grants, arguments={"limit": 10}) == Answer("allow", "cap", "grant", "ten at a time")
    assert answer((a_grant("narrow", "web.*"),)).rule == "no_grant"


@examples(100)
@given(st.lists(st.lists(st.sampled_from(STRICTNESS), max_size=3), max_size=4), st.sampled_from(STRICTNESS))
def test_another_layer_only_narrows(layers: list[list[Effect]], more: Effect) -> None:
    """A team could give its agent what the organisation refuses."""
    told = [tuple(map(a_grant, layer)) for layer in layers if layer]
    if told:
        assert STRICTNESS.index(answer(*told, (a_grant(more),)).effect) >= STRICTNESS.index(answer(*told).effect)


def test_every_layer_that_grants_must_let_the_call_through() -> None:
    """The organisation's allow would cover a tool that the agent's own list leaves out."""
    assert answer((a_grant("allow"),), (a_grant("allow", "web.*"),)).rule == "no_grant"


def test_a_layer_that_only_refuses_has_no_opinion_on_the_rest() -> None:
    """One prohibition would forbid everything else too."""
    assert answer((a_grant("deny", "shell.*"),), (a_grant("allow"),)).effect == "allow"
    assert answer((a_grant("deny", "shell.*"),)).rule == "no_grant"


def test_models_and_agents_are_free_until_a_layer_speaks_of_them() -> None:
    """A policy about tools would stop every model call."""
    tools_only = (a_grant("allow", "mail.*"),)
    assert answer(tools_only, kind="model_call", model="m").rule == "unrestricted"
    assert answer(tools_only, kind="handoff", to_agent="b").effect == "allow"
    named = (a_grant("allow", models=("small-*",)), a_grant("allow", agents=("reviewer",)))
    assert answer(named, kind="model_call", model="small-1").effect == "allow"
    assert answer(named, kind="model_call", model="big-1").effect == "deny"
    assert answer(named, kind="handoff", to_agent="eve").effect == "deny"


EVERY_MEMBER = [
    ({"glob": ["*@ours.example"]}, ["a@ours.example", "b@ours.example"], True),
    ({"glob": ["*@ours.example"]}, ["a@ours.example", "eve@evil.example"], False),
    ({"any_of": [1, 2]}, [1, 2, 2], True),
    ({"any_of": [1, 2]}, [1, 3], False),
    ({"lte": 500}, [1, 501], False),
    ({"lte": 500}, [1, "2"], False),
    ({"eq": "a"}, [["a"]], False),
]


@pytest.mark.parametrize(("test", "value", "fits"), EVERY_MEMBER)
def test_where_a_grant_allows_every_member_of_a_list_must_pass(
    test: dict[str, Any], value: list[Any], fits: bool
) -> None:
    """A second recipient would ride along with a permitted one."""
    assert (effect({"arguments.to": test}, {"to": value}) == "allow") is fits


@pytest.mark.parametrize("strict", ["deny", "ask", "clear", "narrow"])
def test_where_a_grant_is_wary_one_member_of_a_list_is_enough(strict: Effect) -> None:
    """A forbidden recipient could hide among permitted ones."""
    when = {"arguments.to": {"glob": ["*@evil.example"]}}
    rewriting = {"narrow": {"arguments.to": Rewrite(keep=("*@ours.example",))}} if strict == "narrow" else {}
    grants = (a_grant(strict, when=when, **rewriting), a_grant("allow"))
    assert answer(grants, arguments={"to": ["a@ours.example", "x@evil.example"]}).effect == strict
    assert answer(grants, arguments={"to": ["a@ours.example"]}).effect == "allow"


def test_an_empty_list_names_nobody() -> None:
    """A grant that refuses a recipient would refuse a call without any."""
    assert effect({"arguments.to": {"glob": ["*"]}}, {"to": []}, of="deny") == "allow"
    assert effect({"arguments.to": {"glob": ["x"]}}, {"to": []}) == "allow"


@pytest.mark.parametrize("value", ["501", True, None, {"amount": 1}, "NaN", [["501"]]])
@pytest.mark.parametrize("test", [{"gt": 500}, {"gte": 500}, {"lt": 500}, {"lte": 500}])
def test_a_value_that_cannot_be_compared_is_never_permission(test: dict[str, Any], value: Any) -> None:
    """`"501"` would slip past a bound of 500."""
    assert effect({"arguments.amount": test}, {"amount": value}) == "deny"
    assert effect({"arguments.amount": test}, {"amount": value}, of="deny") == "deny"


@pytest.mark.parametrize(
    ("test", "fits"),
    [({"lt": 5}, [4]), ({"lte": 5}, [4, 5]), ({"gt": 5}, [6]), ({"gte": 5}, [5, 6]), ({"gt": 4, "lt": 6}, [5])],
)
@pytest.mark.parametrize("of", ["allow", "deny"])
def test_a_bound_holds_up_to_itself_or_including_it(test: dict[str, Any], fits: list[int], of: Effect) -> None:
    """A payment of exactly the limit would be judged the other way round."""
    found = [value for value in (4, 5, 6) if effect({"arguments.x": test}, {"x": value}, of=of) == of]
    assert found == fits


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_never_permission(value: float) -> None:
    """A bound on an amount would be met by no amount at all."""
    for test in (Test(lt=500), Test(gt=500)):
        assert not holds(test, value, wary=False)
        assert holds(test, value, wary=True)


@pytest.mark.parametrize("wary", [True, False])
def test_a_number_of_any_size_is_compared(wary: bool) -> None:
    """An amount of four hundred digits would end the worker that judges it, again and again."""
    assert holds(Test(gt=500), 10**400, wary=wary)
    assert not holds(Test(lt=500), 10**400, wary=wary)


@pytest.mark.parametrize("value", [5, True, None, {"x": "a"}, 1.5])
@pytest.mark.parametrize("test", [{"glob": ["*"]}, {"not_glob": ["x"]}, {"max_length": 10**6}])
def test_a_value_that_is_no_text_is_never_permission(test: dict[str, Any], value: Any) -> None:
    """A path given as an object would slip past a pattern."""
    assert effect({"arguments.path": test}, {"path": value}) == "deny"
    assert effect({"arguments.path": test}, {"path": value}, of="deny") == "deny"


@pytest.mark.parametrize("arguments", [None, {}, {"b": 1}, {"a": None}, {"a": "text"}, {"a": [{"b": 1}]}, {"a.b": 1}])
@pytest.mark.parametrize(
    "test", [{"eq": 1}, {"ne": 1}, {"none_of": [1]}, {"lt": 9}, {"not_glob": ["x"]}, {"exists": True}]
)
def test_a_missing_value_holds_for_nothing(test: dict[str, Any], arguments: dict[str, Any] | None) -> None:
    """Leaving an argument out would be a way around a condition on it."""
    assert effect({"arguments.a.b": test}, arguments) == "deny"
    assert effect({"arguments.a.b": test}, arguments, of="deny") == "allow"


def test_exists_asks_whether_a_value_is_there() -> None:
    """A grant could not insist that an argument be left out."""
    assert effect({"arguments.bcc": {"exists": False}}, {}) == "allow"
    assert effect({"arguments.bcc": {"exists": False}}, {"bcc": None}) == "deny"
    assert effect({"arguments.bcc": {"exists": True}}, {"bcc": None}) == "allow"
    assert effect({"arguments.bcc": {"exists": False, "eq": 1}}, {"bcc": 1}) == "deny"


@pytest.mark.parametrize(
    ("wanted", "value", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (0, False, False),
        (True, True, True),
        (1, "1", False),
        ("a", "A", False),
    ],
)
def test_values_are_equal_only_within_their_kind(wanted: Any, value: Any, same: bool) -> None:
    """`true` would pass for 1, and a flag for a number."""
    for test in ({"eq": wanted}, {"any_of": [wanted]}):
        assert (effect({"arguments.x": test}, {"x": value}) == "allow") is same
    for test in ({"ne": wanted}, {"none_of": [wanted]}):
        assert (effect({"arguments.x": test}, {"x": value}) == "allow") is not same


def test_all_that_is_set_must_hold() -> None:
    """Conditions would be alternatives instead of all required."""
    when = {"arguments.amount": {"gte": 1, "lte": 500}, "principal": {"eq": "alice"}}
    for amount, principal, expected in (
        (5, "alice", "allow"),
        (501, "alice", "deny"),
        (0, "alice", "deny"),
        (5, "eve", "deny"),
    ):
        assert (
            answer((a_grant("allow", when=when),), arguments={"amount": amount}, principal=principal).effect == expected
        )


def test_conditions_can_ask_who_acts_for_whom_and_what_was_read() -> None:
    """Delegated work and tainted traces could not be told from others."""
    by = (a_grant("allow", when={"delegator": {"any_of": ["boss"]}, "version": {"glob": ["1.*"]}}),)
    assert answer(by, delegation=("boss",), version="1.4").effect == "allow"
    assert answer(by, delegation=("boss", "eve"), version="1.4").effect == "deny"
    wary = (a_grant("allow"), a_grant("ask", when={"reads": {"any_of": ["untrusted"]}}))
    assert answer(wary).effect == "allow"
    assert answer(wary, reads=("sensitive", "untrusted")).effect == "ask"


def test_a_path_leads_to_one_value_or_to_nothing() -> None:
    """A condition could be met by a value that stands elsewhere."""
    values = facts_of(a_step("tool_call", tool="t", arguments={"a": {"b": 1}}), ()).values
    assert value_at(values, "arguments.a.b") == 1
    assert value_at(values, "arguments.a") == {"b": 1}
    assert value_at(values, "arguments.a.b.c") is value_at(values, "nothing") is value_at({}, "")


def test_trusted_tools_are_named_by_glob() -> None:
    """The company's own data would count as a stranger's word."""
    view = PolicyView(a_policy(trusted_tools=("crm.*",)))
    assert view.trusts("crm.get")
    assert not view.trusts("web.get")


def test_names_from_agents_do_not_fill_the_memory() -> None:
    """An agent that invents tools would grow its judge without bound."""
    view = PolicyView(a_policy())
    for number in range(5000):
        view.traits(f"tool_{number}")
    assert len(view._traits) <= 4096
    assert view.traits("send_email") == {"egress", "irreversible"}
