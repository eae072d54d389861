"""What the profile experiment keeps per agent: which events were included, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

_encoder: Final = msgspec.msgpack.Encoder()


class Event(msgspec.Struct, frozen=True, gc=False):
    """One keyed event. `number` counts the events of its agent, from 0."""

    agent_id: str
    number: int
    amount: int


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    next: int
    count: int
    sum: int
    once: bytes
    twice: bytes


_event_decoder: Final = msgspec.json.Decoder(Event)
_kept_decoder: Final = msgspec.msgpack.Decoder(_Kept)


def read_event(value: bytes | None) -> Event:
    """Return an event from its bytes. Raises `msgspec.MsgspecError`."""
    return _event_decoder.decode(value or b"")


@dataclass(slots=True)
class Totals:
    """One agent's totals. Sets of event numbers are bits of an integer, so that each event can be accounted for."""

    next: int = 0
    """One above the highest offset included."""
    count: int = 0
    sum: int = 0
    once: int = 0
    """The events included at least once."""
    twice: int = 0
    """The events included more than once."""

    def include(self, event: Event, offset: int) -> None:
        """Add an event, whether or not it was included before."""
        bit = 1 << event.number
        self.twice |= self.once & bit
        self.once |= bit
        self.count += 1
        self.sum += event.amount
        self.next = max(self.next, offset + 1)

    def encode(self) -> bytes:
        """Return the bytes to keep."""
        return _encoder.encode(_Kept(self.next, self.count, self.sum, _bytes(self.once), _bytes(self.twice)))


def read_totals(value: bytes | None) -> Totals:
    """Return kept totals, or empty ones."""
    if not value:
        return Totals()
    kept = _kept_decoder.decode(value)
    return Totals(
        kept.next, kept.count, kept.sum, int.from_bytes(kept.once, "little"), int.from_bytes(kept.twice, "little")
    )


def _bytes(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


@dataclass(frozen=True, slots=True)
class Difference:
    """How an end state differs from the one that includes each event once. Events are (agent, number)."""

    agents: int = 0
    """Agents whose count, sum or set of events differs."""
    missing: list[tuple[str, int]] = field(default_factory=list)
    doubled: list[tuple[str, int]] = field(default_factory=list)
    too_often: int = 0
    """Inclusions beyond the first: an event included five times counts four."""


def compare(wanted: Mapping[str, Totals], found: Mapping[str, Totals]) -> Difference:
    """Hold an end state against the wanted one."""
    missing: list[tuple[str, int]] = []
    doubled: list[tuple[str, int]] = []
    agents = too_often = 0
    for agent_id in wanted.keys() | found.keys():
        want, have = wanted.get(agent_id, Totals()), found.get(agent_id, Totals())
        agents += (want.count, want.sum, want.once) != (have.count, have.sum, have.once)
        missing += [(agent_id, number) for number in numbers(want.once & ~have.once)]
        doubled += [(agent_id, number) for number in numbers(have.twice & ~want.twice)]
        too_often += have.count - have.once.bit_count()
    return Difference(agents, missing, doubled, too_often)


def numbers(bits: int) -> list[int]:
    """Return which bits are set."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found
