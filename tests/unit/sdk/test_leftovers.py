"""What a dead process left is taken by one, whole, in order; and nothing that lives is taken from it."""

import fcntl
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lictor_agent import spool
from lictor_agent.drain import drain
from lictor_agent.errors import LictorAgentError
from lictor_agent.outbox import Outbox
from lictor_agent.settings import AgentSettings
from lictor_agent.spool import Spool, leftovers
from tests.unit.sdk.test_outbox import outbox, record
from tests.unit.sdk.test_spool import AGENT, abandoned, files, read
from tests.unit.sdk.test_spool import record as kept

NOBODY = AgentSettings(kafka="127.0.0.1:9", root_key=b"r" * 32, agent_key=b"a" * 32)


def before_the_lock(monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Have something happen, once, after a file was opened and before its lock is asked for."""
    real, todo = fcntl.flock, [what]

    def flock(descriptor: int, operation: int) -> None:
        if todo:
            todo.pop()()
        real(descriptor, operation)

    monkeypatch.setattr(spool.fcntl, "flock", flock)


def test_two_agents_of_one_process_one_after_the_other_lose_nothing(tmp_path: Path) -> None:
    """A program that connects again while Kafka is away would lose every step that has the number of an earlier one."""
    for first in (0, 100):
        box = outbox(tmp_path)
        for number in range(5):
            box.put(record(first + number))
        assert not box.close([])
    found = [int(value) for value in read(tmp_path)]
    assert sorted(found) == [*range(5), *range(100, 105)]


def test_what_stands_both_ahead_and_in_the_queue_on_disk_is_sent_once(tmp_path: Path) -> None:
    """Each call of an outage would be published twice."""
    box = Outbox(tmp_path, AGENT, Counter())
    sent = [record(number) for number in range(30_000)]
    for each in sent:
        box.put(each)
    for each in reversed(sent[::50]):  # threads write ahead in any order
        box.write_ahead(each)
    box.spill()
    assert box._overflow.waiting > 0
    box.close([])
    assert [int(value) for value in read(tmp_path)] == list(range(30_000))


def test_a_file_that_another_has_sent_meanwhile_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two drains at once would publish everything twice."""
    abandoned(tmp_path)
    (first,) = leftovers(tmp_path, AGENT)
    with monkeypatch.context() as patched:
        before_the_lock(patched, first.done)
        assert read(tmp_path) == []
    assert files(tmp_path) == []


def test_a_file_is_not_taken_from_a_process_that_has_just_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call would go ahead on the word of a file that nobody will ever find."""

    def drain_it() -> None:
        for leftover in leftovers(tmp_path, AGENT):
            leftover.done()

    mine = Spool(tmp_path, AGENT)
    with monkeypatch.context() as patched:
        before_the_lock(patched, drain_it)
        mine.write(kept(7))
    assert read(tmp_path) == [], "it is held"
    mine.close(keep=True)
    assert read(tmp_path) == [b"7"]


def test_while_one_drains_another_leaves_the_folder_to_it(tmp_path: Path) -> None:
    """Each of two drains would send some of a run's files, and its steps arrive mixed up."""
    for _ in range(2):
        abandoned(tmp_path)
    taking = leftovers(tmp_path, AGENT)
    taken = next(taking)
    assert read(tmp_path) == []
    taken.release()
    taking.close()  # type: ignore[attr-defined] # a generator is one
    assert len(read(tmp_path)) == 6


def test_a_leftover_can_be_read_again(tmp_path: Path) -> None:
    """What could not be sent at the first try would be taken for empty, and removed, at the second."""
    path = abandoned(tmp_path)
    path.write_bytes(path.read_bytes() + b"\0\0\0\1" + b"x" * 5)
    (leftover,) = leftovers(tmp_path, AGENT)
    for _ in range(2):
        assert len(list(leftover.records())) == 3
        assert leftover.damaged == 1
    leftover.release()


@pytest.mark.parametrize("zeros", [8, 4096, 65_537])
def test_zeros_at_the_end_are_no_lost_records(tmp_path: Path, zeros: int) -> None:
    """After a power cut an operator would be told that hundreds of steps were lost which never were."""
    path = abandoned(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(zeros))
    (leftover,) = leftovers(tmp_path, AGENT)
    assert len(list(leftover.records())) == 3
    assert leftover.damaged == 0
    leftover.release()


def test_a_drain_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    """An operator would see a stack trace, or nothing."""
    with pytest.raises(LictorAgentError, match="is no folder"):
        drain(tmp_path / "nowhere", NOBODY)
    path = abandoned(tmp_path)
    path.parent.chmod(0o777)
    with pytest.raises(LictorAgentError, match="may be written by others"):
        drain(tmp_path, NOBODY, AGENT)
    path.parent.chmod(0o700)
    with pytest.raises(LictorAgentError, match=r"Kafka at 127\.0\.0\.1:9 cannot be reached"):
        drain(tmp_path, NOBODY)
    assert len(read(tmp_path)) == 3
