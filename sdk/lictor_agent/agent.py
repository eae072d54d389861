"""An agent, connected: who it is, what it says it has, and the runs it makes."""

import atexit
import functools
import hashlib
import inspect
import json
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, Final, ParamSpec, TypeVar, cast

from lictor_agent import orders, seal, wire
from lictor_agent.control import Control
from lictor_agent.errors import BadConfiguration
from lictor_agent.gate import Compiled
from lictor_agent.link import Link, Outgoing
from lictor_agent.policy import ANY_AGENT, Policy
from lictor_agent.run import Run, current
from lictor_agent.settings import AgentSettings

log = logging.getLogger("lictor_agent")

P = ParamSpec("P")
R = TypeVar("R")
READY_S: Final = 5.0
"""How long the first gate waits until what stands has been read; after that it judges as at a cold start."""
CLOSE_S: Final = 5.0


class Agent:
    """Made by `connect`. Thread-safe; a process may hold many runs."""

    def __init__(
        self,
        agent_id: str,
        *,
        version: str,
        owner: str,
        tools: Sequence[str | Mapping[str, Any]],
        settings: AgentSettings,
    ) -> None:
        if not wire.is_agent_id(agent_id):
            raise BadConfiguration("agent_id must be 1 to 128 printable characters and not start with `~`")
        self.agent_id = agent_id
        self.version = version
        self.owner = owner
        self.tools = tuple(_declared(tool) for tool in tools)
        self.settings = settings
        self.cut_key = settings.agent_key or hashlib.blake2b(agent_id.encode(), digest_size=32).digest()
        self.control = Control(settings, agent_id)
        self.link = Link(settings, agent_id, self.control.hear)
        self._cold_policy = Compiled(_cold_policy())
        self._waited = False
        self._closed = False

    def run(
        self,
        *,
        principal: str = "",
        handoff: dict[str, str] | None = None,
        trace_id: str = "",
        conversation_id: str = "",
        workflow: str = "",
    ) -> Run:
        """Return a new run, to be used as a context manager. `principal`: on whose behalf it acts."""
        more = {"trace_id": trace_id, "conversation_id": conversation_id, "workflow": workflow}
        return Run(self, principal=principal, handoff=handoff, **more)

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Publish what is queued; return whether Kafka has acknowledged everything. What it has not is on disk."""
        if self._closed:
            return True
        self._closed = True
        return self.settings.off or self.link.stop(timeout_s)

    # What runs ask of their agent.

    def policy(self) -> Compiled:
        """Return the policy in force; the first call waits until what stands has been read."""
        if not self._waited and not self.settings.off:
            self.link.ready.wait(READY_S)
            self._waited = True
        return self.control.policy or self._cold_policy

    def cold(self) -> bool:
        """Tell whether neither Kafka nor a policy was reached since the start."""
        return not self.settings.off and not self.link.ready.is_set() and self.control.policy is None

    def mode(self) -> str:
        """Return the mode in force: `observe`, `ask` or `enforce`."""
        return self.policy().policy.mode

    def clearance_s(self) -> float:
        """Return how long a call waits for clearance."""
        return self.policy().policy.clearance.timeout_ms / 1000

    def declared(self) -> dict[str, Any]:
        """Return what a `run_started` says of the agent."""
        return {"owner": self.owner, "tools": self.tools}

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
        self.control.add(run)
        self._announce("started", run.run_id)

    def ended(self, run: Run) -> None:
        """Let a run hear no more."""
        self.control.remove(run)
        self._announce("ended", run.run_id)

    def stopping(self, run: Run, command_id: str) -> None:
        """Let the supervisor know that a run obeys a stop: it will reap the process and sign for it."""
        self._announce("stopped", run.run_id, command_id)

    def _announce(self, event: str, run_id: str, command_id: str = "") -> None:
        if not self.settings.supervisor:
            return
        word = {"event": event, "agent_id": self.agent_id, "run_id": run_id, "command_id": command_id}
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto(json.dumps(word).encode(), self.settings.supervisor)
        except OSError as error:
            log.warning("the supervisor cannot be told of run %s: %s", run_id, error)


def connect(
    agent_id: str,
    *,
    version: str = "",
    owner: str = "",
    tools: Sequence[str | Mapping[str, Any]] = (),
    settings: AgentSettings | None = None,
) -> Agent:
    """Connect an agent to Lictor. Returns at once; Kafka is reached in the background.

    `tools` are names, or function or MCP schemas with a `name`. Settings come from the environment: `LICTOR_KAFKA`,
    `LICTOR_ROOT_KEY`, `LICTOR_AGENT_KEY`; `LICTOR_MODE=off` turns everything into a no-op. Raises `BadConfiguration`.
    """
    settings = settings or AgentSettings.read()
    agent = Agent(agent_id, version=version, owner=owner, tools=tools, settings=settings)
    if not settings.off:
        if not settings.agent_key:
            log.warning("LICTOR_AGENT_KEY is not set: steps of %s go unmarked, anybody could have sent them", agent_id)
        agent.link.start()
        atexit.register(agent.close)
    return agent


def tool(name: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Put a function behind the gate: calls of it inside a run are asked, published and answered for.

    Works for plain and async functions. Outside a run it raises `BadConfiguration`: a tool must not act unseen.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        tool_name = name or function.__name__
        signature = inspect.signature(function)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with _current(tool_name).tool(tool_name, **_bound(signature, args, kwargs)) as call:
                    return call.result(await function(*args, **kwargs))

            return cast("Callable[P, R]", asynchronous)

        @functools.wraps(function)
        def sync(*args: P.args, **kwargs: P.kwargs) -> R:
            with _current(tool_name).tool(tool_name, **_bound(signature, args, kwargs)) as call:
                return cast("R", call.result(function(*args, **kwargs)))

        return sync

    return wrap


def _current(tool_name: str) -> Run:
    run = current.get()
    if run is None:
        raise BadConfiguration(f"tool {tool_name} was called outside a run: use `with agent.run():`")
    return run


def _bound(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def _declared(tool: str | Mapping[str, Any]) -> wire.DeclaredTool:
    if isinstance(tool, str):
        return wire.DeclaredTool(tool)
    inner = tool.get("function")
    schema: Mapping[str, Any] = inner if isinstance(inner, Mapping) else tool
    digest = hashlib.blake2b(wire.canonical(wire.plain_json(dict(schema))), digest_size=16).hexdigest()
    return wire.DeclaredTool(str(schema.get("name", "")) or "?", digest)


def _cold_policy() -> Policy:
    """Return the policy before any policy came: nothing granted, nothing refused, tools told apart by their words."""
    words = json.loads(resources.files("lictor_agent").joinpath("words.json").read_text(encoding="utf-8"))
    return Policy(agent_id=ANY_AGENT, version=0, words={word: tuple(traits) for word, traits in words.items()})
