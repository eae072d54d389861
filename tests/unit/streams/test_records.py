"""Records in and out: partitions as every Kafka client computes them, seals, and dead letters that always fit."""

import base64
import random
from dataclasses import replace

import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2

from schemas.dead_letter import DeadLetter
from schemas.errors import BadRecord, BadSeal
from schemas.liveness import Liveness
from schemas.message import MAX_MESSAGE_BYTES
from schemas.seal import SIGNATURE, TYPE, header
from streams.records import Output, partition_of, plain, refused, signed
from tests.unit.streams._builders import World

WORD = Liveness(component="detect", instance="i", time_us=1)
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}
"""The vectors of the Java client's own test of murmur2."""


def letter_of(output: Output) -> DeadLetter:
    """Return the dead letter in an output."""
    return DeadLetter.read(output.value)


@pytest.mark.parametrize(("key", "value"), JAVA.items())
def test_a_partition_is_the_one_the_java_client_chooses(key: str, value: int) -> None:
    """Steps of an agent in another language would land where `detect` refuses them."""
    assert murmur2(key.encode()) & 0xFFFFFFFF == value & 0xFFFFFFFF
    for partitions in (1, 2, 3, 4, 7, 64, 1024):
        assert partition_of(key, partitions) == (value & 0x7FFFFFFF) % partitions


def test_a_partition_is_the_one_aiokafka_chooses() -> None:
    """A record without a stated partition would be refused as misplaced."""
    choose, chance = DefaultPartitioner(), random.Random(1)
    keys = ["", "é", "漢字", "🙂", *("".join(chance.choices("abcdef0123456789", k=length)) for length in range(1, 80))]
    for partitions in (1, 3, 4, 12):
        everything = list(range(partitions))
        assert all(partition_of(key, partitions) == choose(key.encode(), everything, everything) for key in keys)


def test_a_signed_output_is_believed_where_it_was_signed_for_and_nowhere_else() -> None:
    """A signed word could be carried to another topic or key and be believed there."""
    world = World()
    ring, topics = world.knowledge().keyring, world.topics
    output = signed(topics.liveness, "detect/i", WORD, world.signers["detect"])
    value = output.value or b""
    assert ring.check(output.topic, output.key, "liveness", output.headers, value, 0).role == "detect"
    for topic, key in ((topics.audit.name, output.key), (output.topic, "respond/i"), ("other.liveness", output.key)):
        with pytest.raises(BadSeal) as bad:
            ring.check(topic, key, "liveness", output.headers, value, 0)
        assert bad.value.kind == "bad_signature"


def test_a_plain_output_says_its_type_and_carries_no_signature() -> None:
    """A reader could take an unsigned word for a signed one."""
    output = plain(World().topics.liveness, "archive/i", WORD)
    assert header(output.headers, TYPE) == b"liveness"
    assert header(output.headers, SIGNATURE) is None


@pytest.mark.parametrize("byte", [b"x", b"\x00", b"\xff", b'"', "🙂".encode()])
def test_the_dead_letter_of_the_largest_record_is_small(byte: bytes) -> None:
    """A refused record could itself be refused, and be lost without a trace."""
    world = World()
    huge = (byte * (MAX_MESSAGE_BYTES // len(byte)))[:MAX_MESSAGE_BYTES]
    record = replace(world.read(world.topics.steps, "", huge), key=huge)
    said = huge.decode("utf-8", "replace")
    output = refused(world.topics.dead_letters, record, BadRecord("too_large", said), "detect", agent_id=said)
    assert len(output.value or b"") < 16 * 1024
    letter = letter_of(output)
    assert letter.length == MAX_MESSAGE_BYTES
    assert base64.b64decode(letter.head) == huge[:4096]


def test_a_record_refused_twice_is_one_dead_letter() -> None:
    """What `detect` and `archive` both refuse would count as two losses, and the ledger would not add up."""
    world = World()
    record = world.read(world.topics.steps, "k", b"{", partition=3, offset=9)
    outputs = [
        refused(world.topics.dead_letters, record, BadRecord(kind, kind), by)
        for kind, by in (("not_json", "detect"), ("store_refused", "archive"))
    ]
    first, second = map(letter_of, outputs)
    assert first.dead_letter_id == second.dead_letter_id == outputs[0].key == outputs[1].key
    assert (first.by, second.by) == ("detect", "archive")


def test_two_records_are_two_dead_letters_though_they_say_the_same() -> None:
    """Two losses would look like one."""
    world = World()
    places = [
        (world.topics.steps, 0, 1),
        (world.topics.steps, 0, 2),
        (world.topics.steps, 1, 1),
        (world.topics.findings, 0, 1),
    ]
    letters = {
        letter_of(
            refused(
                world.topics.dead_letters,
                world.read(topic, "k", b"{", partition=partition, offset=offset),
                BadRecord("not_json", "x"),
                "detect",
            )
        ).dead_letter_id
        for topic, partition, offset in places
    }
    assert len(letters) == 4


def test_a_dead_letter_says_where_the_record_stands_and_why_it_was_refused() -> None:
    """Nobody could find the record again, or tell a bug from an attack."""
    world = World()
    record = world.read(world.topics.steps, "trace", None, partition=2, offset=7)
    letter = letter_of(refused(world.topics.dead_letters, record, BadRecord("empty", "no value"), "detect"))
    assert (letter.topic, letter.partition, letter.offset, letter.key) == ("t.steps", 2, 7, "trace")
    assert (letter.kind, letter.reason, letter.length, letter.head) == ("empty", "no value", 0, "")
    assert letter.append_time_us == record.timestamp * 1000
