"""Agents whose link is not started: what they publish stays in its queue, and what they are told is handed to them."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lictor_agent import Agent, AgentSettings, Run, ToolDenied, seal
from lictor_agent.link import Heard, Outgoing
from schemas import ids
from schemas.command import Command, CommandAction, Target
from schemas.containment import Containment, Order
from schemas.policy import AgentPolicy
from schemas.receipt import Receipt
from schemas.seal import agent_key, public_bytes
from schemas.step import Step, read_step
from tests.unit.streams._builders import AGENT, Read, World, policy


def now_us() -> int:
    """Return the present, as commands carry it."""
    return time.time_ns() // 1000


def heard(record: Read) -> Heard:
    """Return a record as the link hands it over."""
    key = (record.key or b"").decode()
    return Heard(record.topic, key, record.value or b"", list(record.headers), record.timestamp * 1000)


class Queue(deque[Outgoing]):
    """A link's queue that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = threading.Condition()

    def append(self, record: Outgoing) -> None:
        """Take a record, and tell who waits."""
        super().append(record)
        with self.moved:
            self.moved.notify_all()


class Pause(threading.Condition):
    """A run's pause that says when somebody waits in it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait; whoever takes the lock after `entered` is set finds the waiter asleep."""
        self.entered.set()
        return super().wait_for(predicate, timeout)


@dataclass
class Lab:
    """One agent, everybody's keys, and what was published."""

    folder: Path
    world: World = field(default_factory=World)
    agent: Agent = field(init=False)
    queue: Queue = field(init=False)

    def __post_init__(self) -> None:
        self.agent = Agent(AGENT, version="1.4", owner="me", tools=["crm.read"], settings=self.settings())
        self.agent.link.ready.set()
        self.agent.link.outbox.queue = self.queue = Queue()

    def settings(self, **changed: Any) -> AgentSettings:
        """Return settings of an agent of this world; nobody answers at its Kafka."""
        fields = {"kafka": "127.0.0.1:9", "root_key": public_bytes(self.world.root), "namespace": "t"}
        own = {"agent_key": agent_key(self.world.master, AGENT), "spool": self.folder}
        return AgentSettings(**{**fields, **own, **changed})

    def hear(self, record: Read) -> None:
        """Tell the agent something."""
        self.agent.control.hear(heard(record))

    def policy(self, said: AgentPolicy | None = None, **fields: Any) -> None:
        """Put the key list and a policy in force; by default every tool is granted and none waits."""
        self.hear(self.world.key_record())
        said = said or policy(**{"clearance": {"traits": []}, "traits": {"*": ["reads_sensitive"]}, **fields})
        self.hear(self.world.signed(self.world.topics.policies, said.agent_id, said, "person"))

    def policy_record(self) -> Heard:
        """Return a signed policy, as the link hands it over."""
        said = policy()
        return heard(self.world.signed(self.world.topics.policies, said.agent_id, said, "person"))

    def order(
        self, action: CommandAction, run_id: str, *, role: str = "respond", number: int = 1, **fields: Any
    ) -> Read:
        """Return a signed order."""
        said = command(action, run_id, number=number, **fields)
        return self.world.signed(self.world.topics.commands, AGENT, said, role)

    def stands(self, epoch: int, *orders: Order) -> Read:
        """Return the signed set of standing orders."""
        held = Containment(agent_id=AGENT, epoch=epoch, orders=orders, time_us=1)
        return self.world.signed(self.world.topics.containment, AGENT, held, "respond")

    def clearance(self, step: Step, word: str, *, role: str = "detect", kind: str = "clearance", **target: str) -> Read:
        """Return the signed answer to one waiting call."""
        digest = ids.content_digest({name: getattr(step, name) for name in CONTENT})
        aim = {"agent_id": AGENT, "run_id": step.run_id, "step_id": step.step_id, "digest": digest, **target}
        said = command("clearance", "", target=Target(**aim), arguments={"word": word}, epoch=0)
        return self.world.signed(self.world.topics.commands, AGENT, said, role, kind=kind)

    def published(self) -> list[Outgoing]:
        """Return what waits to be published."""
        return list(self.agent.link.outbox.queue)

    def steps(self) -> list[Step]:
        """Return the steps that were published, each checked as `detect` checks it, mark included."""
        return [self._step(record) for record in self.published() if record.topic == "t.steps"]

    def _step(self, record: Outgoing) -> Step:
        step = read_step(record.value)
        mark = seal.mark(self.agent.settings.agent_key, record.topic, record.key, "step", record.value)
        assert dict(record.headers)[seal.MARK] == mark
        assert record.key == (step.trace_id or step.run_id)
        return step

    def waiting(self, count: int = 1) -> list[Step]:
        """Return the calls that wait for clearance, once there are so many."""

        def found() -> list[Step]:
            return [step for step in self.steps() if step.step_id in self.agent.control._waiting]

        with self.queue.moved:
            self.queue.moved.wait_for(lambda: len(found()) >= count)
        return found()

    def receipts(self) -> list[Receipt]:
        """Return what the agent answered to orders."""
        return [Receipt.read(record.value) for record in self.published() if record.topic == "t.receipts"]


@contextlib.contextmanager
def acknowledged(lab: Lab) -> Iterator[None]:
    """Acknowledge every record as soon as it is queued, as a broker does."""
    link, started = lab.agent.link, threading.Event()

    async def answer() -> None:
        link._wake = asyncio.Event()
        link._loop = asyncio.get_running_loop()
        started.set()
        while not link.closing:
            await link._wake.wait()
            link._wake.clear()
            for record in lab.published():
                if record.acked is not None and not record.acked.done():
                    record.acked.set_result(None)

    thread = threading.Thread(target=asyncio.run, args=(answer(),))
    thread.start()
    started.wait()
    try:
        yield
    finally:
        link.closing = True
        link._tell(link._set_wake)
        thread.join()


CONTENT = ("kind", "tool", "arguments", "text", "model", "to_agent", "memory_id")
GRANTS = {
    "layers": [
        {
            "name": "org",
            "grants": [
                {"id": "read", "effect": "allow", "tools": ["crm.*"]},
                {"id": "no", "effect": "deny", "tools": ["crm.drop"], "reason": "customers are not dropped"},
                {"id": "big", "effect": "ask", "tools": ["pay"], "when": {"arguments.amount": {"gt": 100}}},
                {"id": "small", "effect": "allow", "tools": ["pay"]},
                {"id": "model", "effect": "allow", "models": ["good"]},
                {"id": "peer", "effect": "allow", "agents": ["clerk"]},
            ],
        }
    ]
}
"""A grant of every kind."""


def command(action: CommandAction, run_id: str, *, number: int = 1, **fields: Any) -> Command:
    """Return an order that is good for a minute."""
    base: dict[str, Any] = {
        "command_id": f"c-{number}", "action": action, "target": Target(agent_id=AGENT, run_id=run_id),
        "epoch": number, "issued_us": now_us(), "expires_us": now_us() + 60_000_000, "reason": "because",
    }  # fmt: skip
    return Command.model_validate(base | fields)


def standing(action: CommandAction, run_id: str = "", command_id: str = "c-1", **fields: Any) -> Order:
    """Return an order that stands."""
    return Order.model_validate(
        {"command_id": command_id, "action": action, "run_id": run_id, "since_us": 1, "reason": "because", **fields}
    )


def gaps(steps: list[Step]) -> Iterator[str]:
    """Yield the traces whose `seq` does not count up from 1 by one."""
    traces: dict[tuple[str, str], list[int]] = {}
    for step in steps:
        traces.setdefault((step.run_id, step.trace_id), []).append(step.seq)
    for (_, trace_id), seqs in traces.items():
        if seqs != list(range(1, len(seqs) + 1)):
            yield trace_id


def ended(steps: list[Step]) -> dict[str, str]:
    """Return how each call ended: tool_call_id → its outcome, or the gate's refusal."""
    calls = {step.tool_call_id: "" for step in steps if step.kind == "tool_call"}
    for step in steps:
        if step.kind == "tool_call" and step.gate is not None and step.gate.verdict in ("deny", "ask"):
            calls[step.tool_call_id] = "denied"
        elif step.kind == "tool_result":
            assert calls[step.tool_call_id] == ""
            calls[step.tool_call_id] = step.outcome
    return calls


def denied(run: Run, name: str, **arguments: object) -> ToolDenied:
    """Return the refusal of a call."""
    with pytest.raises(ToolDenied) as refused, run.tool(name, **arguments):
        pytest.fail("the body of a refused call ran")
    return refused.value
