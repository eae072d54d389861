"""What a person tells `respond`: kill, pause, resume, lift."""

import pytest

from responders import LADDER
from responders.casebook import COMMAND_LIFE_US, STOP_STANDS_US, Casebook
from responders.cases import KEPT_WORDS, WORD_LIFE_US
from responders.limits import Limiter
from schemas.approval import Approval
from schemas.command import Command
from schemas.containment import Containment
from schemas.message import Message
from schemas.rules import Row
from schemas.verdict import Verdict
from tests.unit.builders import AGENT, NOW, RUN, a_finding, a_receipt, a_rule_book, a_verdict


def a_book() -> Casebook:
    """Return an empty casebook."""
    return Casebook(LADDER, Limiter(), {})


def standing(messages: list[Message]) -> list[tuple[str, str, str]]:
    """Return the orders of the one containment: id, action, run."""
    (found,) = [message for message in messages if isinstance(message, Containment)]
    return [(order.command_id, order.action, order.run_id) for order in found.orders]


def commands(messages: list[Message]) -> list[Command]:
    """Return the commands among the messages."""
    return [message for message in messages if isinstance(message, Command)]


@pytest.mark.parametrize(("kind", "action"), [("kill", "stop"), ("pause", "pause")])
def test_a_persons_order_is_made_to_last_and_not_sent_again(kind: str, action: str) -> None:
    """A run would come back after a restart, or be ordered twice."""
    book = a_book()
    out = book.on_verdict(a_verdict(kind, command_id="k1"), NOW)
    assert standing(out) == [("k1", action, RUN)]
    assert commands(out) == []
    assert book.on_verdict(a_verdict(kind, command_id="k1"), NOW) == []
    assert book.cases[AGENT].epoch == 1


def test_a_kill_ends_by_itself_and_a_pause_does_not() -> None:
    """A paused run would go on by itself after a week."""
    book = a_book()
    book.on_verdict(a_verdict("kill", command_id="k1"), NOW)
    book.on_verdict(a_verdict("pause", command_id="p1"), NOW)
    assert book.expire(NOW + STOP_STANDS_US) == []
    (left,) = book.expire(NOW + STOP_STANDS_US + 1)
    assert standing([left]) == [("p1", "pause", RUN)]


def test_a_person_is_not_held_to_the_limits_of_the_machine() -> None:
    """In an emergency nobody could stop the fleet."""
    book = a_book()
    for number in range(100):
        agent = f"agent-{number}"
        assert standing(book.on_verdict(a_verdict("kill", command_id=agent, agent_id=agent), NOW))


def test_resume_lifts_the_pauses_of_its_run_and_tells_the_agent() -> None:
    """A person's resume would change a record and leave the agent waiting."""
    book = a_book()
    for name, run in (("p1", RUN), ("p2", RUN), ("p3", "other")):
        book.on_verdict(a_verdict("pause", command_id=name, run_id=run), NOW)
    out = book.on_verdict(a_verdict("resume"), NOW)
    assert standing(out) == [("p3", "pause", "other")]
    (command,) = commands(out)
    assert (command.action, command.target.run_id, command.epoch) == ("resume", RUN, 4)
    assert (command.person, command.expires_us) == ("alice", NOW + COMMAND_LIFE_US)


def test_resume_does_not_lift_a_stop() -> None:
    """A run that was stopped for cause would go on at a word about a pause."""
    book = a_book()
    book.on_finding(a_finding(), a_rule_book(), NOW)
    assert book.on_verdict(a_verdict("resume"), NOW) == []
    assert [order.action for order in book.cases[AGENT].orders.values()] == ["stop"]


def test_lift_takes_one_order_away() -> None:
    """A quarantine could never be ended, or ended with everything else."""
    book = a_book()
    for name in ("k1", "k2"):
        book.on_verdict(a_verdict("kill", command_id=name, run_id=name), NOW)
    out = book.on_verdict(a_verdict("lift", command_id="k1"), NOW)
    assert standing(out) == [("k2", "stop", "k2")]
    assert commands(out) == []
    assert book.on_verdict(a_verdict("lift", command_id="k1"), NOW) == []


def test_a_lifting_that_names_no_order_lifts_none() -> None:
    """Who recorded a lifting could have it lift, said again, a quarantine that came long after."""
    book = a_book()
    book.on_verdict(a_verdict("pause", command_id="p1"), NOW)
    assert book.on_verdict(a_verdict("lift"), NOW) == []


def test_paused_resumed_and_paused_again_are_three_epochs() -> None:
    """The second pause would be taken for a copy of the first."""
    book = a_book()
    epochs = []
    for kind, name in (("pause", "p1"), ("resume", ""), ("pause", "p2"), ("resume", "")):
        book.on_verdict(a_verdict(kind, command_id=name), NOW)
        epochs.append(book.cases[AGENT].epoch)
    assert epochs == [1, 2, 3, 4]


def test_two_resumes_are_two_commands() -> None:
    """The second resume would be taken for a copy of the first."""
    book = a_book()
    told = []
    for name in ("p1", "p2"):
        book.on_verdict(a_verdict("pause", command_id=name), NOW)
        told += commands(book.on_verdict(a_verdict("resume"), NOW))
    assert told[0].command_id != told[1].command_id


@pytest.mark.parametrize("kind", ["resume", "lift", "verdict", "ack", "answer"])
def test_words_about_nothing_change_nothing(kind: str) -> None:
    """Each word of a person would raise the epoch and publish a set."""
    book = a_book()
    assert book.on_verdict(a_verdict(kind), NOW) == []
    assert book.cases[AGENT].epoch == 0


def test_kills_that_name_no_command_are_kept_apart_by_their_own_ids() -> None:
    """The second kill of an operator's own tool would be taken for a repeat of the first."""
    book = a_book()
    book.on_verdict(a_verdict("kill", verdict_id="v1", run_id="r1"), NOW)
    out = book.on_verdict(a_verdict("kill", verdict_id="v2", run_id="r2"), NOW)
    assert standing(out) == [("v1", "stop", "r1"), ("v2", "stop", "r2")]
    assert book.on_verdict(a_verdict("kill", verdict_id="v2", run_id="r2"), NOW) == []
    assert book.on_verdict(a_verdict("lift"), NOW) == []


def test_the_words_heard_are_bounded_and_forgotten_when_they_are_too_old_to_be_believed() -> None:
    """An agent's case would grow with each word of a person until it fits no checkpoint."""
    book = a_book()
    for number in range(KEPT_WORDS + 10):
        book.on_verdict(a_verdict("ack"), NOW + number)
    assert len(book.cases[AGENT].heard) == KEPT_WORDS
    book.on_verdict(a_verdict("ack"), NOW + KEPT_WORDS + 10 + 2 * WORD_LIFE_US)
    assert len(book.cases[AGENT].heard) == 1


def test_very_many_orders_of_a_person_still_fit_into_a_set() -> None:
    """The set would outgrow what can be published, and nothing be ordered any more."""
    book = a_book()
    for number in range(300):
        for kind in ("pause", "kill"):
            verdict = a_verdict(kind, command_id=f"{kind}{number}", run_id=f"r{number}")
            book.on_verdict(verdict, NOW)
    assert len(book.cases[AGENT].containment(NOW).orders) <= 256
    assert book.on_verdict(a_verdict("kill", command_id="last", run_id="last"), NOW)


def test_a_long_reason_is_cut_and_not_refused() -> None:
    """An operator who explains at length would not be obeyed."""
    book = a_book()
    verdict: Verdict = a_verdict("pause", command_id="p1", reason="because " * 500)
    assert book.on_verdict(verdict, NOW)
    assert commands(book.on_verdict(a_verdict("resume", reason="because " * 500), NOW))


def test_where_the_supervisor_refuses_a_stop_a_person_is_asked_once() -> None:
    """An agent that shares its process would go on, and nobody be asked what should be done."""
    book = a_book()
    command = next(
        m for m in book.on_finding(a_finding(), a_rule_book(Row(id="r", action="stop")), NOW) if isinstance(m, Command)
    )
    refusal = {"layer": "supervisor", "status": "refused", "reason": "3 other runs live in this process"}
    assert book.on_receipt(a_receipt(command.command_id, **refusal), NOW, trusted=False) == []
    (question,) = book.on_receipt(a_receipt(command.command_id, **refusal), NOW, trusted=True)
    assert isinstance(question, Approval)
    assert "--force" in question.question
    assert (question.reason, question.incident_id) == ("3 other runs live in this process", command.incident_id)
    assert book.on_receipt(a_receipt(command.command_id, **refusal), NOW, trusted=True) == []
    other = a_receipt(command.command_id, run_id="another", **refusal)
    assert book.on_receipt(other, NOW, trusted=True) == []
