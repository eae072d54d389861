"""One detector's claim."""

import pytest

from schemas.finding import Finding
from tests.unit.builders import a_finding, example, refused


@pytest.mark.parametrize("value", [-0.01, 1.01, "high", float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["confidence", "impact"])
def test_a_share_lies_between_nothing_and_all(field: str, value: object) -> None:
    """A finding could be more than certain and pass every bound of the policy."""
    assert refused(Finding, "finding", **{field: value}) != ""


@pytest.mark.parametrize("severity", ["informational", "low", "medium", "high", "critical"])
def test_severities_are_those_of_the_policy(severity: str) -> None:
    """A row of the autonomy table could not be held against the finding."""
    assert refused(Finding, "finding", severity=severity) == ""
    assert refused(Finding, "finding", severity=severity.title()).startswith("severity")


def test_evidence_is_bounded() -> None:
    """One finding over a long trace would be too large to publish."""
    item = example("finding")["evidence"][0]
    assert refused(Finding, "finding", evidence=[item] * 64) == ""
    assert refused(Finding, "finding", evidence=[item] * 65).startswith("evidence")


def test_identity_is_one_of_three_words() -> None:
    """An order could follow from a step of which nobody knows who sent it."""
    assert refused(Finding, "finding", identity="probably").startswith("identity")


def test_a_finding_survives_its_bytes() -> None:
    """`respond` would act on another claim than `detect` signed."""
    finding = a_finding(reason="r\u00e9gie \U0001f512")
    assert Finding.read(finding.value()) == finding
