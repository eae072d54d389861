"""Steps whose mark is missing or not the agent's."""

from typing import Any

import pytest

from detectors.impersonation import Impersonation
from tests.unit.builders import Story, claims


def story() -> Story:
    """Return an empty trace."""
    return Story(watch=(Impersonation(),))


def test_a_marked_step_is_silent() -> None:
    """Every honest step would be a finding."""
    assert story().tell("message") == []


@pytest.mark.parametrize(
    ("identity", "severity", "confidence"), [("forged", "high", 0.95), ("unmarked", "medium", 0.6)]
)
def test_a_step_without_a_good_mark_is_told_of_once(identity: Any, severity: str, confidence: float) -> None:
    """Anybody who can write to the topic could speak in an agent's name."""
    told = story()
    first, again = told.tell("message", identity=identity), told.tell("message", identity=identity)
    assert claims(first) == [f"lictor.identity.{identity}"]
    assert again == []
    assert (first[0].severity, first[0].confidence, first[0].identity) == (severity, confidence, identity)


def test_forging_is_told_of_even_after_a_missing_mark() -> None:
    """A forger would only have to leave the first mark out."""
    told = story()
    told.tell("message", identity="unmarked")
    assert claims(told.tell("message", identity="forged")) == ["lictor.identity.forged"]


def test_each_run_is_told_of_by_itself() -> None:
    """Impersonating one run would give a free hand with all others."""
    told = story()
    told.tell("message", identity="forged")
    assert len(told.tell("message", identity="forged", run_id="other")) == 1
