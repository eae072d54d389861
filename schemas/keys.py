"""Who may sign what: the key list, signed by the root key that agents have pinned."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from schemas.message import Frozen, Message, Micros, ShortText

Role = Literal["detect", "respond", "profile", "audit", "supervisor", "person"]

KEY_LIST: Final = "keys"
"""The key of the record on `lictor.policies` that carries the list."""


class Key(Frozen):
    """One public key (Ed25519, 64 hex digits), its role, and until when it is good.

    `may` says what a person may do: `policy`, `stop`, `pause`, `verdict`, `approve`. Machines' rights follow from the role.
    """

    key_id: ShortText
    role: Role
    name: ShortText = ""
    public: str = Field(pattern=r"^[0-9a-f]{64}$")
    expires_us: Micros = 0
    revoked: bool = False
    may: tuple[str, ...] = ()


class KeyList(Message):
    """Signed by the root key. `version` only rises; an older list is ignored."""

    type: ClassVar[str] = "keys"

    version: int = Field(ge=1)
    issued_us: Micros
    keys: tuple[Key, ...]
