"""What correlations are made of, and what is remembered of it: firings by group, small enough for a checkpoint."""

from typing import Final

import msgspec

Value = str | float

MOST_KEPT: Final = 1024
"""Firings of one group: a count above this cannot be asked for."""
MOST_GROUPS: Final = 256
"""Groups of one correlation in one state; beyond it the one longest without a firing is forgotten, and that is counted."""


class Firing(msgspec.Struct, frozen=True, gc=False):
    """One rule, or one correlation, fired at one step."""

    rule: str
    step_id: str
    seq: int
    run_id: str
    agent_id: str
    trace_id: str
    judged_us: int
    """The step's own time, clamped: what windows are measured by."""
    append_us: int
    """Kafka's: what closes an absence and ends a silence."""
    values: dict[str, tuple[Value, ...]] = {}
    """Field → its values, as far as a correlation asks for them."""


class Hit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A firing as a group remembers it."""

    judged_us: int
    order: int
    """Rises with each arrival in the group: what tells equal times apart."""
    rule: str
    step_id: str
    seq: int
    value: Value | None = None


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """What must not happen before the deadline; when it has not, the correlation completes."""

    until_us: int
    """On the steps' clock, and by append time: whichever is asked."""
    first_us: int
    hits: tuple[Hit, ...]
    at: Firing
    """The firing that began the wait."""


class Group(msgspec.Struct, dict=True):
    """One group of one correlation. Sums that follow from `hits` live beside it, and not in checkpoints."""

    values: tuple[Value, ...] = ()
    hits: list[Hit] = []
    """By (`judged_us`, `order`)."""
    arrived: int = 0
    last_us: int = 0
    """Append time of the last firing."""
    holds: bool = False
    """The condition held when it was last asked: it completes when it comes to hold, not for as long as it does."""
    silent_until_us: int = 0
    pending: list[Pending] = []


class CorrelationState(msgspec.Struct):
    """All groups of one trace, agent or wider scope: correlation → group key → group."""

    groups: dict[str, dict[str, Group]] = {}
    evicted: int = 0
    """Groups forgotten and firings pushed out, since the state began."""

    def earliest(self) -> int:
        """Return the earliest deadline that is pending; 0 where nothing is."""
        deadlines = [
            pending.until_us
            for groups in self.groups.values()
            for group in groups.values()
            for pending in group.pending
        ]
        return min(deadlines, default=0)


class Completed(msgspec.Struct, frozen=True):
    """A correlation came to hold."""

    correlation: str
    group: tuple[Value, ...]
    hits: tuple[Hit, ...]
    """What it rests on, oldest first."""
    at: Firing
    """The firing that completed it; for an absence, the last of those that waited."""
    amount: float
    """What was held against the bounds: a count, a sum, an average; for sequences, how many rules fired."""
