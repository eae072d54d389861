"""What a waiting call is told."""

from typing import Any, get_args

import pytest

from responders.autonomy import Ruling
from responders.clearance import STRICTNESS, needs_clearance, strictest, word_of
from schemas.message import Action
from schemas.policy import Clearance, Trait
from tests.unit.builders import a_policy, a_step, gate

IRREVERSIBLE: frozenset[Trait] = frozenset({"irreversible", "egress"})
HARMLESS: frozenset[Trait] = frozenset({"egress"})


def a_ruling(action: Action, clearance: Any = "") -> Ruling:
    """Return a ruling of one action."""
    return Ruling(action, action, "row", "because", clearance=clearance)


def waits(
    verdict: Any, traits: frozenset[Trait] = IRREVERSIBLE, mode: str = "enforce", kind: str = "tool_call"
) -> bool:
    """Tell whether a call waits."""
    step = a_step(kind, tool="pay", gate=gate(verdict) if verdict else None)
    return needs_clearance(step, traits, a_policy(mode=mode))


def test_a_call_that_cannot_be_undone_waits() -> None:
    """The money would be gone before the call was judged."""
    assert waits("hold")
    assert waits("allow")
    assert waits(None)
    assert not waits("allow", HARMLESS)


@pytest.mark.parametrize("verdict", ["deny", "ask"])
def test_a_call_the_gate_refused_waits_for_nothing(verdict: str) -> None:
    """Clearances would be given for calls that never run."""
    assert not waits(verdict)


def test_a_call_the_gate_holds_for_a_grant_waits_whatever_its_traits() -> None:
    """A grant that says `clear` would wait until it times out."""
    assert waits("hold", HARMLESS)


def test_nothing_waits_in_mode_observe_and_only_tools_wait() -> None:
    """An agent that is only watched would be slowed down."""
    assert not waits("allow", mode="observe")
    assert waits("allow", mode="ask")
    assert not waits("allow", kind="model_call")


def test_the_policy_names_the_traits_that_wait() -> None:
    """An operator could not hold back calls that spend."""
    policy = a_policy(clearance=Clearance(traits=("spends",)))
    step = a_step("tool_call", tool="pay", gate=gate("allow"))
    assert needs_clearance(step, frozenset({"spends"}), policy)
    assert not needs_clearance(step, IRREVERSIBLE, policy)


@pytest.mark.parametrize("action", get_args(Action))
def test_everything_harder_than_a_question_keeps_the_call_from_running(action: Action) -> None:
    """The call that gets an agent stopped would itself go through."""
    expected = {"observe": "allow", "ask": "ask", "narrow": "ask", "hold": "hold"}.get(action, "deny")
    assert word_of(a_ruling(action)) == expected


@pytest.mark.parametrize("word", ["deny", "hold", "ask"])
def test_a_row_may_say_what_the_call_is_told(word: str) -> None:
    """A row could not ask about the call and stop the run afterwards."""
    assert word_of(a_ruling("observe", word)) == word


def test_the_strictest_answer_wins() -> None:
    """One detector's silence would outvote another's alarm."""
    assert STRICTNESS == ("allow", "ask", "hold", "deny")
    assert strictest([]) == "allow"
    assert strictest([a_ruling("observe"), a_ruling("stop"), a_ruling("ask")]) == "deny"
    assert strictest([a_ruling("ask"), a_ruling("hold")]) == "hold"
    assert strictest([a_ruling("observe"), a_ruling("ask")]) == "ask"
