"""What a worker knows from the broadcast topics: each record checked, then put into the facts detectors judge by."""

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from detectors.facts import Facts
from schemas.containment import Containment
from schemas.errors import BadRecord, BadSeal
from schemas.inventory import Inventory
from schemas.keys import KEY_LIST
from schemas.liveness import Liveness
from schemas.policy import AgentPolicy
from schemas.receipt import Receipt
from schemas.rule_bundle import BUNDLE_KEY, RuleBundle
from schemas.rules import RuleBook
from schemas.seal import MARK, Keyring, agent_key, header, mark_is_good
from schemas.taint import Taint
from streams.records import Record
from streams.topics import Topics

log = logging.getLogger("lictor.knowledge")

GUARDED: Final = frozenset({"detect", "respond", "profile"})
"""Components whose life something is decided by; the others' word is for people."""
ALIVE_S: Final = 5.0
"""A component that has not said for this long that it is alive is not."""
MAX_UNBELIEVED: Final = 1024
"""Records kept until the key list comes; over the bound the oldest goes, since anybody can invent keys."""


@dataclass(slots=True)
class Knowledge:
    """Facts, the keyring that guards them, and when each component was last heard of (monotonic seconds)."""

    topics: Topics
    keyring: Keyring
    facts: Facts = field(default_factory=Facts)
    master: bytes = b""
    """The marks' master key; only `detect` has it."""
    heard: dict[str, float] = field(default_factory=dict)
    containments: dict[str, Containment] = field(default_factory=dict)
    """The newest set of each agent that ever had one."""
    counters: Counter[str] = field(default_factory=Counter)
    detect_us: dict[str, int] = field(default_factory=dict)
    """Each `detect` → up to which append time it has judged, as it said last."""
    _applied: dict[str, int] = field(default_factory=dict)
    bundle: RuleBundle | None = None
    """The newest rules that were published, in force or not."""
    bundle_came: asyncio.Event = field(default_factory=asyncio.Event)
    bundle_error: str = ""
    """Why the newest rules are not in force here."""
    _bundle_offset: int = -1
    """Where rules stand that are not in force yet; below 0 where there are none."""
    _unbelieved: dict[tuple[str, bytes | None], Record] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Take one broadcast record. What cannot be believed is counted and left alone; the last-known-good stays."""
        try:
            if record.value is not None:
                self._take(record, record.value)
        except (BadSeal, BadRecord) as error:
            self._refuse(record, error)
        if record.topic in (self.topics.policies.name, self.topics.rules.name):
            self._applied[record.topic] = record.offset + 1

    @property
    def applied(self) -> dict[str, int]:
        """Topic of one partition → the offset after the last record in force: what a publisher of policy waits for."""
        found = dict(self._applied)
        if self._bundle_offset >= 0:
            name = self.topics.rules.name
            found[name] = min(found.get(name, 0), self._bundle_offset)
        return found

    def bundle_in_force(self, bundle: RuleBundle) -> None:
        """Note that everything is judged by these rules from now on."""
        if self.bundle is not None and bundle.version == self.bundle.version:
            self._bundle_offset, self.bundle_error = -1, ""

    def refuse_bundle(self, bundle: RuleBundle, why: str) -> None:
        """Note that these rules cannot be put in force; those before them stay."""
        if self.bundle is not None and bundle.version == self.bundle.version:
            self.bundle_error = why
            self.counters["refused_rules"] += 1

    def alive(self, component: str) -> bool:
        """Tell whether the component has been heard of lately."""
        return time.monotonic() - self.heard.get(component, -1e9) < ALIVE_S

    def _take(self, record: Record, value: bytes) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        takers = {
            self.topics.policies.name: self._take_policy,
            self.topics.rules.name: self._take_rules,
            self.topics.containment.name: self._take_containment,
            self.topics.receipts.name: self._take_receipt,
            self.topics.taints.name: self._take_taint,
            self.topics.liveness.name: self._take_liveness,
            self.topics.inventory.name: self._take_inventory,
        }
        taker = takers.get(record.topic)
        if taker is not None:
            taker(record, key, value)

    def _take_policy(self, record: Record, key: str, value: bytes) -> None:
        if key == KEY_LIST:
            self.keyring.load(record.topic, key, record.headers, value)
            self._again()
            return
        self._check(record, key, AgentPolicy.type, value)
        policy = AgentPolicy.read(value)
        _must_be_keyed_by(key, policy.agent_id)
        self.facts.take_policy(policy)

    def _take_rules(self, record: Record, key: str, value: bytes) -> None:
        if key == BUNDLE_KEY:
            self._check(record, key, RuleBundle.type, value)
            self._take_bundle(RuleBundle.read(value), record.offset)
            return
        self._check(record, key, RuleBook.type, value)
        rules = RuleBook.read(value)
        if rules.version >= self.facts.rules.version:
            self.facts.rules = rules

    def _take_taint(self, record: Record, key: str, value: bytes) -> None:
        self._check(record, key, Taint.type, value)
        taint = Taint.read(value)
        if key != f"{taint.kind}:{taint.name}":
            raise BadRecord("wrong_key", f"the record's key is not what it taints: {key[:64]!r}")
        self.facts.take_taint(taint)

    def _take_inventory(self, record: Record, key: str, value: bytes) -> None:
        self._check(record, key, Inventory.type, value)
        found = Inventory.read(value)
        _must_be_keyed_by(key, found.agent_id)
        self.facts.peers.take(found)

    def _take_liveness(self, record: Record, key: str, value: bytes) -> None:
        word = Liveness.read(value)
        if word.component in GUARDED:
            self._check(record, key, Liveness.type, value, role=word.component)
            self.heard[word.component] = time.monotonic()
            if word.component == "detect":
                self.detect_us[word.instance] = record.timestamp * 1000 - word.behind_us

    def _take_bundle(self, found: RuleBundle, offset: int) -> None:
        if self.bundle is not None and found.version <= self.bundle.version:
            raise BadRecord("old_version", f"bundle {found.version} is not newer than {self.bundle.version}")
        self.bundle, self._bundle_offset, self.bundle_error = found, offset, ""
        self.bundle_came.set()

    def _refuse(self, record: Record, error: BadSeal | BadRecord) -> None:
        """Count what is not believed; what a key not known yet signed is looked at again when the list comes."""
        if error.kind == "unknown_key" and record.topic != self.topics.liveness.name:
            if len(self._unbelieved) >= MAX_UNBELIEVED:
                del self._unbelieved[next(iter(self._unbelieved))]
                self.counters["refused_unknown_key"] += 1
            self._unbelieved[record.topic, record.key] = record
            self.counters["waiting_for_key"] += 1
            return
        self.counters[f"refused_{error.kind}"] += 1
        log.warning("%s[%d]@%d refused: %s", record.topic, record.partition, record.offset, error)

    def _again(self) -> None:
        """Look again at what was signed by keys not known until now: compaction may put the list behind them."""
        earlier, self._unbelieved = self._unbelieved, {}
        for record in earlier.values():
            self.apply(record)

    def _check(self, record: Record, key: str, kind: str, value: bytes, *, role: str = "") -> None:
        """Raise `BadSeal` unless somebody signed who may and, where a role is named, has it."""
        signer = self.keyring.check(record.topic, key, kind, record.headers, value, record.timestamp * 1000)
        if role and signer.role != role:
            raise BadSeal("wrong_role", f"role {signer.role} speaks for {role}")

    def _take_containment(self, record: Record, key: str, value: bytes) -> None:
        self._check(record, key, Containment.type, value)
        found = Containment.read(value)
        known = self.containments.get(key)
        _must_be_keyed_by(key, found.agent_id)
        if known is not None and found.epoch < known.epoch:
            raise BadRecord("old_epoch", f"epoch {found.epoch} is below {known.epoch}, which is in force")
        self.containments[key] = found
        standing = {order.run_id: order for order in found.orders if order.action == "stop"}
        for agent_id, run_id in [run for run in self.facts.stopped if run[0] == key]:
            if run_id not in standing:
                del self.facts.stopped[agent_id, run_id]
        for order in standing.values():
            self.facts.take_stop(key, order.run_id, order.command_id, order.since_us)

    def _take_receipt(self, record: Record, key: str, value: bytes) -> None:
        """A receipt may only tighten what counts as a step after the stop, so a mark is proof enough."""
        receipt = Receipt.read(value)
        if receipt.agent_id != key or receipt.status != "effective":
            return
        good = self.master and mark_is_good(
            agent_key(self.master, key), header(record.headers, MARK), record.topic, key, Receipt.type, value
        )
        if not good:
            self._check(record, key, Receipt.type, value)
        self.facts.take_receipt(receipt, record.timestamp * 1000)


def _must_be_keyed_by(key: str, agent_id: str) -> None:
    if key != agent_id:
        raise BadRecord("wrong_key", f"the record's key is not its agent {agent_id[:64]!r}")
