"""State on a topic: its newest whole owner is believed, whatever frozen, killed and restarted owners write around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.checkpoint import CHECKPOINT_FORMAT, Checkpoint, encode_checkpoint, read_checkpoint
from streams.checkpoints import MANIFEST, Restored, checkpoint_key, choose, dropped, written
from streams.records import Output

TOPIC, STREAM, PARTITION = "t.checkpoints", "detect", 2
ERA = 1 << 32


@dataclass
class Log:
    """The compacted topic: the last value of each key."""

    entries: dict[str, Checkpoint] = field(default_factory=dict)

    def append(self, outputs: list[Output]) -> None:
        """Take records as a reader of the topic does."""
        for output in outputs:
            entry = read_checkpoint(output.value)
            if entry is None:
                self.entries.pop(output.key, None)
            else:
                self.entries[output.key] = entry

    def choose(self, group_generation: int = 1) -> Restored:
        """Return what a new owner would take over."""
        return choose(STREAM, PARTITION, self.entries, group_generation)

    def write(
        self, generation: int, states: Mapping[str, bytes | None], offset: int = 10, *, manifest: bool = True
    ) -> None:
        """Write as an owner does; without the manifest, as one that died just before it."""
        outputs = written(TOPIC, STREAM, PARTITION, generation, {"t.steps": offset}, states)
        self.append(outputs if manifest else outputs[:-1])


def states(restored: Restored) -> dict[str, bytes | None]:
    """Return the restored states by name."""
    return {name: entry.state for name, entry in restored.entries.items()}


def test_an_empty_topic_begins_with_nothing() -> None:
    """A first start would fail, or skip steps that nobody has judged."""
    assert Log().choose(5) == Restored(generation=5, includes=None, entries={}, stale=[])


def test_the_newest_generation_with_a_manifest_is_taken() -> None:
    """A worker would go on from what an earlier owner knew, and judge steps twice."""
    log = Log()
    log.write(1, {"a": b"old", "b": b"old"}, offset=10)
    log.write(2, {"a": b"new"}, offset=20)
    found = log.choose(3)
    assert states(found) == {"a": b"new"}
    assert (found.generation, found.includes) == (3, {"t.steps": 20})


def test_a_generation_without_a_manifest_does_not_count() -> None:
    """State that was half written when its owner died would be taken for the whole."""
    log = Log()
    log.write(1, {"a": b"whole", "b": b"whole"}, offset=10)
    log.write(2, {"a": b"half"}, offset=20, manifest=False)
    found = log.choose(3)
    assert states(found) == {"a": b"whole", "b": b"whole"}
    assert found.includes == {"t.steps": 10}


def test_a_zombie_that_writes_later_is_ignored() -> None:
    """A worker that was frozen and wakes up would overwrite what its successor has learned."""
    log = Log()
    log.write(1, {"a": b"first"}, offset=10)
    log.write(2, {"a": b"successor"}, offset=30)
    log.write(1, {"a": b"zombie", "z": b"zombie"}, offset=12)
    assert states(log.choose(3)) == {"a": b"successor"}
    assert log.choose(3).includes == {"t.steps": 30}


def test_a_zombie_cannot_remove_what_its_successor_wrote() -> None:
    """A frozen worker's tombstones would wipe the state of the one in charge."""
    log = Log()
    log.write(1, {"a": b"first"})
    log.write(2, {"a": b"successor"})
    log.write(1, {"a": None})
    assert states(log.choose(3)) == {"a": b"successor"}


def test_a_kafka_that_counts_from_one_again_begins_a_new_era() -> None:
    """After a week without workers a new owner would write under a number below what is there, and be ignored."""
    log = Log()
    log.write(7, {"a": b"before"}, offset=10)
    found = log.choose(1)
    assert found.generation == ERA + 1
    assert states(found) == {"a": b"before"}
    log.write(found.generation, {"a": b"after"}, offset=20)
    assert states(log.choose(2)) == {"a": b"after"}
    assert log.choose(2).generation == ERA + 2
    assert log.choose(1).generation == 2 * ERA + 1


@pytest.mark.parametrize("group_generation", [0, 1, 6, 7, 8, 10_000])
def test_an_owner_always_writes_above_all_it_has_seen(group_generation: int) -> None:
    """Two owners would share a generation, and the second's state would mix with the first's."""
    log = Log()
    log.write(7, {"a": b"x"})
    log.write(ERA + 3, {"a": b"y"}, manifest=False)
    assert log.choose(group_generation).generation > ERA + 3


def test_a_forgotten_entry_is_gone() -> None:
    """A trace that ended would come back at every restart, for ever."""
    log = Log()
    log.write(1, {"a": b"x", "b": b"y"})
    log.write(1, {"a": None}, offset=20)
    assert states(log.choose(2)) == {"b": b"y"}
    assert log.choose(2).includes == {"t.steps": 20}


def test_what_is_stale_is_dropped_and_nothing_else() -> None:
    """The topic would grow with every restart, or the present state would be deleted."""
    log = Log()
    log.write(1, {"a": b"x"})
    found = log.choose(2)
    log.write(found.generation, {"a": b"y"})
    log.append(dropped(TOPIC, PARTITION, found.stale))
    assert states(log.choose(3)) == {"a": b"y"}
    assert {entry.generation for entry in log.entries.values()} == {2}


def test_other_streams_and_partitions_are_left_alone() -> None:
    """`respond` would be given traces, or a partition the state of another."""
    log = Log()
    log.append(written(TOPIC, "respond", PARTITION, 9, {"t.findings": 1}, {"a": b"theirs"}))
    log.append(written(TOPIC, STREAM, PARTITION + 1, 9, {"t.steps": 1}, {"a": b"theirs"}))
    log.write(1, {"a": b"mine"})
    found = log.choose(2)
    assert (states(found), found.generation, len(found.stale)) == ({"a": b"mine"}, 2, 2)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xc1",
        b"{}",
        msgspec.msgpack.encode({"format": CHECKPOINT_FORMAT}),
        encode_checkpoint(Checkpoint(CHECKPOINT_FORMAT + 1, STREAM, PARTITION, 1, "a", {"t.steps": 1}, b"x")),
        encode_checkpoint(Checkpoint(CHECKPOINT_FORMAT, STREAM, PARTITION, 1, "a", {"t.steps": -1}, b"x")),
        b"\x91" * 5000,
    ],
)
def test_another_format_is_no_checkpoint(value: bytes | None) -> None:
    """After an upgrade state would be misread instead of rebuilt from steps."""
    assert read_checkpoint(value) is None


def test_an_entry_is_read_back_as_it_was_written() -> None:
    """A restarted worker would not know what it knew."""
    entry = Checkpoint(CHECKPOINT_FORMAT, STREAM, PARTITION, 3, "träce", {"t.steps": 4}, b"\x00\xff")
    assert read_checkpoint(encode_checkpoint(entry)) == entry


def test_the_manifest_is_written_last_and_into_the_same_partition() -> None:
    """A manifest ahead of its entries would vouch for state that is not there yet."""
    outputs = written(TOPIC, STREAM, PARTITION, 3, {"t.steps": 4}, {"a": b"x", "b": None})
    assert [output.key for output in outputs] == [
        checkpoint_key(STREAM, PARTITION, 3, name) for name in ("a", "b", MANIFEST)
    ]
    assert {output.partition for output in outputs} == {PARTITION}
    assert outputs[1].value is None


@dataclass
class Owner:
    """One worker that held the partition, and what it has written so far."""

    generation: int
    stale: list[str]
    entries: dict[str, bytes] = field(default_factory=dict)
    offset: int = 0
    whole: bool = False

    def keep(self, log: Log, changes: Mapping[str, bytes | None], offset: int, *, manifest: bool) -> None:
        """Write changes; the first time everything."""
        for name, state in changes.items():
            if state is None:
                self.entries.pop(name, None)
            else:
                self.entries[name] = state
        log.write(self.generation, changes, offset, manifest=manifest)
        if manifest:
            self.whole, self.offset = True, offset


NAMES = st.sampled_from(["a", "b", "c", "trace/1"])
CHANGES = st.dictionaries(NAMES, st.none() | st.binary(max_size=3), max_size=3)
STARTS = st.tuples(st.just("start"), st.integers(0, 3), st.just({}), st.booleans())
KEEPS = st.tuples(st.just("keep"), st.integers(0, 9), CHANGES, st.booleans())
DROPS = st.tuples(st.just("drop"), st.integers(0, 9), st.just({}), st.booleans())


@settings(max_examples=300, deadline=None)
@given(st.lists(STARTS | KEEPS | DROPS, max_size=40))
def test_whatever_owners_do_the_newest_whole_one_is_restored(
    history: list[tuple[str, int, dict[str, bytes | None], bool]],
) -> None:
    """Some order of freezes, kills and restarts would lose state or bring back an old one."""
    log, owners, group = Log(), [], 0
    for position, (what, number, changes, flag) in enumerate(history):
        if what == "start":
            # 0: Kafka has forgotten the group. It takes days, in which the last owner has kept something.
            known = {entry.generation for entry in log.entries.values()}
            forgotten = number == 0 and bool(owners) and owners[-1].generation in known
            group = 1 if forgotten else group + max(1, number)
            found = log.choose(group)
            assert all(found.generation > entry.generation for entry in log.entries.values())
            owners.append(Owner(found.generation, found.stale))
        elif owners:
            owner = owners[number % len(owners)]
            if what == "keep":
                owner.keep(log, changes, position, manifest=flag)
            elif owner.whole:
                log.append(dropped(TOPIC, PARTITION, owner.stale))
    whole = [owner for owner in owners if owner.whole]
    restored = log.choose(group + 1)
    assert states(restored) == (max(whole, key=lambda owner: owner.generation).entries if whole else {})
    assert restored.includes == ({"t.steps": max(whole, key=lambda owner: owner.generation).offset} if whole else None)
