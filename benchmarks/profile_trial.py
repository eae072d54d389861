"""One variant of the profile experiment: its topics, its workers, and the end state that they leave."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import NewTopic

from benchmarks.faust_profile_app import TABLE
from benchmarks.profile_totals import Totals, read_event, read_totals
from benchmarks.profile_words import Heard
from lictor import topic_io
from lictor.admin import connect
from lictor.processes import die_with_parent
from schemas.checkpoint import Checkpoint, read_checkpoint
from streams import checkpoints
from streams.records import Record
from streams.topics import Topic

PARTITIONS: Final = 4
QUIET_S: Final = 8.0
"""The end state counts as final once nothing was added to it for so long: more than a session's timeout."""
STOP_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Variant:
    """How totals are kept: `lane`, or a Faust app (`plain`, `mended`) over a kind of store."""

    name: str
    app: str
    store: str = ""

    @property
    def on_faust(self) -> bool:
        """Tell whether it is a Faust app."""
        return self.app != "lane"


@dataclass(slots=True)
class Trial:
    """A variant on a broker, in topics and a folder of its own."""

    variant: Variant
    kafka: str
    folder: Path
    name: str
    enough: int = 1 << 62
    """After how many events a worker says how long it took."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def events(self) -> Topic:
        """The input."""
        return Topic(f"{self.name}.events", "event", "agent_id", PARTITIONS)

    @property
    def state(self) -> Topic:
        """Where state is kept: the table's changelog, or the lane's checkpoints."""
        name = f"{self.name}-{TABLE}-changelog" if self.variant.on_faust else f"{self.name}.checkpoints"
        return Topic(name, "totals", "agent_id", PARTITIONS, compacted=True)

    async def prepare(self) -> None:
        """Create the topics, before anything reads them."""
        admin = await connect(self.kafka, {})
        try:
            wanted = [NewTopic(t.name, PARTITIONS, 1, topic_configs=t.config()) for t in (self.events, self.state)]
            await admin.create_topics(wanted)
            while True:
                found = await admin.describe_topics([self.events.name, self.state.name])
                if all(not each["error_code"] and len(each["partitions"]) == PARTITIONS for each in found):
                    return
                await asyncio.sleep(0.05)
        finally:
            await admin.close()

    def start(self, worker: int) -> tuple[subprocess.Popen[bytes], Heard]:
        """Start worker 0 or 1, which keeps its store's folder over its lives; return it, and what it will say."""
        words = self.folder / f"words-{len(self.processes)}.jsonl"
        where = {
            "variant": self.variant.app,
            "kafka": self.kafka,
            "store": self.variant.store,
            "group": self.name,
            "events": self.events.name,
            "state": self.state.name,
            "partitions": PARTITIONS,
            "folder": str(self.folder / f"worker-{worker}"),
            "words": str(words),
            "enough": self.enough,
        }
        module = "benchmarks.faust_profile_app" if self.variant.on_faust else "benchmarks.profile_lane"
        with (self.folder / f"worker-{worker}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, json.dumps(where)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[1],
                preexec_fn=die_with_parent,  # noqa: PLW1509 - only prctl, before any thread of ours runs there
            )
        self.processes.append(process)
        return process, Heard(words)

    def stop(self) -> None:
        """End all workers, kindly first."""
        alive = [process for process in self.processes if process.poll() is None]
        for process in alive:
            process.terminate()
        ends = time.monotonic() + STOP_S
        for process in alive:
            try:
                process.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def await_quiet(self) -> float:
        """Return once the state topic has not grown for a while; say when it last did, by the monotonic clock."""
        known: Any = None
        since = time.monotonic()
        while time.monotonic() - since < QUIET_S:
            ends = await topic_io.end_offsets(self.kafka, [self.state], {})
            if ends != known:
                known, since = ends, time.monotonic()
            await asyncio.sleep(0.1)
        return since

    async def wanted(self) -> dict[str, Totals]:
        """Return the totals by the input itself: each record of the topic once."""
        found: dict[str, Totals] = {}
        for record in await topic_io.read_all(self.kafka, [self.events], {}):
            event = read_event(record.value)
            found.setdefault(event.agent_id, Totals()).include(event, record.offset)
        return found

    async def found(self) -> dict[str, Totals]:
        """Return the totals as the next owner of the state would find them."""
        records = await topic_io.read_all(self.kafka, [self.state], {})
        return _from_changelog(records) if self.variant.on_faust else _from_checkpoints(records)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker without a word."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _from_changelog(records: Sequence[Record]) -> dict[str, Totals]:
    latest = {(record.key or b"").decode(): record.value for record in records}
    return {key: read_totals(value) for key, value in latest.items() if value and not key.startswith("@")}


def _from_checkpoints(records: Sequence[Record]) -> dict[str, Totals]:
    found: dict[str, Totals] = {}
    for partition in range(PARTITIONS):
        latest: dict[str, Checkpoint] = {}
        for record in records:
            entry = read_checkpoint(record.value)
            if record.partition == partition:
                key = (record.key or b"").decode()
                latest.pop(key, None)
                if entry is not None:
                    latest[key] = entry
        restored = checkpoints.choose("totals", partition, latest, 0)
        found |= {name: read_totals(entry.state) for name, entry in restored.entries.items()}
    return found
