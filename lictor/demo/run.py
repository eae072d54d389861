"""Running the demo: start everything, let three agents work, wait until all of it is in the history, take the proof."""

import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from detectors.base import shown
from lictor import __version__, interrupts, topic_io
from lictor.demo import timeline, web
from lictor.history import History
from lictor.interrupts import undisturbed
from lictor.kafka import KAFKA_VERSION
from lictor.policy_file import load_policies
from lictor.settings import Settings
from lictor.stack import Stack
from schemas.errors import LictorError
from streams.records import Record

AGENTS: Final = ("invoices", "support", "research")
TURNED: Final = "research"
AGENT_TIMEOUT_S: Final = 60.0
ARCHIVE_TIMEOUT_S: Final = 30.0
_CHECKOUT: Final = Path(__file__).resolve().parents[2] / "docs" / "examples"
_WHEEL: Final = Path(__file__).resolve().parents[1] / "_app" / "docs" / "examples"

_TOLD: Final = """
    SELECT c.target.agent_id AS agent, c.action AS command, r.layer AS layer, r.status AS status, r.exit_status AS exit_status
    FROM commands AS c JOIN receipts AS r ON r.command_id = c.command_id
    WHERE c.action = 'stop' ORDER BY r.kafka_time, r.kafka_offset
"""
_WHY: Final = """
    SELECT rule_id AS rule, round(confidence, 2) AS sure, reason FROM findings WHERE severity = 'high' ORDER BY kafka_time LIMIT 3
"""
_AFTERWARDS: Final = """
    SELECT s.seq AS seq, s.kind AS kind, s.tool AS tool, s.reason AS reason
    FROM steps AS s JOIN receipts AS r ON r.run_id = s.run_id
    WHERE r.layer = 'sdk' AND r.status = 'effective' AND s.seq > JSONExtractUInt(r.last_seq, s.trace_id)
    ORDER BY s.kafka_time
"""
PROOFS: Final = (
    ("Who was told to stop, and what became of it?", _TOLD),
    ("Why? The finding, in the detector's words.", _WHY),
    ("What did the stopped run still do after its stop took effect?", _AFTERWARDS),
)
"""Question and query: what the proof shows, from ClickHouse alone."""


@dataclass(slots=True)
class Outcome:
    """What the demo came to, from Kafka's offsets, ClickHouse and the processes themselves."""

    steps_published: int = 0
    steps_archived: int = 0
    findings: int = 0
    commands: int = 0
    runs_stopped: int = 0
    steps_after_stop: int = 0
    honest_runs_stopped: int = 0
    attack_completed: bool = False
    step_to_stop_ms: dict[str, float] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=dict)
    detect: bool = True
    processes_left: int = 0
    proofs: list[tuple[str, list[str], list[tuple[Any, ...]]]] = field(default_factory=list)

    def as_it_should_be(self) -> bool:
        """Tell whether everything is as this kind of demo should end."""
        kept = 0 < self.steps_published == self.steps_archived and self.honest_runs_stopped == 0
        if not self.detect:
            return kept and self.attack_completed and self.runs_stopped == 0
        stopped = self.runs_stopped == 1 and self.steps_after_stop == 0 and self.processes_left == 0
        return kept and stopped and not self.attack_completed and bool(self.step_to_stop_ms)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as `lictor demo --json` prints them."""
        names = (
            "steps_published",
            "steps_archived",
            "findings",
            "commands",
            "runs_stopped",
            "steps_after_stop",
            "honest_runs_stopped",
            "attack_completed",
            "step_to_stop_ms",
            "components",
        )
        return {name: getattr(self, name) for name in names}


def demo(*, detect: bool, say: Callable[[str, str], None], show: Callable[[timeline.Line], None]) -> Outcome:
    """Run the whole demo in a folder of its own, which is gone afterwards."""
    outcome = Outcome(detect=detect)
    with ExitStack() as stack:
        home = stack.enter_context(_folder())
        settings = replace(Settings.read({}), home=home, keys=None, policy=None)
        roles = ("detect", "respond", "archive") if detect else ("respond", "archive")
        policies = load_policies(examples() / "policy.yml")
        lictor = stack.enter_context(Stack(settings, roles=roles, policies=policies, say=say))
        portal = stack.enter_context(web.serve())
        follow = _follow(lictor, show)
        try:
            _run_agents(lictor, portal, outcome)
            outcome.attack_completed = bool(portal.uploads)
            _wait_archived(lictor, outcome)
        finally:
            follow.stop()
        _take_proof(lictor, outcome)
    return outcome


def examples() -> Path:
    """Return the folder of the sample agents."""
    return _WHEEL if _WHEEL.is_dir() else _CHECKOUT


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="lictor-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _follow(lictor: Stack, show: Callable[[timeline.Line], None]) -> timeline.Follow:
    topics = lictor.settings.topics
    names = [
        topic.name for topic in (topics.steps, topics.findings, topics.decisions, topics.commands, topics.receipts)
    ]

    ring, keys = lictor.keys.keyring(), lictor.keys.signed_list(topics)
    ring.load(keys.topic, keys.key, keys.headers, keys.value or b"")

    def hear(record: Record) -> None:
        line = timeline.line_of(topics, record, ring)
        if line is not None:
            show(line)

    follow = timeline.Follow(lictor.settings.kafka, names, hear)
    follow.start()
    follow.started.wait(10)
    return follow


def agent_environment(lictor: Stack, agent_id: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one agent under its supervisor: its own key, and nothing of Lictor's."""
    ours = {name: value for name, value in lictor.environment().items() if not name.startswith("LICTOR_")}
    keys = lictor.keys
    return {
        **ours,
        "LICTOR_KAFKA": lictor.settings.kafka,
        "LICTOR_NAMESPACE": lictor.settings.namespace,
        "LICTOR_ROOT_KEY": keys.root_public().hex(),
        "LICTOR_AGENT_KEY": str(keys.agent_key_file(agent_id)),
        "LICTOR_SUPERVISOR_KEY": str(keys.folder / "supervisor.key"),
        "LICTOR_SPOOL": str(lictor.settings.home / "spool"),
        **extra,
    }


def _run_agents(lictor: Stack, portal: web.Web, outcome: Outcome) -> None:
    """Run each agent as a process of its own, under a supervisor, and wait for all of them."""
    proxy = {"http_proxy": portal.proxy, "HTTP_PROXY": portal.proxy, "no_proxy": "", "NO_PROXY": ""}
    logs = lictor.settings.home / "logs"
    running: dict[str, subprocess.Popen[bytes]] = {}
    for name in AGENTS:
        command = [
            sys.executable,
            "-m",
            "lictor_agent.cli",
            "run",
            "--",
            sys.executable,
            str(examples() / f"{name}.py"),
        ]
        with (logs / f"agent-{name}.log").open("wb") as log:
            environment = agent_environment(lictor, name, proxy)
            running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603
    ends = time.monotonic() + AGENT_TIMEOUT_S
    try:
        for process in running.values():
            process.wait(max(0.1, ends - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise LictorError(f"the agents did not end within {AGENT_TIMEOUT_S:.0f} s") from None
    finally:
        with undisturbed():
            for process in running.values():
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                    outcome.processes_left += 1
    failed = [name for name, process in running.items() if process.returncode and name != TURNED]
    if failed:
        text = (logs / f"agent-{failed[0]}.log").read_text(encoding="utf-8", errors="replace")
        raise LictorError(f"agent {failed[0]} failed: {shown(text.strip()[-600:], 600)}")


def _wait_archived(lictor: Stack, outcome: Outcome) -> None:
    """Wait until every step Kafka took is in the history, and everything it led to."""
    settings = lictor.settings
    topics = settings.topics
    watched = [topics.steps, topics.findings, topics.decisions, topics.commands, topics.receipts]
    ends = time.monotonic() + ARCHIVE_TIMEOUT_S
    with History(lictor.sql_address) as history:
        while True:
            offsets = interrupts.run(topic_io.end_offsets(settings.kafka, watched, settings.kafka_client))
            published = {
                topic.name: sum(end for place, end in offsets.items() if place.topic == topic.name) for topic in watched
            }
            outcome.steps_published = published[topics.steps.name]
            if history.archived(watched) == published:
                return
            if time.monotonic() > ends:
                return
            time.sleep(0.1)


def _take_proof(lictor: Stack, outcome: Outcome) -> None:
    with History(lictor.sql_address) as history:
        outcome.steps_archived = history.number("SELECT uniqExact(step_id) FROM steps")
        outcome.findings = history.number("SELECT uniqExact(finding_id) FROM findings")
        outcome.commands = history.number("SELECT uniqExact(command_id) FROM commands WHERE action != 'clearance'")
        stopped = "SELECT uniqExact(run_id) FROM receipts WHERE layer = 'supervisor' AND status = 'effective' AND signed_by != ''"
        outcome.runs_stopped = history.number(stopped)
        outcome.steps_after_stop = history.number(
            f"SELECT count() FROM ({_AFTERWARDS}) WHERE kind != 'run_ended'"  # noqa: S608 - a query of ours
        )
        outcome.honest_runs_stopped = history.number(
            f"SELECT uniqExact(target.run_id) FROM commands WHERE action = 'stop' AND target.agent_id != '{TURNED}'"  # noqa: S608
        )
        times = history.rows(
            "SELECT since_step_us / 1000 FROM receipts WHERE layer = 'sdk' AND status = 'received' AND since_step_us IS NOT NULL"
        )[1]
        outcome.step_to_stop_ms = percentiles([float(row[0]) for row in times])
        outcome.proofs = [(question, *history.rows(sql)) for question, sql in PROOFS]
        engine = str(history.rows("SELECT version()")[1][0][0])
    outcome.components = {
        "lictor": __version__,
        "lictor-agent": version("lictor-agent"),
        "kafka": KAFKA_VERSION if lictor.kafka else "external",
        "clickhouse": engine,
        "python": platform.python_version(),
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p99 and max of some times; empty for none."""
    if not values:
        return {}
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return {"p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 3)}
