"""Recorded sessions through the live pipeline: published as steps, judged, decided, archived, and counted at the end."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition

from detectors.base import shown
from detectors.facts import Facts
from detectors.policy_view import PolicyView
from lictor import topic_io
from lictor.gate_replay import gated
from lictor.history import History
from lictor.keys import Keys
from lictor.policy_file import Policies
from lictor.publish import publish_more
from lictor.sessions import Session, at_time, read_sessions, recorded_policy
from lictor.settings import Settings
from schemas.errors import BadInput, BadRecord, LictorError
from schemas.liveness import Liveness
from schemas.policy import AgentPolicy
from schemas.seal import MARK, TYPE, mark
from schemas.step import DeclaredTool, Step, encode_step, message_key
from streams.records import Output
from streams.topics import MAX_RECORD_BYTES

BATCH: Final = 1000
OLDEST_US: Final = 1800 * 1_000_000
"""A longer session is squeezed into the last half hour: its clock is not what is judged."""
SETTLE_TIMEOUT_S: Final = 300.0
IN_FORCE_TIMEOUT_S: Final = 30.0
MAX_PUBLISHED_BYTES: Final = MAX_RECORD_BYTES - (64 << 10)
"""Of a step as it was recorded: its key, its headers and what the gate says are added."""


@dataclass(slots=True)
class Ingested:
    """What became of the sessions. `per_partition`: published, archived, dead-lettered."""

    sessions: int = 0
    published: int = 0
    archived: int = 0
    dead_lettered: int = 0
    per_partition: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(rule, label) → findings."""
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def complete(self) -> bool:
        """Tell whether every step published is in the history or among the dead letters."""
        return self.published == self.archived + self.dead_lettered

    def as_json(self) -> dict[str, Any]:
        """Return the figures as one JSON object."""
        return {
            "sessions": self.sessions,
            "published": self.published,
            "archived": self.archived,
            "dead_lettered": self.dead_lettered,
            "complete": self.complete(),
            "findings": _nested(self.findings),
            "decisions": _nested(self.decisions),
        }


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    out: dict[str, dict[str, int]] = {}
    for (name, label), count in sorted(counts.items()):
        out.setdefault(name, {})[label] = count
    return out


class Ingest:
    """Publishes sessions and waits for everything they lead to. `advance` is told of each session published."""

    def __init__(
        self,
        settings: Settings,
        *,
        policies: Policies | None,
        tools: Mapping[str, tuple[DeclaredTool, ...]],
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.policies = policies
        self.tools = tools
        self.advance = advance
        self.keys = Keys(settings.keys_folder)
        self.facts = Facts()
        self.labels: dict[str, str] = {}
        self._agent_keys: dict[str, bytes] = {}

    async def run(self, path: Path, history: History) -> Ingested:
        """Publish a file and wait until all of it is judged and archived."""
        settings, topics = self.settings, self.settings.topics
        await self._publish_policies(path)
        before = await topic_io.end_offsets(settings.kafka, [topics.steps], settings.kafka_client)
        done = Ingested()
        async with topic_io.sender(settings.kafka, settings.kafka_client) as out:
            batch: list[Output] = []
            for session in read_sessions(path, self.tools):
                batch.extend(self._outputs(session))
                done.sessions += 1
                if len(batch) >= BATCH:
                    await out.send(batch)
                    batch.clear()
                self.advance()
            await out.send(batch)
        after = await topic_io.end_offsets(settings.kafka, [topics.steps], settings.kafka_client)
        done.published = sum(after.values()) - sum(before.values())
        await self._settle(before, after, history, done)
        self._count_findings(history, done)
        return done

    async def _publish_policies(self, path: Path) -> None:
        """Put the recorded agents' policies in force, and wait until every `detect` says that they are."""
        agents = {must_fit(session, path).agent_id for session in read_sessions(path)}
        policies = [self._policy(agent_id) for agent_id in sorted(agents)]
        for policy in policies:
            self.facts.policies[policy.agent_id] = PolicyView(policy)
        settings = self.settings
        await publish_more(settings.kafka, settings, self.keys, policies)
        await wait_in_force(settings)

    def _policy(self, agent_id: str) -> AgentPolicy:
        if self.policies is None:
            return recorded_policy(agent_id)
        return self.policies.of(agent_id).model_copy(update={"agent_id": agent_id})

    def _outputs(self, session: Session) -> list[Output]:
        """Return a session as marked records, moved in time so that it ends now."""
        self.labels[session.run_id] = session.label
        now_us = int(time.time() * 1e6)
        shift, earliest = now_us - session.steps[-1].time_us, now_us - OLDEST_US
        return [self._output(at_time(step, max(earliest, step.time_us + shift))) for step in session.steps]

    def _output(self, step: Step) -> Output:
        step = gated(step, self.facts.policies[step.agent_id], delegators=self.facts.policies_of(step.delegation))
        topic, key, value = self.settings.topics.steps.name, message_key(step), encode_step(step)
        agent_key = self._agent_keys.get(step.agent_id)
        if agent_key is None:
            text = self.keys.agent_key_file(step.agent_id).read_text(encoding="ascii")
            agent_key = self._agent_keys[step.agent_id] = bytes.fromhex(text.strip())
        headers = [(TYPE, b"step"), (MARK, mark(agent_key, topic, key, "step", value))]
        return Output(topic, key, value, headers)

    async def _settle(
        self,
        before: Mapping[TopicPartition, int],
        after: Mapping[TopicPartition, int],
        history: History,
        done: Ingested,
    ) -> None:
        """Wait until the streams have handled everything and the history holds what they wrote."""
        ends = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            settled = await settled_streams(self.settings)
            counts = history_counts(history, self.settings.topics.steps.name, before, after)
            done.per_partition = {
                place.partition: (after[place] - before[place], *counts.get(place.partition, (0, 0))) for place in after
            }
            done.archived = sum(archived for _, archived, _ in done.per_partition.values())
            done.dead_lettered = sum(dead for _, _, dead in done.per_partition.values())
            if settled and done.complete():
                return
            if time.monotonic() > ends:
                raise LictorError(
                    f"after {SETTLE_TIMEOUT_S:.0f} s {done.published} steps are published, {done.archived} archived, "
                    f"{done.dead_lettered} dead-lettered; `lictor status` shows who is behind"
                )
            await asyncio.sleep(0.2)

    def _count_findings(self, history: History, done: Ingested) -> None:
        for table, name, counts in (("findings", "rule_id", done.findings), ("decisions", "action", done.decisions)):
            id_column = "finding_id" if table == "findings" else "decision_id"
            sql = f"SELECT {name}, run_id, uniqExact({id_column}) FROM {table} GROUP BY {name}, run_id"  # noqa: S608 - names of ours
            for rule, run_id, count in history.rows(sql)[1]:
                if run_id in self.labels:
                    counts[str(rule), self.labels[run_id]] += int(count)


def must_fit(session: Session, path: Path) -> Session:
    """Return the session if Kafka takes each of its steps. Raises `BadInput`: before anything is published."""
    for step, index in zip(session.steps, session.indexes, strict=True):
        size = len(encode_step(step))
        if size > MAX_PUBLISHED_BYTES:
            raise BadInput(
                f"step {index} of session {shown(session.session_id, 100)} takes {size} bytes, and Kafka takes "
                f"{MAX_PUBLISHED_BYTES} at most; leave it out, or cut its arguments",
                where=str(path),
            )
    return session


def history_counts(
    history: History, topic: str, before: Mapping[TopicPartition, int], after: Mapping[TopicPartition, int]
) -> dict[int, tuple[int, int]]:
    """Return, per partition, how many of the records between two offsets are archived, and how many dead-lettered.

    A step that only `detect` refused is in both tables; it counts as dead-lettered. One that was published again counts
    as archived: the history holds it, once.
    """
    counts: dict[int, tuple[int, int]] = {}
    for place, end in after.items():
        span = {"t": topic, "p": place.partition, "a": before.get(place, 0), "b": end}
        counts[place.partition] = (history.number(_ARCHIVED, span), history.number(_DEAD, span))
    return counts


_DEAD: Final = """
    SELECT uniqExact(offset) FROM dead_letters
    WHERE topic = {t:String} AND partition = {p:UInt32} AND offset >= {a:UInt64} AND offset < {b:UInt64}
"""
_ARCHIVED: Final = """
    SELECT uniqExact(kafka_offset) FROM
    (
        SELECT kafka_topic, kafka_partition, kafka_offset FROM steps
        UNION ALL SELECT kafka_topic, kafka_partition, kafka_offset FROM repeats
    )
    WHERE kafka_topic = {t:String} AND kafka_partition = {p:UInt32}
      AND kafka_offset >= {a:UInt64} AND kafka_offset < {b:UInt64}
      AND kafka_offset NOT IN (SELECT offset FROM dead_letters WHERE topic = {t:String} AND partition = {p:UInt32})
"""


async def settled_streams(settings: Settings) -> bool:
    """Tell whether everything that is on its topics is behind each stream: judged, and what came of it in the history.

    Asked in the order in which one leads to the next, and of commits alone: records that cannot be kept, which anybody
    can write, are behind the archive as well as those that can.
    """
    topics = settings.topics
    inputs = {
        "detect": [topics.steps],
        "respond": [topics.findings, topics.receipts, topics.verdicts],
        "archive": [topics.findings, topics.decisions, topics.incidents, topics.commands],
    }
    for stream, watched in inputs.items():
        ends = await topic_io.end_offsets(settings.kafka, watched, settings.kafka_client)
        committed = await topic_io.committed(settings.kafka, f"{settings.namespace}.{stream}", settings.kafka_client)
        if any(committed.get(place, 0) < end for place, end in ends.items()):
            return False
    return True


async def wait_in_force(settings: Settings) -> None:
    """Wait until every `detect` that lives has applied everything on the policies topic: its liveness says so."""
    topics = settings.topics
    ends = await topic_io.end_offsets(settings.kafka, [topics.policies], settings.kafka_client)
    wanted = max(ends.values(), default=0)
    began_ms = int(time.time() * 1000)
    try:
        async with asyncio.timeout(IN_FORCE_TIMEOUT_S):
            async with topic_io.consumer(settings.kafka, [topics.liveness], settings.kafka_client, "end") as source:
                heard: dict[str, int] = {}
                while not heard or min(heard.values()) < wanted:
                    for records in (await source.getmany(timeout_ms=200)).values():
                        heard |= _applied(records, topics.policies.name, began_ms)
    except TimeoutError:
        raise LictorError(
            "no `detect` has said that the policies are in force; is it running? `lictor status` shows"
        ) from None


def _applied(records: Iterable[Any], topic: str, began_ms: int) -> dict[str, int]:
    heard: dict[str, int] = {}
    for record in records:
        try:
            word = Liveness.read(record.value)
        except BadRecord:
            continue
        if word.component == "detect" and record.timestamp >= began_ms:
            heard[word.instance] = word.applied.get(topic, 0)
    return heard
