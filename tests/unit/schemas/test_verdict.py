"""Whatever a person tells `respond`."""

import pytest

from schemas.verdict import Verdict
from tests.unit.builders import refused


@pytest.mark.parametrize("kind", ["verdict", "answer", "ack", "kill", "pause", "resume", "lift"])
def test_a_person_can_say_all_of_these(kind: str) -> None:
    """An operator's button would do nothing."""
    assert refused(Verdict, "verdict", kind=kind) == ""


@pytest.mark.parametrize("field", ["reason", "person", "agent_id", "verdict_id"])
def test_every_word_carries_person_and_reason(field: str) -> None:
    """Nobody could be asked why an agent was killed."""
    assert refused(Verdict, "verdict", **{field: None}).startswith(field)


def test_an_unknown_word_is_refused() -> None:
    """A person's misprint would be taken for silence."""
    assert refused(Verdict, "verdict", kind="Kill").startswith("kind")
