"""Steps that repeat, go back, leave gaps, were rewritten, or come from a clock that cannot be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sequence import StepSequence
from detectors.state import REMEMBERED, SequenceState
from schemas.rules import Clocks
from tests.unit.builders import NOW, SECOND, Story, a_policy, a_rule_book, a_step, claims


def story(*seqs: int) -> Story:
    """Return a trace in which these steps were told."""
    told = Story(watch=(StepSequence(),))
    for seq in seqs:
        told.tell("message", seq=seq)
    return told


def test_a_run_that_counts_without_a_gap_is_silent() -> None:
    """Every honest run would be a finding."""
    told = Story(watch=(StepSequence(),))
    assert [claims(told.tell("message")) for _ in range(3 * REMEMBERED)] == [[]] * (3 * REMEMBERED)


def test_the_same_record_again_counts_once() -> None:
    """A producer's retry would be judged, counted and acted on twice."""
    told = Story(watch=(StepSequence(),))
    first, again = told.judge(a_step()), told.judge(a_step())
    assert (first.repeat, again.repeat, list(again.findings)) == (False, True, [])


def test_a_step_told_again_with_other_content_is_a_claim() -> None:
    """An agent could rewrite what it has done."""
    told = Story(watch=(StepSequence(),))
    told.judge(a_step(text="one"))
    found = told.judge(a_step(text="other")).findings
    assert claims(found) == ["lictor.sequence.rewritten"]
    assert found[0].severity == "high"


def test_missing_steps_are_told_of_once_per_run() -> None:
    """Steps could be left out unnoticed, or a bad line fill the queue of findings."""
    told = story(1)
    found = told.tell("message", seq=5)
    assert claims(found) == ["lictor.sequence.gap"]
    assert "3 missing" in found[0].reason
    assert told.tell("message", seq=50) == []


def test_a_trace_may_begin_anywhere() -> None:
    """After a checkpoint was lost every running trace would be a finding."""
    assert story().tell("message", seq=900) == []


def test_steps_that_a_run_lost_are_told_of_each_time_there_are_more() -> None:
    """A full disk would hide what an agent did, and nobody be told that something is hidden."""
    told = Story(watch=(StepSequence(),))
    lost = [told.tell("heartbeat", trace_id="", dropped=dropped) for dropped in (0, 3, 3, 5)]
    assert [claims(found) for found in lost] == [[], ["lictor.sequence.lost"], [], ["lictor.sequence.lost"]]
    assert [found[0].reason.split()[0] for found in lost if found] == ["3", "2"]


def test_a_late_step_fills_its_gap_without_a_claim() -> None:
    """A spool emptied after an outage would look like an attack."""
    told = story(1, 5)
    assert [claims(told.tell("message", seq=seq)) for seq in (4, 2, 3, 6)] == [[], [], [], []]


def test_a_step_from_too_far_back_is_a_claim() -> None:
    """An old step could be slipped in when nobody remembers its place."""
    told = story(*range(1, REMEMBERED + 3))
    found = told.judge(a_step(seq=2, text="again")).findings
    assert claims(found) == ["lictor.sequence.backwards"]


def test_runs_and_traces_count_for_themselves() -> None:
    """Two runs in one workflow would be taken for one that miscounts."""
    told = story(1, 2, 3)
    assert told.tell("message", run_id="other", seq=1) == []
    assert told.tell("message", trace_id="a" * 32, seq=1) == []


@pytest.mark.parametrize("shift", [-(10**5) * SECOND, 10**5 * SECOND])
def test_a_clock_that_is_off_again_and_again_is_told_of_once(shift: int) -> None:
    """A run could date its steps out of sight."""
    told = Story(a_policy(), rules=a_rule_book(clocks=Clocks(clamps_before_finding=3)), watch=(StepSequence(),))
    found = [told.tell("message", time_us=NOW + shift, append_us=NOW) for _ in range(5)]
    assert [claims(each) for each in found] == [[], [], ["lictor.sequence.clock"], [], []]
    assert f"{shift / 1e6:+.0f} s" in found[2][0].reason


def test_what_is_remembered_of_a_run_is_bounded() -> None:
    """A long run would fill the memory of its worker."""
    told = story(*range(1, 500))
    assert len(told.run().sequence.recent) == 8 * REMEMBERED
    assert told.run().sequence.last == 499


def test_a_step_from_too_far_back_does_not_push_out_a_fresh_one() -> None:
    """Telling an old step would let a recent one be told twice and count twice."""
    told = story(*range(1, REMEMBERED + 3))
    oldest = told.run().sequence.last - REMEMBERED + 1
    before = told.run().sequence.digest_of(oldest)
    told.tell("message", seq=1)
    assert before
    assert told.run().sequence.digest_of(oldest) == before


@given(st.lists(st.integers(min_value=1, max_value=4 * REMEMBERED), max_size=200))
def test_what_is_remembered_is_what_a_dictionary_would_hold(seqs: list[int]) -> None:
    """A step could be taken for another that stood in the same place before, and be let through or accused."""
    state, last = SequenceState(), 0
    plain: dict[int, int] = {}
    for digest, seq in enumerate(seqs, start=1):
        state.remember(seq, digest)
        last = max(last, seq)
        if seq > last - REMEMBERED:
            plain.setdefault(seq, digest)
        plain = {known: kept for known, kept in plain.items() if known > last - REMEMBERED}
        assert {
            known: state.digest_of(known) for known in range(1, 4 * REMEMBERED + 9) if state.digest_of(known)
        } == plain
