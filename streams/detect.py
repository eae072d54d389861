"""steps → findings, clearances, dead letters. Everything is judged in `detectors/` and `responders/`; this moves it."""

import heapq
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition

from detectors.base import Seen
from detectors.engine.engine import Engine
from detectors.inspect import QUIET, Judgement, inspect, see
from detectors.profiles.activity import Activities
from detectors.rules import absences
from detectors.state import Memory, decode_state, waits_of
from detectors.unjudged import Unjudged
from detectors.values import Values
from detectors.words import digest64
from responders.autonomy import decide
from responders.clearance import Word, needs_clearance, strictest
from schemas import ids
from schemas.checkpoint import Checkpoint
from schemas.command import Command, Target
from schemas.errors import BadRecord
from schemas.finding import Finding, Identity
from schemas.liveness import Liveness
from schemas.rule_bundle import RuleBundle
from schemas.seal import MARK, Marks, Signer, agent_key, header, value_key
from schemas.sighting import Sighting
from schemas.step import Step, content, message_key, read_step
from streams.knowledge import Knowledge
from streams.records import Output, Record, partition_of, refused, signed
from streams.stream import Stream

log = logging.getLogger(__name__)

IDLE_US: Final = 24 * 3600 * 1_000_000
CLEARANCE_LIFE_US: Final = 60 * 1_000_000
REFUSALS_BEFORE_FINDING: Final = 10
TOLD_AT_ONCE: Final = 1000
"""Agents whose activity is told in one go: each takes a signature, and nothing may hold the loop for long."""
ACTIVITY: Final = "~activity/"
"""Checkpoint entries of activity; no trace is called so."""


class Detect(Stream):
    """Reads steps by trace. One `Memory` per partition, checkpointed entry by entry."""

    name = "detect"

    def __init__(self, knowledge: Knowledge, signer: Signer, instance: str, partitions: int) -> None:
        self.know = knowledge
        self.topics = knowledge.topics
        self.inputs = (self.topics.steps,)
        self.signer = signer
        self.instance = instance
        self.partitions = partitions
        self.memories: dict[int, Memory] = {}
        self.values = Values(value_key(knowledge.master)) if knowledge.master else Values()
        self.activities: dict[int, Activities] = {}
        self.marks: dict[str, Marks] = {}
        self.sightings: list[Sighting] = []
        """Made since they were last told."""
        self.counters: Counter[str] = Counter()
        self.behind_us: dict[int, int] = {}
        self.engines: dict[int, Engine] = {}
        """Partition → the rules it is judged by: swapped at the beginning of a batch."""
        self.newest: tuple[RuleBundle, Engine] | None = None
        self.deadlines: dict[int, list[tuple[int, str]]] = {}
        """Partition → heap of (append time, trace): when an absence is to be closed."""
        self.rules_since: dict[int, int] = {}
        """Partition → the first offset judged by the rules in force."""
        self.refusals: dict[int, tuple[int, int]] = {}
        """Partition → (minute of Kafka's clock, records refused in it)."""

    def open(self, partition: int, entries: Mapping[str, Checkpoint]) -> None:
        """Take over the traces of a partition; one of another shape is forgotten and rebuilt from later steps."""
        self.know.facts.values = self.values
        memory = self.memories[partition] = Memory(self.know.facts.rules.bounds.traces_per_agent)
        heap = self.deadlines[partition] = []
        activities = self.activities[partition] = Activities(partition)
        for name, entry in entries.items():
            try:
                if name.startswith(ACTIVITY):
                    activities.restore(entry.state or b"")
                    continue
                state = decode_state(entry.state or b"")
                memory.put(name, state)
                heap.extend((until_us, name) for until_us in waits_of(state))
            except BadRecord:
                self.counters["checkpoint_entries_refused"] += 1

        heapq.heapify(heap)

    def close(self, partition: int) -> None:
        """Give up a partition."""
        del self.memories[partition], self.activities[partition]
        for kept in (self.behind_us, self.engines, self.rules_since, self.deadlines):
            kept.pop(partition, None)

    def changed(self, partition: int, *, whole: bool) -> Mapping[str, bytes | None]:
        """Return the traces that changed, and None for those forgotten; activity first.

        What is included in a trace's entry is skipped after a restart: activity must never be behind it.
        """
        memory, activities = self.memories[partition], self.activities[partition]
        entries: dict[str, bytes | None] = {ACTIVITY + name: None for name in activities.forgotten}
        for name in activities.by_agent if whole else activities.changed:
            entries[ACTIVITY + name] = activities.dump(name)
        activities.changed.clear()
        activities.forgotten.clear()
        names = memory.owner_of if whole else memory.changed
        entries.update(dict.fromkeys(memory.forgotten))
        entries.update((name, memory.packed(name)) for name in names)
        memory.changed.clear()
        memory.forgotten.clear()
        return entries

    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Judge each record in order; what cannot be read or believed becomes a dead letter."""
        out: list[Output] = []
        memory = self.memories[place.partition]
        self._swap_rules(place.partition, records[0].offset)
        heap = self.deadlines[place.partition]
        for record in records:
            if heap and heap[0][0] < record.timestamp * 1000:
                out.extend(self._absences(memory, heap, record.timestamp * 1000))
            try:
                led_to = self._judge_one(self._see(record, memory), memory, place.partition)
                if led_to:
                    out.extend(led_to)
            except BadRecord as error:
                out.extend(self._refuse(record, error))
            except Exception as error:
                log.exception("cannot judge %s[%d] offset %d", record.topic, record.partition, record.offset)
                out.extend(self._refuse(record, BadRecord("failed", f"Lictor failed on it: {type(error).__name__}")))
        out.extend(self._matches())
        out.extend(self._sightings())
        self.counters["steps"] += len(records)
        self.behind_us[place.partition] = max(0, int(time.time() * 1e6) - records[-1].timestamp * 1000)
        self._forget_idle(memory, records[-1].timestamp * 1000)
        return out

    def take_rules(self, bundle: RuleBundle, engine: Engine) -> None:
        """Have each partition judged by these rules from its next batch on; where there are none, at once."""
        self.newest = bundle, engine
        if not self.memories:
            self.know.bundle_in_force(bundle)

    def _swap_rules(self, partition: int, offset: int) -> None:
        if self.newest is None:
            self.know.facts.engine = None
            return
        if self.engines.get(partition) is not self.newest[1] or partition not in self.rules_since:
            self.engines[partition] = self.newest[1]
            self.rules_since[partition] = offset
            self._note_rules()
        self.know.facts.engine = self.engines.get(partition)

    def _swap_idle(self, partition: int, newest: Engine) -> None:
        """Have a partition without records judged by the newest rules; its next record says from which offset on."""
        if self.engines.get(partition) is not newest:
            self.engines[partition] = newest
            self.rules_since.pop(partition, None)

    def _note_rules(self) -> None:
        """Say that the newest rules are in force once every partition is judged by them."""
        if self.newest is not None and all(self.engines.get(held) is self.newest[1] for held in self.memories):
            self.know.bundle_in_force(self.newest[0])

    def _refuse(self, record: Record, error: BadRecord) -> Iterator[Output]:
        """Yield the dead letter and, when it goes on like this, a finding: once a minute and partition."""
        self.counters[f"dead_{error.kind}"] += 1
        agent_id = _claimed(record)
        yield refused(self.topics.dead_letters, record, error, "detect", agent_id=agent_id)
        minute = record.timestamp // 60_000
        since, count = self.refusals.get(record.partition, (minute, 0))
        count = count + 1 if since == minute else 1
        self.refusals[record.partition] = minute, count
        if count == REFUSALS_BEFORE_FINDING:
            place = f"{record.topic}[{record.partition}]"
            found = Unjudged().refused(place, count, error.kind, agent_id, record.timestamp * 1000)
            yield signed(self.topics.findings, found.agent_id, found, self.signer)

    def _see(self, record: Record, memory: Memory) -> Seen:
        step = read_step(record.value)
        key = message_key(step)
        if record.key != key.encode():
            key = (record.key or b"").decode("utf-8", "replace")
            raise BadRecord("wrong_key", f"key {key[:64]!r} is neither the step's trace nor its run")
        if key not in memory.owner_of and partition_of(key, self.partitions) != record.partition:
            raise BadRecord("wrong_partition", f"key {key[:64]!r} does not belong into partition {record.partition}")
        good = header(record.headers, MARK)
        identity = self._identity(step, record, good)
        if identity == "marked" and good is not None:
            digest = int.from_bytes(good[:8], "big")  # a keyed digest of the record, and there already
        elif self.know.facts.rules.identity == "require":
            raise BadRecord(
                f"identity_{identity}", "the step's mark is missing or not the agent's, and identity is `require`"
            )
        else:
            digest = digest64(record.value or b"")
        return see(step, digest, record.offset, record.timestamp * 1000, identity, self.know.facts)

    def _identity(self, step: Step, record: Record, good: bytes | None) -> Identity:
        if good is None:
            return "unmarked"
        marks = self.marks.get(step.agent_id)
        if marks is None:
            if len(self.marks) >= 65536:  # noqa: PLR2004 - names come from outside
                self.marks.clear()
            key = agent_key(self.know.master, step.agent_id)
            marks = self.marks[step.agent_id] = Marks(key, self.topics.steps.name, "step")
        return "marked" if marks.good(good, record.key or b"", record.value or b"") else "forged"

    def _judge_one(self, seen: Seen, memory: Memory, partition: int) -> list[Output] | None:
        facts = self.know.facts
        judgement = inspect(seen, memory, facts)
        if facts.deadlines:
            for deadline in facts.deadlines:
                heapq.heappush(self.deadlines[partition], deadline)
            facts.deadlines.clear()
        if judgement is QUIET:
            found: Sequence[Finding] = ()
        else:
            self._count(judgement)
            if judgement.repeat:
                return None  # its findings are out already, and without them a clearance would say `allow`
            found = judgement.findings
        sighted = self.activities[partition].feed(seen)
        if sighted:
            self.sightings.extend(sighted)
        waits = needs_clearance(seen.step, seen.traits, seen.policy.policy)
        if not found and not waits:
            return None
        out = [signed(self.topics.findings, finding.agent_id, finding, self.signer) for finding in found]
        if waits:
            clearance = self._clearance(seen, found)
            if clearance is not None:
                out.insert(0, clearance)
        return out

    def _count(self, judgement: Judgement) -> None:
        self.counters["repeats"] += judgement.repeat
        self.counters["evictions"] += judgement.evicted
        self.counters["detectors_failed"] += judgement.failed
        self.counters["findings"] += len(judgement.findings)

    def _absences(self, memory: Memory, heap: list[tuple[int, str]], append_us: int) -> Iterator[Output]:
        """Close what was waited for until now: a step of any trace of the partition moves the clock."""
        while heap and heap[0][0] < append_us:
            _, key = heapq.heappop(heap)
            entry = memory.get(key)
            for state in (entry.marked, entry.doubted) if entry is not None else ():
                for found in absences(state, append_us, self.know.facts) if state is not None else ():
                    self.counters["findings"] += 1
                    memory.changed.add(key)
                    yield signed(self.topics.findings, found.agent_id, found, self.signer)

    def _matches(self) -> Iterator[Output]:
        """Hand over what is put together elsewhere."""
        taken, self.know.facts.matches = self.know.facts.matches, []
        self.counters["matches"] += len(taken)
        for match in taken:
            yield signed(self.topics.matches, match.agent_id, match, self.signer)
        tainted, self.know.facts.tainted = self.know.facts.tainted, []
        for taint in tainted:
            self.know.facts.take_taint(taint)
            yield signed(self.topics.taints, f"{taint.kind}:{taint.name}", taint, self.signer)

    def _sightings(self) -> Iterator[Output]:
        """Tell what agents were not yet seen to use."""
        taken, self.sightings = self.sightings, []
        self.counters["sightings"] += len(taken)
        for sighting in taken:
            yield signed(self.topics.sightings, sighting.agent_id, sighting, self.signer)

    def _activity(self) -> Iterator[Output]:
        """Tell what agents have done since it was last told."""
        for activities in self.activities.values():
            for told in activities.messages(TOLD_AT_ONCE):
                self.counters["activity"] += 1
                yield signed(self.topics.activity, told.agent_id, told, self.signer)

    def _clearance(self, seen: Seen, findings: Sequence[Finding]) -> Output | None:
        """Answer the waiting gate. No answer is given while `respond` is silent or the step is too old to be judged."""
        policy = seen.policy.policy
        if not self.know.alive("respond"):
            self.counters["clearances_withheld_respond"] += 1
            return None
        if int(time.time() * 1e6) - seen.append_us > policy.clearance.max_behind_ms * 1000:
            self.counters["clearances_withheld_lag"] += 1
            return None
        word = clearance_word(seen, findings, self.know)
        reason = findings[0].reason if findings and word != "allow" else ""
        command = clearance_command(seen, word, reason)
        self.counters[f"clearances_{word}"] += 1
        return signed(self.topics.commands, seen.step.agent_id, command, self.signer, kind="clearance")

    def _forget_idle(self, memory: Memory, now_us: int) -> None:
        """Forget the oldest trace of each pool once it has been idle for a day: amortised, by Kafka's clock."""
        for key, last_us in memory.oldest():
            if last_us < now_us - IDLE_US:
                memory.forget(key)

    def tick(self, lag: Mapping[TopicPartition, int]) -> Sequence[Output]:
        """Say, signed, that this worker is alive and how far behind it is."""
        total = sum(lag.values())
        for place, left in lag.items():  # where nothing waits, the next record is the first to be judged by them
            if not left and self.newest is not None and place.partition in self.memories:
                self._swap_idle(place.partition, self.newest[1])
        self._note_rules()
        word = Liveness(
            component="detect",
            instance=self.instance,
            partitions=tuple(sorted(self.memories)),
            lag=total,
            behind_us=max(self.behind_us.values(), default=0) if total else 0,
            counters=dict(self.counters) | dict(self.know.counters),
            applied=dict(self.know.applied),
            rules_version=self.know.facts.rules.version,
            bundle_version=self.newest[0].version if self.newest else 0,
            rules_digest=self.newest[0].digest if self.newest else "",
            rules_since={str(partition): offset for partition, offset in self.rules_since.items()},
            rules_error=self.know.bundle_error,
            time_us=int(time.time() * 1e6),
        )
        return [*self._activity(), signed(self.topics.liveness, f"detect/{self.instance}", word, self.signer)]


def clearance_word(seen: Seen, findings: Sequence[Finding], know: Knowledge) -> Word:
    """Return the strictest answer that the rulings on this step give."""
    criticality = seen.policy.policy.criticality
    rulings = [decide(finding, know.facts.rules, criticality=criticality) for finding in findings]
    return strictest(rulings)


def clearance_command(seen: Seen, word: Word, reason: str) -> Command:
    """Return the answer, bound to the digest of what the step says: it fits no other call."""
    step = seen.step
    digest = ids.content_digest(content(step))
    arguments: dict[str, object] = {"word": word}
    return Command(
        command_id=ids.named("lictor.clear", step.step_id, digest, word),
        action="clearance",
        target=Target(agent_id=step.agent_id, run_id=step.run_id, step_id=step.step_id, digest=digest),
        arguments=arguments,
        epoch=0,
        issued_us=seen.append_us,
        expires_us=seen.append_us + CLEARANCE_LIFE_US,
        reason=reason[:500],
    )


def _claimed(record: Record) -> str:
    """Return the agent a refused record names, if that much can be read."""
    try:
        return read_step(record.value).agent_id
    except BadRecord:
        return ""
