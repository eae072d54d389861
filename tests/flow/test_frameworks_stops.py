"""Stops of agents that retry on `except Exception`: after the `effective` receipt nothing of the run begins."""

import asyncio
import importlib
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

import lictor_agent
from benchmarks import report
from schemas.receipt import Receipt
from schemas.step import read_step
from tests.flow import agents_stopped
from tests.flow.agents_stopped import Host, Journal, is_stop
from tests.flow.test_orders import order, stop
from tests.flow.world import ENFORCING, PATIENCE_S, World

AT_ONCE = 8
CROWD = 200
STOPS = 200
KINDS = ("sync", "pool", "asyncio", "langgraph", "langgraph-asyncio", "openai-agents")


def host_of(kind: str) -> Host:
    """Return the host of one kind of agent; frameworks are imported only by who needs them."""
    if kind.startswith("langgraph"):
        module = importlib.import_module("tests.flow.agents_langgraph")
        return module.asynchronous if kind.endswith("asyncio") else module.threads  # type: ignore[no-any-return]
    if kind == "openai-agents":
        return importlib.import_module("tests.flow.agents_openai").host  # type: ignore[no-any-return]
    if kind == "asyncio":
        return agents_stopped.hosted_in_asyncio(agents_stopped.in_asyncio)
    return agents_stopped.hosted_in_threads({"sync": agents_stopped.plain, "pool": agents_stopped.pooled}[kind])


def wave(world: World, agent: lictor_agent.Agent, host: Host, at_once: int, chance: random.Random) -> Journal:
    """Host so many runs at once and stop each once it has begun a random number of bodies; return what was begun."""
    journal = Journal(agent)
    hosting = threading.Thread(target=host, args=(agent, journal, at_once), daemon=True)
    hosting.start()
    journal.wait_for(lambda: len(journal.begun) == at_once)
    due = {run_id: chance.randint(1, 30) for run_id in journal.begun}
    while due:
        ripe = journal.wait_for(lambda: [run_id for run_id, most in due.items() if journal.begun[run_id] >= most])
        world.publish(*(order(world, stop(run_id), world.keys.signer("respond")) for run_id in ripe))
        for run_id in ripe:
            del due[run_id]
    journal.wait_for(lambda: len(journal.raised) == at_once)
    hosting.join(PATIENCE_S)
    assert not hosting.is_alive()
    return journal


def stops(world: World, kind: str, count: int, seed: int) -> dict[str, int]:
    """Stop so many runs of one kind in one process; check each; return what there is to report."""
    chance, host = random.Random(seed), host_of(kind)
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    assert agent.link.ready.wait(PATIENCE_S)
    figures = {"stops": 0, "begun": 0, "after_effective": 0}
    stopped: set[str] = set()
    while figures["stops"] < count:
        journal = wave(world, agent, host, min(AT_ONCE, count - figures["stops"]), chance)
        late = journal.too_late()
        assert late == []
        assert all(is_stop(error) for error in journal.raised.values()), journal.raised
        told = [run_id for run_id, what in journal.entries if what == "effective"]
        assert sorted(told) == sorted(journal.raised)
        stopped.update(told)
        figures["stops"] += len(told)
        figures["after_effective"] += len(late)
        figures["begun"] += journal.begun.total()
    assert agent.close(PATIENCE_S)
    published_matches(world, stopped)
    return figures


def published_matches(world: World, stopped: set[str]) -> None:
    """On the topics too: above what each receipt names only results and one `run_ended`, and every call has its end."""
    receipts = [found for found in world.messages(world.topics.receipts, Receipt) if found.run_id in stopped]
    last = {found.run_id: found.last_seq for found in receipts if found.status == "effective"}
    assert set(last) == stopped
    assert len(receipts) == 2 * len(stopped), "one `received` and one `effective` each"
    steps = [step for record in world.read(world.topics.steps) if (step := read_step(record.value)).run_id in stopped]
    ends = [step for step in steps if step.kind == "run_ended"]
    assert sorted((step.run_id, step.reason) for step in ends) == [(run_id, "stopped") for run_id in sorted(last)]
    later = [step for step in steps if step.seq > last[step.run_id].get(step.trace_id, 0)]
    assert {step.kind for step in later} <= {"run_ended", "tool_result"}
    went_on = {
        s.tool_call_id for s in steps if s.kind == "tool_call" and s.gate and s.gate.verdict not in ("deny", "ask")
    }
    assert went_on == {step.tool_call_id for step in steps if step.kind == "tool_result"}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_stopped_run_begins_after_its_receipt(make_world: Callable[..., World], kind: str) -> None:
    """A framework that retries would carry on after Lictor had told its owner that the agent stands still."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - who repeats it needs the seed
    figures = stops(make_world(ENFORCING), kind, 4, seed)
    assert figures["stops"] == 4


async def crowd(world: World, agent: lictor_agent.Agent, journal: Journal) -> str:
    """Let many runs work side by side and stop one; all others do more once its stop is effective. Returns the one."""
    over = asyncio.Event()
    runs = [agent.run() for _ in range(CROWD)]

    async def one(run: lictor_agent.Run) -> None:
        async with run:
            await at_work(run, journal, 2)
            await over.wait()
            await at_work(run, journal, 3)

    tasks = [asyncio.create_task(one(run)) for run in runs]
    bad = runs[CROWD // 2].run_id
    await asyncio.to_thread(journal.wait_for, lambda: journal.begun.total() == 2 * CROWD)
    await asyncio.to_thread(world.publish, order(world, stop(bad), world.keys.signer("respond")))
    await asyncio.to_thread(journal.wait_for, lambda: (bad, "effective") in journal.entries)
    over.set()
    raised = await asyncio.gather(*tasks, return_exceptions=True)
    assert [run.run_id for run, error in zip(runs, raised, strict=True) if error is not None] == [bad]
    return bad


async def at_work(run: lictor_agent.Run, journal: Journal, calls: int) -> None:
    """Make so many calls."""
    for number in range(calls):
        async with run.tool("notes.write", text=f"note {number}"):
            await journal.tool_async(run.run_id, fails=False)


def test_one_bad_run_among_two_hundred_is_stopped_and_the_others_go_on(make_world: Callable[..., World]) -> None:
    """A server that holds two hundred customers' runs would lose all of them to one customer's attacker."""
    world = make_world(ENFORCING)
    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    assert agent.link.ready.wait(PATIENCE_S)
    journal = Journal(agent)
    bad = asyncio.run(crowd(world, agent, journal))
    assert agent.close(PATIENCE_S)
    assert journal.begun == Counter({run_id: 2 if run_id == bad else 5 for run_id in journal.begun})
    steps = [read_step(record.value) for record in world.read(world.topics.steps)]
    ends = {step.run_id: step.reason for step in steps if step.kind == "run_ended"}
    assert ends.pop(bad) == "stopped"
    assert Counter(ends.values()) == {"done": CROWD - 1}


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_stops_of_each_kind(make_world: Callable[..., World]) -> None:
    """One stop in two hundred that leaves a tool running is the one that is told about afterwards."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"\nseed {seed}")  # noqa: T201 - who repeats it needs the seed
    world = make_world(ENFORCING)
    kinds = {kind: stops(world, kind, STOPS, seed) for kind in KINDS}
    report.keep("stops", {"seed": seed, "at_once": AT_ONCE, "kinds": kinds})
