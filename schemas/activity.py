"""What one agent did in one window of time, counted."""

from typing import ClassVar

from pydantic import Field

from schemas.message import Message, Micros


class Window(Message):
    """Counts of one ten-second window."""

    type: ClassVar[str] = "window"

    start_us: Micros
    steps: int = 0
    by_kind: dict[str, int] = Field(default_factory=dict)
    by_tool: dict[str, int] = Field(default_factory=dict)
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    egress_bytes: int = 0
    duration_us: int = 0


class Activity(Message):
    """Running totals of one agent in one partition of steps, up to `offset`, and its last three windows.

    May arrive twice, late or not at all: a reader keeps the highest offset per (agent, partition).
    """

    type: ClassVar[str] = "activity"

    agent_id: str
    partition: int
    offset: int
    steps: int = 0
    by_kind: dict[str, int] = Field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    windows: tuple[Window, ...] = Field(default=(), max_length=3)
