"""Is everything alive, how far behind is it, and does the ledger add up: published = archived + dead-lettered."""

import asyncio
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from lictor import topic_io
from lictor.history import History
from lictor.ingest import history_counts
from lictor.settings import Settings
from schemas.errors import BadInput, BadRecord, StoreUnavailable
from schemas.liveness import Liveness
from streams.records import Record

ALIVE_MS: Final = 5000
HEARD_MS: Final = 15_000
"""For a health check: longer than a rebalance keeps a worker from speaking."""
BACK_MS: Final = 30_000
"""How far back a status looks for words of life."""
_PARTS: Final = ("detect", "respond", "archive")


@dataclass(frozen=True, slots=True)
class Part:
    """One component."""

    name: str
    alive: bool
    lag: int
    said: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """One partition of steps."""

    partition: int
    published: int
    archived: int
    dead_lettered: int

    @property
    def missing(self) -> int:
        """Published, and neither archived nor dead-lettered: on its way, or lost."""
        return self.published - self.archived - self.dead_lettered


@dataclass(slots=True)
class Status:
    """The whole."""

    kafka: str
    parts: list[Part] = field(default_factory=list)
    ledger: list[Ledger] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    """What the parts counted: refusals, repeats, evictions, dead letters by kind."""
    history: str = ""
    """Why the history does not answer; empty if it does."""

    def healthy(self) -> bool:
        """Tell whether every part is alive and nothing is missing that is not on its way."""
        behind = any(part.lag for part in self.parts)
        adds_up = all(row.missing == 0 for row in self.ledger) or behind
        return all(part.alive for part in self.parts) and adds_up and not self.history

    def as_json(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        return {
            "kafka": self.kafka,
            "healthy": self.healthy(),
            "parts": [
                {"name": part.name, "alive": part.alive, "lag": part.lag, "says": part.said} for part in self.parts
            ],
            "steps": [
                {
                    "partition": row.partition,
                    "published": row.published,
                    "archived": row.archived,
                    "dead_lettered": row.dead_lettered,
                    "missing": row.missing,
                }
                for row in self.ledger
            ],
            "history": self.history or "ok",
            "counters": dict(self.counters),
        }


async def status_of(settings: Settings) -> Status:
    """Collect the status. Raises `KafkaUnavailable`."""
    topics = settings.topics
    records = await _heard(settings, BACK_MS)
    found = Status(settings.kafka)
    lag = await _lag(settings)
    for name in _PARTS:
        _add_part(found, name, records, lag.get(name, 0))
    await asyncio.to_thread(
        _add_ledger, found, settings, await topic_io.end_offsets(settings.kafka, [topics.steps], settings.kafka_client)
    )
    return found


def _add_part(found: Status, name: str, records: list[Record], lag: int) -> None:
    """Take the newest word of each live instance of a part."""
    now_ms = time.time() * 1000
    newest: dict[str, tuple[Record, Liveness]] = {}
    for record in records:
        try:
            word = Liveness.read(record.value)
        except BadRecord:
            continue
        if word.component == name:
            newest[word.instance] = (record, word)
    alive = {key: word for key, (record, word) in newest.items() if now_ms - record.timestamp < ALIVE_MS}
    for word in alive.values():
        found.counters.update({f"{name}.{key}": count for key, count in word.counters.items()})
    if alive:
        said = f"{len(alive)} running: {', '.join(sorted(alive))}"
    elif newest:
        silent_s = (now_ms - max(record.timestamp for record, _ in newest.values())) / 1000
        said = f"silent for {silent_s:.0f} s"
    else:
        said = f"not heard of for {BACK_MS / 1000:.0f} s"
    found.parts.append(Part(name, bool(alive), lag, said))


async def heard_here(settings: Settings, component: str) -> bool:
    """Tell whether a component of this host said within 15 s that it is alive: the health check of a container.

    Signatures are not looked at, since nothing is decided by the answer. Raises `KafkaUnavailable`.
    """
    records = await _heard(settings, HEARD_MS)
    return any(_is_of(record, component, socket.gethostname()[:48]) for record in records)


async def _heard(settings: Settings, back_ms: int) -> list[Record]:
    """Return the words of the last moments alone: a day of them is not worth the minute it takes to read."""
    since_ms = int(time.time() * 1000) - back_ms
    return await topic_io.read_since(settings.kafka, [settings.topics.liveness], settings.kafka_client, since_ms)


def _is_of(record: Record, component: str, host: str) -> bool:
    """Tell whether a record is the word of a component on a host; instances are named `<host>-<pid>`."""
    try:
        word = Liveness.read(record.value)
    except BadRecord:
        return False
    return word.component == component and word.instance.rpartition("-")[0] == host


async def _lag(settings: Settings) -> dict[str, int]:
    """Return how many records each stream has not committed yet."""
    topics = settings.topics
    inputs = {
        "detect": [topics.steps],
        "respond": [topics.findings, topics.receipts, topics.verdicts],
        "archive": [topics.steps, topics.findings, topics.commands, topics.receipts],
    }
    lag: dict[str, int] = {}
    for name, watched in inputs.items():
        ends = await topic_io.end_offsets(settings.kafka, watched, settings.kafka_client)
        done = await topic_io.committed(settings.kafka, f"{settings.namespace}.{name}", settings.kafka_client)
        lag[name] = sum(max(0, end - done.get(place, 0)) for place, end in ends.items())
    return lag


def _add_ledger(found: Status, settings: Settings, ends: dict[Any, int]) -> None:
    try:
        with History.of(settings) as history:
            counts = history_counts(history, settings.topics.steps.name, {}, ends)
    except (StoreUnavailable, BadInput) as error:
        found.history = str(error)
        return
    for place, end in sorted(ends.items()):
        archived, dead = counts.get(place.partition, (0, 0))
        found.ledger.append(Ledger(place.partition, end, archived, dead))
