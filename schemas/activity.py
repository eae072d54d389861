"""What one agent did in one window of time, counted."""

from typing import ClassVar, Final

from pydantic import Field

from schemas.message import Message, Micros

WINDOW_US: Final = 10_000_000
"""Windows begin at multiples of this, by Kafka's append time."""


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
    resources: int = 0
    """Different ones, as far as they were counted (256)."""


class Activity(Message):
    """Running totals of one agent in one partition of steps, up to `offset`, and its last three windows.

    May arrive twice, late or not at all: a reader keeps the highest offset per (agent, partition). Signed by `detect`.
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
    uses: dict[str, int] = Field(default_factory=dict)
    """How often something of each kind was used (`Sighting.kind`)."""
    ungated: int = 0
    """Calls that no gate has judged."""
    last_us: Micros = 0
    """Append time of the last step."""
    open_runs: dict[str, int] = Field(default_factory=dict, max_length=64)
    """Run that has not ended → append time of its last step; the latest ones."""
    ended_runs: dict[str, int] = Field(default_factory=dict, max_length=64)
    """Run → append time of its end; the latest ones. A run's end may stand in another partition than its steps."""
    windows: tuple[Window, ...] = Field(default=(), max_length=3)
