"""A component's signed word that it is alive, and how far it has got."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros


class Liveness(Message):
    """Published each second. `lag` is in records, `behind_us` the age of the oldest record not yet judged."""

    type: ClassVar[str] = "liveness"

    component: Literal["detect", "respond", "archive", "profile", "audit"]
    instance: str
    generation: int = 0
    partitions: tuple[int, ...] = ()
    lag: int = Field(default=0, ge=0)
    behind_us: Micros = 0
    counters: dict[str, int] = Field(default_factory=dict)
    applied: dict[str, int] = Field(default_factory=dict)
    """Broadcast topic → the offset after the last record that is in force here."""
    policy_version: int = 0
    rules_version: int = 0
    time_us: Micros
