"""Kill or freeze any part under load: nothing is lost, nothing is stopped twice, the history holds every step once."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from lictor import topic_io
from lictor.admin import connect
from lictor.history import History
from lictor.ingest import history_counts, settled_streams
from lictor.stack import Component, Stack
from schemas.command import Command
from schemas.finding import Finding
from tests.flow.load import POLICY, Load, expected_findings
from tests.flow.world import World

SETTLE_S = 90.0
SEED = 20261122


@contextmanager
def stack_of(world: World, **changes: int) -> Iterator[Stack]:
    """Run every role as a process of its own, revived when it dies."""
    settings = replace(world.settings, **changes)
    with Stack(settings, policies=world.policies) as stack:
        keeper = threading.Thread(target=stack.wait, daemon=True)
        keeper.start()
        try:
            yield stack
        finally:
            stack.stopping.set()
            keeper.join(30)


def component(stack: Stack, role: str) -> Component:
    """Return the first component of a role."""
    return next(found for found in stack.components if found.role == role)


def await_ready_again(found: Component, dead: int) -> None:
    """Wait until a killed component runs again under another process id."""
    ends = time.monotonic() + 60
    waiting = threading.Event()
    while not (found.ready.is_set() and found.process and found.process.pid != dead and found.process.poll() is None):
        assert time.monotonic() < ends, f"{found.name} did not come back"
        waiting.wait(0.05)


def kill(stack: Stack, role: str) -> None:
    """Kill a component without a word, and wait until it is back."""
    found = component(stack, role)
    assert found.process is not None
    dead = found.process.pid
    with contextlib.suppress(ProcessLookupError):  # one that was frozen may have ended by itself meanwhile
        os.kill(dead, signal.SIGKILL)
    await_ready_again(found, dead)


def freeze(stack: Stack, role: str) -> None:
    """Freeze a component until its group has given it up for dead, then let it go on."""
    found = component(stack, role)
    await_ready_again(found, 0)
    assert found.process is not None
    os.kill(found.process.pid, signal.SIGSTOP)
    try:
        asyncio.run(await_expelled(stack, role, found.process.pid))
    finally:
        os.kill(found.process.pid, signal.SIGCONT)


async def await_expelled(stack: Stack, role: str, pid: int) -> None:
    """Wait until Kafka has thrown a frozen worker out of its consumer group."""
    settings = stack.settings
    group = f"{settings.namespace}.{role}"
    admin = await connect(settings.kafka, {})
    try:
        async with asyncio.timeout(SETTLE_S):
            while any(member[1] == f"{group}-{pid}" for member in await members(admin, group)):
                await asyncio.sleep(0.2)
    finally:
        await admin.close()


async def members(admin: AIOKafkaAdminClient, group: str) -> list[tuple[str, ...]]:
    """Return the members of a consumer group: id and client id first."""
    answer = await admin.describe_consumer_groups([group])
    return list(answer[0].groups[0][5])


async def settle(world: World, history: History) -> None:
    """Wait until every stream has handled everything and the history holds what came of it."""
    topics = world.topics
    watched = (topics.steps, topics.findings, topics.commands, topics.decisions)
    ends = time.monotonic() + SETTLE_S
    while True:
        offsets = await topic_io.end_offsets(world.settings.kafka, watched, {})
        counts = {t.name: sum(end for place, end in offsets.items() if place.topic == t.name) for t in watched}
        if await settled_streams(world.settings) and history.archived(watched) == counts:
            return
        assert time.monotonic() < ends, f"published {counts}, archived {history.archived(watched)}"
        await asyncio.sleep(0.2)


def check(world: World, load: Load, stack: Stack) -> None:
    """Hold what came of the load against what must have come of it."""
    with History(stack.sql_address) as history:
        asyncio.run(settle(world, history))
        rows, distinct = history.rows("SELECT count(), uniqExact(step_id) FROM steps")[1][0]
        ends = asyncio.run(topic_io.end_offsets(world.settings.kafka, [world.topics.steps], {}))
        counts = history_counts(history, world.topics.steps.name, {}, ends)
    assert rows == distinct == len(load.steps), "the history must hold every step once"
    assert {p.partition: (end, 0) for p, end in ends.items()} == counts, "published = archived + dead-lettered"
    found = {one.finding_id: (one.rule_id, one.reason) for one in world.messages(world.topics.findings, Finding)}
    wanted = expected_findings(load)
    assert [said for name, said in wanted.items() if name not in found] == [], "every finding, whatever died"
    assert [said for name, said in found.items() if name not in wanted] == [], "and no other"
    orders = {
        (c.target.run_id, c.command_id) for c in world.messages(world.topics.commands, Command) if c.action == "stop"
    }
    assert Counter(run_id for run_id, _ in orders) == Counter(load.bad_runs), (
        "each bad run is stopped once, no other ever"
    )


@pytest.mark.parametrize("role", ["detect", "respond", "archive"])
def test_killed_and_frozen_under_load(role: str, make_world: Callable[..., World]) -> None:
    """An owner could not trust a control plane that forgets, or acts twice, when one of its parts dies."""
    world = make_world(POLICY)
    load = Load(world, seed=SEED, steps_per_s=400)
    with stack_of(world, detect_workers=2 if role == "detect" else 1) as stack:
        load.start()
        kill(stack, role)
        freeze(stack, role)
        load.stop()
        check(world, load, stack)
    assert load.bad_runs, "the load must have held bad runs"
