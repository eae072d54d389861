"""Whatever an agent sends: a dead letter or a finding, a counter, nothing lost, nothing crashed."""

import json
import os
from collections import Counter
from collections.abc import Callable

from schemas.approval import Approval
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.finding import Finding
from schemas.step import encode_step
from streams.records import Output, partition_of
from tests.flow.world import ENFORCING, PARTITIONS, World, step

TRACE = "b" * 32
GOOD = step(trace_id=TRACE)


def altered(**changes: object) -> bytes:
    """Return a good step with fields set to other values."""
    return json.dumps({**json.loads(encode_step(GOOD)), **changes}).encode()


DEEP = 10_000
BAD: dict[str, tuple[str, bytes | None]] = {
    "not JSON": ("not_json", b"hello"),
    "half a step": ("not_json", encode_step(GOOD)[:-20]),
    "an array": ("invalid", b"[]"),
    "wrong types": ("invalid", altered(seq="one")),
    "an unknown kind": ("invalid", altered(kind="daydream")),
    "invalid UTF-8": ("not_utf8", encode_step(GOOD).replace(b"hello", b"\xff\xfe")),
    "NaN": ("not_json", encode_step(GOOD)[:-1] + b',"cost_usd":NaN}'),
    "infinity": ("invalid", encode_step(GOOD)[:-1] + b',"cost_usd":1e999}'),
    "duplicate keys": ("duplicate_keys", encode_step(GOOD)[:-1] + b',"seq":2}'),
    "3 MiB": ("too_large", altered(text="x" * (3 << 20))),
    "10,000 levels in a field": (
        "too_deep",
        encode_step(GOOD)[:-1] + b',"arguments":' + b'{"a":' * DEEP + b"1" + b"}" * (DEEP + 1),
    ),
    "10,000 levels in a skipped field": (
        "too_deep",
        encode_step(GOOD)[:-1] + b',"later":' + b"[" * DEEP + b"]" * DEEP + b"}",
    ),
    "a newer format": ("version", altered(v=2)),
    "another's step id": ("step_id", altered(step_id="0" * 32)),
    "a tombstone": ("empty", None),
}


def test_what_cannot_be_read_is_a_dead_letter_and_the_next_step_is_judged(make_world: Callable[..., World]) -> None:
    """Without this a single malformed record could blind or stop the detection of every other agent."""
    world = make_world()
    good = step(agent_id="nobody-knows", kind="run_started", trace_id="", run_id=TRACE)
    headers = world.raw(b"", TRACE, "bot").headers
    with world.running("detect") as lanes:
        world.publish(*[Output(world.topics.steps.name, TRACE, value, headers) for _, value in BAD.values()])
        world.publish(world.marked(good))
        letters = world.await_messages(world.topics.dead_letters, DeadLetter, lambda found: len(found) >= len(BAD))
        findings = world.await_messages(
            world.topics.findings, Finding, lambda found: good.step_id in {one.step_id for one in found}
        )
        counted = {name: count for name, count in lanes["detect"].stream.counters.items() if name.startswith("dead_")}
    by_offset = sorted(letters, key=lambda letter: letter.offset)
    assert {name: letter.kind for name, letter in zip(BAD, by_offset, strict=True)} == {
        name: kind for name, (kind, _) in BAD.items()
    }
    assert [letter.length for letter in by_offset] == [len(value or b"") for _, value in BAD.values()]
    assert counted == Counter(f"dead_{kind}" for kind, _ in BAD.values())
    assert {found.rule_id for found in findings} <= {"lictor.unjudged.input", "lictor.grants.unregistered"}


def test_a_step_in_the_wrong_partition_or_under_another_key_is_refused(make_world: Callable[..., World]) -> None:
    """Otherwise an agent could hide half of a trace from the worker that judges the other half."""
    world = make_world()
    wrong = (partition_of(TRACE, PARTITIONS) + 1) % PARTITIONS
    with world.running("detect"):
        world.publish(world.marked(GOOD, partition=wrong), world.marked(GOOD, key="c" * 32))
        letters = world.await_messages(world.topics.dead_letters, DeadLetter, lambda found: len(found) >= 2)
    assert {letter.kind for letter in letters} == {"wrong_partition", "wrong_key"}
    assert {letter.agent_id for letter in letters} == {"bot"}


def test_unmarked_and_forged_steps_lead_to_a_question_never_to_an_order(make_world: Callable[..., World]) -> None:
    """Otherwise anybody who can write to the topic could have an honest agent stopped in its own name."""
    world = make_world(ENFORCING)
    bad = step(trace_id=TRACE, kind="tool_call", tool="shell.exec", text="", origin="", arguments={"cmd": "rm"})
    with world.running("detect", "respond"):
        world.publish(world.raw(encode_step(bad), TRACE, None))
        forged = step(
            trace_id="d" * 32, kind="tool_call", tool="shell.exec", text="", origin="", arguments={"cmd": "rm"}
        )
        world.publish(world.marked(forged, signer="somebody-else"))
        rules = {"lictor.identity.unmarked", "lictor.identity.forged", "lictor.grants.bypassed"}
        findings = world.await_messages(
            world.topics.findings, Finding, lambda found: rules <= {f.rule_id for f in found} and len(found) >= 4
        )
        questions = world.await_messages(world.topics.approvals, Approval, lambda found: len(found) >= 2)
    assert {finding.identity for finding in findings} == {"unmarked", "forged"}
    assert {question.agent_id for question in questions} == {"bot"}
    assert [c for c in world.messages(world.topics.commands, Command) if c.action != "clearance"] == []


def test_under_identity_require_unmarked_and_forged_steps_are_dead_letters(make_world: Callable[..., World]) -> None:
    """A fleet that demands marks must not judge, count or archive anything without a good one."""
    world = make_world("version: 1\nidentity: require\n")
    with world.running("detect"):
        world.publish(world.raw(encode_step(GOOD), TRACE, None), world.marked(GOOD, signer="somebody-else"))
        letters = world.await_messages(world.topics.dead_letters, DeadLetter, lambda found: len(found) >= 2)
    assert {letter.kind for letter in letters} == {"identity_unmarked", "identity_forged"}
    assert world.read(world.topics.findings) == []


def test_repeats_count_once_and_rewrites_are_findings(make_world: Callable[..., World]) -> None:
    """A producer's retry must not look like an attack, and a changed past must not look like a retry."""
    world = make_world()
    first, second = step(trace_id=TRACE), step(trace_id=TRACE, seq=2)
    rewritten = step(trace_id=TRACE, text="something else")
    old = step(trace_id=TRACE, seq=1, text="again", agent_id="bot", run_id="r2")
    with world.running("detect") as lanes:
        world.publish(
            world.marked(first), world.marked(first), world.marked(second), world.marked(rewritten), world.marked(old)
        )
        findings = world.await_messages(world.topics.findings, Finding, lambda found: len(found) >= 1)
        world.publish(world.marked(step(trace_id=TRACE, seq=200)))
        world.publish(world.marked(step(trace_id=TRACE, seq=3)))
        findings = world.await_messages(world.topics.findings, Finding, lambda found: len(found) >= 3)
        assert lanes["detect"].stream.counters["repeats"] == 1
    assert [f.rule_id for f in findings] == [
        "lictor.sequence.rewritten",
        "lictor.sequence.gap",
        "lictor.sequence.backwards",
    ]
    assert world.dead_letters() == []


def test_a_clock_that_cannot_be_true_is_clamped_and_told(make_world: Callable[..., World]) -> None:
    """A step dated 1970 or 2100 must neither be lost nor hold a window open for ever."""
    world = make_world()
    moments_us = {"1" * 32: 0, "2" * 32: 4_102_444_800_000_000, "3" * 32: -(1 << 61)}
    steps = [step(trace_id=trace, seq=seq, time_us=at) for trace, at in moments_us.items() for seq in range(1, 5)]
    with world.running("detect"):
        world.publish(*[world.marked(item) for item in steps])
        findings = world.await_messages(world.topics.findings, Finding, lambda found: len(found) >= 3)
    assert {finding.trace_id: finding.rule_id for finding in findings} == dict.fromkeys(
        moments_us, "lictor.sequence.clock"
    )
    assert world.dead_letters() == []


def test_a_flood_of_bad_records_loses_none_and_delays_no_other(make_world: Callable[..., World]) -> None:
    """Each refused record must be countable, or an attacker could bury a step among garbage."""
    world = make_world()
    garbage = [Output(world.topics.steps.name, os.urandom(8).hex(), os.urandom(200)) for _ in range(500)]
    with world.running("detect"):
        world.publish(*garbage, world.marked(step(agent_id="new", kind="run_started", trace_id="", run_id="r9")))
        world.await_messages(world.topics.dead_letters, DeadLetter, lambda found: len(found) >= 500)
        world.await_messages(world.topics.findings, Finding, lambda found: len(found) >= 1)
    assert len({letter.dead_letter_id for letter in world.dead_letters()}) == 500
