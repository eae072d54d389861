"""The first time an agent is seen using something."""

import pytest

from schemas.sighting import Sighting
from tests.unit.builders import refused


@pytest.mark.parametrize("kind", ["agent", "tool", "model", "resource", "label", "principal", "peer", "version"])
def test_whatever_an_agent_uses_can_be_sighted(kind: str) -> None:
    """The inventory would have no place for it."""
    assert refused(Sighting, "sighting", kind=kind) == ""


@pytest.mark.parametrize(("field", "value"), [("kind", "mood"), ("name", "x" * 513), ("step_id", None)])
def test_a_sighting_without_sense_is_refused(field: str, value: object) -> None:
    """The inventory would list what nobody can trace back to a step."""
    assert refused(Sighting, "sighting", **{field: value}).startswith(field)
