"""From finding to order."""

from typing import Any, TypeVar

import pytest

from responders import LADDER
from responders.casebook import (
    APPROVAL_LIFE_US,
    COMMAND_LIFE_US,
    INCIDENT_IDLE_US,
    KEPT_FINDINGS,
    KEPT_JUDGED,
    STOP_STANDS_US,
    Casebook,
)
from responders.cases import decode_case, encode_case
from responders.limits import Limiter
from schemas.approval import Approval
from schemas.command import Command
from schemas.containment import Containment
from schemas.decision import Decision
from schemas.incident import Incident
from schemas.message import Action, Message
from schemas.rules import ActionLimit, Row, RuleBook, Safety
from tests.unit.builders import AGENT, NOW, RUN, SECOND, a_finding, a_receipt, a_rule_book, a_verdict

Kind = TypeVar("Kind", bound=Message)
LOOSE = Safety(default=ActionLimit(per_minute=10**6, fleet_share=1, fleet_floor=10**6))
STOP = a_rule_book(safety=LOOSE)


def always(action: Action, **safety: Any) -> RuleBook:
    """Return rules by which every finding leads to one action."""
    return a_rule_book(Row(id="it", action=action), safety=LOOSE.model_copy(update=safety))


def a_book(known: dict[str, Containment] | None = None) -> Casebook:
    """Return an empty casebook; `known`: what stands on the containment topic."""
    return Casebook(LADDER, Limiter(), {} if known is None else known)


def of(kind: type[Kind], messages: list[Message]) -> list[Kind]:
    """Return the messages of one kind."""
    return [message for message in messages if isinstance(message, kind)]


def ordered(messages: list[Message]) -> Command:
    """Return the one command among the messages."""
    (command,) = of(Command, messages)
    return command


def decided(messages: list[Message]) -> Decision:
    """Return the one decision among the messages."""
    (decision,) = of(Decision, messages)
    return decision


def test_a_finding_leads_to_order_containment_decision_and_incident() -> None:
    """An order would be given that nobody can account for."""
    finding = a_finding()
    out = a_book().on_finding(finding, STOP, NOW)
    assert [message.type for message in out] == ["command", "containment", "decision", "incident"]
    command, decision, incident = ordered(out), decided(out), of(Incident, out)[0]
    assert (command.action, command.target.run_id, command.target.step_id) == ("stop", RUN, finding.step_id)
    assert (command.issued_us, command.expires_us) == (NOW, NOW + COMMAND_LIFE_US)
    assert decision.command_id == command.command_id
    assert decision.decision_id == command.decision_id
    assert {decision.incident_id, command.incident_id} == {incident.incident_id}
    assert (incident.status, incident.finding_ids) == ("contained", (finding.finding_id,))


def test_the_containment_says_what_the_command_says() -> None:
    """An agent that missed the command would not hear of it when it starts anew."""
    out = a_book().on_finding(a_finding(), STOP, NOW)
    (order,) = of(Containment, out)[0].orders
    assert (order.command_id, order.run_id) == (ordered(out).command_id, RUN)
    assert order.expires_us == NOW + STOP_STANDS_US
    assert of(Containment, out)[0].epoch == ordered(out).epoch == 1


def test_the_same_finding_twice_acts_once() -> None:
    """Every replayed record would be an order again."""
    book = a_book()
    assert book.on_finding(a_finding(), STOP, NOW)
    assert book.on_finding(a_finding(), STOP, NOW + SECOND) == []


def test_another_finding_about_a_stopped_run_orders_nothing_new() -> None:
    """A run would be stopped once for each of its findings."""
    book = a_book()
    first = book.on_finding(a_finding("one"), STOP, NOW)
    again = book.on_finding(a_finding("two"), STOP, NOW)
    assert [message.type for message in again] == ["decision", "incident"]
    assert decided(again).action == "stop"
    assert decided(again).command_id == ""
    assert decided(first).incident_id == decided(again).incident_id


def test_another_run_is_stopped_by_itself() -> None:
    """A second attacked run would go on."""
    book = a_book()
    ids = {ordered(book.on_finding(a_finding(run, run_id=run), STOP, NOW)).command_id for run in ("r1", "r2")}
    assert len(ids) == 2
    assert book.cases[AGENT].epoch == 2


@pytest.mark.parametrize("action", ["deny", "throttle", "read_only", "revoke", "quarantine"])
def test_orders_against_the_agent_name_no_run_and_stand_until_lifted(action: Action) -> None:
    """An agent shut out would be free again with its next start."""
    book = a_book()
    out = book.on_finding(a_finding("one"), always(action), NOW)
    assert ordered(out).target.run_id == ""
    assert of(Containment, out)[0].orders[0].expires_us == 0
    assert of(Command, book.on_finding(a_finding("two", run_id="r2"), always(action), NOW)) == []


def test_a_stop_after_a_lift_has_a_new_epoch_and_a_new_id() -> None:
    """An agent resumed by a person could never be stopped again."""
    book = a_book()
    first = ordered(book.on_finding(a_finding("one"), STOP, NOW))
    lifted = book.on_verdict(a_verdict("lift", command_id=first.command_id), NOW)
    second = ordered(book.on_finding(a_finding("two"), STOP, NOW))
    assert of(Containment, lifted)[0].orders == ()
    assert second.command_id != first.command_id
    assert (first.epoch, of(Containment, lifted)[0].epoch, second.epoch) == (1, 2, 3)


def test_a_restored_case_goes_on_where_it_was() -> None:
    """A restart would order everything a second time."""
    book, after = a_book(), a_book()
    command = ordered(book.on_finding(a_finding("one"), STOP, NOW))
    after.restore(decode_case(encode_case(book.cases[AGENT])))
    assert after.on_finding(a_finding("one"), STOP, NOW) == []
    assert of(Command, after.on_finding(a_finding("two"), STOP, NOW)) == []
    assert command.command_id in after.cases[AGENT].orders


def test_after_a_lost_checkpoint_the_same_order_goes_out_once_more() -> None:
    """A worker that died between containment and command would leave the run at large."""
    book = a_book()
    book.on_finding(a_finding("earlier", run_id="r0"), STOP, NOW)
    before = book.on_finding(a_finding("one"), STOP, NOW)
    after = a_book({AGENT: of(Containment, before)[0]})
    out = after.on_finding(a_finding("one"), STOP, NOW)
    assert ordered(out).command_id == ordered(before).command_id
    assert ordered(out).epoch == 2
    assert of(Containment, out) == of(Containment, before)
    assert of(Command, after.on_finding(a_finding("two"), STOP, NOW)) == []


def test_a_checkpoint_older_than_the_containment_gives_way_to_it() -> None:
    """An order given just before a crash would be forgotten."""
    book = a_book()
    book.on_finding(a_finding("one"), STOP, NOW)
    old = decode_case(encode_case(book.cases[AGENT]))
    newer = of(Containment, book.on_finding(a_finding("two", run_id="r2"), STOP, NOW))[0]
    after = a_book({AGENT: newer})
    after.restore(old)
    assert after.cases[AGENT].containment(NOW) == newer


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ({"per_minute": 0}, "0 times in the last minute"),
        ({"per_minute": 9, "fleet_share": 0.01, "fleet_floor": 1}, "agents within an hour"),
        ({"per_minute": 9, "cooldown_s": 60}, "less than 60 s ago"),
    ],
)
def test_over_a_limit_the_order_becomes_a_question_with_the_reason(limit: dict[str, Any], why: str) -> None:
    """A bad rule would stop the fleet, or fail without anybody being asked."""
    rules = a_rule_book(safety=Safety(default=ActionLimit.model_validate(limit)))
    book = a_book()
    book.limiter.take("stop", AGENT, NOW)
    book.limiter.take("stop", "another", NOW)
    out = book.on_finding(a_finding(), rules, NOW + SECOND)
    (question,) = of(Approval, out)
    assert (decided(out).action, decided(out).wanted) == ("ask", "stop")
    assert why in decided(out).limited_by
    assert why in question.question
    assert (of(Command, out), decided(out).approval_id) == ([], question.approval_id)


def test_a_name_that_nobody_has_proven_makes_no_fleet_larger() -> None:
    """Whoever may write steps could lift the bound on the cure by inventing agents."""
    book = a_book()
    for number in range(9):
        book.on_finding(a_finding(str(number), agent_id=f"a{number}", identity="unmarked"), a_rule_book(), NOW)
    assert book.limiter.fleet == {}


def test_every_agent_with_a_finding_is_part_of_the_fleet() -> None:
    """In a large fleet no more agents could be stopped than in a small one."""
    book, half = a_book(), a_rule_book(safety=Safety(default=ActionLimit(fleet_share=0.5, fleet_floor=1)))
    agents = [f"agent-{number}" for number in range(10)]
    for agent in agents:
        book.on_finding(a_finding(agent, agent_id=agent), always("observe"), NOW)
    done = [decided(book.on_finding(a_finding("x" + agent, agent_id=agent), half, NOW)).action for agent in agents]
    assert done == ["stop"] * 5 + ["ask"] * 5


@pytest.mark.parametrize("action", ["stop", "quarantine"])
def test_a_limit_does_not_ask_about_what_stands_already(action: Action) -> None:
    """A person would be asked whether to do what was done long ago."""
    book, other = a_book(), always(action, default=ActionLimit(per_minute=1, fleet_floor=9))
    book.on_finding(a_finding("one"), other, NOW)
    out = book.on_finding(a_finding("two"), other, NOW)
    assert (of(Approval, out), decided(out).limited_by) == ([], "")


@pytest.mark.parametrize("identity", ["unmarked", "forged"])
def test_a_step_without_a_good_mark_never_leads_to_an_order(identity: str) -> None:
    """Whoever can write to the topic could have any agent stopped."""
    book = a_book()
    for action in ("stop", "quarantine", "revoke", "pause"):
        out = book.on_finding(a_finding(action, identity=identity), always(action), NOW)  # type: ignore[arg-type]
        assert of(Command, out) == of(Containment, out) == []
        assert len(of(Approval, out)) == 1
        assert identity in decided(out).limited_by


def test_in_mode_observe_nothing_is_ordered_or_asked_and_all_is_kept() -> None:
    """An agent that is only watched would be stopped, or its finding lost."""
    out = a_book().on_finding(a_finding(mode="observe"), STOP, NOW)
    assert [message.type for message in out] == ["decision", "incident"]
    assert (decided(out).action, decided(out).wanted, decided(out).mode) == ("observe", "stop", "observe")


def test_a_dry_run_decides_and_orders_nothing() -> None:
    """Trying Lictor out would stop agents."""
    out = a_book().on_finding(a_finding(), always("stop", dry_run=True), NOW)
    assert [message.type for message in out] == ["decision", "incident"]
    assert decided(out).limited_by == "safety.dry_run is set"


def test_about_a_protected_agent_a_person_is_asked() -> None:
    """The agent that keeps the plant running would be stopped by a bad rule."""
    out = a_book().on_finding(a_finding(), always("stop", protected=(AGENT,)), NOW)
    (question,) = of(Approval, out)
    assert of(Command, out) == []
    assert "would stop this run, but the agent is protected" in question.question
    assert question.expires_us == NOW + APPROVAL_LIFE_US


def test_many_findings_of_an_incident_are_one_question() -> None:
    """A person would be asked a hundred times about one run."""
    book = a_book()
    asked = [of(Approval, book.on_finding(a_finding(str(n)), always("ask"), NOW))[0] for n in range(20)]
    assert len({question.approval_id for question in asked}) == 1
    assert [question.revision for question in asked] == list(range(1, 21))
    assert len(asked[-1].finding_ids) == 16


def test_risk_adds_up_and_the_worst_finding_names_the_incident() -> None:
    """An analyst could not tell a burning incident from a smouldering one."""
    book = a_book()
    book.on_finding(a_finding("a", severity="low", confidence=1, title="mild"), always("observe"), NOW)
    out = book.on_finding(a_finding("b", severity="critical", confidence=0.5, title="grave"), always("observe"), NOW)
    assert of(Incident, out)[0].risk == 55
    book.on_finding(a_finding("c", severity="medium", confidence=1, title="between"), always("observe"), NOW)
    out = book.on_finding(a_finding("d", severity="critical", confidence=0, title="as grave"), always("observe"), NOW)
    last = of(Incident, out)[0]
    assert (last.risk, last.title, last.severity, last.revision, last.findings_seen) == (75, "grave", "critical", 4, 4)


def test_findings_of_another_run_or_another_day_are_another_incident() -> None:
    """Everything an agent ever did would be one incident."""
    book, watch = a_book(), always("observe")
    at = [("a", RUN, NOW), ("b", RUN, NOW + INCIDENT_IDLE_US), ("c", RUN, NOW + 3 * INCIDENT_IDLE_US), ("d", "r2", NOW)]
    ids = [decided(book.on_finding(a_finding(name, run_id=run), watch, when)).incident_id for name, run, when in at]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_what_is_remembered_of_an_agent_is_bounded() -> None:
    """A runaway agent would fill the memory of its worker."""
    book, watch = a_book(), always("observe")
    for number in range(KEPT_JUDGED + 50):
        out = book.on_finding(a_finding(str(number)), watch, NOW + number)
    incident = of(Incident, out)[0]
    assert len(book.cases[AGENT].judged) == KEPT_JUDGED
    assert len(incident.finding_ids) == KEPT_FINDINGS
    assert incident.findings_seen == KEPT_JUDGED + 50


def test_an_agent_of_very_many_runs_is_still_contained_and_asked_about() -> None:
    """The set of an agent's orders would outgrow what can be published, and nothing be ordered any more."""
    book, pause = a_book(), always("pause")
    outs = [book.on_finding(a_finding(f"r{n}", run_id=f"r{n}"), pause, NOW) for n in range(400)]
    last = outs[-1]
    assert len(book.cases[AGENT].orders) <= 256
    assert decided(last).action == "ask"
    assert "orders stand" in decided(last).limited_by
    assert ordered(book.on_finding(a_finding("q"), always("quarantine"), NOW)).action == "quarantine"


def test_what_has_expired_is_lifted_with_a_new_epoch() -> None:
    """A week-old stop would stand for ever, or its end be taken for an old set."""
    book = a_book()
    book.on_finding(a_finding("one"), STOP, NOW)
    book.on_finding(a_finding("two"), always("quarantine"), NOW)
    assert book.expire(NOW + STOP_STANDS_US) == []
    (lifted,) = book.expire(NOW + STOP_STANDS_US + 1)
    assert (lifted.epoch, [order.action for order in lifted.orders]) == (3, ["quarantine"])
    assert book.expire(NOW + STOP_STANDS_US + 1) == []


def test_idle_incidents_are_forgotten_and_the_change_is_noted() -> None:
    """Memory would only ever grow, or a checkpoint bring old incidents back."""
    book = a_book()
    book.on_finding(a_finding(), always("observe"), NOW)
    book.changed.clear()
    assert book.expire(NOW + INCIDENT_IDLE_US) == []
    assert book.changed == set()
    book.expire(NOW + INCIDENT_IDLE_US + 1)
    assert (book.cases[AGENT].incidents, book.changed) == ({}, {AGENT})


@pytest.mark.parametrize(
    ("receipts", "proof"),
    [
        ([({}, False)], "claimed"),
        ([({"status": "received"}, True)], ""),
        ([({"layer": "supervisor", "exit_status": -9}, True)], "proven"),
        ([({"layer": "supervisor", "exit_status": -9}, False)], "claimed"),
        ([({"exit_status": 0}, True)], "claimed"),
        ([({"layer": "supervisor", "exit_status": 0}, True), ({}, False)], "proven"),
        ([({"command_id": "other", "layer": "supervisor", "exit_status": 0}, True)], ""),
    ],
)
def test_only_a_trusted_layers_receipt_proves_a_stop(receipts: list[tuple[dict[str, Any], bool]], proof: str) -> None:
    """A kill would be closed by the word of the agent that was to be killed."""
    book = a_book()
    command = ordered(book.on_finding(a_finding(), STOP, NOW))
    for fields, trusted in receipts:
        assert book.on_receipt(a_receipt(**({"command_id": command.command_id} | fields)), NOW, trusted=trusted) == []
    assert book.cases[AGENT].orders[command.command_id].proof == proof


def test_texts_that_fill_their_fields_can_still_be_published() -> None:
    """A finding or a row with a long text would end the worker that acts on it, again and again."""
    rules = a_rule_book(Row(id="r" * 512, action="stop"), safety=Safety(protected=("*",)))
    long = a_finding(reason="x" * 16384, title="t" * 512, agent_id="a" * 128, run_id="r" * 128)
    for finding, book in ((long, rules), (long.model_copy(update={"finding_id": "2"}), STOP)):
        assert all(type(message).read(message.value()) for message in a_book().on_finding(finding, book, NOW))
