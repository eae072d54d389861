"""sightings, activity, findings, verdicts → inventory, and findings about agents as a whole. Judged in `detectors/profiles`."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition

from detectors.profiles.profiler import Profiler
from schemas.activity import Activity
from schemas.checkpoint import Checkpoint
from schemas.errors import BadRecord, BadSeal
from schemas.finding import Finding
from schemas.inventory import Inventory
from schemas.liveness import Liveness
from schemas.seal import Signer
from schemas.sighting import Sighting
from schemas.verdict import Verdict
from streams.knowledge import Knowledge
from streams.records import Output, Record, refused, signed
from streams.stream import Stream

Told = Finding | Inventory
log = logging.getLogger(__name__)

COMMON: Final = "~common"
"""The checkpoint entry of what agents have in common: what is usual for peers, how strange honest days are."""
DETECT_S: Final = 5.0
"""A `detect` that has said nothing for so long does not count for how far steps are judged."""


class Profile(Stream):
    """Reads what `detect` tells of agents, by agent. One `Profiler` per partition."""

    name = "profile"

    def __init__(self, knowledge: Knowledge, signer: Signer, instance: str) -> None:
        self.know = knowledge
        self.topics = knowledge.topics
        self.inputs = (self.topics.sightings, self.topics.activity, self.topics.findings, self.topics.verdicts)
        self.signer = signer
        self.instance = instance
        self.profilers: dict[int, Profiler] = {}
        self.counters: Counter[str] = Counter()

    def open(self, partition: int, entries: Mapping[str, Checkpoint]) -> None:
        """Take over the agents of a partition; a profile of another shape begins anew."""
        profiler = self.profilers[partition] = Profiler()
        for name, entry in entries.items():
            try:
                if name == COMMON:
                    profiler.oddity.restore(entry.state or b"")
                else:
                    profiler.restore(name, entry.state or b"", self.know.facts)
            except BadRecord:
                self.counters["checkpoint_entries_refused"] += 1

    def close(self, partition: int) -> None:
        """Give up a partition."""
        del self.profilers[partition]

    def changed(self, partition: int, *, whole: bool) -> Mapping[str, bytes | None]:
        """Return the profiles that changed, and None for those forgotten."""
        profiler = self.profilers[partition]
        entries: dict[str, bytes | None] = dict.fromkeys(profiler.forgotten)
        entries.update((name, profiler.dump(name)) for name in (profiler.agents if whole else profiler.changed))
        if entries:
            entries[COMMON] = profiler.oddity.dump()
        profiler.changed.clear()
        profiler.forgotten.clear()
        return entries

    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Handle each record in order; what is not signed as it must be becomes a dead letter."""
        out: list[Output] = []
        handlers: Mapping[str, Callable[[Profiler, Record], Iterable[Told]]] = {
            self.topics.sightings.name: self._on_sighting,
            self.topics.activity.name: self._on_activity,
            self.topics.findings.name: self._on_finding,
            self.topics.verdicts.name: self._on_verdict,
        }
        profiler, handle = self.profilers[place.partition], handlers[place.topic]
        for record in records:
            try:
                out.extend([self._output(message) for message in handle(profiler, record)])
            except (BadRecord, BadSeal) as error:
                self._refuse(out, record, error.kind, str(error))
            except Exception as error:
                log.exception("cannot handle %s[%d] offset %d", record.topic, record.partition, record.offset)
                self._refuse(out, record, "failed", f"Lictor failed on it: {type(error).__name__}")
        return out

    def _refuse(self, out: list[Output], record: Record, kind: str, reason: str) -> None:
        """What `respond` reads too, it refuses."""
        self.counters[f"dead_{kind}"] += 1
        if record.topic in (self.topics.sightings.name, self.topics.activity.name):
            out.append(refused(self.topics.dead_letters, record, BadRecord(kind, reason), "profile"))

    def _on_sighting(self, profiler: Profiler, record: Record) -> Iterable[Told]:
        self._check(record, Sighting.type)
        seen = Sighting.read(record.value)
        _must_be_keyed_by(record, seen.agent_id)
        self.counters["sightings"] += 1
        return profiler.on_sighting(seen, self.know.facts)

    def _on_activity(self, profiler: Profiler, record: Record) -> Iterable[Told]:
        self._check(record, Activity.type)
        told = Activity.read(record.value)
        _must_be_keyed_by(record, told.agent_id)
        self.counters["activity"] += 1
        return profiler.on_activity(told, record.timestamp * 1000, self.know.facts)

    def _on_finding(self, profiler: Profiler, record: Record) -> Iterable[Told]:
        self._check(record, Finding.type)
        profiler.on_finding(Finding.read(record.value), record.timestamp * 1000)
        return ()

    def _on_verdict(self, profiler: Profiler, record: Record) -> Iterable[Told]:
        self._check(record, Verdict.type)
        profiler.on_verdict(Verdict.read(record.value))
        return ()

    def _check(self, record: Record, kind: str) -> None:
        if record.value is None:
            raise BadRecord("empty", f"a {kind} cannot be a tombstone")
        key = (record.key or b"").decode("utf-8", "replace")
        self.know.keyring.check(record.topic, key, kind, record.headers, record.value, record.timestamp * 1000)

    def _output(self, message: Finding | Inventory) -> Output:
        self.counters[message.type] += 1
        if isinstance(message, Inventory):
            self.know.facts.peers.take(message)
            return signed(self.topics.inventory, message.agent_id, message, self.signer)
        return signed(self.topics.findings, message.agent_id, message, self.signer)

    def tick(self, lag: Mapping[TopicPartition, int]) -> Sequence[Output]:
        """Judge what should have been seen by now, and say, signed, that this worker is alive."""
        out: list[Output] = []
        now_us = self._judged_until()
        behind = {place.partition for place, left in lag.items() if left}
        for partition, profiler in self.profilers.items():
            if now_us and partition not in behind:
                out.extend([self._output(message) for message in profiler.on_time(now_us, self.know.facts)])
        word = Liveness(
            component="profile",
            instance=self.instance,
            partitions=tuple(sorted(self.profilers)),
            lag=sum(lag.values()),
            counters=dict(self.counters) | dict(self.know.counters) | {"agents": self._agents()},
            applied=dict(self.know.applied),
            rules_version=self.know.facts.rules.version,
            time_us=int(time.time() * 1e6),
        )
        return [*out, signed(self.topics.liveness, f"profile/{self.instance}", word, self.signer)]

    def _judged_until(self) -> int:
        """Return up to when every `detect` that lives has judged; 0 while none says so, for then silence is its own."""
        if not self.know.alive("detect"):
            return 0
        newest = max(self.know.detect_us.values(), default=0)
        living = [at for at in self.know.detect_us.values() if at > newest - DETECT_S * 1e6]
        return min(living, default=0)

    def _agents(self) -> int:
        return sum(len(profiler.agents) for profiler in self.profilers.values())


def _must_be_keyed_by(record: Record, agent_id: str) -> None:
    if record.key != agent_id.encode():
        raise BadRecord("wrong_key", f"the record's key is not its agent {agent_id[:64]!r}")
