"""The live timeline: who did what, what was found and why, what was ordered, and what became of it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiokafka import AIOKafkaConsumer

from detectors.base import shown
from lictor.signers import UNCHECKED, signed_by
from schemas.command import Command
from schemas.decision import Decision
from schemas.errors import BadRecord
from schemas.finding import Finding
from schemas.receipt import Receipt
from schemas.seal import TYPE, Keyring, header
from schemas.step import read_step
from streams.records import Record
from streams.topics import Topics

_WIDEST: Final = 400


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline, fit for a terminal. `kind` is what it shows: `step finding decision command receipt`."""

    time_us: int
    agent_id: str
    kind: str
    text: str
    grave: bool = False


def line_of(topics: Topics, record: Record, ring: Keyring | None = None) -> Line | None:
    """Return how a record reads for people; None for what they need not see. `ring`: the keys to check signatures by.

    Everything in a record may have been written by anybody: no line leaves without having been cleaned.
    """
    line = _line(topics, record, ring)
    return line and replace(line, agent_id=shown(line.agent_id), text=shown(line.text, _WIDEST))


def _line(topics: Topics, record: Record, ring: Keyring | None) -> Line | None:
    reader = {
        topics.steps.name: _step,
        topics.findings.name: _finding,
        topics.decisions.name: _decision,
        topics.commands.name: _command,
        topics.receipts.name: _receipt,
    }.get(record.topic)
    if reader is None or record.value is None:
        return None
    try:
        return reader(record.value, record.timestamp * 1000, _signed_by(topics, record, ring))
    except BadRecord as error:
        return Line(record.timestamp * 1000, "?", "refused", str(error)[:_WIDEST], grave=True)


def _signed_by(topics: Topics, record: Record, ring: Keyring | None) -> str:
    """Return who signed a record, in words; "" for steps, whose mark only `detect` can check."""
    kinds = {
        topics.findings.name: Finding.type,
        topics.decisions.name: Decision.type,
        topics.receipts.name: Receipt.type,
        topics.commands.name: "clearance" if header(record.headers, TYPE) == b"clearance" else Command.type,
    }
    kind = kinds.get(record.topic)
    return signed_by(ring, record, kind) if kind else ""


def _unless(expected: str, by: str) -> str:
    """Return who signed, where that is worth saying: somebody else than everybody expects."""
    return "" if by in (expected, UNCHECKED) else f"  [{by}]"


def _step(value: bytes, at_us: int, _by: str) -> Line | None:
    step = read_step(value)
    texts = {
        "run_started": f"run {step.run_id[:8]} starts (version {step.version}, owner {step.owner}, mode {step.mode})",
        "run_ended": f"run {step.run_id[:8]} ends: {step.reason}",
        "message": f"{step.origin}: {step.text}",
        "model_call": f"model {step.model}: {step.text}",
        "tool_call": f"{step.tool} {_arguments(step.arguments)}",
        "tool_result": f"{step.tool} → {step.outcome}{': ' + (step.error or step.text) if step.error or step.text else ''}",
        "handoff": f"hands over to {step.to_agent}",
    }
    text = texts.get(step.kind, step.kind)
    verdict = step.gate.verdict if step.gate and step.kind == "tool_call" else ""
    gate = f"  [gate: {verdict}]" if verdict not in ("", "allow") else ""
    return Line(at_us, step.agent_id, "step", shown(text, 110) + gate, grave=verdict == "deny")


def _arguments(arguments: dict[str, object] | None) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in (arguments or {}).items())


def _finding(value: bytes, at_us: int, by: str) -> Line:
    found = Finding.read(value)
    text = f"{found.rule_id} ({found.severity}, {found.confidence:.0%} sure): {found.reason}"
    text = shown(text, 300) + _unless("signed by detect", by)
    return Line(at_us, found.agent_id, "finding", text, grave=found.confidence >= 0.5)  # noqa: PLR2004


def _decision(value: bytes, at_us: int, by: str) -> Line | None:
    found = Decision.read(value)
    if found.action == "observe":
        return None
    text = shown(f"{found.action}, by row {found.row}: {found.because}", 300) + _unless("signed by respond", by)
    return Line(at_us, found.agent_id, "decision", text, grave=True)


def _command(value: bytes, at_us: int, by: str) -> Line:
    """Who signed an order comes from its signature: respond, or the person whose key it was."""
    found = Command.read(value)
    if found.action == "clearance":
        word = shown(str(found.arguments.get("word", ""))) + _unless("signed by detect", by)
        return Line(at_us, found.target.agent_id, "command", f"clearance for step {found.target.step_id[:8]}: {word}")
    run = f" run {found.target.run_id[:8]}" if found.target.run_id else ""
    epoch = f", epoch {found.epoch}" if found.epoch else ""
    return Line(at_us, found.target.agent_id, "command", f"{found.action}{run}{epoch}, {by}", grave=True)


def _receipt(value: bytes, at_us: int, by: str) -> Line:
    """An agent's receipt is its own word; any other layer's is worth what its signature is."""
    found = Receipt.read(value)
    since = f", {found.since_step_us / 1000:.1f} ms after the bad step" if found.since_step_us is not None else ""
    exit_status = f", exit status {found.exit_status}" if found.exit_status is not None else ""
    word = "the agent's own word" if found.layer == "sdk" else by
    text = f"{found.layer}: {found.status}{since}{exit_status}, {word}"
    return Line(at_us, found.agent_id, "receipt", text, grave=True)


class Follow(threading.Thread):
    """Reads topics from their beginning and hands every record over, in a thread of its own, until stopped."""

    def __init__(self, bootstrap: str, names: Sequence[str], hear: Callable[[Record], None]) -> None:
        super().__init__(daemon=True)
        self.bootstrap = bootstrap
        self.names = names
        self.hear = hear
        self.started = threading.Event()
        self.ending = threading.Event()

    def run(self) -> None:
        """Read until stopped."""
        asyncio.run(self._follow())

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(*self.names, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        self.started.set()
        try:
            while not self.ending.is_set():
                found = await consumer.getmany(timeout_ms=50)
                for record in sorted((r for records in found.values() for r in records), key=lambda r: r.timestamp):
                    self.hear(record)
        finally:
            await consumer.stop()

    def stop(self) -> None:
        """Stop reading."""
        self.ending.set()
        self.join()
