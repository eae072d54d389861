"""Who signed a record, by the key list in force: what the command line tells people, and what it takes for proof."""

import contextlib
from typing import Final

from detectors.base import shown
from lictor import topic_io
from lictor.keys import Keys
from lictor.settings import Settings
from schemas.errors import BadRecord, BadSeal, KeysMissing
from schemas.keys import KEY_LIST, Key
from schemas.seal import Keyring
from streams.records import Record

UNCHECKED: Final = "signature not checked: no keys here"


async def keyring(settings: Settings) -> Keyring:
    """Return the keys in force: the list that Kafka holds and the root key signed. Raises `KeysMissing`."""
    ring = Keys(settings.keys_folder).keyring()
    for record in await topic_io.read_all(settings.kafka, [settings.topics.policies], settings.kafka_client):
        if record.key == KEY_LIST.encode() and record.value is not None:
            with contextlib.suppress(BadSeal, BadRecord):
                ring.load(record.topic, KEY_LIST, record.headers, record.value)
    return ring


async def keyring_if_any(settings: Settings) -> Keyring | None:
    """Return the keys in force; None on a machine without the root key, which can do without proof."""
    try:
        return await keyring(settings)
    except KeysMissing:
        return None


def signer_of(ring: Keyring, record: Record, kind: str) -> Key:
    """Return the key that signed a record and may sign this kind of message. Raises `BadSeal`."""
    key = (record.key or b"").decode("utf-8", "replace")
    return ring.check(record.topic, key, kind, record.headers, record.value or b"", record.timestamp * 1000)


def is_signed(ring: Keyring | None, record: Record, kind: str, role: str) -> bool:
    """Tell whether a key of this role signed the record."""
    try:
        return ring is not None and signer_of(ring, record, kind).role == role
    except BadSeal:
        return False


def signed_by(ring: Keyring | None, record: Record, kind: str) -> str:
    """Return in words who signed a record: by what the key list bears out, never by what the message says of itself."""
    if ring is None:
        return UNCHECKED
    try:
        key = signer_of(ring, record, kind)
    except BadSeal as error:
        return f"NOT SIGNED BY ANYBODY WHO MAY ({error.kind})"
    return f"signed by {shown(key.name)}, a person" if key.role == "person" else f"signed by {key.role}"
