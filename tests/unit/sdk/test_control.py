"""What an agent believes and obeys: signed by who may, for itself, once, in time; everything else is counted."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor_agent.control import Control
from lictor_agent.orders import Command as HeardCommand
from schemas.command import CommandAction, Target
from schemas.containment import Containment
from schemas.keys import KEY_LIST
from schemas.liveness import Liveness
from schemas.policy import ANY_AGENT
from schemas.seal import SIGNATURE
from tests.unit.sdk._agents import Lab, command, heard, standing
from tests.unit.sdk._ear import Ear, Listener
from tests.unit.streams._builders import AGENT, PERSON_MAY, Read, World, policy, step


def test_a_stop_is_obeyed_once() -> None:
    """A stop would be carried out again at every repeat, or not at all."""
    ear = Ear()
    order = ear.lab.order("stop", "run-1")
    assert ear.tell(order) == {"obeyed_stop": 1}
    assert ear.tell(order) == {"obeyed_stop": 1, "refused_replayed": 1}
    assert ear.run.told == [("stop", "c-1")]


@pytest.mark.parametrize("action", ["stop", "pause", "resume"])
def test_an_order_reaches_the_run_it_names_and_no_other(action: CommandAction) -> None:
    """An honest run would be stopped for another's doing."""
    ear, other = Ear(), Listener("run-2")
    ear.control.add(other)
    ear.tell(ear.lab.order(action, "run-2"))
    assert (ear.run.told, other.told) == ([], [(action, "c-1")])
    ear.tell(ear.lab.order(action, "run-3", number=2))
    assert len(other.told) == 1


def forged(ear: Ear) -> Read:
    """Return a stop signed by a key that is not on the list."""
    return Lab(Path(), World()).order("stop", "run-1")


def altered(ear: Ear) -> Read:
    """Return a stop whose target was changed after it was signed."""
    record = ear.lab.order("stop", "run-7")
    return replace(record, value=(record.value or b"").replace(b"run-7", b"run-1"))


def moved(ear: Ear) -> Read:
    """Return a stop for another agent under this agent's key."""
    said = command("stop", "run-1", target=Target(agent_id="other", run_id="run-1"))
    return ear.world.signed(ear.world.topics.commands, AGENT, said, "respond")


def replayed_elsewhere(ear: Ear) -> Read:
    """Return a stop signed for another Lictor's topic."""
    record = World(type(ear.world.topics)("other"), ear.world.root, ear.world.master, ear.world.signers)
    return replace(Lab(Path(), record).order("stop", "run-1"), topic="t.commands")


def by_right(ear: Ear, action: CommandAction, *may: str) -> Read:
    """Return an order of a person with these rights."""
    ear.control.hear(heard(ear.world.key_record(ear.world.keys(2, may=may))))
    return ear.lab.order(action, "run-1", role="person")


def twice(record: Read) -> Read:
    """Return a record whose signature stands twice."""
    signature = next(value for name, value in record.headers if name == SIGNATURE)
    return replace(record, headers=(*record.headers, (SIGNATURE, signature)))


def as_clearance(ear: Ear) -> Read:
    """Return a stop that says it is a clearance."""
    said = command("stop", "run-1")
    return ear.world.signed(ear.world.topics.commands, AGENT, said, "detect", kind="clearance")


REFUSED: dict[str, tuple[Any, str]] = {
    "forged": (forged, "unknown_key"),
    "altered": (altered, "bad_signature"),
    "unsigned": (lambda ear: replace(ear.lab.order("stop", "run-1"), headers=()), "unsigned"),
    "signed twice": (lambda ear: twice(ear.lab.order("stop", "run-1")), "unsigned"),
    "expired": (lambda ear: ear.lab.order("stop", "run-1", expires_us=1), "expired"),
    "for another agent": (moved, "other_agent"),
    "of another Lictor": (replayed_elsewhere, "bad_signature"),
    "signed by detect": (lambda ear: ear.lab.order("stop", "run-1", role="detect"), "wrong_role"),
    "signed by the supervisor": (lambda ear: ear.lab.order("stop", "run-1", role="supervisor"), "wrong_role"),
    "signed by audit": (lambda ear: ear.lab.order("stop", "run-1", role="audit"), "wrong_role"),
    "by a person who may only pause": (lambda ear: by_right(ear, "stop", "pause"), "wrong_role"),
    "by a person who may only stop": (lambda ear: by_right(ear, "pause", "stop"), "wrong_role"),
    "by a person who may only publish policy": (lambda ear: by_right(ear, "stop", "policy"), "wrong_role"),
    "a clearance as an order": (
        lambda ear: ear.lab.clearance(step(1), "deny", role="respond", kind="command"),
        "wrong_role",
    ),
    "an order as a clearance": (as_clearance, "wrong_role"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_order_that_may_not_be_believed_is_counted_and_not_obeyed(name: str) -> None:
    """Somebody who may not could stop, or free, any agent."""
    make, why = REFUSED[name]
    ear = Ear()
    assert ear.tell(make(ear)) == {f"refused_{why}": 1}
    assert ear.run.told == []


@pytest.mark.parametrize(("action", "right"), [("stop", "stop"), ("pause", "pause"), ("resume", "pause")])
def test_a_person_with_the_right_is_obeyed(action: CommandAction, right: str) -> None:
    """`lictor kill` would do nothing while `respond` is down, which is when it is needed."""
    ear = Ear()
    ear.tell(by_right(ear, action, right))
    assert ear.run.told == [(action, "c-1")]


@pytest.mark.parametrize("changed", [{"revoked": True}, {"expires_us": 1}])
def test_a_key_out_of_force_orders_nothing(changed: dict[str, Any]) -> None:
    """Revoking a stolen key would leave agents at its mercy."""
    ear = Ear()
    ear.tell(ear.world.key_record(ear.world.keys(2, respond=changed)))
    ear.tell(ear.lab.order("stop", "run-1"))
    assert ear.run.told == []


def test_a_persons_order_cannot_make_the_agent_deaf() -> None:
    """Whoever may pause an agent could switch Lictor off for it, with one order of an enormous epoch."""
    ear = Ear()
    ear.tell(ear.lab.stands(5))
    ear.tell(ear.lab.order("pause", "run-1", role="person", number=1 << 60))
    ear.tell(ear.lab.order("stop", "run-1", number=6))
    assert [action for action, _ in ear.run.told] == ["pause", "stop"]


def test_a_persons_order_counts_whatever_the_epoch_and_its_copy_does_not() -> None:
    """A kill would be refused because `respond` had raised the epoch meanwhile; a recorded one would work again."""
    ear = Ear()
    ear.tell(ear.lab.stands(5))
    kill = ear.lab.order("stop", "run-1", role="person", epoch=0)
    ear.tell(kill)
    assert ear.tell(kill)["refused_replayed"] == 1
    assert ear.run.told == [("stop", "c-1")]


def test_nobody_uses_up_the_id_of_an_order_that_respond_has_yet_to_give() -> None:
    """The ids of orders can be foretold: whoever may only pause could have the next stop taken for a copy."""
    ear = Ear()
    ear.tell(ear.lab.order("pause", "run-1", role="person", command_id="next"))
    ear.tell(ear.lab.order("stop", "run-1", command_id="next"))
    assert ear.run.told == [("pause", "next"), ("stop", "next")]


def test_an_order_is_too_old_by_kafkas_clock_and_not_by_the_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent whose clock is ten minutes fast could not be stopped."""
    ear = Ear()
    order = ear.lab.order("stop", "run-1")
    ahead = time.time() + 600
    monkeypatch.setattr("lictor_agent.control.time.time", lambda: ahead)
    ear.tell(order)
    assert ear.run.told == [("stop", "c-1")]


def test_an_order_of_an_old_epoch_is_counted_and_not_obeyed() -> None:
    """A copy of an order that was lifted would be obeyed again."""
    ear = Ear()
    ear.tell(ear.lab.stands(5))
    assert ear.tell(ear.lab.order("stop", "run-1", number=4)) == {"refused_old_epoch": 1}
    assert ear.tell(ear.lab.stands(4, standing("stop", "run-1"))) == {"refused_old_epoch": 2}
    assert ear.run.told == []


def test_stop_resume_and_stop_again_are_each_obeyed() -> None:
    """The second pause of one incident would be taken for a copy of the first."""
    ear = Ear()
    for number, action in enumerate(("pause", "resume", "pause"), 1):
        ear.tell(ear.lab.order(action, "run-1", number=number))  # type: ignore[arg-type]
    assert [action for action, _ in ear.run.told] == ["pause", "resume", "pause"]


def test_what_stands_is_obeyed_before_any_command_and_its_command_not_again() -> None:
    """An agent that starts after the order would run free until somebody orders it anew."""
    ear = Ear()
    ear.tell(ear.lab.stands(1, standing("stop", "run-1")))
    assert ear.run.told == [("stop", "c-1")]
    assert ear.tell(ear.lab.order("stop", "run-1"))["obeyed_stop"] == 1
    assert ear.run.told == [("stop", "c-1")]


def test_a_run_that_starts_later_hears_what_stands_against_it() -> None:
    """A stop would be lost where the process announces its run a moment late."""
    ear, late = Ear(), Listener("run-2")
    ear.tell(ear.lab.stands(1, standing("stop", "run-2")))
    ear.control.add(late)
    assert late.told == [("stop", "c-1")]


def test_a_stop_of_a_run_that_has_just_ended_is_still_answered() -> None:
    """The proof of a stop that came too late would never come."""
    ear = Ear()
    ear.control.remove(ear.run)
    ear.tell(ear.lab.order("stop", "run-1"))
    assert ear.run.told == [("stop", "c-1")]


def test_lifting_a_pause_resumes_the_run() -> None:
    """A paused run would wait for ever once its order expired."""
    ear = Ear()
    ear.tell(ear.lab.stands(1, standing("pause", "run-1")))
    ear.tell(ear.lab.stands(2))
    assert [action for action, _ in ear.run.told] == ["pause", "resume"]


def test_containment_of_others_and_by_others_changes_nothing() -> None:
    """One agent's quarantine would shut out another, or anybody could lift one."""
    ear = Ear()
    ear.tell(ear.lab.stands(1, standing("quarantine")))
    empty = Containment(agent_id=AGENT, epoch=9, time_us=1)
    for role in ("detect", "person", "supervisor", "audit"):
        ear.tell(ear.world.signed(ear.world.topics.containment, AGENT, empty, role))
    ear.tell(
        ear.world.signed(
            ear.world.topics.containment, "other", empty.model_copy(update={"agent_id": "other"}), "respond"
        )
    )
    assert ear.control.denied("any", frozenset()) is not None


@pytest.mark.parametrize(
    ("order", "tool", "traits", "denied"),
    [
        (standing("quarantine"), "crm.read", set(), True),
        (standing("revoke"), "crm.read", set(), True),
        (standing("deny"), "crm.read", set(), True),
        (standing("deny", arguments={"tool": "mail.send"}), "mail.send", set(), True),
        (standing("deny", arguments={"tool": "mail.send"}), "crm.read", set(), False),
        (standing("read_only"), "mail.send", {"egress"}, True),
        (standing("read_only"), "crm.read", {"reads_sensitive"}, False),
        (standing("quarantine", expires_us=1), "crm.read", set(), False),
        (standing("pause", "run-9"), "crm.read", set(), False),
    ],
)
def test_a_standing_order_refuses_the_calls_it_is_about(
    order: Any, tool: str, traits: set[str], denied: object
) -> None:
    """A quarantined agent would go on, or an agent that may still read be shut out."""
    ear = Ear()
    ear.tell(ear.lab.stands(1, order))
    assert (ear.control.denied(tool, frozenset(traits)) is not None) is denied


def test_a_clearance_reaches_the_call_that_waits_and_no_other() -> None:
    """A call would go ahead on the answer to another."""
    ear, waiting, answers = Ear(), step(1, "tool_call", tool="mail.send"), list[HeardCommand]()
    ear.control.expect(waiting.step_id, answers.append)
    ear.tell(ear.lab.clearance(step(2, "tool_call", tool="mail.send"), "allow"))
    assert answers == []
    ear.tell(ear.lab.clearance(waiting, "deny"))
    assert [answer.arguments for answer in answers] == [{"word": "deny"}]
    ear.control.forget(waiting.step_id)
    ear.control.forget(waiting.step_id)
    ear.tell(ear.lab.clearance(waiting, "allow"))
    assert len(answers) == 1


@pytest.mark.parametrize("role", ["respond", "person", "audit", "supervisor"])
def test_only_detect_clears(role: str) -> None:
    """A stolen key of another part could let any call through."""
    ear, waiting, answers = Ear(), step(1, "tool_call", tool="mail.send"), list[HeardCommand]()
    ear.control.expect(waiting.step_id, answers.append)
    assert ear.tell(ear.lab.clearance(waiting, "allow", role=role)) == {"refused_wrong_role": 1}
    assert answers == []


def test_policies_are_taken_newest_first_and_the_agents_own_before_anybodys() -> None:
    """An agent would be judged by a policy that is not its own, or not in force any more."""
    ear = Ear()

    def told(agent_id: str, version: int) -> tuple[str, int]:
        said = policy(agent_id, version)
        ear.tell(ear.world.signed(ear.world.topics.policies, agent_id, said, "person"))
        assert ear.control.policy is not None
        return ear.control.policy.policy.agent_id, ear.control.policy.policy.version

    assert told(ANY_AGENT, 5) == (ANY_AGENT, 5)
    assert told(ANY_AGENT, 4) == (ANY_AGENT, 5)
    assert told(AGENT, 2) == (AGENT, 2)
    assert told(ANY_AGENT, 9) == (AGENT, 2)
    assert told(AGENT, 1) == (AGENT, 2)
    assert told(AGENT, 3) == (AGENT, 3)


def test_a_policy_of_another_agent_is_not_taken() -> None:
    """An agent could be given another's grants by moving a record."""
    ear = Ear()
    other = policy("other")
    ear.tell(ear.world.signed(ear.world.topics.policies, "other", other, "person"))
    ear.tell(ear.world.signed(ear.world.topics.policies, AGENT, other, "person"))
    assert ear.control.policy is None


def test_what_came_before_the_key_list_is_believed_once_it_is_there() -> None:
    """After compaction the list stands behind what it signs: an agent would start without policy and orders."""
    lab = Lab(Path())
    run = Listener()
    lab.agent.control.add(run)
    lab.hear(lab.world.signed(lab.world.topics.policies, AGENT, policy(), "person"))
    lab.hear(lab.stands(1, standing("stop", "run-1")))
    assert (lab.agent.control.policy, run.told) == (None, [])
    lab.hear(lab.world.key_record())
    assert lab.agent.control.policy is not None
    assert run.told == [("stop", "c-1")]


def test_an_older_or_forged_key_list_changes_nothing() -> None:
    """A replayed list would give a revoked key its rights back."""
    ear = Ear()
    ear.tell(ear.world.key_record(ear.world.keys(3, respond={"revoked": True})))
    ear.tell(ear.world.key_record(ear.world.keys(2)))
    ear.tell(ear.world.key_record(ear.world.keys(4), signer=Ed25519PrivateKey.generate()))
    ear.tell(ear.lab.order("stop", "run-1"))
    assert ear.run.told == []


@pytest.mark.parametrize("public", ["zz" * 32, "ab" * 31, "", "AB" * 32, "x"])
def test_a_key_list_that_cannot_be_used_is_counted_and_the_known_one_kept(public: str) -> None:
    """A list of a later version would end the thread that listens for stops."""
    ear = Ear()
    good = ear.world.keys(2).value().decode()
    signed = ear.world.keys(2).keys[0].public
    value = good.replace(signed, public).encode()
    headers = type(ear.world.signers["detect"])("root", ear.world.root).seal("t.policies", KEY_LIST, "keys", value)
    ear.tell(ear.world.read(ear.world.topics.policies, KEY_LIST, value, headers))
    ear.tell(ear.lab.order("stop", "run-1"))
    assert ear.run.told == [("stop", "c-1")]


@pytest.mark.parametrize("component", ["detect", "respond"])
def test_a_component_lives_by_its_own_word_alone(component: str) -> None:
    """A call would be let through on the word of a part that is dead."""
    ear = Ear()
    word = Liveness.model_validate({"component": component, "instance": "i", "time_us": 1})
    for role in {"detect", "respond", "audit", "person"} - {component}:
        ear.tell(ear.world.signed(ear.world.topics.liveness, "x", word, role))
    assert not ear.control.alive(component)
    ear.tell(ear.world.signed(ear.world.topics.liveness, "x", word, component))
    assert ear.control.alive(component)


def test_without_a_root_key_nothing_is_believed() -> None:
    """An agent that pins no key would obey anybody."""
    lab, run = Lab(Path()), Listener()
    bare = Control(lab.settings(root_key=b""), AGENT)
    bare.add(run)
    for record in (lab.world.key_record(), lab.order("stop", "run-1"), lab.stands(1, standing("quarantine"))):
        bare.hear(heard(record))
    assert (run.told, bare.denied("x", frozenset())) == ([], None)
    assert set(bare.counters) == {"refused_no_root_key"}


def test_a_person_with_every_right_cannot_clear() -> None:
    """Rights of people would grow into rights of machines."""
    ear = Ear()
    ear.tell(ear.world.key_record(ear.world.keys(2, may=PERSON_MAY)))
    assert ear.tell(ear.lab.clearance(step(1), "allow", role="person")) == {"refused_wrong_role": 1}
