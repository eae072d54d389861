"""How a detector speaks."""

import pytest

from detectors.base import MAX_EVIDENCE, shown
from detectors.tainted_egress import TaintedEgress
from schemas.finding import Evidence
from tests.unit.builders import NOW, a_policy, a_step, facts_with, seen

DETECTOR = TaintedEgress()


def test_agent_text_is_one_printable_line_of_bounded_length() -> None:
    """An agent could write lines of its own into a report, or fill the screen."""
    assert shown("a\nb\x1b[2J\u202ec\x00") == "a·b·[2J·c·"
    assert shown("x" * 120) == "x" * 120
    assert shown("x" * 121) == "x" * 120 + "…"


def test_a_finding_carries_its_step_and_its_policy() -> None:
    """Nobody could tell which step of which run the claim is about."""
    step = a_step("tool_call", tool="mail.send", seq=7, drill="d")
    found = DETECTOR.finding(seen(step, facts_with(a_policy(mode="ask")), identity="forged"), "why", confidence=0.5)
    assert (found.step_id, found.run_id, found.trace_id, found.seq) == (step.step_id, step.run_id, step.trace_id, 7)
    assert (found.mode, found.identity, found.drill) == ("ask", "forged", True)
    assert (found.rule_id, found.detector, found.tool) == ("lictor.tainted_egress", "tainted_egress", "mail.send")
    assert found.evidence[-1].step_id == step.step_id


def test_evidence_is_cut_to_the_last_and_keeps_the_step_itself() -> None:
    """A finding over a long trace could not be published."""
    many = [Evidence(step_id=str(number), seq=number, role="r") for number in range(200)]
    found = DETECTOR.finding(seen(a_step()), "why", confidence=1, evidence=many)
    assert len(found.evidence) == MAX_EVIDENCE
    assert found.evidence[-1].role == "message"
    assert found.evidence[0].step_id == str(200 - MAX_EVIDENCE + 1)


def test_the_same_claim_has_the_same_id_and_another_aspect_another() -> None:
    """A repeat would be acted on twice, or two claims be taken for one."""
    at = seen(a_step("tool_call", tool="t"))
    one, again = (DETECTOR.finding(at, "why", confidence=0.5) for _ in range(2))
    assert one.finding_id == again.finding_id
    assert one.finding_id != DETECTOR.finding(at, "why", confidence=0.5, aspect="x").finding_id
    assert one.finding_id != DETECTOR.finding(at, "why", confidence=0.5, group="g").finding_id
    assert one.finding_id != DETECTOR.finding(seen(a_step(seq=2)), "why", confidence=0.5).finding_id


def test_claims_of_one_group_can_be_the_same_claim() -> None:
    """A flood would make a finding of each of its steps."""
    found = {
        DETECTOR.finding(seen(a_step(seq=n)), "w", confidence=1, group="g", by_group=True).finding_id for n in (1, 2)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("tool_call", {"tool": "mail.send"}),
        ("model_call", {"model": "m-1"}),
        ("handoff", {"to_agent": "reviewer"}),
        ("memory_read", {"memory_id": "m/1"}),
    ],
)
def test_the_role_of_a_step_says_what_it_used(kind: str, fields: dict[str, str]) -> None:
    """Evidence would be a list of ids that say nothing."""
    found = DETECTOR.finding(seen(a_step(kind, **fields)), "why", confidence=1)
    assert found.evidence[0].role == f"{kind} {next(iter(fields.values()))}"


def test_the_role_of_a_step_is_printable() -> None:
    """A tool's name could write a line of its own into the evidence."""
    found = DETECTOR.finding(seen(a_step("tool_call", tool="a\nb\x1b[2J")), "why", confidence=1)
    assert found.evidence[0].role.isprintable()


def test_a_clock_that_cannot_be_believed_is_clamped() -> None:
    """A run could date its steps into last year, out of sight."""
    honest, early, late = (seen(a_step(time_us=NOW + shift), append_us=NOW) for shift in (0, -(10**12), 10**12))
    assert (honest.clamped, early.clamped, late.clamped) == (False, True, True)
    assert early.judged_us < NOW < late.judged_us
    assert NOW - early.judged_us == 3600 * 10**6
    assert late.judged_us - NOW == 300 * 10**6
