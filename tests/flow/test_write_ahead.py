"""No effect without its step: acknowledged by the broker, or on disk, before the tool runs; and kept once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lictor_agent
from lictor.history import History
from lictor.kafka import EmbeddedKafka
from schemas.step import read_step
from tests.flow.test_kills import stack_of
from tests.flow.world import ENFORCING, PATIENCE_S, World

AGENTS = Path(__file__).with_name("agents.py")


def effects(log: Path) -> list[tuple[str, int]]:
    """Return what the tool itself wrote that it did: (run, number)."""
    if not log.exists():
        return []
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("note ")]
    return [(run_id, int(number)) for _, run_id, number in lines]


def notes(world: World) -> list[tuple[str, int]]:
    """Return the calls whose steps are on the topic: (run, number)."""
    steps = [read_step(record.value) for record in world.read(world.topics.steps)]
    calls = [step for step in steps if step.kind == "tool_call" and step.tool == "notes.write"]
    return [(step.run_id, int(str((step.arguments or {})["text"]).split()[1])) for step in calls]


def start_quick(world: World, log: Path, calls: int) -> "subprocess.Popen[bytes]":
    """Start an agent that writes notes as fast as it can."""
    environment = {**world.agent_environment("bot"), "TOOL_LOG": str(log), "CALLS": str(calls)}
    return subprocess.Popen([sys.executable, str(AGENTS), "quick"], env=environment, stderr=subprocess.DEVNULL)


def await_effects(log: Path, wanted: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the tool has acted so often, by following its log."""
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", str(log)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tail:
        seen = 0
        for _ in tail.stdout or ():
            seen += 1
            if seen >= wanted:
                break
        tail.kill()
    assert process.poll() is None or seen >= wanted


def test_a_killed_agent_leaves_no_effect_without_its_step(make_world: Callable[..., World], tmp_path: Path) -> None:
    """The step that matters most is the one an agent takes just before it dies."""
    world = make_world(ENFORCING)
    log = tmp_path / "tool.log"
    for round_ in range(5):
        agent = start_quick(world, log, 10_000)
        await_effects(log, (round_ + 1) * 20, agent)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    done = effects(log)
    assert len(done) >= 100
    assert set(done) <= set(notes(world)), "every effect in the tool's own log has its step"


def test_without_a_broker_effects_wait_on_disk_and_the_next_start_sends_them_once(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """An outage of Kafka must cost no step, and a step that was sent twice must be in the history once."""
    broker = EmbeddedKafka(tmp_path / "own-kafka")
    broker.start()
    try:
        world = World(broker.bootstrap, tmp_path, ENFORCING)
        agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
        run = agent.run()
        run.__enter__()
        with run.tool("notes.write", text="note 0") as call:
            call.result("ok")
        broker.kill()
        with run.tool("notes.write", text="note 1") as call:
            call.result("written while nobody listens")
        assert agent.link.counters["spooled"] >= 1
        run.__exit__(None, None, None)
        assert agent.close(1.0) is False, "the broker is away: not everything is acknowledged"
        assert list((tmp_path / "spool").rglob("*.spool")), "what is not acknowledged is on disk"
        broker.start()
        again = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
        assert again.link.ready.wait(PATIENCE_S)
        with again.run() as later, later.tool("notes.write", text="note 2") as call:
            call.result("ok")
        assert again.close(PATIENCE_S) is True
        assert not list((tmp_path / "spool").rglob("*.spool"))
        assert {number for _, number in notes(world)} == {0, 1, 2}
        with stack_of(world) as stack, History(stack.sql_address) as history:
            ids = {record_id(value.value) for value in world.read(world.topics.steps)}
            await_archived(history, len(ids))
            assert history.rows("SELECT count(), uniqExact(step_id) FROM steps")[1] == [(len(ids), len(ids))]
    finally:
        broker.stop()


def record_id(value: bytes | None) -> str:
    """Return a step's id."""
    return str(json.loads(value or b"{}")["step_id"])


def await_archived(history: History, wanted: int) -> None:
    """Wait until the history holds so many steps."""
    ends = time.monotonic() + PATIENCE_S
    while history.number("SELECT uniqExact(step_id) FROM steps") < wanted:
        assert time.monotonic() < ends, "the archive did not catch up"


def test_with_neither_broker_nor_policy_the_dangerous_is_refused_and_the_harmless_goes_on(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """An agent that starts blind must not pay, send or delete anything."""
    world = make_world(ENFORCING)
    blind = replace(world.agent_settings("bot"), kafka="127.0.0.1:1", spool=tmp_path / "blind")
    agent = lictor_agent.connect("bot", settings=blind)
    with agent.run() as run:
        refused = []
        for tool in ("payments.create", "mail.send", "files.delete"):
            try:
                with run.tool(tool):
                    raise AssertionError(f"{tool} went ahead")
            except lictor_agent.ToolDenied as denied:
                refused.append(denied.rule)
        with run.tool("files.read") as call:
            call.result("harmless")
    agent.close(0.5)
    assert refused == ["cold_start"] * 3
    assert os.listdir(tmp_path / "blind"), "what could not be published is on disk"  # noqa: PTH208
