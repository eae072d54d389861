"""What waits for the broker: in memory while there is room, then on disk, in order, and never more than is allowed."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lictor_agent.outbox import Outbox
from lictor_agent.parcels import Outgoing
from lictor_agent.spool import SpoolFull, leftovers
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


def test_what_memory_refused_is_not_said_to_be_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment would go ahead, and its step be erased with what was written ahead as soon as Kafka is back."""
    monkeypatch.setattr("lictor_agent.spool.MAX_BYTES", 4000)
    box = outbox(tmp_path)
    taken = []
    while box.put(made := record(len(taken), size=2000)):
        taken.append(made)
    assert made.refused
    with pytest.raises(SpoolFull, match="neither Kafka nor memory has room"):
        box.write_ahead(made)
    box.close([])


class Overtaken:
    """A lock before which somebody else is faster, once."""

    def __init__(self, faster: Callable[[], object]) -> None:
        self.lock = threading.Lock()
        self.todo = [faster]

    def __enter__(self) -> None:
        if self.todo:
            self.todo.pop()()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_what_is_written_ahead_at_the_last_moment_is_not_erased(tmp_path: Path) -> None:
    """A call would go ahead on the word of a file that is emptied in the same moment."""
    box, made = outbox(tmp_path), record(1)

    def call() -> None:
        box.put(made)
        box.write_ahead(made)

    box._ahead_lock = Overtaken(call)  # type: ignore[assignment] # as much of a lock as is used
    box.forget()
    assert box._ahead.size > 0
    assert box.take() is made
    box.forget([made])
    assert box._ahead.size > 0
    box.forget()
    assert box._ahead.size == 0
    box.close([])


def test_disk_is_given_back_while_more_is_under_way(tmp_path: Path) -> None:
    """After a long outage the disk would count as full until the very last step was acknowledged, and steps be dropped."""
    box = outbox(tmp_path)
    for number in range(50):
        box.put(record(number))
    ahead = box.queue[-1]
    box.write_ahead(ahead)
    under_way, sizes = [], []
    for turn in range(60):
        for number in range(20):
            box.put(record(1000 * turn + number, size=50))
        box.spill()
        while (taken := box.take()) is not None:
            under_way.append(taken)
        del under_way[:-10]  # the broker is always ten behind
        box.forget(under_way)
        sizes.append(box._overflow.size)
    assert max(sizes[10:]) < 4 * 2000, "some files, never all that there ever were"
    assert box._ahead.size == 0
    box.forget([])
    box.close([])
    assert files(tmp_path) == []


def test_a_disk_that_stays_full_does_not_fill_with_empty_files(tmp_path: Path) -> None:
    """Every try would leave a file, twenty a second, until no program of the machine can make one."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "40 0\n"
    assert files(tmp_path) == []


NO_ROOM = """
import resource, sys
from collections import Counter
from pathlib import Path
from lictor_agent import outbox
from lictor_agent.parcels import Outgoing
outbox.SPILL_RECORDS = 5
box = outbox.Outbox(Path(sys.argv[1]), "invoice-bot", Counter())
for number in range(40):
    box.put(Outgoing("t.steps", "k", b"%d" % number, []))
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for _ in range(50):
    box.spill()
print(len(box), len(list(Path(sys.argv[1]).rglob("*.spool"))))
"""


def test_files_whose_names_were_removed_are_still_sent(tmp_path: Path) -> None:
    """Somebody who tidies up would cost an agent its steps, and its link."""
    box = outbox(tmp_path / "spool")
    for number in range(100):
        box.put(record(number))
        box.spill()
    shutil.rmtree(tmp_path / "spool")
    assert numbers(box) == list(range(100))
    assert box.counters["dropped"] == 0
    box.close([])


def test_what_the_disk_does_not_give_back_is_counted(tmp_path: Path) -> None:
    """Steps would be missing from the history and nobody know that they were ever taken."""
    box = outbox(tmp_path)
    for number in range(100):
        box.put(record(number))
        box.spill()
    first, second, *_ = files(tmp_path)
    data = bytearray(first.read_bytes())
    data[10] ^= 0xFF
    first.write_bytes(data)
    os.truncate(second, 100)
    found = numbers(box)
    lost = 100 - len(found)
    assert lost > 2
    assert found == sorted(found)
    assert found[-1] == 99
    assert box.counters["damaged"] == box.counters["dropped"] == lost
    assert len(box) == 0
    box.close([])


def test_the_bound_on_disk_holds_for_all_of_it_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent would take twice what it was allowed; or what is harmless leave no room for the worst step."""
    monkeypatch.setattr("lictor_agent.outbox.MAX_QUEUED", 10_000)
    monkeypatch.setattr("lictor_agent.outbox.MAX_BYTES", 1 << 30)
    box = Outbox(tmp_path, AGENT, Counter(), 40_000)
    for number in range(2000):
        box.put(record(number))
        box.spill()
    assert box.counters["spool_full"] > 0
    box.write_ahead(box.queue[-1])
    while box.counters["spooled"] < 10_000:  # more than there is room for
        try:
            box.write_ahead(box.queue.popleft())
        except SpoolFull:
            break
    assert 30_000 < sum(path.stat().st_size for path in files(tmp_path)) <= 40_000 + 4000
    box.close([])
