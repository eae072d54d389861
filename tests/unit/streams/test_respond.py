"""Findings, receipts and people's words become orders: signed, once, within limits, and over any restart."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition

from responders.autonomy import Ruling
from schemas.approval import Approval
from schemas.checkpoint import Checkpoint
from schemas.command import Command
from schemas.containment import Containment, Order
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.finding import Finding
from schemas.incident import Incident
from schemas.liveness import Liveness
from schemas.receipt import Receipt
from schemas.rules import RuleBook
from schemas.seal import TYPE, header
from schemas.verdict import Verdict
from streams.records import Output
from streams.respond import LIMITS, Respond
from tests.unit.streams._builders import AGENT, NOW_MS, RUN, Read, World, finding, judged, messages, restored, rules

WORDS = itertools.count()
WEEK_MS = 7 * 24 * 3600 * 1000


def respond(world: World, book: RuleBook | None = None, entries: dict[str, Checkpoint] | None = None) -> Respond:
    """Return a respond worker with a rule book in force."""
    know = world.knowledge()
    world.tell(know, rules=book or rules())
    stream = Respond(know, world.signers["respond"], "i")
    stream.open(0, entries or {})
    return stream


def found(world: World, number: int = 1, role: str = "detect", **fields: Any) -> Read:
    """Return a finding as `detect` publishes it."""
    claim = finding(number, **fields)
    return world.signed(world.topics.findings, claim.agent_id, claim, role, offset=number)


def said(world: World, kind: str, role: str = "person", **fields: Any) -> Read:
    """Return what a person tells `respond`, taken by Kafka when it is said; each word has an id of its own."""
    place = {"timestamp": NOW_MS, **{name: fields.pop(name) for name in ("timestamp", "offset") if name in fields}}
    base = {"verdict_id": f"v{next(WORDS)}", "kind": kind, "agent_id": AGENT, "run_id": RUN, "command_id": "by-hand"}
    said = {"reason": "it looked wrong", "person": "alice", "time_us": place["timestamp"] * 1000}
    word = Verdict.model_validate({**base, **said, **fields})
    return world.signed(world.topics.verdicts, word.agent_id, word, role, **place)


def received(world: World, role: str, **fields: Any) -> Read:
    """Return what a layer says of an order; role "" leaves it unsigned."""
    base = {"receipt_id": "r", "agent_id": AGENT, "run_id": RUN, "status": "effective", "time_us": 1}
    word = Receipt.model_validate(base | fields)
    if role:
        return world.signed(world.topics.receipts, AGENT, word, role)
    return world.read(world.topics.receipts, AGENT, word.value())


def commands(world: World, outputs: Sequence[Output]) -> list[Command]:
    """Return the orders that were given."""
    return messages(outputs, world.topics.commands, Command)


def standing(world: World, outputs: Sequence[Output]) -> Containment:
    """Return the last set of orders that was published."""
    return messages(outputs, world.topics.containment, Containment)[-1]


def letters(world: World, outputs: Sequence[Output]) -> list[DeadLetter]:
    """Return the dead letters."""
    return messages(outputs, world.topics.dead_letters, DeadLetter)


def test_a_sure_finding_stops_the_run() -> None:
    """An attack would be found, and go on."""
    world = World()
    outputs = judged(respond(world), [found(world)])
    (order,) = commands(world, outputs)
    assert (order.action, order.target.agent_id, order.target.run_id, order.epoch) == ("stop", AGENT, RUN, 1)
    assert [one.command_id for one in standing(world, outputs).orders] == [order.command_id]
    (decision,) = messages(outputs, world.topics.decisions, Decision)
    assert (decision.action, decision.row, decision.command_id) == ("stop", "sure", order.command_id)
    (incident,) = messages(outputs, world.topics.incidents, Incident)
    assert (incident.status, incident.incident_id) == ("contained", order.incident_id)


def test_the_order_goes_out_before_its_account() -> None:
    """The agent would take another step while Lictor writes its report."""
    world = World()
    topics = [output.topic for output in judged(respond(world), [found(world)])]
    assert topics == ["t.commands", "t.containment", "t.decisions", "t.incidents"]


def test_everything_is_signed_by_respond_and_keyed_by_the_agent() -> None:
    """No agent would obey."""
    world = World()
    stream = respond(world)
    outputs = judged(stream, [found(world), found(world, 2, confidence=0.6, run_id="run-2")])
    assert len({output.topic for output in outputs}) == 5
    for output in outputs:
        kind = (header(output.headers, TYPE) or b"").decode()
        signer = stream.know.keyring.check(output.topic, output.key, kind, output.headers, output.value or b"", 0)
        assert (signer.role, output.key) == ("respond", AGENT)


def test_an_unsigned_finding_is_refused() -> None:
    """Whoever can write to the topic could have any agent stopped."""
    world = World()
    stream, record = respond(world), found(world)
    outputs = judged(stream, [replace(record, headers=())])
    (letter,) = letters(world, outputs)
    assert (len(outputs), letter.kind, letter.by, letter.offset) == (1, "unsigned", "respond", 1)
    assert stream.counters == {"dead_unsigned": 1}


@pytest.mark.parametrize("role", ["audit", "supervisor", "person"])
def test_a_finding_that_another_role_signed_is_refused(role: str) -> None:
    """A stolen key of another part would be enough to stop every agent."""
    world = World()
    assert [letter.kind for letter in letters(world, judged(respond(world), [found(world, role=role)]))] == [
        "wrong_role"
    ]


def test_an_altered_finding_is_refused() -> None:
    """A finding about one run could be turned against another."""
    world = World()
    record = found(world)
    altered = replace(record, value=(record.value or b"").replace(b"run-1", b"run-2"))
    assert [letter.kind for letter in letters(world, judged(respond(world), [altered]))] == ["bad_signature"]


@pytest.mark.parametrize(("value", "kind"), [(None, "empty"), (b"{", "not_json"), (b"{}", "invalid")])
def test_what_is_no_finding_becomes_a_dead_letter(value: bytes | None, kind: str) -> None:
    """One bad record would stop the part that stops agents."""
    world = World()
    topic = world.topics.findings
    headers = world.signers["detect"].seal(topic.name, AGENT, Finding.type, value or b"")
    bad = world.read(topic, AGENT, value, headers)
    outputs = judged(respond(world), [bad, found(world)])
    assert [letter.kind for letter in letters(world, outputs)] == [kind]
    assert len(commands(world, outputs)) == 1


def test_a_finding_under_another_agents_key_is_refused() -> None:
    """A case could be opened where another worker keeps it, and orders be given twice."""
    world = World()
    record = world.signed(world.topics.findings, "another", finding(), "detect")
    assert [letter.kind for letter in letters(world, judged(respond(world), [record]))] == ["wrong_key"]


def test_the_same_finding_again_leads_to_nothing() -> None:
    """Every restart of `detect` would stop the same run anew."""
    world = World()
    stream = respond(world)
    judged(stream, [found(world)])
    assert judged(stream, [found(world)]) == []


def test_a_second_finding_of_a_stopped_run_gives_no_second_order() -> None:
    """One incident would be a storm of commands."""
    world = World()
    stream = respond(world)
    judged(stream, [found(world)])
    outputs = judged(stream, [found(world, 2)])
    assert commands(world, outputs) == []
    (incident,) = messages(outputs, world.topics.incidents, Incident)
    assert (incident.revision, incident.findings_seen) == (2, 2)


def test_what_is_only_likely_is_asked_about() -> None:
    """Honest runs would be stopped on a guess."""
    world = World()
    outputs = judged(respond(world), [found(world, confidence=0.6)])
    assert commands(world, outputs) == []
    (question,) = messages(outputs, world.topics.approvals, Approval)
    (decision,) = messages(outputs, world.topics.decisions, Decision)
    assert (decision.action, decision.approval_id, question.status) == ("ask", question.approval_id, "open")


@pytest.mark.parametrize(
    ("fields", "action"), [({"identity": "forged"}, "ask"), ({"mode": "observe"}, "observe"), ({"mode": "ask"}, "ask")]
)
def test_an_order_needs_a_marked_step_and_a_mode_that_allows_it(fields: dict[str, str], action: str) -> None:
    """An agent would be stopped for what somebody else said in its name, or though its owner only wants to look."""
    world = World()
    outputs = judged(respond(world), [found(world, **fields)])
    assert commands(world, outputs) == []
    assert [one.action for one in messages(outputs, world.topics.decisions, Decision)] == [action]


def test_over_its_limit_it_asks() -> None:
    """One bad rule would stop the whole fleet within a minute."""
    world = World()
    stream = respond(world, rules(safety={"default": {"per_minute": 1}}))
    outputs = judged(stream, [found(world, 1), found(world, 2, run_id="run-2")])
    assert len(commands(world, outputs)) == 1
    last = messages(outputs, world.topics.decisions, Decision)[-1]
    assert (last.action, last.wanted) == ("ask", "stop")
    assert "bound" in last.limited_by


def test_a_restart_does_not_forget_what_was_ordered() -> None:
    """A run would be stopped again, under an epoch that the agent has seen, and the limits begin anew."""
    world = World()
    book = rules(safety={"default": {"per_minute": 1}})
    first = respond(world, book)
    judged(first, [found(world)])
    entries = restored(first)
    assert set(entries) == {AGENT, LIMITS}
    second = respond(world, book, entries)
    assert judged(second, [found(world)]) == []
    outputs = judged(second, [found(world, 2, run_id="run-2")])
    assert messages(outputs, world.topics.decisions, Decision)[0].wanted == "stop"
    assert commands(world, outputs) == []


def test_only_what_changed_is_checkpointed() -> None:
    """Every checkpoint would write every agent's case, and the topic never be compacted in time."""
    world = World()
    stream = respond(world)
    assert stream.changed(0, whole=False) == {}
    judged(stream, [found(world)])
    assert set(stream.changed(0, whole=False)) == {AGENT, LIMITS}
    assert stream.changed(0, whole=False) == {}
    assert set(stream.changed(0, whole=True)) == {AGENT, LIMITS}


def test_a_damaged_checkpoint_is_counted_and_left_out() -> None:
    """One bad entry would keep `respond` from starting."""
    world = World()
    damaged = {name: Checkpoint(1, "respond", 0, 1, name, {}, b"\xc1") for name in (AGENT, LIMITS)}
    assert respond(world, entries=damaged).counters["checkpoint_entries_refused"] == 2


def test_what_stands_on_the_topic_outlives_a_lost_checkpoint() -> None:
    """After losing its state, Lictor would give orders under epochs that no agent obeys any more."""
    world = World()
    stream = respond(world)
    order = Order(command_id="c-9", action="stop", run_id="run-9", since_us=1)
    held = Containment(agent_id=AGENT, epoch=9, orders=(order,), time_us=1)
    stream.know.apply(world.signed(world.topics.containment, AGENT, held, "respond"))
    outputs = judged(stream, [found(world)])
    (command,) = commands(world, outputs)
    assert command.epoch == standing(world, outputs).epoch == 10
    assert {one.run_id for one in standing(world, outputs).orders} == {RUN, "run-9"}


def test_a_persons_kill_stands() -> None:
    """A run that a person stopped would be free again once its process restarts the SDK."""
    world = World()
    outputs = judged(respond(world), [said(world, "kill")])
    (order,) = standing(world, outputs).orders
    assert (order.command_id, order.action, order.run_id) == ("by-hand", "stop", RUN)
    assert commands(world, outputs) == []


def test_a_pause_stands_until_it_is_lifted_and_the_agent_is_told() -> None:
    """A paused agent would never go on."""
    world = World()
    stream = respond(world)
    assert standing(world, judged(stream, [said(world, "pause")])).orders[0].action == "pause"
    outputs = judged(stream, [said(world, "resume")])
    assert standing(world, outputs).orders == ()
    (resume,) = commands(world, outputs)
    assert (resume.action, resume.epoch, resume.person) == ("resume", 2, "alice")


def test_stop_resume_and_stop_again_are_three_epochs() -> None:
    """The second stop of one incident would look like a copy of the first, and be ignored."""
    world = World()
    stream = respond(world)
    epochs = [
        standing(world, judged(stream, [said(world, kind, command_id=name)])).epoch
        for kind, name in (("pause", "p-1"), ("resume", "r-1"), ("pause", "p-2"))
    ]
    assert epochs == [1, 2, 3]


@pytest.mark.parametrize("role", ["detect", "respond", "audit", "supervisor"])
def test_only_a_person_speaks_for_a_person(role: str) -> None:
    """A machine's key could lift what a person ordered."""
    world = World()
    assert [one.kind for one in letters(world, judged(respond(world), [said(world, "lift", role)]))] == ["wrong_role"]


def test_a_record_that_lictor_itself_fails_on_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """One poisonous finding would end `respond` for good, and nobody would be stopped any more."""
    world = World()
    stream = respond(world)

    def fails(*_: object) -> Ruling:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("responders.casebook._decision", fails)
        (letter,) = letters(world, judged(stream, [found(world, 1)]))
    assert (letter.kind, letter.by) == ("failed", "respond")
    assert len(commands(world, judged(stream, [found(world, 2, run_id="another")]))) == 1


def test_a_person_without_the_right_is_refused() -> None:
    """Whoever may only answer questions could lift a quarantine."""
    world = World()
    stream = respond(world)
    stream.know.apply(world.key_record(world.keys(2, may=("approve",))))
    assert [one.kind for one in letters(world, judged(stream, [said(world, "lift")]))] == ["wrong_role"]


@pytest.mark.parametrize("kind", ["kill", "pause", "resume", "lift"])
@pytest.mark.parametrize("may", [("verdict",), ("verdict", "stop"), ("verdict", "pause")])
def test_respond_does_for_a_person_no_more_than_the_person_may(kind: str, may: tuple[str, ...]) -> None:
    """Whoever may only judge findings could stop every agent, or free one that was shut out."""
    world = World()
    stream = respond(world)
    stream.know.apply(world.key_record(world.keys(2, may=may)))
    refused = [one.kind for one in letters(world, judged(stream, [said(world, kind)]))]
    needed = {"kill": "stop", "lift": "stop"}.get(kind, "pause")
    assert refused == ([] if needed in may else ["wrong_role"])


def test_a_lifted_quarantine_is_gone_under_a_higher_epoch_and_the_stop_beside_it_stands() -> None:
    """An agent shut out by mistake would stay so, or every run that was stopped be forgotten with it."""
    world = World()
    stream = respond(world)
    shut = Order(command_id="q-1", action="quarantine", since_us=1)
    stop = Order(command_id="s-1", action="stop", run_id=RUN, since_us=1)
    held = Containment(agent_id=AGENT, epoch=9, orders=(shut, stop), time_us=1)
    stream.know.apply(world.signed(world.topics.containment, AGENT, held, "respond"))
    lift = said(world, "lift", command_id="q-1", run_id="")
    outputs = judged(stream, [lift])
    assert ([one.command_id for one in standing(world, outputs).orders], standing(world, outputs).epoch) == (
        ["s-1"],
        10,
    )
    assert commands(world, outputs) == []
    assert judged(stream, [lift]) == []


def test_the_supervisors_signed_word_proves_a_stop_and_the_agents_own_only_claims_it() -> None:
    """A run would count as ended because it says so itself."""
    world = World()
    stream = respond(world)
    (order,) = commands(world, judged(stream, [found(world)]))
    proofs = []
    for role, fields in (
        ("", {"layer": "sdk"}),
        ("", {"layer": "supervisor", "exit_status": -9}),
        ("supervisor", {"layer": "supervisor"}),
        ("supervisor", {"layer": "supervisor", "exit_status": -9}),
    ):
        judged(stream, [received(world, role, command_id=order.command_id, **fields)])
        proofs.append(stream.books[0].cases[AGENT].orders[order.command_id].proof)
    assert proofs == ["claimed", "claimed", "claimed", "proven"]


def test_a_receipt_of_no_known_order_changes_nothing() -> None:
    """An agent could invent the proof of an order that was never given."""
    world = World()
    stream = respond(world)
    assert judged(stream, [received(world, "supervisor", command_id="never", layer="supervisor", exit_status=0)]) == []
    assert stream.books[0].cases[AGENT].orders == {}


def test_a_stop_is_lifted_after_a_week_and_the_lifting_is_published() -> None:
    """The set of orders would grow for ever, and one day not fit."""
    world = World()
    stream = respond(world)
    judged(stream, [said(world, "kill", timestamp=NOW_MS - WEEK_MS - 1000)])
    judged(stream, [said(world, "pause", command_id="p", timestamp=NOW_MS - WEEK_MS - 1000)])
    outputs = stream.tick({})
    assert [order.command_id for order in standing(world, outputs).orders] == ["p"]
    assert messages(stream.tick({}), world.topics.containment, Containment) == []


def test_it_says_each_second_that_it_is_alive_signed() -> None:
    """Without its word no call is cleared, so it must be its own."""
    world = World()
    stream = respond(world)
    (output,) = stream.tick({TopicPartition("t.findings", 0): 2})
    signer = stream.know.keyring.check(output.topic, output.key, "liveness", output.headers, output.value or b"", 0)
    word = Liveness.read(output.value)
    assert (signer.role, word.component, word.partitions, word.lag) == ("respond", "respond", (0,), 2)


def test_a_partition_given_up_is_forgotten() -> None:
    """Two workers would order in one agent's name."""
    world = World()
    stream = respond(world)
    stream.close(0)
    assert stream.books == {}
