"""The supervisor: starts an agent's process, hears the same orders, and ends the process for real.

On a stop the run's SDK gets `grace` to end by itself; then SIGTERM to the whole process group, then SIGKILL; then whatever
the process started is ended too, wherever it went; then all is reaped, and the exit status goes into a signed receipt: that is
the proof, since the agent cannot write it. What a dead agent left on disk is sent, and its runs are said to have ended.
"""

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor_agent import descendants, orders, seal, wire
from lictor_agent.cgroup import Cgroup
from lictor_agent.control import Control
from lictor_agent.drain import drain
from lictor_agent.errors import BadConfiguration, LictorAgentError
from lictor_agent.link import Link, Outgoing
from lictor_agent.orders import Ordered
from lictor_agent.settings import AgentSettings, read_key
from lictor_agent.spool import folder_of

log = logging.getLogger("lictor_agent")

GRACE_S: Final = 2.0
TERM_S: Final = 3.0
REAP_S: Final = 10.0
MOST_AGENTS: Final = 16
MOST_STEPS: Final = 1 << 40
MOST_RUNS: Final = 4096
"""What a child can make its supervisor keep."""


@dataclass(slots=True)
class Watched:
    """A run in the child, obedient on the supervisor's side: a stop ends the process."""

    supervisor: "Supervisor"
    agent_id: str
    run_id: str

    def obey(self, order: Ordered) -> None:
        """Hear an order; only `stop` is for the supervisor."""
        if order.action == "stop":
            self.supervisor.ordered(self, order.command_id, order.reason, force=order.arguments.get("force") is True)


@dataclass(slots=True)
class Hearing:
    """One agent in the child: its control and link."""

    control: Control
    link: Link
    runs: dict[str, Watched] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    """How far each run that lives has counted the steps that belong to no trace."""


class Supervisor:
    """Runs one command. `run` returns its exit status."""

    def __init__(self, command: Sequence[str], *, grace_s: float = GRACE_S, term_s: float = TERM_S) -> None:
        self.command = list(command)
        self.grace_s = grace_s
        self.term_s = term_s
        self.key = _supervisor_key()
        self.agents: dict[str, Hearing] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._orders: dict[str, Watched] = {}
        """Command id → the run it stops."""
        self._status: int | None = None
        self._cgroup = Cgroup.make()
        self._others: frozenset[int] = frozenset()
        """Children of this process that are not the command's."""
        self._moved = threading.Condition()

    def run(self) -> int:
        """Start the command, watch it, end it when ordered to; return its exit status (negative: a signal)."""
        with tempfile.TemporaryDirectory(prefix="lictor-") as folder:
            address = str(Path(folder) / "supervisor")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
                inbox.bind(address)
                descendants.become_subreaper()
                self._others = frozenset(descendants.below(os.getpid()))
                self.process = self._start(address)
                last_word = secrets.token_bytes(16)
                hears = threading.Thread(target=self._hear_runs, args=(inbox, last_word), daemon=True)
                hears.start()
                threading.Thread(target=self._reap, args=(self.process,), daemon=True).start()
                threading.Thread(target=self._reap_adopted, args=(self.process.pid,), daemon=True).start()
                with _forwarded(self.process):
                    status = self._watch(self.process)
                left = self._end_the_rest()
                _send(address, last_word)  # what the child said just before its end is heard first
                hears.join()
        self._send_what_is_left()
        self._say_ended()
        self._report(status, left)
        for agent in self.agents.values():
            agent.link.stop(5)
        return status

    def _start(self, address: str) -> "subprocess.Popen[bytes]":
        """The child gets everything but the supervisor's key."""
        env = {name: value for name, value in os.environ.items() if name != "LICTOR_SUPERVISOR_KEY"}
        env["LICTOR_SUPERVISOR"] = address
        try:
            return subprocess.Popen(  # noqa: S603 - the user's own command
                self.command,
                env=env,
                start_new_session=True,
                preexec_fn=self._in_child,  # noqa: PLW1509 - only prctl and a write, and no thread of ours runs yet
            )
        except OSError as error:
            raise BadConfiguration(f"cannot start {self.command[0]}: {error.strerror}") from None

    def _in_child(self) -> None:
        descendants.end_with_parent()
        if self._cgroup is not None:
            self._cgroup.enter()

    def _end_the_rest(self) -> int:
        """End whatever the command started, in whichever group or session; return how many could not be ended."""
        if self._cgroup is not None:
            self._cgroup.kill()
        left = descendants.end_all(self._others)
        if self._cgroup is not None:
            self._cgroup.remove()
        return left

    def _send_what_is_left(self) -> None:
        """Send what the dead agents wrote ahead and nobody has acknowledged."""
        for agent_id, agent in self.agents.items():
            folder = folder_of(agent.link.settings.spool, agent_id)
            if next(folder.glob("*.spool"), None) is None:
                continue
            try:
                drain(agent.link.settings.spool, agent.link.settings, agent_id)
            except LictorAgentError as error:
                log.warning("what %s left on disk stays in %s: %s", agent_id, folder, error)

    def _say_ended(self) -> None:
        """Say, in the name of the agent that cannot any more, that its runs have ended: their open calls end as unknown."""
        if len(self.agents) != 1:  # the key in the environment is one agent's; with which of several, nobody knows
            return
        for agent in self.agents.values():
            for run_id, watched in agent.runs.items():
                if seq := agent.seqs.get(run_id):
                    agent.link.publish(_ended(agent.link.settings, watched, seq + 1, self._was_stopped(run_id)))

    def _was_stopped(self, run_id: str) -> bool:
        return any(watched.run_id == run_id for watched in self._orders.values())

    def _hear_runs(self, inbox: socket.socket, last_word: bytes) -> None:
        """Take note of the runs that the child says live in it, until the last word, which is the supervisor's own."""
        while (data := inbox.recv(4096)) != last_word:
            word = _read_word(data)
            if word is not None:
                self._note(*word)

    def _reap(self, process: "subprocess.Popen[bytes]") -> None:
        status = process.wait()
        with self._moved:
            self._status = status
            self._moved.notify_all()

    def _reap_adopted(self, pid: int) -> None:
        """Reap orphans of the command's while it runs: a supervisor that lives for months must not collect them."""
        while self._status is None:
            descendants.reap({below for below in descendants.below(os.getpid()) if below != pid} - self._others)
            with self._moved:
                self._moved.wait_for(lambda: self._status is not None, REAP_S)

    def _note(self, event: str, agent_id: str, run_id: str, command_id: str, seq: int) -> None:
        """A child that says it was stopped is only taken at its word that it should end: the proof is its being reaped."""
        agent = self.agents.get(agent_id)
        if agent is None:
            if len(self.agents) >= MOST_AGENTS:
                return
            agent = self._listen(agent_id)
        if event == "stopped" and run_id in agent.runs:
            self.ordered(agent.runs[run_id], command_id, "")
        if event == "started" and len(agent.runs) < MOST_RUNS:
            watched = agent.runs[run_id] = Watched(self, agent_id, run_id)
            agent.control.add(watched)
        elif event == "seq" and run_id in agent.runs:
            agent.seqs[run_id] = max(seq, agent.seqs.get(run_id, 0))
        elif event == "ended" and (known := agent.runs.get(run_id)) is not None:
            agent.control.remove(known)
            del agent.runs[run_id]
            agent.seqs.pop(run_id, None)

    def _listen(self, agent_id: str) -> Hearing:
        settings = AgentSettings.read()
        control = Control(settings, agent_id)
        hearing = self.agents[agent_id] = Hearing(control, Link(settings, f"{agent_id}", control.hear))
        hearing.link.start()
        return hearing

    def ordered(self, watched: Watched, command_id: str, reason: str, *, force: bool = False) -> None:
        """A run in the child was ordered to stop: refuse where honest runs would die with it, else end the process."""
        with self._moved:
            if command_id in self._orders:
                return
            stopping = {run.run_id for run in self._orders.values()} | {watched.run_id}
            honest = [run_id for agent in self.agents.values() for run_id in agent.runs if run_id not in stopping]
            if len(honest) > self._max_other_runs(watched) and not force:
                why = f"{len(honest)} other runs live in this process and would end with it; a person must decide"
                self._receipt(watched, command_id, "refused", reason=why)
            else:
                self._receipt(watched, command_id, "received", reason=reason[:200])
                self._orders[command_id] = watched
                self._moved.notify_all()

    def _max_other_runs(self, watched: Watched) -> int:
        policy = self.agents[watched.agent_id].control.policy
        return policy.policy.stop.max_other_runs if policy is not None else 0

    def _grace_s(self) -> float:
        """Return how long stopped runs may take to end by themselves: no shorter than what their policies give `on_stop`."""
        policies = [agent.control.policy for agent in self.agents.values()]
        return max([self.grace_s, *(policy.policy.stop.on_stop_ms / 1000 for policy in policies if policy is not None)])

    def _watch(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for the child's end or an order; then make sure of the end, and of the end of whatever it left behind."""
        with self._moved:
            self._moved.wait_for(lambda: self._status is not None or self._orders)
        for number, patience_s in ((0, self._grace_s()), (signal.SIGTERM, self.term_s), (signal.SIGKILL, 30.0)):
            if number and self._status is None:
                _signal_group(process.pid, number)
            with self._moved:
                if self._moved.wait_for(lambda: self._status is not None, patience_s):
                    break
        _signal_group(process.pid, signal.SIGKILL)
        return self._status if self._status is not None else -signal.SIGKILL

    def _report(self, status: int, left: int) -> None:
        """Sign what became of each order, with the exit status as proof."""
        with self._moved:
            told = list(self._orders.items())
        for command_id, watched in told:
            if left:
                why = f"{left} processes that it started could not be ended"
                self._receipt(watched, command_id, "failed", reason=why, exit_status=status)
                continue
            self._receipt(watched, command_id, "effective", exit_status=status, reason="the process was reaped")

    def _receipt(
        self, watched: Watched, command_id: str, status: str, *, reason: str = "", exit_status: int | None = None
    ) -> None:
        receipt = orders.Receipt(
            receipt_id=wire.named("lictor.receipt", command_id, watched.run_id, "supervisor", status),
            command_id=command_id,
            agent_id=watched.agent_id,
            run_id=watched.run_id,
            layer="supervisor",
            status=status,
            reason=reason,
            exit_status=exit_status,
            time_us=time.time_ns() // 1000,
        )
        link = self.agents[watched.agent_id].link
        topic, value = f"{link.settings.namespace}.receipts", orders.encode_receipt(receipt)
        headers = [(seal.TYPE, b"receipt")]
        if self.key is not None:
            headers = seal.sign(self.key, topic, watched.agent_id, "receipt", value)
        link.publish(Outgoing(topic, watched.agent_id, value, headers))


def _ended(settings: AgentSettings, watched: Watched, seq: int, stopped: bool) -> Outgoing:
    """Return the step that ends a run whose process is dead, as its agent would have published it."""
    topic = f"{settings.namespace}.steps"
    step = wire.Step(
        v=wire.STEP_VERSION,
        step_id=wire.step_id(watched.agent_id, watched.run_id, "", seq),
        agent_id=watched.agent_id,
        run_id=watched.run_id,
        seq=seq,
        kind="run_ended",
        time_us=time.time_ns() // 1000,
        digest=wire.content_digest("run_ended", {}),
        reason="stopped" if stopped else "died",
    )
    value, headers = wire.encode(step), [(seal.TYPE, b"step")]
    if settings.agent_key:
        headers.append((seal.MARK, seal.mark(settings.agent_key, topic, watched.run_id, "step", value)))
    return Outgoing(topic, watched.run_id, value, headers)


def _read_word(data: bytes) -> tuple[str, str, str, str, int] | None:
    """Return event, agent, run, command and count, as the child says; None for what makes no sense. The child may be hostile."""
    try:
        word = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(word, dict):
        return None
    event, agent_id, run_id, command_id = (word.get(name, "") for name in ("event", "agent_id", "run_id", "command_id"))
    said, seq = (event, agent_id, run_id, command_id), word.get("seq", 0)
    if not all(isinstance(part, str) for part in said) or not wire.is_agent_id(agent_id) or not run_id:
        return None
    return (*said, seq if type(seq) is int and 0 <= seq <= MOST_STEPS else 0)


def _send(address: str, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(data, address)


def _supervisor_key() -> Ed25519PrivateKey | None:
    text = os.environ.get("LICTOR_SUPERVISOR_KEY", "")
    if not text:
        log.warning("LICTOR_SUPERVISOR_KEY is not set: the supervisor's word goes unsigned and proves nothing")
        return None
    return Ed25519PrivateKey.from_private_bytes(read_key(text, "LICTOR_SUPERVISOR_KEY"))


def _signal_group(pid: int, number: int) -> None:
    """Signal the process group that the child leads."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


@contextlib.contextmanager
def _forwarded(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Pass SIGTERM, SIGINT and SIGHUP on to the child while it runs."""

    def pass_on(number: int, _frame: object) -> None:
        _signal_group(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shell_status(status: int) -> int:
    """Return the exit status as a shell would give it."""
    return status if status >= 0 else 128 - status
