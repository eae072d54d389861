"""Steps become findings, clearances and dead letters; a restart in between changes nothing."""

import base64
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiokafka import TopicPartition

from schemas import ids
from schemas.activity import Activity
from schemas.command import Command
from schemas.dead_letter import DeadLetter
from schemas.finding import Finding
from schemas.liveness import Liveness
from schemas.policy import AgentPolicy
from schemas.rules import RuleBook
from schemas.seal import TYPE, header
from schemas.step import Gate, Step, content
from streams.detect import CLEARANCE_LIFE_US, IDLE_US, Detect
from streams.records import Output, partition_of
from tests.unit.streams._builders import (
    AGENT,
    NOW_MS,
    RUN,
    TRACE,
    World,
    judged,
    messages,
    policy,
    restored,
    rules,
    step,
    traces,
    trifecta,
)


def detect(
    world: World,
    said: AgentPolicy | None = None,
    book: RuleBook | None = None,
    *,
    partitions: int = 1,
    alive: bool = True,
) -> Detect:
    """Return a detect worker that knows the agent's policy and has heard of `respond`."""
    know = world.knowledge()
    world.tell(know, said or policy(), book or rules())
    if alive:
        world.alive(know, "respond")
    stream = Detect(know, world.signers["detect"], "i", partitions)
    for partition in range(partitions):
        stream.open(partition, {})
    return stream


def findings(world: World, outputs: Sequence[Output]) -> list[Finding]:
    """Return what was found."""
    return messages(outputs, world.topics.findings, Finding)


def letters(world: World, outputs: Sequence[Output]) -> list[DeadLetter]:
    """Return the dead letters."""
    return messages(outputs, world.topics.dead_letters, DeadLetter)


def clearances(world: World, outputs: Sequence[Output]) -> list[Command]:
    """Return the answers to waiting gates."""
    return messages(outputs, world.topics.commands, Command)


def send(number: int = 1, **fields: object) -> Step:
    """Return a call that waits for clearance."""
    gate = Gate("hold", "all", 1, "grant", "enforce")
    return step(number, "tool_call", tool="mail.send", arguments={"to": "bob@example.org"}, **{"gate": gate, **fields})


def test_an_attack_is_found_at_the_step_that_completes_it() -> None:
    """The whole point: data would leave and nobody would know."""
    world = World()
    found = findings(world, judged(detect(world), [world.step_record(one) for one in trifecta()]))
    (claim,) = [one for one in found if one.detector == "injected"]
    assert (claim.seq, claim.severity, claim.identity) == (6, "high", "marked")
    assert [evidence.seq for evidence in claim.evidence][-1] == 6


def test_everything_found_is_signed_and_keyed_by_its_agent() -> None:
    """`respond` would refuse every finding, and nothing would be stopped."""
    world = World()
    stream = detect(world)
    outputs = judged(stream, [world.step_record(one) for one in trifecta()])
    assert outputs
    for output in outputs:
        kind = (header(output.headers, TYPE) or b"").decode()
        stream.know.keyring.check(output.topic, output.key, kind, output.headers, output.value or b"", NOW_MS * 1000)
        assert output.key == AGENT


def test_a_step_under_another_traces_key_is_refused() -> None:
    """A step could be judged outside its trace, where nothing is known of it."""
    world = World()
    record = replace(world.step_record(step(1)), key=b"another", offset=7)
    (letter,) = letters(world, judged(detect(world), [record]))
    assert (letter.kind, letter.offset, letter.agent_id) == ("wrong_key", 7, AGENT)


def test_a_step_without_a_trace_travels_under_its_run() -> None:
    """Starts and ends of runs would all be refused."""
    world = World()
    started = step(1, "run_started", trace_id="")
    assert letters(world, judged(detect(world), [world.step_record(started)])) == []
    wrong = replace(world.step_record(started), key=b"")
    assert [letter.kind for letter in letters(world, judged(detect(world), [wrong]))] == ["wrong_key"]


def test_a_step_in_another_traces_partition_is_refused() -> None:
    """A trace could be torn in two, and its halves judged by workers that know half of it each."""
    world = World()
    stream = detect(world, partitions=4)
    right = partition_of(TRACE, 4)
    assert letters(world, judged(stream, [world.step_record(step(1), partition=right)])) == []
    wrong = world.step_record(step(2), partition=(right + 1) % 4)
    assert [letter.kind for letter in letters(world, judged(stream, [wrong]))] == ["wrong_partition"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(b"{not json", "not_json"), (b"", "not_json"), (None, "empty"), (b"{}", "invalid"), (b"[1]", "invalid")],
)
def test_what_is_no_step_becomes_a_dead_letter_with_its_place(value: bytes | None, kind: str) -> None:
    """A bad record would stop the worker, or vanish without a trace."""
    world = World()
    stream = detect(world)
    record = world.read(world.topics.steps, TRACE, value, offset=41)
    (letter,) = letters(world, judged(stream, [record]))
    assert (letter.topic, letter.partition, letter.offset, letter.by) == ("t.steps", 0, 41, "detect")
    assert (letter.kind, base64.b64decode(letter.head)) == (kind, value or b"")
    assert stream.counters[f"dead_{kind}"] == 1


def test_a_bad_record_does_not_keep_its_neighbours_from_being_judged() -> None:
    """An attacker would send one bad record along to go unseen."""
    world = World()
    records = [world.step_record(one) for one in trifecta()]
    bad = world.read(world.topics.steps, TRACE, b"{", offset=99)
    found = findings(world, judged(detect(world), [*records[:3], bad, *records[3:]]))
    assert "tainted_egress" in {claim.detector for claim in found}


@pytest.mark.parametrize("how", ["unmarked", "forged"])
def test_a_step_without_a_good_mark_is_judged_and_says_so_under_observe(how: str) -> None:
    """Somebody could speak in an agent's name, and the agent would be punished for it."""
    world = World()
    record = world.step_record(step(1), marked=how == "forged", master=b"x" * 32)
    outputs = judged(detect(world), [record])
    assert letters(world, outputs) == []
    assert [(claim.rule_id, claim.identity) for claim in findings(world, outputs)] == [(f"lictor.identity.{how}", how)]


@pytest.mark.parametrize("how", ["unmarked", "forged"])
def test_a_step_without_a_good_mark_is_refused_under_require(how: str) -> None:
    """A step that nobody can vouch for would still change what is known of an agent."""
    world = World()
    stream = detect(world, book=rules(identity="require"))
    record = world.step_record(step(1), marked=how == "forged", master=b"x" * 32)
    outputs = judged(stream, [record])
    assert [(letter.kind, letter.agent_id) for letter in letters(world, outputs)] == [(f"identity_{how}", AGENT)]
    assert findings(world, outputs) == []
    assert judged(stream, [world.step_record(step(1))]) == []


def test_a_mark_is_bound_to_key_and_bytes() -> None:
    """A marked step could be altered, or moved to another trace, and still count as the agent's."""
    world = World()
    record = world.step_record(step(1, text="pay 5"))
    altered = replace(record, value=(record.value or b"").replace(b"pay 5", b"pay 9"))
    assert [claim.identity for claim in findings(world, judged(detect(world), [altered]))] == ["forged"]


def test_the_same_record_again_is_judged_once() -> None:
    """A producer's retry would look like an agent that repeats itself."""
    world = World()
    stream, records = detect(world), [world.step_record(one) for one in trifecta()]
    first = judged(stream, records)
    assert judged(stream, records) == []
    assert stream.counters["repeats"] == len(records)
    assert len(findings(world, first)) == stream.counters["findings"]


def test_a_call_that_waits_is_let_through_when_nothing_speaks_against_it() -> None:
    """Honest agents would stand still at every call that cannot be undone."""
    world = World()
    waiting = send()
    outputs = judged(detect(world), [world.step_record(waiting)])
    (answer,) = clearances(world, outputs)
    assert answer.arguments == {"word": "allow"}
    assert (answer.target.agent_id, answer.target.run_id, answer.target.step_id) == (AGENT, RUN, waiting.step_id)
    assert answer.target.digest == ids.content_digest(content(waiting))
    assert answer.expires_us - answer.issued_us == CLEARANCE_LIFE_US


def test_a_call_that_completes_an_attack_is_held_before_the_finding_is_published() -> None:
    """The answer would stand behind its own reasons in the queue, and the gate give up waiting."""
    world = World()
    *before, last = trifecta()
    stream = detect(world)
    judged(stream, [world.step_record(one) for one in before])
    outputs = judged(stream, [world.step_record(last)])
    (answer,) = clearances(world, outputs)
    assert answer.arguments == {"word": "ask"}
    assert "eve@evil.example" in answer.reason
    assert [output.topic for output in outputs] == ["t.commands", "t.findings", "t.findings"]


def test_a_clearance_fits_what_the_step_says_whatever_digest_it_claims() -> None:
    """An agent could have one call cleared and make another."""
    world = World()
    honest = send()
    fields = {name: getattr(honest, name) for name in honest.__struct_fields__}
    lying = Step(**{**fields, "digest": "0" * 64})
    (answer,) = clearances(world, judged(detect(world), [world.step_record(lying)]))
    assert answer.target.digest == ids.content_digest(content(honest))


def test_no_clearance_is_given_while_respond_is_silent() -> None:
    """A call would be let through although nobody could stop what follows."""
    world = World()
    stream = detect(world, alive=False)
    assert judged(stream, [world.step_record(send())]) == []
    assert stream.counters["clearances_withheld_respond"] == 1
    world.alive(stream.know, "respond")
    assert len(judged(stream, [world.step_record(send(2))])) == 1


def test_a_repeat_of_a_call_that_was_not_answered_is_not_cleared() -> None:
    """An attack that was seen while `respond` was silent would be let through by sending it once more."""
    world = World()
    stream = detect(world, alive=False)
    records = [world.step_record(one) for one in trifecta()]
    assert clearances(world, judged(stream, records)) == []
    world.alive(stream.know, "respond")
    assert judged(stream, records[-1:]) == []


def test_no_clearance_is_given_for_a_step_that_waited_too_long() -> None:
    """A call would be let through by a worker that does not know the present."""
    world = World()
    stream = detect(world)
    late = world.step_record(send(time_us=(NOW_MS - 60_000) * 1000), timestamp=NOW_MS - 60_000)
    assert clearances(world, judged(stream, [late])) == []
    assert stream.counters["clearances_withheld_lag"] == 1


@pytest.mark.parametrize(
    ("said", "call"),
    [
        (policy(mode="observe"), send()),
        (policy(), send(gate=Gate("deny", "", 1, "no_grant", "enforce"))),
        (policy(), send(gate=Gate("ask", "", 1, "no_grant", "ask"))),
        (policy(), step(1, "tool_call", tool="crm.read", gate=Gate("allow"))),
        (policy(), step(1, "message")),
    ],
)
def test_what_does_not_wait_is_not_answered(said: AgentPolicy, call: Step) -> None:
    """The control topic would fill with answers to nobody."""
    world = World()
    assert clearances(world, judged(detect(world, said), [world.step_record(call)])) == []


def test_a_call_that_a_grant_holds_is_answered_whatever_its_traits() -> None:
    """A call that the policy makes wait would wait in vain."""
    world = World()
    held = step(1, "tool_call", tool="crm.read", gate=Gate("hold", "careful", 1, "grant", "enforce"))
    assert len(clearances(world, judged(detect(world), [world.step_record(held)]))) == 1


@pytest.mark.parametrize("cut", range(7))
@pytest.mark.parametrize("whole", [True, False])
def test_a_restart_anywhere_changes_no_finding(cut: int, whole: bool) -> None:
    """An attacker would only have to wait for the next deployment."""
    world = World()
    records = [world.step_record(one) for one in [*trifecta(), send(9), send(9, text="rewritten")]]
    undisturbed = findings(world, judged(detect(world), records))
    first, second = detect(world), detect(world)
    before = judged(first, records[:cut]) if cut else []
    second.open(0, restored(first, whole=whole))
    after = judged(second, records[cut:])
    assert findings(world, [*before, *after]) == undisturbed
    assert len(undisturbed) >= 2


def test_checkpoints_written_step_by_step_add_up_to_the_whole() -> None:
    """A change between two checkpoints would be lost at the next restart."""
    world = World()
    stream = detect(world)
    for one in trifecta():
        judged(stream, [world.step_record(one)])
        entries = restored(stream, whole=False)
    assert {name: entry.state for name, entry in entries.items()} == stream.changed(0, whole=True)
    assert stream.changed(0, whole=False) == {}


def test_a_trace_that_was_idle_for_a_day_is_forgotten_and_its_checkpoint_dropped() -> None:
    """Memory would grow for as long as Lictor runs."""
    world = World()
    stream = detect(world)
    judged(stream, [world.step_record(step(1))])
    entries = restored(stream)
    later = "f" * 32
    at = NOW_MS + IDLE_US // 1000 + 3_600_000
    judged(stream, [world.step_record(step(1, trace_id=later), timestamp=at)])
    assert traces(entries) == {TRACE}
    assert traces(restored(stream, whole=False, before=entries)) == {later}


def test_a_checkpoint_of_another_shape_is_rebuilt_from_later_steps() -> None:
    """After an upgrade a worker would not start, or would believe nonsense."""
    world = World()
    first, second = detect(world), detect(world)
    judged(first, [world.step_record(step(1))])
    entries = restored(first)
    damaged = {name: type(entry)(1, "detect", 0, 1, name, {}, b"\xc1") for name, entry in entries.items()}
    second.open(0, damaged)
    assert second.counters["checkpoint_entries_refused"] == len(damaged) == 2, "the trace, and its agent's activity"
    judged(second, [world.step_record(step(2))])
    assert traces(restored(second)) == {TRACE}


def test_a_flood_of_traces_makes_a_finding_and_forgets_only_the_flooder() -> None:
    """An agent could make Lictor forget another agent's half-done attack."""
    world = World()
    stream = detect(world, book=rules(bounds={"traces_per_agent": 2}))
    world.tell(stream.know, policy("other"))
    judged(stream, [world.step_record(step(1, agent_id="other", trace_id="e" * 32))])
    flood = [world.step_record(step(1, trace_id=f"{number:032x}")) for number in range(1, 5)]
    found = findings(world, judged(stream, flood))
    assert {claim.detector for claim in found} == {"state_pressure"}
    assert stream.counters["evictions"] == 2
    assert "e" * 32 in stream.changed(0, whole=True)


def test_a_partition_given_up_is_forgotten() -> None:
    """Two workers would hold the same trace, and one of them would write a stale checkpoint."""
    world = World()
    stream = detect(world)
    stream.close(0)
    assert stream.memories == {}


def test_it_says_each_second_that_it_is_alive_signed_and_how_far_behind() -> None:
    """Gates would wait for an answer from a worker that died."""
    world = World()
    stream = detect(world, partitions=2)
    judged(stream, [world.step_record(step(1), partition=partition_of(TRACE, 2), timestamp=NOW_MS - 5000)])
    told, output = stream.tick({TopicPartition("t.steps", 0): 3})
    assert (told.topic, Activity.read(told.value).steps) == ("t.activity", 1)
    signer = stream.know.keyring.check(output.topic, output.key, "liveness", output.headers, output.value or b"", 0)
    word = Liveness.read(output.value)
    assert (signer.role, word.component, word.partitions, word.lag) == ("detect", "detect", (0, 1), 3)
    assert word.behind_us >= 5_000_000
    assert word.counters["steps"] == 1
    assert set(word.applied) == {"t.policies", "t.rules"}
    (idle,) = stream.tick({})
    assert Liveness.read(idle.value).behind_us == 0


def test_input_that_is_refused_again_and_again_becomes_a_finding() -> None:
    """A flood of records nobody can read would only ever move a counter."""
    world = World()
    stream = detect(world)
    start = NOW_MS - NOW_MS % 60_000
    bad = [world.read(world.topics.steps, TRACE, b"{", timestamp=start + number) for number in range(30)]
    outputs = judged(stream, bad)
    (found,) = findings(world, outputs)
    assert (found.rule_id, found.identity, found.mode) == ("lictor.unjudged.input", "unmarked", "observe")
    assert "10 records of t.steps[0]" in found.reason
    assert len(letters(world, outputs)) == 30
    later = [world.read(world.topics.steps, TRACE, b"{", timestamp=start + 60_000) for _ in range(10)]
    (again,) = findings(world, judged(stream, later))
    assert again.finding_id != found.finding_id


def test_a_record_that_lictor_itself_fails_on_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """One poisonous step would end the worker, and the next worker, and so on."""
    world = World()
    stream = detect(world)

    def fails(step: Step) -> str:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("streams.detect.message_key", fails)
        (letter,) = letters(world, judged(stream, [world.step_record(step(1))]))
    assert (letter.kind, letter.reason) == ("failed", "Lictor failed on it: ZeroDivisionError")
    assert judged(stream, [world.step_record(step(2))]) == []
