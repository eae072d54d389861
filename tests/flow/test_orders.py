"""Who may give orders: everything forged, altered, replayed, expired or signed by the wrong role is counted, not obeyed."""

import threading
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import lictor_agent
from lictor_agent import AgentStopped, ToolDenied
from schemas import ids
from schemas.command import Command, Target
from schemas.containment import Containment
from schemas.message import Message
from schemas.receipt import Receipt
from schemas.seal import SIGNATURE, Signer, key_id_of, public_bytes
from streams.records import Output, signed
from tests.flow.world import ENFORCING, PATIENCE_S, World

LIFE_US = 60_000_000


def stop(run_id: str, *, epoch: int = 1, agent_id: str = "bot", age_us: int = 0, action: str = "stop") -> Command:
    """Return a command to stop a run."""
    now_us = int(time.time() * 1e6) - age_us
    return Command(
        command_id=ids.command_id(agent_id, run_id, epoch, action, {}),
        action=action,  # type: ignore[arg-type]
        target=Target(agent_id=agent_id, run_id=run_id),
        epoch=epoch,
        issued_us=now_us,
        expires_us=now_us + LIFE_US,
        reason="a test says so",
    )


def order(world: World, command: Message, signer: Signer, *, key: str = "bot", kind: str = "command") -> Output:
    """Return a command as some signer publishes it."""
    return signed(world.topics.commands, key, command, signer, kind=kind)


def await_counter(counters: Callable[[], int], wanted: int) -> None:
    """Wait until a counter has reached a value."""
    ends = time.monotonic() + PATIENCE_S
    waiting = threading.Event()
    while counters() < wanted:
        assert time.monotonic() < ends, f"the counter stands at {counters()}, not {wanted}"
        waiting.wait(0.01)


def forgeries(world: World, run_id: str) -> dict[str, Output]:
    """Return orders that must not be obeyed, by the word they are counted under."""
    respond, stranger = world.keys.signer("respond"), Ed25519PrivateKey.generate()
    good = order(world, stop(run_id), respond)
    flipped = [
        (name, bytes([value[0] ^ 1]) + value[1:] if name == SIGNATURE else value) for name, value in good.headers
    ]
    value = good.value or b""
    return {
        "unsigned": Output(good.topic, good.key, value, good.headers[:1]),
        "bad_signature": Output(good.topic, good.key, value, flipped),
        "bad_signature ": Output(good.topic, good.key, value.replace(b"a test", b"A test"), good.headers),
        "unknown_key": order(world, stop(run_id), Signer(key_id_of(public_bytes(stranger)), stranger)),
        "wrong_role": order(world, stop(run_id), world.keys.signer("detect")),
        "wrong_role ": order(world, stop(run_id), world.keys.signer("detect"), kind="clearance"),
        "expired": order(world, stop(run_id, age_us=2 * LIFE_US), respond),
        "other_agent": order(world, stop(run_id, agent_id="another"), respond),
        "unreadable": signed(world.topics.commands, "bot", Garbage(), respond, kind="command"),
    }


class Garbage(Message):
    """Not a command, although it is signed as one."""

    type = "command"


def test_no_order_is_obeyed_that_was_not_given_by_who_may(make_world: Callable[..., World]) -> None:
    """Whoever can write to the control topic could otherwise stop every agent there is."""
    world = make_world(ENFORCING)
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    try:
        with agent.run() as run:
            run.message("hello")
            assert agent.link.ready.wait(PATIENCE_S)
            bad = forgeries(world, run.run_id)
            world.publish(*bad.values())
            await_counter(lambda: sum(agent.control.counters.values()), len(bad))
            run.message("still here")
            expected = {f"refused_{name.strip()}" for name in bad}
            assert {name for name, count in agent.control.counters.items() if count} == expected
            world.publish(order(world, stop(run.run_id), world.keys.signer("respond")))
            await_counter(lambda: agent.control.counters["obeyed_stop"], 1)
            with pytest.raises(AgentStopped):
                run.message("not any more")
    finally:
        agent.close()


def test_a_replayed_order_stops_no_later_run_and_an_old_epoch_is_refused(make_world: Callable[..., World]) -> None:
    """A recorded stop must not be a weapon: it binds to the run and the epoch it was given in."""
    world = make_world(ENFORCING)
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    respond = world.keys.signer("respond")
    try:
        first, second = agent.run(), agent.run()
        with second:
            first.__enter__()
            assert agent.link.ready.wait(PATIENCE_S)
            recorded = order(world, stop(first.run_id, epoch=5), respond)
            world.publish(recorded)
            await_counter(lambda: agent.control.counters["obeyed_stop"], 1)
            world.publish(recorded, recorded, order(world, stop(second.run_id, epoch=4), respond))
            await_counter(lambda: agent.control.counters["refused_replayed"], 2)
            await_counter(lambda: agent.control.counters["refused_old_epoch"], 1)
            second.message("the other run goes on")
            assert agent.control.counters["obeyed_stop"] == 1
    finally:
        agent.close()
    receipts = world.messages(world.topics.receipts, Receipt)
    assert [(r.status, r.run_id) for r in receipts] == [("received", first.run_id), ("effective", first.run_id)]


def test_a_person_may_give_only_the_orders_on_the_key_list(make_world: Callable[..., World]) -> None:
    """An analyst who may pause must not be able to stop; a revoked key must not be able to do anything."""
    world = make_world(ENFORCING)
    world.keys.add_person("pat", ("pause",))
    gone = world.keys.add_person("gone", ("stop",))
    world.keys.revoke(gone.key_id)
    world.publish(world.keys.signed_list(world.topics))
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    try:
        with agent.run() as run:
            assert agent.link.ready.wait(PATIENCE_S)
            world.publish(
                order(world, stop(run.run_id), world.keys.signer("people/pat")),
                order(world, stop(run.run_id), world.keys.signer("people/gone")),
                order(world, stop(run.run_id, action="pause"), world.keys.signer("people/pat")),
            )
            await_counter(lambda: agent.control.counters["obeyed_pause"], 1)
            assert agent.control.counters["refused_wrong_role"] == 1
            assert agent.control.counters["refused_revoked_key"] == 1
            world.publish(order(world, stop(run.run_id, action="resume", epoch=2), world.keys.signer("people/pat")))
            run.message("held until resumed")
            with run.tool("notes.write", text="goes on") as call:
                call.result("ok")
    finally:
        agent.close()


def test_containment_is_read_before_the_first_call(make_world: Callable[..., World]) -> None:
    """An agent that was shut out must stay shut out when it is started again, before it can do anything."""
    world = make_world(ENFORCING)
    quarantine = {
        "command_id": "c" * 32,
        "action": "quarantine",
        "since_us": 1,
        "reason": "it went on after a stop",
    }
    standing = Containment.model_validate({"agent_id": "bot", "epoch": 7, "orders": [quarantine], "time_us": 1})
    world.publish(signed(world.topics.containment, "bot", standing, world.keys.signer("respond")))
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    try:
        with (
            agent.run() as run,
            pytest.raises(ToolDenied, match=r"containment.*it went on after a stop"),
            run.tool("web.get"),
        ):
            pytest.fail("the call went ahead")
        lifted = Containment(agent_id="bot", epoch=8, time_us=2)
        world.publish(signed(world.topics.containment, "bot", lifted, world.keys.signer("respond")))
        await_counter(lambda: agent.control.epoch, 8)
        with agent.run() as run, run.tool("web.get") as call:
            call.result("fine again")
    finally:
        agent.close()
