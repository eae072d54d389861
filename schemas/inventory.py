"""What is known of one agent: the compacted result of everything it was seen to use."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros, ShortText

EnforcementLevel = Literal["none", "cooperative", "process", "mandatory"]


class Inventory(Message):
    """One agent as last seen. Signed by nobody: it is knowledge, not an order."""

    type: ClassVar[str] = "inventory"

    agent_id: str
    owner: ShortText = ""
    registered: bool = False
    mode: str = "observe"
    enforcement: EnforcementLevel = "none"
    first_seen_us: Micros
    last_seen_us: Micros
    runs: int = 0
    versions: tuple[str, ...] = Field(default=(), max_length=64)
    models: tuple[str, ...] = Field(default=(), max_length=64)
    tools: tuple[str, ...] = Field(default=(), max_length=512)
    principals: tuple[str, ...] = Field(default=(), max_length=512)
    delegates_to: tuple[str, ...] = Field(default=(), max_length=256)
    called_by: tuple[str, ...] = Field(default=(), max_length=256)
