"""A bad step to a dead process, on the real broker with real processes, and the proof of it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lictor.processes import is_alive
from schemas.command import Command
from schemas.containment import Containment
from schemas.decision import Decision
from schemas.incident import Incident
from schemas.receipt import Receipt
from schemas.step import read_step
from tests.flow.world import ENFORCING, World

AGENTS = Path(__file__).with_name("agents.py")


@contextmanager
def supervised(world: World, agent: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of the sample agents under its supervisor; gone when the context ends, whatever happened."""
    command = [sys.executable, "-m", "lictor_agent.cli", "run", "--grace", "0.5", "--term", "0.5", "--", sys.executable]
    environment = {**world.agent_environment("bot"), "TOOL_LOG": str(log)}
    with subprocess.Popen([*command, str(AGENTS), agent], env=environment, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def proven(receipts: list[Receipt]) -> bool:
    """Tell whether the supervisor has said that the process is gone."""
    return any(r.layer == "supervisor" and r.status == "effective" for r in receipts)


def test_an_agent_that_retries_whatever_happens_is_stopped_with_proof(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """The whole loop: without it there is only observation."""
    world = make_world(ENFORCING)
    log = tmp_path / "tool.log"
    with world.running("detect", "respond"), supervised(world, "stubborn", log) as agent:
        receipts = world.await_messages(world.topics.receipts, Receipt, proven)
        _, errors = agent.communicate(timeout=30)
    assert b"AgentStopped" in errors
    assert "swallowed" not in log.read_text(encoding="utf-8")
    commands = world.messages(world.topics.commands, Command)
    assert [(c.action, c.epoch, c.target.agent_id) for c in commands] == [("stop", 1, "bot")]
    told = {(r.layer, r.status) for r in receipts}
    assert told == {("sdk", "received"), ("sdk", "effective"), ("supervisor", "received"), ("supervisor", "effective")}
    after_the_stop(world, receipts)
    decision = next(d for d in world.messages(world.topics.decisions, Decision) if d.action == "stop")
    assert decision.row == "high-and-sure"
    assert decision.command_id == commands[0].command_id
    assert world.messages(world.topics.incidents, Incident)[-1].status == "contained"
    standing = world.messages(world.topics.containment, Containment)[-1]
    assert [order.action for order in standing.orders] == ["stop"]


def after_the_stop(world: World, receipts: list[Receipt]) -> None:
    """Only results of calls begun before the stop and one `run_ended` may stand above the last `seq`."""
    last = next(r.last_seq for r in receipts if r.layer == "sdk" and r.status == "effective")
    steps = [read_step(record.value) for record in world.read(world.topics.steps)]
    later = [step for step in steps if step.seq > last[step.trace_id]]
    assert [step.kind for step in later] in ([], ["run_ended"]), "it may end before its receipt counts"
    ends = [step for step in steps if step.kind == "run_ended"]
    assert [step.reason for step in ends] == ["stopped"]
    assert ends[0].seq == max(step.seq for step in steps if not step.trace_id)


def test_an_agent_that_ignores_everything_dies_all_the_same_with_its_children(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """A process that catches BaseException and ignores SIGTERM must not outlive an order to stop it."""
    world = make_world(ENFORCING)
    log = tmp_path / "tool.log"
    with world.running("detect", "respond"), supervised(world, "deaf", log) as agent:
        receipts = world.await_messages(world.topics.receipts, Receipt, proven)
        agent.communicate(timeout=30)
    final = next(r for r in receipts if r.layer == "supervisor" and r.status == "effective")
    assert final.exit_status == -9
    child = next(
        int(line.split()[1]) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("child")
    )
    assert not is_alive(child)


def test_without_respond_nobody_is_stopped_and_with_it_the_backlog_is(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """What `detect` found while `respond` was down must still be acted on when it comes back."""
    world = make_world(ENFORCING)
    log = tmp_path / "tool.log"
    with world.running("detect"), supervised(world, "stubborn", log) as agent:
        world.await_records(world.topics.findings, lambda found: len(found) >= 3)
        assert world.read(world.topics.commands) == []
        assert agent.poll() is None
        with world.running("respond"):
            world.await_messages(world.topics.receipts, Receipt, proven)
            agent.communicate(timeout=30)
    assert len({c.command_id for c in world.messages(world.topics.commands, Command)}) == 1
    assert os.path.getsize(log) > 0  # noqa: PTH202 - it did act while nobody watched
