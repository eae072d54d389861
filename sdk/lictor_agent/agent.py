"""An agent, connected: who it is, what it says it has, and the runs it makes."""

import asyncio
import atexit
import json
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from lictor_agent import fork, orders, seal, wire
from lictor_agent.carriers import Carrier
from lictor_agent.control import Control
from lictor_agent.errors import BadConfiguration
from lictor_agent.gate import Compiled
from lictor_agent.heart import Heart
from lictor_agent.kept import Kept
from lictor_agent.link import Link, Outgoing
from lictor_agent.obedience import OnStop
from lictor_agent.policy import ANY_AGENT, Policy, Stopping
from lictor_agent.redact import Redactor
from lictor_agent.run import Run
from lictor_agent.settings import AgentSettings
from lictor_agent.supervised import tell
from lictor_agent.tools import declared, digest_of

log = logging.getLogger("lictor_agent")

READY_S: Final = 5.0
"""How long the first gate waits until what stands has been read; after that it judges as at a cold start."""
CLOSE_S: Final = 5.0


class Agent:
    """Made by `connect`. Thread-safe; a process may hold many runs, and may fork."""

    def __init__(
        self,
        agent_id: str,
        *,
        version: str,
        owner: str,
        tools: Sequence[str | Mapping[str, Any]],
        settings: AgentSettings,
        **more: Any,
    ) -> None:
        if not wire.is_agent_id(agent_id):
            raise BadConfiguration("agent_id must be 1 to 128 printable characters and not start with `~`")
        self.agent_id = agent_id
        self.version = wire.name_of(version)
        self.owner = wire.name_of(owner)
        self.tools = tuple(declared(tool) for tool in tools)
        self.environment = wire.name_of(more.get("environment") or "")
        self.prompt_digest = digest_of(more["prompt"]) if more.get("prompt") else ""
        self.mcp_servers = {
            wire.name_of(name): digest_of(said) for name, said in (more.get("mcp_servers") or {}).items()
        }
        self.settings = settings
        self.cut_key = settings.agent_key or os.urandom(32)
        self.kept = Kept(settings.spool, agent_id)
        self.control = Control(settings, agent_id, self.kept)
        self.link = Link(settings, agent_id, self.control.hear)
        self._heart = Heart(self)
        self._cold_policy = Compiled(_cold_policy())
        self._hash_key = settings.agent_key or os.urandom(32)
        self._redacts = (self._cold_policy, Redactor(self._cold_policy.policy.content, self._hash_key))
        self._waited = False
        self._closed = False
        self._stale = False
        self._reviving = threading.Lock()

    def run(
        self,
        *,
        principal: str = "",
        handoff: Carrier | None = None,
        trace_id: str = "",
        traceparent: str = "",
        conversation_id: str = "",
        workflow: str = "",
        parent_run_id: str = "",
        on_stop: OnStop | None = None,
    ) -> Run:
        """Return a new run, to be used as a context manager, sync or async.

        `principal`: on whose behalf it acts. `handoff`: the headers that another agent's `run.handoff` gave; it goes on in
        the same trace. `trace_id` or `traceparent` (W3C): a trace to go on in. `on_stop`: called with the `Stop` when the
        run is stopped, to tidy up; it has as long as the policy says.
        """
        more = {
            "trace_id": trace_id, "conversation_id": conversation_id, "workflow": workflow, "parent_run_id": parent_run_id,
        }  # fmt: skip
        return Run(self, principal=principal, handoff=handoff, traceparent=traceparent, on_stop=on_stop, **more)

    def connect(self) -> None:
        """Begin to reach Kafka, in the background."""
        if not self.settings.off:
            self.control.recall()
            self.link.start()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Publish what is queued; return whether Kafka has acknowledged everything. What it has not is on disk."""
        self._heart.stop()
        if self._closed or self._stale:  # in a fork that never used it there is nothing to publish
            return True
        self._closed = True
        return self.settings.off or self.link.stop(timeout_s)

    # After a fork.

    def forked(self) -> None:
        """In the child: this process has none of the threads that served the agent. They are made again at its next use."""
        self._stale = True
        self._reviving = threading.Lock()
        self.link.after_fork()  # at once: a child that never uses it must not keep its parent's files locked
        runs, self.control = self.runs(), self.control.forked()
        for run in runs:
            run.forked()

    def revive(self) -> None:
        """Make what a fork took away."""
        if not self._stale:
            return
        with self._reviving:
            if not self._stale:  # another thread has done it meanwhile
                return  # type: ignore[unreachable] # mypy does not know of threads
            self.link = Link(self.settings, self.agent_id, self.control.hear)
            self._heart = Heart(self)
            self._waited = False
            self._stale = False
            self.connect()

    # What runs ask of their agent.

    def policy(self) -> Compiled:
        """Return the policy in force; the first call waits until what stands has been read."""
        if not self._waited and not self.settings.off:
            if not self.link.ready.wait(READY_S) or self.control.policy is None:
                log.warning("%s", self._without_policy())
            self._waited = True
        return self.control.policy or self._cold_policy

    async def ready_async(self) -> None:
        """Wait, in asyncio, until what stands has been read."""
        self.revive()
        if not self._waited and not self.settings.off:
            await asyncio.to_thread(self.policy)

    def _without_policy(self) -> str:
        """Say in one line under what this agent starts, where it is not the policy on Kafka."""
        kept, where = self.control.policy, self.settings.kafka
        if kept is not None:
            version = kept.policy.version
            return f"Kafka at {where} cannot be reached: going on under policy version {version}, kept from last time"
        denied = ", ".join(self._cold_policy.policy.cold_start_deny)
        if not self.link.ready.is_set():
            why = f"Kafka at {where} cannot be reached and no policy is kept from last time"
        elif self.control.knows_keys():
            why = f"Kafka at {where} holds no policy that a known key signed"
        else:
            why = f"the key in LICTOR_ROOT_KEY did not sign the key list on Kafka at {where}"
        return f"{why}: calls of tools that are {denied} are denied until there is one"

    def cold(self) -> bool:
        """Tell whether no policy has been read, neither from Kafka nor from last time."""
        return not self.settings.off and self.control.policy is None

    def mode(self) -> str:
        """Return the mode in force: `observe`, `ask` or `enforce`."""
        return self.policy().policy.mode

    def clearance_s(self) -> float:
        """Return how long a call waits for clearance."""
        return self.policy().policy.clearance.timeout_ms / 1000

    def stopping_policy(self) -> Stopping:
        """Return how a run is to be stopped. Never waits: it is asked while orders are heard."""
        return (self.control.policy or self._cold_policy).policy.stop

    def heartbeat_s(self) -> float:
        """Return how often a run says that it lives."""
        return (self.control.policy or self._cold_policy).policy.heartbeat_s

    def delegators(self, chain: Sequence[str]) -> list[Compiled]:
        """Return the policies of the agents a run acts for; one that has none is judged by the policy for any agent."""
        return [self.control.policy_of(name) or self._cold_policy for name in chain]

    def runs(self) -> list[Run]:
        """Return the runs that live in this process."""
        return [run for run in self.control.runs() if isinstance(run, Run)]

    def dropped(self) -> int:
        """Return how many steps of this process were lost, since neither Kafka nor the spool could take them."""
        return self.link.counters["dropped"] + self.link.counters["unwritten"]

    def shown(self, path: str, value: Any, traits: frozenset[str], cuts: dict[str, wire.Cut]) -> Any:
        """Return a body as it may leave this process, by the policy in force."""
        policy = self.control.policy or self._cold_policy
        if self._redacts[0] is not policy:
            self._redacts = (policy, Redactor(policy.policy.content, self._hash_key))
        return self._redacts[1].body(path, value, traits, cuts)

    def declared(self) -> dict[str, Any]:
        """Return what a `run_started` says of the agent."""
        said: dict[str, Any] = {"owner": self.owner, "tools": self.tools, "prompt_digest": self.prompt_digest}
        return {**said, "mcp_servers": self.mcp_servers or None}

    def record(self, topic: str, key: str, kind: str, value: bytes) -> Outgoing:
        """Return a record of ours, marked with the agent's key."""
        name = f"{self.settings.namespace}.{topic}"
        headers = [(seal.TYPE, kind.encode())]
        if self.settings.agent_key:
            headers.append((seal.MARK, seal.mark(self.settings.agent_key, name, key, kind, value)))
        return Outgoing(name, key, value, headers)

    def answer(self, command_id: str, run_id: str, status: str, **rest: Any) -> None:
        """Publish a receipt."""
        receipt = orders.Receipt(
            receipt_id=wire.named("lictor.receipt", command_id, run_id, "sdk", status),
            command_id=command_id,
            agent_id=self.agent_id,
            run_id=run_id,
            layer="sdk",
            status=status,
            time_us=time.time_ns() // 1000,
            **rest,
        )
        self.link.publish(self.record("receipts", self.agent_id, "receipt", orders.encode_receipt(receipt)))

    def started(self, run: Run) -> None:
        """Let a run hear orders, and let the supervisor know that it lives here."""
        self.revive()
        self.control.add(run)
        if not self.settings.off:
            self._heart.begin()
        tell(self.settings.supervisor, "started", self.agent_id, run.run_id)

    def ended(self, run: Run) -> None:
        """Let a run hear no more."""
        self.control.remove(run)
        tell(self.settings.supervisor, "ended", self.agent_id, run.run_id)

    def stopping(self, run: Run, command_id: str) -> None:
        """Let the supervisor know that a run obeys a stop: it will reap the process and sign for it."""
        tell(self.settings.supervisor, "stopped", self.agent_id, run.run_id, command_id=command_id)

    def told_seq(self, run: Run, seq: int) -> None:
        """Let the supervisor know how far a run has counted, so that it can say of a dead one that it has ended."""
        tell(self.settings.supervisor, "seq", self.agent_id, run.run_id, seq=seq)


def connect(
    agent_id: str,
    *,
    version: str = "",
    owner: str = "",
    tools: Sequence[str | Mapping[str, Any]] = (),
    prompt: str = "",
    mcp_servers: Mapping[str, object] | None = None,
    environment: str = "",
    settings: AgentSettings | None = None,
) -> Agent:
    """Connect an agent to Lictor. Returns at once; Kafka is reached in the background.

    `tools` are names, or function or MCP schemas with a `name`. Of them, of `prompt` (the system prompt) and of
    `mcp_servers` (name → definition) only digests are published. `environment`: `production`, `staging`, …

    Settings come from environment variables: `LICTOR_KAFKA`, `LICTOR_ROOT_KEY`, `LICTOR_AGENT_KEY`; `LICTOR_MODE=off`
    turns everything into a no-op. Raises `BadConfiguration`.
    """
    settings = settings or AgentSettings.read()
    more = {"prompt": prompt, "mcp_servers": mcp_servers, "environment": environment}
    agent = Agent(agent_id, version=version, owner=owner, tools=tools, settings=settings, **more)
    if not settings.off:
        if not settings.agent_key:
            log.warning("LICTOR_AGENT_KEY is not set: steps of %s go unmarked, anybody could have sent them", agent_id)
        fork.remember(agent)
        agent.connect()
        atexit.register(agent.close)
    return agent


def _cold_policy() -> Policy:
    """Return the policy before any policy came: nothing granted, nothing refused, tools told apart by their words."""
    words = json.loads(resources.files("lictor_agent").joinpath("words.json").read_text(encoding="utf-8"))
    return Policy(agent_id=ANY_AGENT, version=0, words={word: tuple(traits) for word, traits in words.items()})
