"""All Sigma rules in force together, as files: what `detect` and `respond` compile and judge by."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from typing import ClassVar, Final, Self

import msgspec
from pydantic import Field

from schemas.errors import BadRecord
from schemas.message import Message, Micros, ShortText

BUNDLE_KEY: Final = "bundle"
MAX_PACKED_CHARS: Final = 3 << 20
MAX_BYTES: Final = 64 << 20
"""What a bundle may come to once unpacked."""


class RuleBundle(Message):
    """Signed by a person who may publish policy. `version` only rises; the files travel packed, since they are many."""

    type: ClassVar[str] = "rule_bundle"

    version: int = Field(ge=1)
    issued_us: Micros
    expires_us: Micros = 0
    """0: does not expire. After that the rules stay in force, and a finding says so."""
    digest: ShortText
    """Of the unpacked files, 32 hex digits: two bundles that say the same have the same."""
    files: int = Field(ge=0)
    packed: str = Field(max_length=MAX_PACKED_CHARS)
    """base64 of zlib of a JSON object: path → text."""

    @classmethod
    def of(cls, sources: Mapping[str, str], version: int, issued_us: int, expires_us: int = 0) -> Self:
        """Pack rule files. Raises `BadRecord` where they are too many for one message."""
        plain = _plain(sources)
        packed = base64.b64encode(zlib.compress(plain, 9)).decode()
        if len(packed) > MAX_PACKED_CHARS or len(plain) > MAX_BYTES:
            raise BadRecord(
                "too_large", f"{len(sources)} rule files come to {len(packed)} bytes packed; the bound is 3 MiB"
            )
        return cls(
            version=version,
            issued_us=issued_us,
            expires_us=expires_us,
            digest=bundle_digest(sources),
            files=len(sources),
            packed=packed,
        )

    def sources(self) -> dict[str, str]:
        """Return the files: path → text. Raises `BadRecord` where they are damaged, too large, or not those of the digest."""
        try:
            unpacking = zlib.decompressobj()
            plain = unpacking.decompress(base64.b64decode(self.packed, validate=True), MAX_BYTES)
            if unpacking.unconsumed_tail or not unpacking.eof:
                raise BadRecord("too_large", f"the bundle unpacks to more than {MAX_BYTES} bytes, or ends early")
            found = msgspec.json.decode(plain, type=dict[str, str])
        except (binascii.Error, zlib.error, msgspec.MsgspecError, ValueError) as error:
            raise BadRecord("invalid", f"packed: {error}") from None
        if bundle_digest(found) != self.digest:
            raise BadRecord("invalid", "digest: the files are not those that the digest names")
        return found


def bundle_digest(sources: Mapping[str, str]) -> str:
    """Return the digest of rule files, whatever their order."""
    return hashlib.blake2b(_plain(sources), digest_size=16, person=b"lictor.rules").hexdigest()


def _plain(sources: Mapping[str, str]) -> bytes:
    return msgspec.json.encode(dict(sorted(sources.items())))
