"""What every message but the step has in common: frozen, versioned, tolerant of later optional fields."""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import BadRecord

MESSAGE_VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 4 << 20

Action = Literal[
    "observe", "ask", "hold", "narrow", "deny", "throttle", "read_only", "pause", "stop", "revoke", "quarantine"
]
"""What the policy can decide, mildest first."""

Severity = Literal["informational", "low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("informational", "low", "medium", "high", "critical")

ShortText = Annotated[str, Field(max_length=512)]
LongText = Annotated[str, Field(max_length=16384)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Micros = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """A part of a message: frozen, and blind to fields that a later version may add."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Message(Frozen):
    """A message on a topic. `v` is the major version: a reader refuses what is newer than it knows."""

    type: ClassVar[str]
    """The word in the `lictor-type` header; part of what a signature covers."""

    v: Literal[1] = 1

    def value(self) -> bytes:
        """Return the exact bytes to publish (and to sign)."""
        return self.model_dump_json().encode()

    @classmethod
    def read(cls, value: bytes | None) -> Self:
        """Decode one record's value. Raises `BadRecord`, with the first field that is wrong."""
        if value is None:
            raise BadRecord("empty", f"a {cls.type} cannot be a tombstone")
        if len(value) > MAX_MESSAGE_BYTES:
            raise BadRecord("too_large", f"{len(value)} bytes; a {cls.type} has at most {MAX_MESSAGE_BYTES}")
        try:
            return cls.model_validate_json(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["loc"] == ("v",):
                raise BadRecord(
                    "version", f"not a {cls.type} of format {MESSAGE_VERSION}; upgrade Lictor first"
                ) from None
            where = ".".join(str(part) for part in first["loc"])
            kind = "not_json" if first["type"] == "json_invalid" else "invalid"
            raise BadRecord(kind, f"{where}: {first['msg']}" if where else first["msg"]) from None
        except RecursionError:
            raise BadRecord("too_deep", "nested too deeply to be read") from None


def json_line(value: Any) -> bytes:
    """Encode anything JSON-like in one line."""
    return msgspec.json.encode(value)
