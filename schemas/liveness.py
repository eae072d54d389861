"""A component's signed word that it is alive, and how far it has got."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros, ShortText


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
    bundle_version: int = 0
    """Of the Sigma rules in force here; 0 while there are none."""
    rules_digest: ShortText = ""
    rules_since: dict[str, int] = Field(default_factory=dict)
    """Steps partition → the first offset that was judged by the rules in force."""
    rules_error: ShortText = ""
    """Why the newest bundle is not in force here, where it is not."""
    time_us: Micros
