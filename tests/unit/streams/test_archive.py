"""The archive keeps every record once: bad ones become dead letters, their neighbours stay, repeats are noted."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition

from schemas import ids
from schemas.dead_letter import DeadLetter
from schemas.errors import StoreUnavailable
from schemas.liveness import Liveness
from schemas.seal import AGAIN, SIGNATURE, Keyring, header
from schemas.step import Step, canonical_step
from schemas.verdict import Verdict
from storage import tables
from storage.store import Store
from storage.tables import ROWERS, Origin
from streams.archive import Archive, _by_month
from streams.records import Output
from streams.topics import Topics
from tests.unit.streams._builders import AGENT, Read, World, finding, judged, messages, step

JANUARY_MS = int(datetime(2026, 1, 31, 23, 59, 59, 999000, tzinfo=UTC).timestamp() * 1000)


def archive(store: Store, namespace: str) -> tuple[World, Archive]:
    """Return an archive over topics of its own."""
    world = World(Topics(namespace))
    return world, Archive(world.topics, store, "i", world.knowledge().keyring, nothing_newer)


async def nothing_newer() -> None:
    """Say that all keys published until now are known."""


def steps(world: World, count: int, first: int = 1) -> list[Read]:
    """Return steps of one run at offsets that follow each other."""
    return [world.step_record(step(number)) for number in range(first, first + count)]


def claim(world: World, offset: int, *, bad: bool = False) -> Read:
    """Return a finding; an id of the wrong length passes the schema, and no store takes it."""
    found = finding(offset, finding_id="x" * 40) if bad else finding(offset)
    return world.signed(world.topics.findings, found.agent_id, found, "detect", offset=offset)


def offsets(store: Store, table: str, world: World) -> list[int]:
    """Return what the store holds of a namespace, in order, repeats included."""
    topic = f"{world.topics.namespace}.{table.replace('_', '-')}"
    sql = f"SELECT kafka_offset FROM {table} WHERE kafka_topic = {{t:String}} ORDER BY kafka_offset"  # noqa: S608
    return [int(row[0]) for row in store.rows(sql, {"t": topic})]


def letters(world: World, outputs: Sequence[Output]) -> dict[int, str]:
    """Return the dead letters: offset → why."""
    return {letter.offset: letter.kind for letter in messages(outputs, world.topics.dead_letters, DeadLetter)}


def test_a_batch_is_kept_and_its_place_remembered(store: Store) -> None:
    """A restarted archive would write everything twice, or leave some out."""
    world, stream = archive(store, "a-batch")
    assert judged(stream, steps(world, 5)) == []
    assert offsets(store, "steps", world) == [1, 2, 3, 4, 5]
    place = TopicPartition(world.topics.steps.name, 0)
    other = TopicPartition(world.topics.findings.name, 3)
    assert asyncio.run(stream.resume([place, other])) == {place: 6, other: 0}


def test_a_batch_that_comes_again_after_a_kill_is_kept_once(store: Store) -> None:
    """A kill between the write and the commit would double every step of the batch."""
    world, stream = archive(store, "a-killed")
    for _ in range(2):
        judged(stream, steps(world, 3))
    assert offsets(store, "steps", world) == [1, 2, 3]


def test_bad_records_become_dead_letters_and_their_neighbours_are_kept(store: Store) -> None:
    """One agent's bad record would lose the steps of all others in the same batch."""
    world, stream = archive(store, "a-bad")
    batch = steps(world, 6)
    batch[1] = replace(batch[1], value=b"{not json")
    batch[4] = replace(batch[4], value=None)
    outputs = judged(stream, batch)
    assert letters(world, outputs) == {2: "not_json", 5: "empty"}
    assert offsets(store, "steps", world) == [1, 3, 4, 6]
    assert {letter.by for letter in messages(outputs, world.topics.dead_letters, DeadLetter)} == {"archive"}
    assert stream.counters["refused"] == 2


def test_a_record_that_lictor_itself_fails_on_is_refused_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One record that meets a mistake of ours would end the archive, and each of its successors after it."""
    whole = ROWERS["steps"]

    def breaking(origin: Origin, value: bytes | None, ring: Keyring | None) -> bytes:
        if origin.offset == 2:
            raise ZeroDivisionError
        return whole(origin, value, ring)

    monkeypatch.setitem(ROWERS, "steps", breaking)
    world, stream = archive(store, "a-failing")
    outputs = judged(stream, [*steps(world, 3), world.step_record(step(4), offset=4)])
    (letter,) = messages(outputs, world.topics.dead_letters, DeadLetter)
    assert (letter.offset, letter.kind, letter.by) == (2, "failed", "archive")
    assert "ZeroDivisionError" in letter.reason
    assert offsets(store, "steps", world) == [1, 3, 4]
    assert (stream.counters["failed"], stream.counters["refused"], stream.counters["steps"]) == (1, 1, 3)


def test_a_repeat_that_lictor_itself_fails_on_is_refused_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spool sent late would end the archive where a plain record does not."""

    def breaking(value: bytes | None) -> tuple[Step, bytes]:
        if b"of-evil" in (value or b""):
            raise ZeroDivisionError
        return canonical_step(value)

    monkeypatch.setattr(tables, "canonical_step", breaking)
    world, stream = archive(store, "a-again-failing")
    batch = [replace(world.step_record(own_step(n, text=text)), headers=((AGAIN, b"1"),)) for n, text in AGAINS]
    assert letters(world, judged(stream, batch)) == {2: "failed"}
    assert offsets(store, "steps", world) == [1, 3]


AGAINS = ((1, "of-good"), (2, "of-evil"), (3, "of-more-good"))


@pytest.mark.parametrize("at", [(0,), (7,), (3,), (0, 1), (2, 5), (0, 1, 2, 3, 4, 5, 6, 7)])
def test_rows_that_the_store_refuses_are_found_by_halving(store: Store, at: tuple[int, ...]) -> None:
    """A row that only the store refuses would hold up the archive for ever, or take its batch with it."""
    world, stream = archive(store, f"a-half-{'-'.join(map(str, at))}")
    batch = [claim(world, offset, bad=offset in at) for offset in range(8)]
    assert letters(world, judged(stream, batch)) == dict.fromkeys(at, "store_refused")
    assert offsets(store, "findings", world) == [offset for offset in range(8) if offset not in at]


def test_a_dead_letter_that_cannot_be_kept_makes_no_other(store: Store) -> None:
    """One bad dead letter would beget dead letters without end."""
    world, stream = archive(store, "a-loop")
    bad = world.read(world.topics.dead_letters, "k", b"{not json")
    assert judged(stream, [bad]) == []
    assert stream.counters["refused"] == 1


def test_a_batch_over_midnight_of_a_month_is_kept_whole(store: Store) -> None:
    """At the turn of a month the archive would write two parts in one block, which is not all or nothing."""
    world, stream = archive(store, "a-month")
    batch = [replace(record, timestamp=JANUARY_MS + i) for i, record in enumerate(steps(world, 4))]
    assert [[record.offset for record in month] for month in _by_month(batch)] == [[1], [2, 3, 4]]
    assert judged(stream, batch) == []
    sql = "SELECT toYYYYMM(kafka_time) AS m, count() FROM steps WHERE kafka_topic = {t:String} GROUP BY m ORDER BY m"
    assert store.rows(sql, {"t": world.topics.steps.name}) == [(202601, 1), (202602, 3)]


def test_a_batch_within_a_month_is_not_cut() -> None:
    """Every batch would be written in pieces, and the archive fall behind."""
    world = World()
    batch = steps(world, 3)
    assert _by_month(batch) == [batch]
    assert _by_month([]) == [[]]


def test_a_tombstone_on_a_compacted_topic_is_passed_over(store: Store) -> None:
    """Compaction's own records would fill the dead letters."""
    world, stream = archive(store, "a-tombstone")
    assert judged(stream, [world.read(world.topics.containment, "a", None)]) == []
    assert not stream.counters["refused"]


def test_a_step_that_was_sent_again_and_says_so_is_kept_once_and_noted(store: Store) -> None:
    """A spool sent late would double an agent's steps, or the ledger would miss them."""
    world, stream = archive(store, "a-again")
    first = steps(world, 2)
    judged(stream, first)
    again = [replace(record, offset=record.offset + 10, headers=(*record.headers, (AGAIN, b"1"))) for record in first]
    assert judged(stream, again) == []
    assert offsets(store, "steps", world) == [1, 2]
    assert offsets_of_repeats(store, world) == [11, 12]


def test_a_step_sent_again_that_never_arrived_is_kept(store: Store) -> None:
    """A step that the spool saved would be thrown away because it might have been published before."""
    world, stream = archive(store, "a-saved")
    fresh = replace(world.step_record(own_step(1)), headers=((AGAIN, b"1"),))
    twice = replace(fresh, offset=2)
    judged(stream, [fresh, twice])
    assert offsets(store, "steps", world) == [1]
    assert offsets_of_repeats(store, world) == [2]


def test_a_rewritten_step_is_kept_beside_the_first(store: Store) -> None:
    """An agent could change what it did by publishing it again, or hide the attempt."""
    world, stream = archive(store, "a-rewrite")
    judged(stream, [world.step_record(own_step(3, text="as it was"))])
    changed = replace(world.step_record(own_step(3, text="as it should look")), offset=9)
    judged(stream, [replace(changed, headers=(*changed.headers, (AGAIN, b"1")))])
    assert offsets(store, "steps", world) == [3, 9]


def own_step(number: int, text: str = "saved") -> Step:
    """Return a step of a run that no other test archives."""
    return step(number, run_id=f"own-{text}", trace_id=ids.named("trace", "own"), text=text)


def offsets_of_repeats(store: Store, world: World) -> list[int]:
    """Return the offsets noted as repeats."""
    sql = "SELECT DISTINCT kafka_offset FROM repeats WHERE kafka_topic = {t:String} ORDER BY kafka_offset"
    return [int(row[0]) for row in store.rows(sql, {"t": world.topics.steps.name})]


def test_a_store_that_is_away_is_asked_again(store: Store) -> None:
    """A restart of ClickHouse would lose the batch that was being written."""
    _, stream = archive(store, "a-away")
    answers = iter([StoreUnavailable("away"), None])

    def insert(table: str) -> str:
        if (error := next(answers)) is not None:
            raise error
        return f"written to {table}"

    assert asyncio.run(stream._patiently(insert, "steps")) == "written to steps"
    assert stream.counters["store_unavailable"] == 1


def signers(store: Store, table: str, world: World) -> dict[int, str]:
    """Return who signed, by offset, as the history says it."""
    topic = f"{world.topics.namespace}.{table}"
    sql = f"SELECT kafka_offset, signed_by FROM {table} WHERE kafka_topic = {{t:String}}"  # noqa: S608
    return {int(row[0]): str(row[1]) for row in store.rows(sql, {"t": topic})}


def verdict(world: World, offset: int, role: str = "person") -> Read:
    """Return a person's word, signed."""
    said = Verdict(
        verdict_id=str(offset), kind="verdict", agent_id=AGENT, word="benign", reason="r", person="p", time_us=1
    )
    return world.signed(world.topics.verdicts, AGENT, said, role, offset=offset)


def test_only_a_signature_that_holds_names_its_key_and_the_rest_is_kept(store: Store) -> None:
    """Anybody who can write to a topic could put a colleague's name under an order in the history."""
    world, stream = archive(store, "a-signed")
    good, borrowed, other_role, bare = (verdict(world, offset) for offset in range(4))
    borrowed = replace(borrowed, value=(borrowed.value or b"").replace(b"benign", b"attack"))
    other_role = replace(verdict(world, 2, "respond"))
    bare = replace(bare, headers=())
    assert judged(stream, [good, borrowed, other_role, bare]) == []
    assert signers(store, "verdicts", world) == {0: world.signers["person"].key_id, 1: "", 2: "", 3: ""}


def test_a_key_that_was_published_a_moment_ago_is_waited_for(store: Store) -> None:
    """The first order of a new colleague would stand in the history as signed by nobody."""
    world = World(Topics("a-new-key"))
    know, asked = world.knowledge(loaded=False), []

    async def keys_now() -> None:
        asked.append(1)
        know.apply(world.key_record())

    stream = Archive(world.topics, store, "i", know.keyring, keys_now)
    assert judged(stream, [verdict(world, 0)]) == []
    assert judged(stream, [verdict(world, 1)]) == []
    assert signers(store, "verdicts", world) == dict.fromkeys((0, 1), world.signers["person"].key_id)
    assert len(asked) == 1, "known keys are not asked for again"


def test_the_archive_says_that_it_is_alive_without_a_key(store: Store) -> None:
    """Its process serves SQL: a key in it would be one query's bug away from a stranger."""
    world, stream = archive(store, "a-alive")
    (output,) = stream.tick({TopicPartition("x", 0): 3, TopicPartition("x", 1): 4})
    word = Liveness.read(output.value)
    assert (word.component, word.lag, output.topic) == ("archive", 7, world.topics.liveness.name)
    assert header(output.headers, SIGNATURE) is None


def test_it_reads_everything_but_checkpoints_and_keeps_its_place_in_the_store(store: Store) -> None:
    """A topic left out would be missing from the history; a place kept in Kafka could differ from what was written."""
    world, stream = archive(store, "a-inputs")
    assert stream.inputs == world.topics.archived()
    assert not stream.keeps_state


def test_the_bytes_a_step_came_in_do_not_change_its_row(store: Store) -> None:
    """Spaces or the order of fields in an agent's JSON would hide a step from an analyst's query."""
    world, stream = archive(store, "a-bytes")
    record = world.step_record(own_step(4, text="spaced"))
    spaced = json.dumps(json.loads(record.value or b""), indent=2, sort_keys=True).encode()
    judged(stream, [replace(record, value=spaced)])
    found = store.rows("SELECT text, seq FROM steps WHERE kafka_topic = {t:String}", {"t": world.topics.steps.name})
    assert found == [("spaced", 4)]
