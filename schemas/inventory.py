"""What is known of one agent: the compacted result of everything it was seen to use."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros, ShortText

EnforcementLevel = Literal["none", "cooperative", "process", "mandatory"]


class Inventory(Message):
    """One agent as last seen. Signed by `profile`."""

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
    resources: tuple[str, ...] = Field(default=(), max_length=512)
    labels: tuple[str, ...] = Field(default=(), max_length=256)
    prompts: tuple[str, ...] = Field(default=(), max_length=64)
    """Digests of its system prompts, the first one first."""
    definitions: dict[str, str] = Field(default_factory=dict, max_length=512)
    """Declared tool → digest of its definition."""
    servers: dict[str, str] = Field(default_factory=dict, max_length=256)
    """MCP server → digest."""
    grants: tuple[str, ...] = Field(default=(), max_length=512)
    """Ids of the grants in force for it."""
    steps: int = 0
    calls: int = 0
    ungated: int = 0
    """Calls that no gate has judged."""
    cost_usd: float = 0.0
    tokens: int = 0
    open_runs: tuple[str, ...] = Field(default=(), max_length=64)
    settled: bool = False
    """Whether it has done enough for what is new about it to be telling."""
