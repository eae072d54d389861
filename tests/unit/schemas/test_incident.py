"""Findings that belong together."""

import pytest

from schemas.incident import Incident
from tests.unit.builders import refused


def test_the_list_of_findings_is_bounded_and_their_count_is_not() -> None:
    """A runaway agent would make its own incident too large to publish."""
    assert refused(Incident, "incident", finding_ids=["f"] * 256, findings_seen=10**6) == ""
    assert refused(Incident, "incident", finding_ids=["f"] * 257).startswith("finding_ids")


@pytest.mark.parametrize(("field", "value"), [("risk", -1), ("revision", 0), ("status", "lost"), ("verdict", "maybe")])
def test_an_incident_without_sense_is_refused(field: str, value: object) -> None:
    """An analyst's queue would be sorted by nonsense."""
    assert refused(Incident, "incident", **{field: value}).startswith(field)
