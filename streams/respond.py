"""findings, receipts, verdicts → incidents, decisions, questions, commands, containment. Judged in `responders/`."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec
from aiokafka import TopicPartition

from detectors.engine.engine import Engine
from detectors.engine.sums import Sums, scope_values
from detectors.runaway import HOUR, hour_budgets
from responders import LADDER
from responders.casebook import Casebook
from responders.cases import WORD_LIFE_US, decode_case, encode_case
from responders.limits import Limiter
from schemas.checkpoint import Checkpoint
from schemas.command import Command
from schemas.correlation import Correlation
from schemas.errors import BadRecord, BadSeal
from schemas.finding import Finding
from schemas.keys import Key
from schemas.liveness import Liveness
from schemas.match import Match
from schemas.message import Message
from schemas.receipt import Receipt
from schemas.rule_bundle import RuleBundle
from schemas.rule_file import Scope
from schemas.seal import Signer
from schemas.verdict import Verdict
from streams.knowledge import Knowledge
from streams.records import Output, Record, refused, signed
from streams.stream import Stream

NEEDED: Final = {"kill": "stop", "pause": "pause", "resume": "pause", "lift": "stop"}
"""What a person must be allowed, beside `verdict`, to have `respond` do this: no more than by a command of their own."""
SUMS: Final = "~sums/"
LIMITS: Final = "~limits"
"""The checkpoint entry of what was ordered lately; agent ids cannot start with it (`~` is refused at enrolment)."""

log = logging.getLogger(__name__)


class Respond(Stream):
    """Reads findings, receipts and verdicts by agent. One `Casebook` per partition, one limiter for all."""

    name = "respond"

    def __init__(self, knowledge: Knowledge, signer: Signer, instance: str) -> None:
        self.know = knowledge
        self.topics = knowledge.topics
        self.inputs = (
            self.topics.findings,
            self.topics.receipts,
            self.topics.verdicts,
            self.topics.matches,
            self.topics.correlations,
        )
        self.signer = signer
        self.instance = instance
        self.limiter = Limiter()
        self.books: dict[int, Casebook] = {}
        self.sums: dict[int, Sums] = {}
        self.newest: tuple[RuleBundle, Engine] | None = None
        self.counters: Counter[str] = Counter()

    def open(self, partition: int, entries: Mapping[str, Checkpoint]) -> None:
        """Take over the cases of a partition."""
        book = self.books[partition] = Casebook(LADDER, self.limiter, self.know.containments)
        sums = self.sums[partition] = Sums()
        for name, entry in entries.items():
            try:
                if name.startswith(SUMS):
                    sums.restore(name, entry.state or b"")
                elif name == LIMITS:
                    self.limiter.restore(entry.state or b"")
                else:
                    book.restore(decode_case(entry.state or b""))
            except (BadRecord, msgspec.MsgspecError):
                self.counters["checkpoint_entries_refused"] += 1

    def close(self, partition: int) -> None:
        """Give up a partition."""
        del self.books[partition], self.sums[partition]

    def changed(self, partition: int, *, whole: bool) -> Mapping[str, bytes | None]:
        """Return the cases that changed, and the limits."""
        book = self.books[partition]
        names = list(book.cases) if whole else list(book.changed)
        book.changed.clear()
        entries: dict[str, bytes | None] = {name: encode_case(book.cases[name]) for name in names}
        if entries:
            entries[LIMITS] = self.limiter.state()
        sums = self.sums[partition]
        for name in list(sums.by_key) if whole else list(sums.changed):
            entries[name] = sums.dump(name)
        sums.changed.clear()
        return entries

    def entry_of(self, topic: str, key: str) -> str:
        """Matches are counted in entries of their own."""
        own = topic in (self.topics.matches.name, self.topics.correlations.name)
        return sum_key(topic == self.topics.matches.name, key) if own else key

    def take_rules(self, bundle: RuleBundle, engine: Engine) -> None:
        """Put matches together by these rules from now on."""
        self.newest = bundle, engine
        self.know.bundle_in_force(bundle)

    async def judge(self, place: TopicPartition, records: Sequence[Record]) -> Sequence[Output]:
        """Handle each record in order; what is not signed as it must be becomes a dead letter."""
        out: list[Output] = []
        book = self.books[place.partition]
        self.limiter.registered = len(self.know.facts.policies)
        handlers = {
            self.topics.findings.name: self._on_finding,
            self.topics.receipts.name: self._on_receipt,
            self.topics.verdicts.name: self._on_verdict,
            self.topics.matches.name: self._on_match,
            self.topics.correlations.name: self._on_correlation,
        }
        for record in records:
            try:
                out.extend([self._output(message) for message in handlers[place.topic](book, record)])
            except (BadRecord, BadSeal) as error:
                out.append(self._refuse(record, error.kind, str(error)))
            except Exception as error:
                log.exception("cannot handle %s[%d] offset %d", record.topic, record.partition, record.offset)
                out.append(self._refuse(record, "failed", f"Lictor failed on it: {type(error).__name__}"))
        return out

    def _refuse(self, record: Record, kind: str, reason: str) -> Output:
        self.counters[f"dead_{kind}"] += 1
        return refused(self.topics.dead_letters, record, BadRecord(kind, reason), "respond")

    def _on_finding(self, book: Casebook, record: Record) -> list[Message]:
        self._signer(record, Finding.type)
        finding = Finding.read(record.value)
        _must_be_keyed_by(record, finding.agent_id)
        self.counters["findings"] += 1
        criticality = self.know.facts.policy_of(finding.agent_id).policy.criticality
        return book.on_finding(finding, self.know.facts.rules, record.timestamp * 1000, criticality=criticality)

    def _on_receipt(self, book: Casebook, record: Record) -> list[Message]:
        receipt = Receipt.read(record.value)
        _must_be_keyed_by(record, receipt.agent_id)
        try:
            self._signer(record, Receipt.type)
            trusted = True
        except BadSeal:
            trusted = False  # an agent's own receipt carries a mark, which only `detect` can check: it is a claim
        self.counters["receipts"] += 1
        return book.on_receipt(receipt, record.timestamp * 1000, trusted=trusted)

    def _on_verdict(self, book: Casebook, record: Record) -> list[Message]:
        signer = self._signer(record, Verdict.type)
        verdict = Verdict.read(record.value)
        _must_be_keyed_by(record, verdict.agent_id)
        needed = NEEDED.get(verdict.kind)
        if needed is not None and needed not in signer.may:
            raise BadSeal("wrong_role", f"this person may not {needed}, so not {verdict.kind}")
        _must_be_fresh(verdict, record.timestamp * 1000)
        self.counters["verdicts"] += 1
        return book.on_verdict(verdict, record.timestamp * 1000)

    def _on_match(self, book: Casebook, record: Record) -> list[Message]:
        """Put a match together with others of its agent, and hand it on to the scopes it counts in."""
        del book
        self._signer(record, Match.type)
        match = Match.read(record.value).model_copy(update={"append_time_us": record.timestamp * 1000})
        _must_be_keyed_by(record, match.agent_id)
        self.counters["matches"] += 1
        out: list[Message] = []
        sums, key = self.sums[record.partition], sum_key(True, match.agent_id)
        if match.rule_id == HOUR:
            budgets = self.know.facts.policy_of(match.agent_id).policy.budgets
            return [*sums.feed(key, match, hour_budgets(budgets))]
        if self.newest is None:
            return []
        engine = self.newest[1]
        if match.rule_id in engine.by_agent.by_rule:
            out.extend(sums.feed(key, match, engine.by_agent))
        for scope, judge in engine.wide.items():
            if match.rule_id in judge.by_rule:
                said = match.model_dump(exclude={"scope"})
                out.extend(Correlation(**said, scope=scope, scope_value=value) for value in scope_values(match, scope))
        return out

    def _on_correlation(self, book: Casebook, record: Record) -> list[Message]:
        """Put together what no single agent shows."""
        del book
        self._signer(record, Correlation.type)
        found = Correlation.read(record.value).model_copy(update={"append_time_us": record.timestamp * 1000})
        key = f"{found.scope}:{found.scope_value}"
        if record.key != key.encode():
            raise BadRecord("wrong_key", f"the record's key is not its scope {key[:64]!r}")
        self.counters["correlations"] += 1
        judge = self.newest[1].wide.get(cast("Scope", found.scope)) if self.newest is not None else None
        if judge is None:
            return []
        return [*self.sums[record.partition].feed(sum_key(False, key), found, judge)]

    def _signer(self, record: Record, kind: str) -> Key:
        """Return the key that signed a record, and may. Raises `BadRecord` and `BadSeal`."""
        if record.value is None:
            raise BadRecord("empty", f"a {kind} cannot be a tombstone")
        key = (record.key or b"").decode("utf-8", "replace")
        return self.know.keyring.check(record.topic, key, kind, record.headers, record.value, record.timestamp * 1000)

    def _output(self, message: Message) -> Output:
        """Sign a message for its topic; every one of these is keyed by the agent it is about."""
        topic = {
            "command": self.topics.commands,
            "containment": self.topics.containment,
            "approval": self.topics.approvals,
            "decision": self.topics.decisions,
            "incident": self.topics.incidents,
            "finding": self.topics.findings,
            "correlation": self.topics.correlations,
        }[message.type]
        if isinstance(message, Correlation):
            return signed(topic, f"{message.scope}:{message.scope_value}", message, self.signer)
        agent_id = message.target.agent_id if isinstance(message, Command) else message.agent_id  # type: ignore[attr-defined]
        self.counters[f"{message.type}s"] += 1
        return signed(topic, agent_id, message, self.signer)

    def tick(self, lag: Mapping[TopicPartition, int]) -> Sequence[Output]:
        """Lift what has expired, and say, signed, that this worker is alive."""
        now_us = int(time.time() * 1e6)
        lifted = [self._output(found) for book in self.books.values() for found in book.expire(now_us)]
        word = Liveness(
            component="respond",
            instance=self.instance,
            partitions=tuple(sorted(self.books)),
            lag=sum(lag.values()),
            counters=dict(self.counters) | dict(self.know.counters),
            applied=dict(self.know.applied),
            rules_version=self.know.facts.rules.version,
            bundle_version=self.newest[0].version if self.newest else 0,
            rules_digest=self.newest[0].digest if self.newest else "",
            rules_error=self.know.bundle_error,
            time_us=now_us,
        )
        return [*lifted, signed(self.topics.liveness, f"respond/{self.instance}", word, self.signer)]


def sum_key(by_agent: bool, key: str) -> str:
    """Return the name under which sums are kept: an agent cannot be named as a scope is."""
    return f"{SUMS}{'agent' if by_agent else 'scope'}/{key}"


def _must_be_fresh(verdict: Verdict, append_us: int) -> None:
    """A word is good for a while: whoever recorded it could else have it carried out again, whenever that suits."""
    apart_us = abs(append_us - verdict.time_us)
    if apart_us > WORD_LIFE_US:
        raise BadRecord(
            "stale",
            f"said {apart_us // 1_000_000} s {'before' if verdict.time_us < append_us else 'after'} Kafka took it; "
            f"a person's word is good for {WORD_LIFE_US // 1_000_000} s (is the clock right where it was said?)",
        )


def _must_be_keyed_by(record: Record, agent_id: str) -> None:
    if record.key != agent_id.encode():
        raise BadRecord("wrong_key", f"the record's key is not its agent {agent_id[:64]!r}")
