"""Marks on what the agent says, signatures on what it is told."""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lictor_agent.wire import named

TYPE: Final = "lictor-type"
KEY_ID: Final = "lictor-key"
SIGNATURE: Final = "lictor-signature"
MARK: Final = "lictor-mark"
AGAIN: Final = "lictor-again"
"""On a record that may have been published before: the history then looks whether it has it."""

Headers = Sequence[tuple[str, bytes]]

_SIGNERS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "command": (("respond", ""), ("person", "stop"), ("person", "pause")),
    "clearance": (("detect", ""),),
    "containment": (("respond", ""),),
    "policy": (("person", "policy"),),
    "liveness": (("detect", ""), ("respond", ""), ("audit", "")),
}


class Refused(Exception):
    """A message that may not be believed; `args[0]` is a word to count by."""


class Key(msgspec.Struct, frozen=True):
    """One entry of the key list."""

    key_id: str
    role: str
    public: str
    name: str = ""
    expires_us: int = 0
    revoked: bool = False
    may: tuple[str, ...] = ()


class KeyList(msgspec.Struct, frozen=True):
    """The list, as the root key signed it."""

    version: int
    keys: tuple[Key, ...]
    v: Literal[1] = 1


def sealed_bytes(topic: str, key: str, kind: str, value: bytes) -> bytes:
    """Return what is signed or marked."""
    return _place(topic, key, kind) + value


@functools.lru_cache(maxsize=1024)
def _place(topic: str, key: str, kind: str) -> bytes:
    parts = (topic.encode(), key.encode(), kind.encode())
    return b"lictor/1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def mark(agent_key: bytes, topic: str, key: str, kind: str, value: bytes) -> bytes:
    """Return the mark of a record under the agent's key."""
    return hashlib.blake2b(sealed_bytes(topic, key, kind, value), key=agent_key, digest_size=16).digest()


def sign(private: Ed25519PrivateKey, topic: str, key: str, kind: str, value: bytes) -> list[tuple[str, bytes]]:
    """Return the headers of a signed record."""
    signature = private.sign(sealed_bytes(topic, key, kind, value))
    key_id = key_id_of(private.public_key().public_bytes_raw())
    return [(TYPE, kind.encode()), (KEY_ID, key_id.encode()), (SIGNATURE, signature)]


def key_id_of(public: bytes) -> str:
    """Return the id of a public key."""
    return named("lictor.key", public.hex())[:16]


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the one header of that name; None where it is missing or stands twice."""
    found = [value for key, value in headers if key == name]
    return found[0] if len(found) == 1 else None


_read_list = msgspec.json.Decoder(KeyList).decode


class Keyring:
    """The key list in force. Knows nothing until a list signed by the pinned root key was loaded."""

    def __init__(self, root_public: bytes) -> None:
        self._root = Ed25519PublicKey.from_public_bytes(root_public)
        self.version = 0
        self._keys: dict[str, tuple[Key, Ed25519PublicKey]] = {}

    def load(self, topic: str, key: str, headers: Headers, value: bytes) -> None:
        """Take a newer list. Raises `Refused`."""
        signature = header(headers, SIGNATURE) or b""
        _verify(self._root, signature, sealed_bytes(topic, key, "keys", value))
        try:
            found = _read_list(value)
        except msgspec.MsgspecError:
            raise Refused("unreadable") from None
        if found.version > self.version:
            self._keys = {
                entry.key_id: (entry, Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry.public)))
                for entry in found.keys
                if entry.key_id == key_id_of(bytes.fromhex(entry.public))
            }
            self.version = found.version

    def check(self, topic: str, key: str, kind: str, headers: Headers, value: bytes, now_us: int) -> Key:
        """Return the key that signed this and may. Raises `Refused`."""
        signature, key_id, said = (header(headers, name) for name in (SIGNATURE, KEY_ID, TYPE))
        if signature is None or key_id is None or said is None:
            raise Refused("unsigned")
        entry, public = self._keys.get(key_id.decode("ascii", "replace"), (None, None))
        if entry is None or public is None:
            raise Refused("unknown_key")
        if entry.revoked:
            raise Refused("revoked_key")
        if entry.expires_us and entry.expires_us < now_us:
            raise Refused("expired_key")
        if said != kind.encode() or not _may_sign(entry, kind):
            raise Refused("wrong_role")
        _verify(public, signature, sealed_bytes(topic, key, kind, value))
        return entry


def _may_sign(entry: Key, kind: str) -> bool:
    return any(role == entry.role and (not right or right in entry.may) for role, right in _SIGNERS.get(kind, ()))


def _verify(public: Ed25519PublicKey, signature: bytes, what: bytes) -> None:
    try:
        public.verify(signature, what)
    except InvalidSignature:
        raise Refused("bad_signature") from None
