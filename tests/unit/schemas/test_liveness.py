"""A component's word that it is alive."""

import pytest

from schemas.liveness import Liveness
from tests.unit.builders import refused


@pytest.mark.parametrize("component", ["detect", "respond", "archive", "profile", "audit"])
def test_every_component_can_say_that_it_is_alive(component: str) -> None:
    """Gates would deny calls because a healthy component looks dead."""
    assert refused(Liveness, "liveness", component=component) == ""


@pytest.mark.parametrize(("field", "value"), [("component", "sdk"), ("lag", -1), ("behind_us", -1), ("time_us", None)])
def test_a_word_without_sense_is_refused(field: str, value: object) -> None:
    """A component that is behind could claim to be ahead."""
    assert refused(Liveness, "liveness", **{field: value}).startswith(field)
