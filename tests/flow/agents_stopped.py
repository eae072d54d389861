"""Agents that retry on `except Exception`, many at once in this process, and a journal of what they began and when."""

import asyncio
import contextvars
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

import lictor_agent
from lictor_agent import AgentStopped, Run, tool
from tests.flow.world import PATIENCE_S

BODY_S = 0.003


class Journal:
    """What bodies of tools and models began, and which stops were called effective: one list, one lock, one order.

    A body notes itself before it does anything; a receipt is noted before it is handed to the link. So a body that is in the
    list after its run's receipt began after it.
    """

    def __init__(self, agent: lictor_agent.Agent) -> None:
        self.agent = agent
        self.entries: list[tuple[str, str]] = []
        self.begun: Counter[str] = Counter()
        self.raised: dict[str, BaseException | None] = {}
        self.moved = threading.Condition()
        self._record = agent.record
        agent.record = self._receipt  # type: ignore[method-assign]  # an ear on what is really published

    def _receipt(self, topic: str, key: str, kind: str, value: bytes) -> Any:
        if kind == "receipt":
            said = msgspec.json.decode(value)
            if said["status"] == "effective" and said["layer"] == "sdk":
                self._note(said["run_id"], "effective")
        return self._record(topic, key, kind, value)

    def _note(self, run_id: str, what: str) -> None:
        with self.moved:
            self.entries.append((run_id, what))
            self.begun[run_id] += what != "effective"
            self.moved.notify_all()

    def tool(self, run_id: str) -> None:
        """A tool's body: begins, works, fails now and then."""
        self._note(run_id, "tool")
        time.sleep(BODY_S)
        _stumble()

    def model(self, run_id: str) -> None:
        """A model's body."""
        self._note(run_id, "model")
        time.sleep(BODY_S)
        _stumble()

    async def tool_async(self, run_id: str, *, fails: bool = True) -> None:
        """A tool's body in asyncio."""
        self._note(run_id, "tool")
        await asyncio.sleep(BODY_S)
        if fails:
            _stumble()

    async def model_async(self, run_id: str) -> None:
        """A model's body in asyncio."""
        self._note(run_id, "model")
        await asyncio.sleep(BODY_S)
        _stumble()

    def ended(self, run_id: str, raised: BaseException | None) -> None:
        """A run is over, and this came out of it."""
        with self.moved:
            self.raised[run_id] = raised
            self.moved.notify_all()

    def wait_for(self, enough: Callable[[], Any]) -> Any:
        """Wait until something holds; return it."""
        with self.moved:
            found = self.moved.wait_for(enough, PATIENCE_S)
        assert found, f"not within {PATIENCE_S:.0f} s: {self.begun} begun, {self.raised} ended"
        return found

    def too_late(self) -> list[tuple[str, str]]:
        """Return the bodies that began after their run's stop had been called effective."""
        over: set[str] = set()
        late: list[tuple[str, str]] = []
        for run_id, what in self.entries:
            if what == "effective":
                over.add(run_id)
            elif run_id in over:
                late.append((run_id, what))
        return late


def _stumble() -> None:
    if random.random() < 0.2:  # a retrying agent needs something to retry on; nothing depends on which
        raise RuntimeError("a tool fails now and then")


Host = Callable[[lictor_agent.Agent, Journal, int], None]
"""Runs so many runs at once in this process; returns once all have ended."""


def hosted_in_threads(work: Callable[[Run, Journal], None]) -> Host:
    """Return a host that gives each run a thread."""

    def one(agent: lictor_agent.Agent, journal: Journal) -> None:
        run = agent.run()
        try:
            with run:
                work(run, journal)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            journal.ended(run.run_id, error)
        else:
            journal.ended(run.run_id, None)

    def host(agent: lictor_agent.Agent, journal: Journal, at_once: int) -> None:
        threads = [threading.Thread(target=one, args=(agent, journal), daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * PATIENCE_S)

    return host


def hosted_in_asyncio(work: Callable[[Run, Journal], Any]) -> Host:
    """Return a host that runs all in one event loop."""

    async def one(agent: lictor_agent.Agent, journal: Journal) -> None:
        run = agent.run()
        try:
            async with run:
                await work(run, journal)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            journal.ended(run.run_id, error)
        else:
            journal.ended(run.run_id, None)

    async def together(agent: lictor_agent.Agent, journal: Journal, at_once: int) -> None:
        await asyncio.gather(*(one(agent, journal) for _ in range(at_once)))

    return lambda agent, journal, at_once: asyncio.run(together(agent, journal, at_once))


def plain(run: Run, journal: Journal) -> None:
    """A loop that swallows every exception."""
    while True:
        try:
            with run.model_call("m"):
                journal.model(run.run_id)
            with run.tool("notes.write", text="x"):
                journal.tool(run.run_id)
        except Exception:  # noqa: BLE001, S112 - this agent retries whatever happens
            continue


def pooled(run: Run, journal: Journal) -> None:
    """Tools and models in a pool of threads, the run carried by the context."""

    @tool("notes.write")
    def write() -> None:
        journal.tool(run.run_id)

    def think() -> None:
        with run.model_call("m"):
            journal.model(run.run_id)

    with ThreadPoolExecutor(3) as pool:
        while True:
            waiting = [pool.submit(contextvars.copy_context().run, body) for body in (write, think, write, write)]
            for future in waiting:
                try:
                    future.result()
                except Exception:  # noqa: BLE001, S112 - this agent retries whatever happens
                    continue


async def in_asyncio(run: Run, journal: Journal) -> None:
    """Several tasks of one run, each retrying on its own."""

    async def task() -> None:
        while True:
            try:
                async with run.model_call("m"):
                    await journal.model_async(run.run_id)
                async with run.tool("notes.write", text="x"):
                    await journal.tool_async(run.run_id)
            except Exception:  # noqa: BLE001, S112 - this agent retries whatever happens
                continue

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(task())


def is_stop(error: BaseException | None) -> bool:
    """Tell whether a run ended by its stop; a task group wraps what its tasks raise."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_stop(inner) for inner in error.exceptions)
    return isinstance(error, AgentStopped)
