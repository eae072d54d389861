"""What the agent has been told and believes: policy, containment, commands, who is alive.

Everything is checked here before it counts: signature, the signer's role, expiry, epoch, and whether it was obeyed
before. What is refused is counted by reason and changes nothing.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from lictor_agent.gate import Compiled
from lictor_agent.kept import Kept
from lictor_agent.link import Heard
from lictor_agent.orders import Command, Containment, Order, Ordered, read_command, read_containment, read_liveness
from lictor_agent.policies import Policies
from lictor_agent.policy import ANY_AGENT, read_policy
from lictor_agent.seal import TYPE, Key, Keyring, Refused, header
from lictor_agent.settings import AgentSettings

log = logging.getLogger("lictor_agent")

ALIVE_S: Final = 5.0
_SEEN: Final = 10_000
_ENDED: Final = 256
KEY_LIST: Final = "keys"


class Obeys(Protocol):
    """A run, as far as orders go."""

    run_id: str

    def obey(self, order: Ordered) -> None:
        """Carry out `stop`, `pause` or `resume`."""


class Control:
    """Thread-safe: the link's thread tells it, the agent's threads ask it."""

    def __init__(self, settings: AgentSettings, agent_id: str, kept: Kept | None = None) -> None:
        self.agent_id = agent_id
        self.counters: Counter[str] = Counter()
        self.policies = Policies(agent_id)
        self.epoch = 0
        self.orders: dict[str, Order] = {}
        self._settings = settings
        self._kept = kept
        self._keyring = Keyring(settings.root_key) if settings.root_key else None
        self._topic = settings.namespace
        self._lock = threading.RLock()
        self._runs: dict[str, Obeys] = {}
        self._ended: OrderedDict[str, Obeys] = OrderedDict()
        """Runs that ended lately in this process: a stop that comes late is still answered."""
        self._obeyed: OrderedDict[str, None] = OrderedDict()
        self._commands: OrderedDict[str, None] = OrderedDict()
        """Heard on the control topic: the containment may have told of them before."""
        self._waiting: dict[str, Callable[[Command], None]] = {}
        self._unbelieved: dict[tuple[str, str], Heard] = {}
        self._heard: dict[str, float] = {}

    def hear(self, record: Heard) -> None:
        """Take one record. Never raises."""
        name = record.topic.rpartition(".")[2]
        try:
            with self._lock:
                self._take(name, record)
        except Refused as refused:
            self._count(name, record, str(refused.args[0]))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._count(name, record, "unreadable")

    def _count(self, name: str, record: Heard, why: str) -> None:
        self.counters[f"refused_{why}"] += 1
        log.warning("a record on %s was refused: %s", record.topic, why)
        if why in ("unknown_key", "unsigned") and name in ("policies", "containment"):
            self._unbelieved[name, record.key] = record

    def _take(self, name: str, record: Heard) -> None:
        if name == "policies":
            self._take_policy(record)
        elif name == "containment" and record.key == self.agent_id:
            self._check(record, "containment")
            if self._take_containment(read_containment(record.value)):
                self._keep(record)
        elif name == "commands" and record.key == self.agent_id:
            self._take_command(record)
        elif name == "liveness":
            word = read_liveness(record.value)
            if word.component in ("detect", "respond"):
                if self._check(record, "liveness").role != word.component:
                    raise Refused("wrong_role")
                self._heard[word.component] = time.monotonic()

    def _check(self, record: Heard, kind: str) -> Key:
        if self._keyring is None:
            raise Refused("no_root_key")
        return self._keyring.check(record.topic, record.key, kind, record.headers, record.value, record.time_us)

    @property
    def policy(self) -> Compiled | None:
        """The policy in force for this agent; None before any was believed."""
        return self.policies.own()

    @policy.setter
    def policy(self, made: Compiled) -> None:
        self.policies.put(made)

    def policy_of(self, agent_id: str) -> Compiled | None:
        """Return the policy of any agent, or else the one for agents that none names."""
        if agent_id == self.agent_id:
            return self.policy
        with self._lock:
            return self.policies.of(agent_id, lambda record: self._believed(record, "policy"))

    def knows_keys(self) -> bool:
        """Tell whether a key list was believed."""
        return self._keyring is not None and self._keyring.version > 0

    def _believed(self, record: Heard, kind: str) -> bool:
        try:
            self._check(record, kind)
        except Refused as refused:
            self.counters[f"refused_{refused.args[0]}"] += 1
            return False
        return True

    def _take_policy(self, record: Heard) -> None:
        if record.key == KEY_LIST:
            self._take_keys(record)
        elif record.key not in (self.agent_id, ANY_AGENT):
            self.policies.other(record)
        else:
            self._check(record, "policy")
            policy = read_policy(record.value)
            if policy.agent_id == record.key and self.policies.put_in_force(policy):
                self._keep(record)

    def _take_keys(self, record: Heard) -> None:
        if self._keyring is None:
            raise Refused("no_root_key")
        before = self._keyring.version
        self._keyring.load(record.topic, record.key, record.headers, record.value)
        if self._keyring.version > before:
            self._keep(record)
        again, self._unbelieved = self._unbelieved, {}
        for earlier in again.values():
            self.hear(earlier)

    def _keep(self, record: Heard) -> None:
        """Keep what was believed for a start without Kafka. What comes from there is kept already."""
        if self._kept is not None:
            self._kept.keep(record)

    def recall(self) -> None:
        """Take what was believed last time, until Kafka says what stands now."""
        for record in self._kept.read() if self._kept is not None else ():
            self.hear(record)

    def _take_containment(self, found: Containment) -> bool:
        if found.agent_id != self.agent_id or found.epoch < self.epoch:
            self.counters["refused_old_epoch"] += 1
            return False
        self.epoch = found.epoch
        before, self.orders = self.orders, {order.command_id: order for order in found.orders}
        for order in found.orders:
            if order.action in ("stop", "pause"):
                self._obey(order.run_id, _ordered(order))
        for order in before.values():
            if order.action == "pause" and order.command_id not in self.orders:
                self._obey(order.run_id, Ordered("resume", f"{order.command_id}:lifted:{found.epoch}", "lifted"))
        return True

    def _take_command(self, record: Heard) -> None:
        kind = (header(record.headers, TYPE) or b"").decode("ascii", "replace")
        if kind not in ("command", "clearance"):
            raise Refused("unsigned")
        signer = self._check(record, kind)
        command = read_command(record.value)
        self._must_hold(command, kind, signer, record.time_us)
        if kind == "clearance":
            self.clear(command)
            return
        heard = f"{signer.key_id}:{command.command_id}"  # nobody can use up the id of somebody else's order
        if heard in self._commands:
            raise Refused("replayed")
        if signer.role == "respond":  # a person's key must not be able to make the agent deaf to `respond`
            if command.epoch < self.epoch:
                raise Refused("old_epoch")
            self.epoch = command.epoch
        _remember(self._commands, heard)
        target = command.target
        order = Ordered(command.action, command.command_id, command.reason, target.step_id, command.arguments)
        self._obey(target.run_id, order)

    def clear(self, command: Command) -> None:
        """Hand an answer that is believed to the call that waits for it, if one does."""
        waiting = self._waiting.get(command.target.step_id)
        if waiting is not None:
            waiting(command)

    def _must_hold(self, command: Command, kind: str, signer: Key, append_us: int) -> None:
        """Raise `Refused` for what is not for us, not for this signer to say, or too old by Kafka's own clock."""
        if command.target.agent_id != self.agent_id:
            raise Refused("other_agent")
        if command.expires_us < append_us:
            raise Refused("expired")
        if (kind == "clearance") != (command.action == "clearance"):
            raise Refused("wrong_role")
        needed = {"stop": "stop", "pause": "pause", "resume": "pause"}.get(command.action, "")
        if signer.role == "person" and needed not in signer.may:
            raise Refused("wrong_role")

    def _obey(self, run_id: str, order: Ordered) -> None:
        """Carry out an order once per id. What names no run of this process is somebody else's."""
        run = self._runs.get(run_id) or self._ended.get(run_id)
        if run is None or order.action not in ("stop", "pause", "resume"):
            return
        name = f"{order.action}:{run_id}:{order.command_id}"
        if name in self._obeyed:
            return
        _remember(self._obeyed, name)
        self.counters[f"obeyed_{order.action}"] += 1
        run.obey(order)

    def add(self, run: Obeys) -> None:
        """Let a run hear orders, those that stand already among them."""
        with self._lock:
            self._runs[run.run_id] = run
            for order in list(self.orders.values()):
                if order.run_id == run.run_id:
                    self._obey(order.run_id, _ordered(order))

    def remove(self, run: Obeys) -> None:
        """A run has ended."""
        with self._lock:
            self._runs.pop(run.run_id, None)
            self._ended[run.run_id] = run
            if len(self._ended) > _ENDED:
                self._ended.popitem(last=False)

    def runs(self) -> list[Obeys]:
        """Return the runs that live in this process."""
        return list(self._runs.values())

    def forked(self) -> "Control":
        """Return a control for the child of a fork: what was believed stays so, and the parent's runs are not its own."""
        child = Control(self._settings, self.agent_id, self._kept)
        child.policies, child.epoch, child.orders = self.policies, self.epoch, self.orders
        child._keyring = self._keyring
        return child

    def denied(self, tool: str, traits: frozenset[str]) -> Order | None:
        """Return the standing order against the whole agent that refuses this call, if any."""
        for order in list(self.orders.values()):
            if order.expires_us and order.expires_us < int(time.time() * 1e6):
                continue
            if order.action in ("quarantine", "revoke"):
                return order
            if order.action == "deny" and order.arguments.get("tool", tool) == tool:
                return order
            if order.action == "read_only" and traits & _WRITES:
                return order
        return None

    def expect(self, step_id: str, answer: Callable[[Command], None]) -> None:
        """Have the clearance of a step handed over when it comes.

        Without the lock: the caller holds its run's, and whoever holds ours may be waiting for that one to stop the run.
        """
        self._waiting[step_id] = answer

    def forget(self, step_id: str) -> None:
        """Nobody waits for this clearance any more; a late one is void."""
        self._waiting.pop(step_id, None)

    def alive(self, component: str) -> bool:
        """Tell whether a component has been heard of lately."""
        return time.monotonic() - self._heard.get(component, -1e9) < ALIVE_S


def _ordered(order: Order) -> Ordered:
    return Ordered(order.action, order.command_id, order.reason, order.step_id, order.arguments)


def _remember(seen: OrderedDict[str, None], name: str) -> None:
    seen[name] = None
    if len(seen) > _SEEN:
        seen.popitem(last=False)


_WRITES: Final = frozenset({"mutates", "spends", "egress", "executes_code", "grants_access", "irreversible"})
