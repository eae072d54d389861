"""A person's orders: `lictor kill`, `pause`, `resume`, with and without `respond`; and bad words refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from schemas.containment import Containment
from schemas.receipt import Receipt
from tests.flow.test_stop import supervised
from tests.flow.world import ENFORCING, World

IDLE = Path(__file__).with_name("agents.py")


def verb(world: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a `lictor` verb against a world."""
    env = {
        "PATH": "/usr/bin:/bin",
        "LICTOR_HOME": str(world.settings.home),
        "LICTOR_KAFKA": world.settings.kafka,
        "LICTOR_NAMESPACE": world.settings.namespace,
    }
    command = [sys.executable, "-m", "lictor", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


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
