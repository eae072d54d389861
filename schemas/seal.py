"""The envelope: signatures and marks in a record's headers, over topic, key, type and the exact bytes of the value.

A signature (Ed25519) says which key of the key list published a message. A mark (keyed BLAKE2b) says that a step was
published by who holds the agent's own key; it is derived from a master key that of the running parts only `detect`
holds. `sdk/lictor_agent/seal.py` is the other side; `tests/contract/seal.jsonl` holds both to the same bytes.
"""

import functools
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas import ids
from schemas.errors import BadSeal
from schemas.keys import Key, KeyList

TYPE: Final = "lictor-type"
KEY_ID: Final = "lictor-key"
SIGNATURE: Final = "lictor-signature"
MARK: Final = "lictor-mark"
AGAIN: Final = "lictor-again"
"""On a record that may have been published before: the history then looks whether it holds the step already."""

Headers = list[tuple[str, bytes]]

# Whom each message may be signed by: role, and for a person the right that the key list must name.
SIGNERS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "finding": (("detect", ""), ("respond", ""), ("profile", "")),
    "sighting": (("detect", ""),),
    "activity": (("detect", ""),),
    "inventory": (("profile", ""),),
    "match": (("detect", ""),),
    "correlation": (("detect", ""), ("respond", "")),
    "taint": (("detect", ""),),
    "incident": (("respond", ""),),
    "decision": (("respond", ""),),
    "approval": (("respond", ""),),
    "containment": (("respond", ""),),
    "command": (("respond", ""), ("person", "stop"), ("person", "pause")),
    "clearance": (("detect", ""),),
    "verdict": (("person", "verdict"),),
    "receipt": (("respond", ""), ("supervisor", "")),
    "liveness": (("detect", ""), ("respond", ""), ("profile", ""), ("audit", "")),
    "audit_head": (("audit", ""),),
    "policy": (("person", "policy"),),
    "rules": (("person", "policy"),),
    "rule_bundle": (("person", "policy"),),
}


def sealed_bytes(topic: str, key: str, kind: str, value: bytes) -> bytes:
    """Return what is signed or marked: each part behind its length, so that no two records read alike."""
    return b"".join((b"lictor/1", _framed(topic), _framed(key), _framed(kind), value))


@functools.lru_cache(maxsize=1024)
def _framed(part: str) -> bytes:
    """Return a part behind its length. Topics, kinds and the keys of open traces come again and again."""
    text = part.encode()
    return len(text).to_bytes(4, "big") + text


def mark(agent_key: bytes, topic: str, key: str, kind: str, value: bytes) -> bytes:
    """Return the 16-byte mark of a record under the agent's key."""
    return hashlib.blake2b(sealed_bytes(topic, key, kind, value), key=agent_key, digest_size=16).digest()


class Marks:
    """The marks of one agent's records of one type on one topic: as `mark`, with what they have in common hashed once."""

    __slots__ = ("_common", "_kind")

    def __init__(self, key_of_agent: bytes, topic: str, kind: str) -> None:
        self._common = hashlib.blake2b(b"lictor/1" + _framed(topic), key=key_of_agent, digest_size=16)
        self._kind = _framed(kind)

    def good(self, mark_of_record: bytes, key: bytes, value: bytes) -> bool:
        """Tell whether the mark belongs to the record, in constant time. `key`: the record's own bytes."""
        name = self._common.copy()
        name.update(b"".join((len(key).to_bytes(4, "big"), key, self._kind, value)))
        return hmac.compare_digest(mark_of_record, name.digest())


def agent_key(master: bytes, agent_id: str) -> bytes:
    """Derive an agent's 32-byte key from the master key."""
    return hashlib.blake2b(agent_id.encode(), key=master, digest_size=32, person=b"lictor.agent").digest()


def value_key(master: bytes) -> bytes:
    """Derive the 16-byte key under which words of content are hashed."""
    return hashlib.blake2b(b"", key=master, digest_size=16, person=b"lictor.values").digest()


def mark_is_good(key_of_agent: bytes, good: bytes | None, topic: str, key: str, kind: str, value: bytes) -> bool:
    """Compare in constant time."""
    return good is not None and hmac.compare_digest(good, mark(key_of_agent, topic, key, kind, value))


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and the name under which the key list knows it."""

    key_id: str
    private: Ed25519PrivateKey

    def seal(self, topic: str, key: str, kind: str, value: bytes) -> Headers:
        """Return the headers to publish the record with."""
        signature = self.private.sign(sealed_bytes(topic, key, kind, value))
        return [(TYPE, kind.encode()), (KEY_ID, self.key_id.encode()), (SIGNATURE, signature)]


def key_id_of(public: bytes) -> str:
    """Return the id of a public key: derived, so that it cannot be claimed."""
    return ids.named("lictor.key", public.hex())[:16]


def public_bytes(private: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of the public key."""
    return private.public_key().public_bytes_raw()


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the one header of that name; None where it is missing or stands twice."""
    found = [value for key, value in headers if key == name]
    return found[0] if len(found) == 1 else None


class Keyring:
    """The key list in force, and what it lets whom sign."""

    def __init__(self, root_public: bytes) -> None:
        self.root = Ed25519PublicKey.from_public_bytes(root_public)
        self.version = 0
        self.keys: dict[str, tuple[Key, Ed25519PublicKey]] = {}

    def load(self, topic: str, key: str, headers: Iterable[tuple[str, bytes]], value: bytes) -> bool:
        """Take a newer list that the root key signed; return whether it is now in force."""
        signature = header(headers, SIGNATURE)
        if signature is None:
            raise BadSeal("unsigned", "the key list carries no signature")
        self._verify(self.root, signature, sealed_bytes(topic, key, KeyList.type, value))
        found = KeyList.read(value)
        if found.version <= self.version:
            return False
        self.keys = {
            entry.key_id: (entry, Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry.public)))
            for entry in found.keys
            if entry.key_id == key_id_of(bytes.fromhex(entry.public))
        }
        self.version = found.version
        return True

    def check(
        self, topic: str, key: str, kind: str, headers: Iterable[tuple[str, bytes]], value: bytes, now_us: int
    ) -> Key:
        """Return the key that signed this record and may. Raises `BadSeal` with a word to count by."""
        found = list(headers)
        signature, key_id, said = header(found, SIGNATURE), header(found, KEY_ID), header(found, TYPE)
        if signature is None or key_id is None or said is None:
            raise BadSeal("unsigned", f"a {kind} must be signed")
        entry, public = self.keys.get(key_id.decode("ascii", "replace"), (None, None))
        if entry is None or public is None:
            raise BadSeal("unknown_key", f"no key {key_id[:32]!r} on the list")
        if entry.revoked:
            raise BadSeal("revoked_key", f"key {entry.key_id} is revoked")
        if entry.expires_us and entry.expires_us < now_us:
            raise BadSeal("expired_key", f"key {entry.key_id} has expired")
        if said.decode("ascii", "replace") != kind or not may_sign(entry, kind):
            raise BadSeal("wrong_role", f"role {entry.role} may not sign a {said[:32]!r} where a {kind} belongs")
        self._verify(public, signature, sealed_bytes(topic, key, kind, value))
        return entry

    @staticmethod
    def _verify(public: Ed25519PublicKey, signature: bytes, what: bytes) -> None:
        try:
            public.verify(signature, what)
        except InvalidSignature:
            raise BadSeal("bad_signature", "the signature does not fit the record") from None


def may_sign(entry: Key, kind: str) -> bool:
    """Tell whether the key's role, and for a person its rights, allow signing this kind of message."""
    return any(role == entry.role and (not right or right in entry.may) for role, right in SIGNERS.get(kind, ()))
