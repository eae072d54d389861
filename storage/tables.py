"""Which topic goes to which table, and how a record becomes a row.

`signed_by` of a row is the id of the key that signed the record and may sign such a message, by the key list in force
when it is archived. Where nobody did it is empty, and the row is kept all the same: history keeps what was said.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.activity import Activity
from schemas.approval import Approval
from schemas.audit import AuditHead
from schemas.command import Command
from schemas.containment import Containment
from schemas.correlation import Correlation
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.errors import BadRecord, BadSeal
from schemas.finding import Finding
from schemas.incident import Incident
from schemas.inventory import Inventory
from schemas.keys import KEY_LIST, KeyList
from schemas.liveness import Liveness
from schemas.match import Match
from schemas.message import Message
from schemas.policy import AgentPolicy
from schemas.receipt import Receipt
from schemas.rule_bundle import BUNDLE_KEY, RuleBundle
from schemas.rules import RuleBook
from schemas.seal import KEY_ID, Keyring, header
from schemas.sighting import Sighting
from schemas.step import canonical_step
from schemas.taint import Taint
from schemas.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record stands in Kafka, and the key and headers it came with."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: str
    headers: tuple[tuple[str, bytes], ...]


Rower = Callable[[Origin, bytes | None, Keyring | None], bytes]
"""Turns a record into one line of JSONEachRow. Raises `BadRecord`."""
ROOT: Final = "root"
"""What `signed_by` says of a key list that the root key signed."""


def step_row(origin: Origin, value: bytes | None, _: Keyring | None) -> bytes:
    """Return a step's row: its canonical bytes, so that only known fields, each once, reach the store."""
    canonical = canonical_step(value)[1]
    digest = hashlib.blake2b(value or b"", digest_size=16).hexdigest()
    return b'%s,"value_digest":"%s",%s' % (_place(origin), digest.encode(), canonical[1:])


def repeat_row(origin: Origin, step_id: str) -> bytes:
    """Return the row of a step that was published again."""
    return b'%s,"step_id":"%s"}' % (_place(origin), step_id.encode())


def step_identity(value: bytes | None) -> tuple[str, str]:
    """Return what makes two records the same step saying the same: its id and the digest of its bytes."""
    step, _ = canonical_step(value)
    return step.step_id, hashlib.blake2b(value or b"", digest_size=16).hexdigest()


def message_row(reader: type[Message]) -> Rower:
    """Return the rower for one kind of message: the columns are the message's fields."""

    def row(origin: Origin, value: bytes | None, _: Keyring | None) -> bytes:
        return b"%s,%s" % (_place(origin), reader.read(value).value()[1:])

    return row


def signed_row(reader: type[Message]) -> Rower:
    """Return the rower for a kind of message whose row says who signed it."""

    def row(origin: Origin, value: bytes | None, ring: Keyring | None) -> bytes:
        message = reader.read(value)
        clearance = isinstance(message, Command) and message.action == "clearance"
        by = signer_of(origin, "clearance" if clearance else message.type, value or b"", ring)
        return b'%s,"signed_by":%s,%s' % (_place(origin), msgspec.json.encode(by), message.value()[1:])

    return row


def body_row(origin: Origin, value: bytes | None, ring: Keyring | None) -> bytes:
    """Return the row of a policy, key list or rule book: kept whole, under its key and version."""
    reader = _reader_of(origin)
    message, body = reader.read(value), value or b""
    by = _root_of(origin, body, ring) if reader is KeyList else signer_of(origin, message.type, body, ring)
    rest = {"signed_by": by, "kafka_key": origin.key, "version": message.version, "body": body.decode()}
    return b"%s,%s" % (_place(origin), msgspec.json.encode(rest)[1:])


def _reader_of(origin: Origin) -> type[KeyList | RuleBook | RuleBundle | AgentPolicy]:
    if origin.topic.endswith(".rules"):
        return RuleBundle if origin.key == BUNDLE_KEY else RuleBook
    return KeyList if origin.key == KEY_LIST else AgentPolicy


def signer_of(origin: Origin, kind: str, value: bytes, ring: Keyring | None) -> str:
    """Return the id of the key that signed a record and may sign such a message; "" where there is none."""
    if ring is None:
        return ""
    try:
        return ring.check(origin.topic, origin.key, kind, origin.headers, value, origin.time_ms * 1000).key_id
    except BadSeal:
        return ""


def claims_unknown_key(origin: Origin, ring: Keyring) -> bool:
    """Tell whether a record says it is signed by a key that is not on the list, or not yet."""
    claimed = header(origin.headers, KEY_ID)
    known = claimed is None or claimed == ROOT.encode() or claimed.decode("ascii", "replace") in ring.keys
    return table_of(origin.topic) in SIGNED and not known


def _root_of(origin: Origin, value: bytes, ring: Keyring | None) -> str:
    """Return `root` where the root key signed this key list, asked of a ring of its own: the one in force stays."""
    if ring is None:
        return ""
    try:
        Keyring(ring.root.public_bytes_raw()).load(origin.topic, origin.key, origin.headers, value)
    except BadSeal:
        return ""
    return ROOT


def _place(origin: Origin) -> bytes:
    return b'{"kafka_topic":"%s","kafka_partition":%d,"kafka_offset":%d,"kafka_time":%d.%03d' % (
        origin.topic.encode(),
        origin.partition,
        origin.offset,
        origin.time_ms // 1000,
        origin.time_ms % 1000,
    )


_MESSAGES: Final[tuple[tuple[str, type[Message]], ...]] = (
    ("findings", Finding),
    ("matches", Match),
    ("correlations", Correlation),
    ("sightings", Sighting),
    ("activity", Activity),
    ("incidents", Incident),
    ("decisions", Decision),
    ("approvals", Approval),
    ("commands", Command),
    ("receipts", Receipt),
    ("containment", Containment),
    ("inventory", Inventory),
    ("verdicts", Verdict),
    ("taints", Taint),
    ("liveness", Liveness),
    ("audit", AuditHead),
    ("dead_letters", DeadLetter),
)

SIGNED: Final = frozenset({"commands", "receipts", "verdicts", "policies", "rules", "audit"})
"""Tables with a column `signed_by`."""

ROWERS: Final[dict[str, Rower]] = {
    "steps": step_row,
    "policies": body_row,
    "rules": body_row,
    **{table: (signed_row if table in SIGNED else message_row)(reader) for table, reader in _MESSAGES},
}
"""Table → how its rows are made."""


def table_of(topic: str) -> str:
    """Return the table of a topic: its last part, `-` as `_`."""
    return topic.rpartition(".")[2].replace("-", "_")


def rows_of(
    table: str, records: Iterable[tuple[Origin, bytes | None]], ring: Keyring | None = None
) -> tuple[list[bytes], list[tuple[Origin, BadRecord]]]:
    """Return the rows of a batch and what was refused. Without a keyring no row says who signed."""
    rower = ROWERS[table]
    rows: list[bytes] = []
    refused: list[tuple[Origin, BadRecord]] = []
    for origin, value in records:
        try:
            rows.append(rower(origin, value, ring))
        except BadRecord as error:
            refused.append((origin, error))
    return rows, refused
