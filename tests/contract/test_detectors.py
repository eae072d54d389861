"""What every detector promises, whatever it looks for."""

from typing import get_args

import pytest
from hypothesis import given

from detectors.base import Detector, Seen
from detectors.facts import Facts
from detectors.inspect import ALL
from detectors.pressure import Pressure
from detectors.state import TraceEntry, decode_state, encode_state
from detectors.unjudged import Unjudged
from schemas.finding import Finding
from schemas.message import Severity
from tests.contract.judging import Arrival, arrivals, as_seen, strict_facts, told
from tests.unit.builders import AGENT
from tests.unit.strategies import examples

DETECTORS = pytest.mark.parametrize("detector", ALL, ids=lambda detector: detector.name)


def judged(detector: Detector, at: Seen, state: bytes, facts: Facts) -> tuple[list[Finding], TraceEntry]:
    """Return what the detector claims in the light of a copy of the state, and what becomes of that copy."""
    entry = decode_state(state)
    trace = entry.of(at.identity)
    run, _ = trace.run(at.step.run_id, at.step.agent_id)
    found = list(detector.judge(at, trace, run, facts))
    return found, entry


@DETECTORS
def test_a_detector_says_what_it_is(detector: Detector) -> None:
    """Whoever relies on a claim could not look up what it means and what it misses."""
    assert detector.name.isidentifier()
    assert detector.title
    assert detector.severity in get_args(Severity)
    assert 0 <= detector.impact <= 1
    assert len(detector.blind_spots) > 10
    assert (type(detector).__doc__ or "").strip()


@DETECTORS
def test_a_detector_is_tagged_with_the_known_catalogues(detector: Detector) -> None:
    """Nobody could tell which known attacks are covered."""
    assert detector.tags
    assert all(tag.startswith(("owasp.asi", "atlas.aml.t")) for tag in detector.tags)


@pytest.mark.parametrize("speaker", [Pressure(), Unjudged()], ids=lambda speaker: speaker.name)
def test_a_claim_about_lictor_itself_says_what_it_is(speaker: Detector) -> None:
    """An eviction or a failure would be reported by a detector nobody can look up."""
    test_a_detector_says_what_it_is(speaker)
    test_a_detector_is_tagged_with_the_known_catalogues(speaker)


@examples(40)
@given(came=arrivals())
def test_judging_twice_from_equal_states_gives_equal_claims_and_states(came: list[Arrival]) -> None:
    """Replay would not show what happened."""
    facts = strict_facts()
    for detector in ALL:
        state = encode_state(TraceEntry(AGENT))
        for offset, arrival in enumerate(came):
            at = as_seen(arrival, offset, facts)
            first, second = judged(detector, at, state, facts), judged(detector, at, state, facts)
            assert first == second, detector.name
            state = encode_state(first[1])


@examples(40)
@given(came=arrivals())
def test_the_state_survives_its_checkpoint(came: list[Arrival]) -> None:
    """A worker that takes over would claim something else than the one before it."""
    for detector in ALL:
        assert told(came, (detector,)) == told(came, (detector,), saved=True), detector.name
    assert told(came, ALL) == told(came, ALL, saved=True)


SPOKE: set[str] = set()


@examples(120)
@given(came=arrivals())
def test_a_claim_is_about_its_step_and_can_be_shown_and_published(came: list[Arrival]) -> None:
    """One hostile step would end the worker that judges it, or write into an operator's terminal."""
    for arrival, findings in zip(came, told(came, ALL), strict=True):
        assert len({found.finding_id for found in findings}) == len(findings)
        for found in findings:
            SPOKE.add(found.detector)
            must_be_fit_to_show(found, arrival)


def must_be_fit_to_show(found: Finding, arrival: Arrival) -> None:
    """Hold one claim to what every claim promises."""
    assert (found.step_id, found.identity) == (arrival.step.step_id, arrival.identity)
    assert found.reason
    assert found.reason.isprintable()
    assert found.rule_id.startswith(("lictor.", "sigma."))
    assert all(item.role.isprintable() for item in found.evidence)
    assert found.evidence[-1].step_id == found.step_id
    assert Finding.read(found.value()) == found


def test_every_detector_was_made_to_speak() -> None:
    """A detector could break its promises because nothing ever put it to the test."""
    test_a_claim_is_about_its_step_and_can_be_shown_and_published()
    assert {detector.name for detector in ALL} <= SPOKE
