"""The timeline says who signed by the signature alone, and nothing in a record can reach into the terminal."""

from dataclasses import replace
from typing import Any

import pytest

from lictor.demo.timeline import Line, line_of
from schemas.command import Command, Target
from schemas.decision import Decision
from schemas.message import Message
from schemas.receipt import Receipt
from schemas.seal import Keyring, public_bytes
from tests.unit.streams._builders import AGENT, RUN, Read, World, finding, step

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\nroot"


def told(world: World, record: Read, *, checked: bool = True) -> Line:
    """Return the line of a record, read with the key list in force."""
    ring = Keyring(public_bytes(world.root))
    keys = world.key_record(world.keys(person={"name": "alice"}))
    ring.load(keys.topic, "keys", keys.headers, keys.value or b"")
    line = line_of(world.topics, record, ring if checked else None)
    assert line is not None
    return line


def command(**fields: Any) -> Command:
    """Return an order that says it is by bob."""
    base: dict[str, Any] = {
        "command_id": "c", "action": "stop", "target": Target(agent_id=AGENT, run_id=RUN), "epoch": 3,
        "issued_us": 1, "expires_us": 2, "reason": "r", "person": "bob",
    }  # fmt: skip
    return Command.model_validate(base | fields)


def receipt(**fields: Any) -> Receipt:
    """Return a supervisor's receipt."""
    base = {"receipt_id": "r", "command_id": "c", "agent_id": AGENT, "run_id": RUN, "layer": "supervisor"}
    return Receipt.model_validate(base | {"status": "effective", "exit_status": -9, "time_us": 1} | fields)


@pytest.mark.parametrize(
    ("role", "who"),
    [
        ("respond", "signed by respond"),
        ("person", "signed by alice, a person"),
        ("detect", "NOT SIGNED BY ANYBODY WHO MAY (wrong_role)"),
    ],
)
def test_an_order_is_shown_with_the_key_that_signed_it(role: str, who: str) -> None:
    """An order of a person, or of a stranger, would pass for Lictor's own."""
    world = World()
    line = told(world, world.signed(world.topics.commands, AGENT, command(), role))
    assert line.text == f"stop run {RUN[:8]}, epoch 3, {who}"


def test_an_order_that_nobody_signed_is_shown_as_that() -> None:
    """Whoever can write to Kafka could make people believe that an agent was stopped."""
    world = World()
    bare = world.read(world.topics.commands, AGENT, command(epoch=0).value())
    assert told(world, bare).text == f"stop run {RUN[:8]}, NOT SIGNED BY ANYBODY WHO MAY (unsigned)"


def test_without_keys_nothing_is_said_to_be_signed() -> None:
    """On a machine without keys a forged order would look as good as a true one."""
    world = World()
    record = world.signed(world.topics.commands, AGENT, command(), "respond")
    assert told(world, record, checked=False).text.endswith("signature not checked: no keys here")


@pytest.mark.parametrize(
    ("layer", "role", "word"),
    [
        ("sdk", "", "the agent's own word"),
        ("sdk", "supervisor", "the agent's own word"),
        ("supervisor", "supervisor", "signed by supervisor"),
        ("supervisor", "", "NOT SIGNED BY ANYBODY WHO MAY (unsigned)"),
        ("supervisor", "person", "NOT SIGNED BY ANYBODY WHO MAY (wrong_role)"),
    ],
)
def test_a_receipt_is_shown_with_what_it_is_worth(layer: str, role: str, word: str) -> None:
    """An agent could tell people that its process is gone."""
    world = World()
    said = receipt(layer=layer)
    record = world.read(world.topics.receipts, AGENT, said.value())
    record = world.signed(world.topics.receipts, AGENT, said, role) if role else record
    assert told(world, record).text == f"{layer}: effective, exit status -9, {word}"


@pytest.mark.parametrize(("role", "doubt"), [("detect", False), ("respond", False), ("audit", True)])
def test_a_finding_by_who_may_not_claim_is_marked_as_that(role: str, *, doubt: bool) -> None:
    """An invented finding would send people after an honest agent."""
    world = World()
    line = told(world, world.signed(world.topics.findings, AGENT, finding(), role))
    assert line.text.endswith("[NOT SIGNED BY ANYBODY WHO MAY (wrong_role)]") is doubt


def test_a_clearance_is_not_taken_for_an_order() -> None:
    """The answer of `detect` to a waiting call would look like a forged command."""
    world = World()
    said = command(action="clearance", target=Target(agent_id=AGENT, step_id="s" * 32), arguments={"word": "allow"})
    line = told(world, world.signed(world.topics.commands, AGENT, said, "detect", kind="clearance"))
    assert line.text == "clearance for step ssssssss: allow"


def decision() -> Decision:
    """Return a decision whose words came from outside."""
    return Decision.model_validate(
        {"decision_id": "d", "incident_id": "i", "finding_id": "f", "agent_id": EVIL, "run_id": RUN, "trace_id": "",
         "action": "stop", "wanted": "stop", "row": EVIL, "because": EVIL, "rules_version": 1, "mode": "enforce",
         "time_us": 1}
    )  # fmt: skip


HOSTILE: dict[str, Message] = {
    "findings": finding(agent_id=EVIL, reason=EVIL, rule_id=EVIL),
    "decisions": decision(),
    "commands": command(target=Target(agent_id=EVIL, run_id=EVIL)),
    "commands ": command(action="clearance", target=Target(agent_id=EVIL, step_id=EVIL), arguments={"word": EVIL}),
    "receipts": receipt(agent_id=EVIL, reason=EVIL),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_message_reaches_into_the_terminal(name: str) -> None:
    """An agent could clear the screen of who watches it, or write lines of the timeline itself."""
    world = World()
    record = world.read(getattr(world.topics, name.strip()), EVIL, HOSTILE[name].value())
    for checked in (True, False):
        line = told(world, record, checked=checked)
        assert (line.agent_id + line.text).isprintable()


@pytest.mark.parametrize("kind", ["message", "tool_call", "tool_result", "model_call", "handoff", "run_ended"])
def test_nothing_in_a_step_reaches_into_the_terminal(kind: str) -> None:
    """An agent could clear the screen of who watches it, or write lines of the timeline itself."""
    world = World()
    said = {"text": EVIL, "tool": EVIL, "arguments": {EVIL: EVIL}, "model": EVIL, "to_agent": EVIL, "reason": EVIL}
    line = told(world, world.step_record(step(1, kind, **said)))
    assert (line.agent_id + line.text).isprintable()


def test_what_cannot_be_read_is_told_in_one_clean_line() -> None:
    """A damaged record could write to the terminal by way of its refusal."""
    world = World()
    record = world.read(world.topics.receipts, AGENT, b'{"v":1,"\\u001b[2J\\n":"' + EVIL.encode() + b'"}')
    line = told(world, record)
    assert line.kind == "refused"
    assert line.text.isprintable()
    assert told(world, replace(record, topic=world.topics.steps.name)).text.isprintable()
