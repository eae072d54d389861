"""Calls that the gate narrows, calls for others, and what only the gate could see: judged afterwards."""

from typing import Any

import pytest

from detectors.grants import Grants
from schemas.policy import Amount, Rewrite, Test
from schemas.step import Cut
from tests.unit.builders import NOW, SECOND, Story, a_grant, a_policy, a_step, claims, gate

BYPASSED = ["lictor.grants.bypassed"]
CAPPED = (a_grant("allow"), a_grant("narrow", "pay", name="cap", narrow={"arguments.amount": 100}))


def told(*grants: Any, arguments: Any = None, verdict: Any = "allow", **more: Any) -> list[str]:
    """Return what is claimed of one call of `pay`."""
    policy = a_policy(*grants, mode=more.pop("mode", "enforce"), amounts={"paid": Amount(tools=("*",), argument="x")})
    story = Story(policy, *more.pop("others", ()), watch=(Grants(),))
    return claims(story.tell("tool_call", tool="pay", arguments=arguments, gate=gate(verdict), **more))


@pytest.mark.parametrize("verdict", ["narrow", "hold", "allow"])
def test_a_call_narrowed_as_the_policy_says_is_silent(verdict: str) -> None:
    """Every call that the gate narrowed would be a finding."""
    assert told(*CAPPED, asked={"amount": 500}, arguments={"amount": 100}, verdict=verdict) == []
    assert told(*CAPPED, arguments={"amount": 100}) == []


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        (None, {"amount": 500}),
        ({"amount": 500}, {"amount": 500}),
        ({"amount": 500}, {"amount": 101}),
        ({"amount": 500}, {"amount": 100, "to": "eve"}),
        ({"amount": 5}, {"amount": 500}),
        ({"amount": 1}, {"amount": True}),
        ({"amount": [1]}, {"amount": [1, 2]}),
        ({}, {"amount": 500}),
    ],
)
def test_a_tool_that_got_other_arguments_went_past_the_gate(asked: Any, arguments: Any) -> None:
    """A patched gate could say that it narrowed a payment, and pay in full."""
    assert told(*CAPPED, asked=asked, arguments=arguments, verdict="narrow") == BYPASSED


def test_in_observe_nothing_is_rewritten_and_nothing_claimed() -> None:
    """An agent that is only watched would be accused of what its gate never does."""
    assert told(*CAPPED, arguments={"amount": 500}, mode="observe") == []


def test_a_call_that_was_held_back_may_say_what_it_likes() -> None:
    """A refused attempt would count as done."""
    assert told(*CAPPED, arguments={"amount": 500}, verdict="ask") == []


def test_arguments_that_cannot_be_narrowed_are_refused() -> None:
    """A text in the place of a number would pass a cap."""
    assert told(*CAPPED, arguments={"amount": "500"}) == BYPASSED


REDACTED = "[redacted:card:9f] and more"


@pytest.mark.parametrize(
    ("arguments", "cut"),
    [
        ({"to": REDACTED}, {}),
        ({"to": ["x", REDACTED]}, {}),
        ({"to": {"deep": REDACTED}}, {}),
        ({"to": "pre"}, {"arguments.to": Cut(9, "d")}),
        ({"to": {"a": ""}}, {"arguments.to.a": Cut(9, "d", hidden=True)}),
        ({"to": ["pre"]}, {"arguments.to[0]": Cut(9, "d")}),
        ({"cut": True}, {}),
    ],
)
def test_what_was_redacted_or_cut_is_held_against_nobody(arguments: Any, cut: dict[str, Cut]) -> None:
    """An honest agent would be stopped because what it said is kept secret."""
    ours = {"arguments.to": {"glob": ["bob@ours.test"]}}
    assert told(a_grant("allow", when=ours), arguments=arguments, cut=cut or None) == []
    wary = a_grant("deny", when={"arguments.to": {"not_glob": ["bob@ours.test"]}})
    assert told(a_grant("allow"), wary, arguments=arguments, cut=cut or None) == []


def test_what_was_cut_elsewhere_hides_nothing() -> None:
    """A long text in one argument would hide all the others."""
    when = {"arguments.to": {"glob": ["bob@ours.test"]}}
    cut = {"arguments.token": Cut(9, "d"), "text": Cut(9, "d")}
    said = {"to": "eve", "token": REDACTED, "tool": "x"}
    assert told(a_grant("allow", when=when), arguments=said, cut=cut) == BYPASSED


def test_a_narrowed_text_that_was_redacted_is_compared_as_far_as_it_can_be_seen() -> None:
    """An honest agent would be stopped for a secret that both texts hold, or a dishonest one go free for it."""
    short = (a_grant("allow"), a_grant("narrow", narrow={"arguments.text": Rewrite(shorten=9)}))
    assert told(*short, asked={"text": f"a {REDACTED}", "n": 1}, arguments={"text": "a [redact", "n": 1}) == []
    both = (*short, a_grant("narrow", name="n", narrow={"arguments.n": 1}))
    secret = {"text": "fine", "card": REDACTED}
    assert told(*both, asked={**secret, "n": 5}, arguments={**secret, "n": 1}) == []
    assert told(*both, asked={**secret, "n": 5}, arguments={**secret, "n": 4}) == BYPASSED


GATE_ONLY = ["spent.steps", "spent.cost_usd", "amounts.paid", "labels"]


@pytest.mark.parametrize("path", GATE_ONLY)
def test_what_only_the_gate_knows_is_held_against_nobody(path: str) -> None:
    """An honest agent would be stopped for a sum that no step tells."""
    when: dict[str, Any] = {path: {"lte": 5}}
    assert told(a_grant("allow", when=when)) == []
    assert told(a_grant("allow"), a_grant("deny", when=when)) == []
    assert told(a_grant("allow", "web.*"), a_grant("deny", when=when)) == BYPASSED


@pytest.mark.parametrize("effect", ["narrow", "ask", "clear"])
def test_a_grant_that_may_have_let_a_call_through_is_taken_to_have(effect: Any) -> None:
    """A call that the gate allowed by what it knew would be called a bypass."""
    perhaps = a_grant(effect, when={"spent.steps": {"lte": 5}})
    assert told(perhaps, arguments={"x": 1}) == []
    assert told(perhaps, a_grant("deny"), arguments={"x": 1}) == BYPASSED


def test_narrowing_by_what_only_the_gate_knows_is_judged_by_what_the_tool_got() -> None:
    """An honest agent would be stopped for obeying; or one condition unseen would excuse any arguments at all."""
    late = Test(gt=5)
    cap = a_grant("narrow", name="cap", narrow={"arguments.amount": 100}).model_copy(
        update={"when": {"spent.steps": late}}
    )
    small = (a_grant("allow"), a_grant("narrow", name="n", narrow={"arguments.note": "-"}), cap)
    never = a_grant("deny", when={"arguments.amount": {"gt": 1000}})
    ran = {"amount": 100, "note": "-"}
    assert told(*small, never, asked={"amount": 500, "note": "x"}, arguments=ran, verdict="narrow") == []
    assert told(*small, never, asked={"amount": 5}, arguments={"amount": 5000}, verdict="narrow") == BYPASSED


def test_delegated_work_needs_the_grants_of_all_for_whom_it_is_done() -> None:
    """An agent that may not pay could have another one pay."""
    boss = a_policy(a_grant("allow", "web.*"), agent_id="boss")
    assert told(a_grant("allow"), others=(boss,)) == []
    assert told(a_grant("allow"), others=(boss,), delegation=("boss",)) == BYPASSED
    anybody = a_policy(a_grant("allow", "web.*"), agent_id="*")
    assert told(a_grant("allow"), others=(anybody,), delegation=("unheard-of",)) == BYPASSED
    assert told(a_grant("allow"), delegation=("unheard-of",)) == []


def test_the_hour_is_that_of_the_judged_time() -> None:
    """An agent could set its clock to an hour in which it may do more."""
    story = Story(a_policy(a_grant("allow", when={"time.hour": {"lt": 8}})), watch=(Grants(),))
    hour_us = 3600 * SECOND
    step = a_step("tool_call", tool="pay", time_us=NOW - hour_us, gate=gate("allow"))
    assert claims(story.judge(step, append_us=NOW).findings) == []
    late = a_step("tool_call", tool="pay", seq=2, time_us=NOW - hour_us, gate=gate("allow"))
    assert claims(story.judge(late, append_us=NOW + hour_us).findings) == BYPASSED
