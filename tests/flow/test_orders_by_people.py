"""A person's orders: `lictor kill`, `pause`, `resume`, with and without `respond`; and bad words refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lictor_agent
from lictor_agent import ToolDenied
from schemas.command import Command
from schemas.containment import Containment
from schemas.dead_letter import DeadLetter
from schemas.receipt import Receipt
from streams.records import Output, signed
from tests.flow.test_orders import await_counter
from tests.flow.test_stop import supervised
from tests.flow.world import ENFORCING, World

IDLE = Path(__file__).with_name("agents.py")


def environment(world: World) -> dict[str, str]:
    """Return what a verb needs to find a world."""
    return {
        "PATH": "/usr/bin:/bin",
        "LICTOR_HOME": str(world.settings.home),
        "LICTOR_KAFKA": world.settings.kafka,
        "LICTOR_NAMESPACE": world.settings.namespace,
    }


def verb(world: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a `lictor` verb against a world."""
    command = [sys.executable, "-m", "lictor", *arguments]
    return subprocess.run(command, env=environment(world), capture_output=True, text=True, check=False, timeout=60)


def live_run(world: World) -> str:
    """Wait until the agent's run has begun; return its id."""
    records = world.await_records(world.topics.steps, lambda found: len(found) >= 4)
    return str(json.loads(records[0].value or b"{}")["run_id"])


def test_a_kill_by_a_person_works_with_respond_down_and_shows_the_proof(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """When everything else is broken, a person must still be able to stop an agent, and see that it stopped."""
    world = make_world(ENFORCING)
    with supervised(world, "stubborn", tmp_path / "tool.log") as agent:
        run_id = live_run(world)
        done = verb(world, "kill", "bot", "--run", run_id, "--reason", "it misbehaves", "--wait", "20", "--json")
        agent.communicate(timeout=30)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)["runs"][0]
        assert told["proof"] == "proven: the process was reaped"
        layers = {(receipt["layer"], receipt["status"]) for receipt in told["receipts"]}
        assert {("sdk", "effective"), ("supervisor", "effective")} <= layers
        assert world.read(world.topics.containment) == [], "nobody but respond writes containment"
        seen = verb(world, "tail", "commands", "--from-start", "--limit", "1").stdout
        assert f"stop run {run_id[:8]}, signed by operator, a person" in seen
        with world.running("respond"):
            found = world.await_messages(world.topics.containment, Containment, lambda sets: len(sets) >= 1)
        assert [(order.action, order.command_id) for order in found[0].orders] == [("stop", told["command_id"])]


def test_a_paused_run_waits_and_goes_on_when_it_is_resumed(make_world: Callable[..., World], tmp_path: Path) -> None:
    """A pause gives a person time to look; it must hold the agent, and must be undone without harm."""
    world = make_world(ENFORCING)
    with world.running("respond"), supervised(world, "stubborn", tmp_path / "tool.log") as agent:
        run_id = live_run(world)
        paused = verb(world, "pause", "bot", "--run", run_id, "--reason", "let me look", "--json")
        assert json.loads(paused.stdout)["runs"][0]["proof"].startswith("claimed")
        sets = world.await_messages(world.topics.containment, Containment, lambda found: len(found) >= 1)
        assert [order.action for order in sets[-1].orders] == ["pause"]
        assert agent.poll() is None
        resumed = verb(world, "resume", "bot", "--run", run_id, "--reason", "it is fine", "--json")
        assert resumed.returncode == 0, resumed.stderr
        sets = world.await_messages(
            world.topics.containment, Containment, lambda found: bool(found) and found[-1].orders == ()
        )
        assert sets[-1].epoch > sets[0].epoch
        verb(world, "kill", "bot", "--run", run_id, "--reason", "end of the test", "--wait", "20")
        agent.communicate(timeout=30)
    statuses = [(r.layer, r.status) for r in world.messages(world.topics.receipts, Receipt)]
    assert ("supervisor", "effective") in statuses


def test_a_receipt_that_nobody_may_sign_is_no_proof(make_world: Callable[..., World], tmp_path: Path) -> None:
    """Whoever can write to Kafka could have a person believe that a process is gone while it goes on."""
    world = make_world(ENFORCING)
    with supervised(world, "stubborn", tmp_path / "tool.log") as agent:
        run_id = live_run(world)
        with subprocess.Popen(
            [sys.executable, "-m", "lictor", *f"kill bot --run {run_id} --reason x --wait 20 --json".split()],
            env=environment(world),
            stdout=subprocess.PIPE,
            text=True,
        ) as killing:
            (given,) = world.await_messages(world.topics.commands, Command, lambda found: len(found) >= 1)
            forged = Receipt(
                receipt_id="f" * 32,
                command_id=given.command_id,
                agent_id="bot",
                run_id=run_id,
                layer="supervisor",
                status="effective",
                exit_status=0,
                time_us=1,
            )
            world.publish(Output(world.topics.receipts.name, "bot", forged.value(), [("lictor-type", b"receipt")]))
            told = json.loads(killing.communicate(timeout=60)[0])["runs"][0]
        agent.communicate(timeout=30)
    words = {receipt["word_of"] for receipt in told["receipts"] if receipt["layer"] == "supervisor"}
    assert words == {"nobody", "supervisor"}, "it waited for the true one"
    assert told["proof"] == "proven: the process was reaped"


def test_what_stands_against_an_agent_is_lifted_by_a_person(make_world: Callable[..., World]) -> None:
    """An agent that was shut out by mistake would stay shut out for good."""
    world = make_world(ENFORCING)
    orders = [
        {"command_id": letter * 32, "action": action, "since_us": 1, "run_id": run_id, "reason": "r"}
        for letter, action, run_id in (("a", "quarantine", ""), ("b", "deny", ""), ("c", "stop", "r1"))
    ]
    standing = Containment.model_validate({"agent_id": "bot", "epoch": 7, "orders": orders, "time_us": 1})
    world.publish(signed(world.topics.containment, "bot", standing, world.keys.signer("respond")))
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    with world.running("respond"), agent.run() as run:
        with pytest.raises(ToolDenied, match="containment"), run.tool("web.get"):
            pytest.fail("the call went ahead")
        named = verb(world, "lift", "bot", "--command", "a" * 32, "--reason", "a mistake", "--wait", "20", "--json")
        assert named.returncode == 0, named.stderr
        assert [order["action"] for order in json.loads(named.stdout)["lifted"]] == ["quarantine"]
        rest = json.loads(verb(world, "lift", "bot", "--reason", "all of it", "--wait", "20", "--json").stdout)
        assert [order["action"] for order in rest["lifted"]] == ["deny"]
        assert [order["action"] for order in rest["standing"]] == ["stop"]
        await_counter(lambda: agent.control.epoch, 9)
        with run.tool("web.get") as call:
            call.result("let through again")
        nothing = verb(world, "lift", "bot", "--reason", "once more")
        assert nothing.stdout.splitlines()[0] == "lifted 0 orders against bot; 1 stand"
        for name in ("c" * 32, "misspelt"):
            refused = verb(world, "lift", "bot", "--command", name, "--reason", "a stop")
            assert (refused.returncode, refused.stdout) == (2, "")
            assert f"no order {name} stands against bot that can be lifted" in refused.stderr
    agent.close()


def test_a_lifting_that_nobody_answers_does_not_look_like_success(make_world: Callable[..., World]) -> None:
    """A person would believe that an agent is free while it is shut out, or that a key has a right that it has not."""
    world = make_world(ENFORCING)
    world.keys.add_person("pat", ("verdict", "pause"))
    world.publish(world.keys.signed_list(world.topics))
    order = {"command_id": "a" * 32, "action": "quarantine", "since_us": 1, "reason": "\x1b[2Jr"}
    standing = Containment.model_validate({"agent_id": "bot", "epoch": 7, "orders": [order], "time_us": 1})
    world.publish(signed(world.topics.containment, "bot", standing, world.keys.signer("respond")))
    forged = Containment(agent_id="bot", epoch=1 << 60, time_us=2)
    world.publish(Output(world.topics.containment.name, "bot", forged.value(), [("lictor-type", b"containment")]))
    with world.running("respond"):
        done = verb(world, "lift", "bot", "--reason", "please", "--as", "pat", "--wait", "1")
        letters = world.await_messages(world.topics.dead_letters, DeadLetter, lambda found: len(found) >= 1)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "lifted 0 orders against bot; 1 stand")
    assert "`respond` has not answered" in done.stdout
    assert "\x1b" not in done.stdout
    assert [letter.kind for letter in letters] == ["wrong_role"]


def test_an_order_without_a_reason_or_for_nobody_is_refused_in_one_line(make_world: Callable[..., World]) -> None:
    """An order nobody can account for must not be given, and a typing mistake must not look like success."""
    world = make_world(ENFORCING)
    without = verb(world, "kill", "bot", "--run", "r1")
    assert without.returncode == 2
    assert "--reason" in without.stderr
    stranger = verb(world, "kill", "bot", "--run", "r1", "--reason", "x", "--as", "nobody")
    assert stranger.returncode == 2
    assert "cannot read people/nobody.key" in stranger.stderr
    assert "Traceback" not in without.stderr + stranger.stderr
    assert world.read(world.topics.commands) == []
