"""The first time, per worker and hour, that an agent is seen using something."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.finding import Identity
from schemas.message import Message, Micros, ShortText

SightingKind = Literal[
    "agent",
    "tool",
    "model",
    "resource",
    "label",
    "principal",
    "peer",
    "version",
    "caller",
    "owner",
    "prompt",
    "definition",
    "server",
]


class Sighting(Message):
    """An agent used a tool, model, resource, … Sightings repeat: readers take the earliest. Signed by `detect`."""

    type: ClassVar[str] = "sighting"

    agent_id: str
    run_id: str = ""
    kind: SightingKind
    name: ShortText
    digest: ShortText = ""
    """Of what `name` is defined as: a tool's definition, an MCP server."""
    version: str = ""
    """The agent's, as the step said."""
    trace_id: str = ""
    step_id: str
    seq: int = Field(default=0, ge=0)
    partition: int = Field(default=0, ge=0)
    """Of the steps, in which it was seen."""
    uses: int = Field(default=0, ge=0)
    """How often the agent had used anything of this kind there."""
    identity: Identity = "marked"
    append_time_us: Micros
