"""What waits for the broker: in memory while there is room, then on disk, in order, and never more than is allowed."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor_agent.outbox import Outbox
from lictor_agent.parcels import Outgoing
from lictor_agent.spool import leftovers
from tests.unit.sdk.test_spool import AGENT, files
from tests.unit.strategies import examples


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every bound small."""
    for name, value in (
        ("SPILL_RECORDS", 10),
        ("SPILL_BYTES", 20_000),
        ("MAX_QUEUED", 50),
        ("MAX_BYTES", 60_000),
        ("_AT_ONCE", 7),
    ):
        monkeypatch.setattr(f"lictor_agent.outbox.{name}", value)
    monkeypatch.setattr("lictor_agent.overflow.SEGMENT", 2000)


def outbox(folder: Path) -> Outbox:
    """Return an empty one."""
    return Outbox(folder, AGENT, Counter())


def record(number: int, size: int = 0) -> Outgoing:
    """Return a record."""
    return Outgoing("t.steps", "k", b"%d" % number + b" " * size, [("h", b"v")])


def numbers(box: Outbox) -> list[int]:
    """Take all there is."""
    found = []
    while (taken := box.take()) is not None:
        found.append(int(taken.value))
    return found


@examples(100)
@given(st.lists(st.sampled_from(["put", "put", "put", "spill", "take", "forget"]), max_size=200))
def test_whatever_happens_in_whatever_order_records_come_out_as_they_went_in(moves: list[str]) -> None:
    """Steps would reach Lictor in another order than they were taken, and look like a run that rewrites its past."""
    import tempfile  # noqa: PLC0415 - a folder an example, which fixtures do not give

    with tempfile.TemporaryDirectory() as folder:
        box, made, came = outbox(Path(folder)), 0, []
        for move in moves:
            if move == "put":
                made += box.put(record(made))
            elif move == "spill":
                box.spill()
            elif move == "forget":
                box.forget()
            elif (taken := box.take()) is not None:
                came.append(int(taken.value))
        assert [*came, *numbers(box)] == list(range(made))
        assert len(box) == 0
        box.forget()
        assert files(Path(folder)) == [] or box._ahead.size == 0
        assert box.close([])


def test_what_is_too_much_for_memory_goes_to_disk(tmp_path: Path) -> None:
    """An agent would grow until it is killed, because Kafka is away."""
    box = outbox(tmp_path)
    for number in range(500):
        assert box.put(record(number))
        box.spill()
        assert len(box.queue) <= 10
        assert box.held <= 20_000
    assert (len(box), box.counters["dropped"]) == (500, 0)
    assert len(files(tmp_path)) > 1
    assert numbers(box) == list(range(500))
    assert box.close([])
    assert files(tmp_path) == []


def test_where_the_disk_takes_no_more_memory_fills_and_then_records_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent would die of a full disk, or lose steps without anybody being told."""
    monkeypatch.setattr("lictor_agent.spool.MAX_BYTES", 3000)
    box = outbox(tmp_path)
    taken = 0
    for number in range(400):
        taken += box.put(record(number))
        box.spill()
    assert box.counters["dropped"] == 400 - taken > 0
    assert box.counters["spool_full"] > 0
    assert len(numbers(box)) == taken
    box.close([])


def test_large_records_count_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred large steps would take more memory than a hundred thousand small ones may."""
    monkeypatch.setattr("lictor_agent.spool.MAX_BYTES", 1)
    box = outbox(tmp_path)
    for number in range(40):
        box.put(record(number, size=10_000))
        box.spill()
    assert box.held <= 60_000 + 10_600
    assert box.counters["dropped"] > 30
    box.close([])


def test_what_waits_when_the_process_ends_is_found_whole_and_in_order(tmp_path: Path) -> None:
    """A restart during an outage would lose, or mix up, what was done meanwhile."""
    box = outbox(tmp_path)
    for number in range(100):
        box.put(record(number))
        if number in (40, 70):
            box.write_ahead(box.queue[-1])
            box.spill()
    assert not box.close([])
    (leftover,) = leftovers(tmp_path, AGENT)
    assert [int(found.value) for found in leftover.records()] == list(range(100))
    assert leftover.damaged == 0
    leftover.done()
    assert files(tmp_path) == []


def test_a_damaged_record_does_not_hide_what_stands_behind_it(tmp_path: Path) -> None:
    """One bad sector would cost a day's steps."""
    box = outbox(tmp_path)
    for number in range(50):
        box.put(record(number))
    box.close([])
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"25")] ^= 0xFF
    path.write_bytes(data)
    (leftover,) = leftovers(tmp_path, AGENT)
    assert [int(found.value) for found in leftover.records()] == [number for number in range(50) if number != 25]
    assert leftover.damaged == 1
    leftover.release()


def test_in_the_child_of_a_fork_the_parents_files_stay_as_they_are(tmp_path: Path) -> None:
    """A worker would truncate what its parent has written ahead, or keep it locked when the parent has died."""
    box = outbox(tmp_path)
    box.put(record(1))
    box.write_ahead(box.queue[0])
    pid = os.fork()
    if pid == 0:
        box.after_fork()
        os._exit(0 if next(leftovers(tmp_path, AGENT), None) is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert not box.close([])
    (leftover,) = leftovers(tmp_path, AGENT)
    assert [found.value for found in leftover.records()] == [b"1"]
    leftover.release()
