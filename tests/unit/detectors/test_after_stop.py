"""Steps of a run that was ordered to stop."""

import pytest

from detectors.after_stop import MOST_ENDING, AfterStop
from schemas.rules import RuleBook
from tests.unit.builders import AGENT, NOW, RUN, SECOND, TRACE, Story, a_policy, a_receipt, claims

GRACE = 2 * SECOND


def stopped(last_seq: dict[str, int] | None = None) -> Story:
    """Return a trace whose run was ordered to stop now; `last_seq`: what its receipt said."""
    rules = RuleBook(version=1, issued_us=1, stop_grace_ms=GRACE // 1000)
    told = Story(a_policy(), rules=rules, watch=(AfterStop(),))
    told.facts.take_stop(AGENT, RUN, "c1", NOW)
    if last_seq is not None:
        told.facts.take_receipt(a_receipt("c1", last_seq=last_seq), NOW)
    return told


def test_a_step_after_the_grace_is_critical() -> None:
    """An agent could ignore a stop and nobody would notice."""
    found = stopped().tell("tool_call", tool="mail.send", append_us=NOW + GRACE + 1)
    assert claims(found) == ["lictor.after_stop"]
    assert (found[0].severity, found[0].group) == ("critical", "c1")
    assert "tool_call mail.send" in found[0].reason


def test_a_step_within_the_grace_is_on_its_way() -> None:
    """A step already sent when the order came would shut the whole agent out."""
    assert stopped().tell("message", append_us=NOW + GRACE) == []
    assert stopped().tell("message", append_us=NOW - SECOND) == []


@pytest.mark.parametrize("kind", ["tool_result", "run_ended", "heartbeat"])
def test_what_closes_a_run_may_still_appear(kind: str) -> None:
    """Every stop would look as if it had failed."""
    assert stopped({TRACE: 0}).tell(kind, append_us=NOW + 10 * GRACE) == []


@pytest.mark.parametrize("kind", ["message", "model_call", "tool_call", "handoff", "memory_write", "run_started"])
def test_anything_else_is_going_on(kind: str) -> None:
    """A stopped agent could go on by other means."""
    assert len(stopped().tell(kind, append_us=NOW + GRACE + 1)) == 1


def test_a_receipt_tightens_the_proof_at_once() -> None:
    """A run that says it has stopped would have two seconds to go on."""
    told = stopped({TRACE: 5})
    assert told.tell("message", seq=5, append_us=NOW + 1) == []
    assert claims(told.tell("message", seq=6, append_us=NOW + 1)) == ["lictor.after_stop"]


def test_a_trace_the_receipt_does_not_name_was_never_open() -> None:
    """A stopped run could go on in a new trace."""
    assert len(stopped({TRACE: 5}).tell("message", trace_id="a" * 32, append_us=NOW + 1)) == 1


def test_a_receipt_never_excuses_a_late_step() -> None:
    """An agent could lie in its receipt and so go on unnoticed."""
    assert len(stopped({TRACE: 10**6}).tell("message", append_us=NOW + GRACE + 1)) == 1


def test_a_stop_binds_to_its_run() -> None:
    """An agent that was stopped could never be started again."""
    told = stopped()
    assert told.tell("message", run_id="later", append_us=NOW + 10 * GRACE) == []
    assert told.tell("message", agent_id="other", append_us=NOW + 10 * GRACE) == []


def test_each_step_after_the_stop_is_a_claim_of_its_own() -> None:
    """Nobody could count how much a stopped agent still did."""
    told = stopped()
    found = [told.tell("message", append_us=NOW + GRACE + at)[0] for at in (1, 2)]
    assert len({finding.finding_id for finding in found}) == 2
    assert told.run().after_stop == 2


def test_a_model_call_that_was_under_way_may_still_end() -> None:
    """Every agent stopped while its model was thinking would be shut out as one that goes on."""
    told = stopped({TRACE: 0})
    at = NOW + 20 * SECOND
    assert told.tell("model_call", model="m", duration_us=19 * SECOND, append_us=at) == []
    assert claims(told.tell("model_call", model="m", duration_us=SECOND, append_us=at)) == ["lictor.after_stop"]


def test_no_run_has_endless_model_calls_under_way() -> None:
    """An agent could go on for ever by claiming that each call began long ago."""
    told = stopped()
    at = NOW + 20 * SECOND
    found = [told.tell("model_call", model="m", duration_us=19 * SECOND, append_us=at) for _ in range(MOST_ENDING + 2)]
    assert [bool(one) for one in found] == [False] * MOST_ENDING + [True] * 2
