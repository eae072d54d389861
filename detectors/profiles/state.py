"""What is remembered of one agent, as a checkpoint holds it."""

from collections.abc import Iterator

import msgspec

from detectors.profiles.activity import OpenWindow
from schemas.errors import BadRecord
from schemas.sighting import SightingKind

MOST_KNOWN = 512
"""Names of one kind; over it the one that was used least lately goes."""


class Known(msgspec.Struct, array_like=True, gc=False):
    """One thing the agent has used."""

    first_us: int
    last_us: int
    digest: str = ""
    version: str = ""


class Part(msgspec.Struct, array_like=True):
    """The newest totals of one partition of steps."""

    offset: int = -1
    steps: int = 0
    by_kind: dict[str, int] = {}
    uses: dict[str, int] = {}
    ungated: int = 0
    cost_usd: float = 0.0
    tokens: int = 0


class Waiting(msgspec.Struct, array_like=True, gc=False):
    """Another agent that this one named, and that nobody has seen yet."""

    due_us: int
    step_id: str
    run_id: str
    trace_id: str
    seq: int


class AgentProfile(msgspec.Struct, array_like=True):
    """One agent, across all partitions and workers."""

    agent_id: str
    first_us: int = 0
    last_us: int = 0
    known: dict[str, Known] = {}
    """`kind:name` → when it was used."""
    counts: dict[str, int] = {}
    """Kind → names known."""
    parts: dict[int, Part] = {}
    used: dict[str, dict[int, int]] = {}
    """Kind → partition of steps → uses there, as sightings say: no surprise may depend on which topic is read first."""
    fresh: dict[str, tuple[float, int]] = {}
    """Kind → (names that were new lately, fading; uses when the last one came)."""
    open_runs: dict[str, int] = {}
    ended_runs: dict[str, int] = {}
    runs: int = 0
    """Runs that have been seen to start."""
    windows: dict[int, dict[int, OpenWindow]] = {}
    """Start → partition → counts, until it is judged."""
    closed_us: int = 0
    """Start of the last window that was judged."""
    active: int = 0
    """Windows judged in which it did something."""
    gaps_us: list[int] = []
    """Between its last active windows."""
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    """Active windows by hour of the day (UTC)."""
    version: str = ""
    rolled_out_us: int = 0
    peers: dict[str, Waiting] = {}
    flagged_us: int = 0
    """Append time of the last serious finding."""
    odd: dict[str, int] = {}
    """Findings of odd windows that a person may still judge → the window."""
    silent: bool = False
    returned: bool = False
    """It is back from an absence that was told of: that gap is no example of its rhythm."""
    silent_runs: list[str] = []
    told_us: int = 0
    changed_us: int = 0
    """When its inventory last changed in a way worth telling at once."""
    firsts_us: list[int] = []
    """When it first used something, of windows that are not judged yet."""
    model: bytes = b""
    """What is usual in its windows (`anomaly.windows`), while the profile is packed."""

    def names(self, kind: SightingKind) -> list[str]:
        """Return the names of a kind, in the order in which they were first used."""
        found = [(each.first_us, key) for key, each in self.known.items() if key.startswith(f"{kind}:")]
        return [key.partition(":")[2] for _, key in sorted(found)]

    def of_kind(self, kind: SightingKind) -> Iterator[tuple[str, Known]]:
        """Yield name and use of everything of a kind."""
        head = f"{kind}:"
        return ((key[len(head) :], each) for key, each in self.known.items() if key.startswith(head))

    def uses(self, kind: SightingKind) -> int:
        """Return how often something of a kind was used."""
        return sum(self.used.get(kind, {}).values())

    def total(self, kind: str) -> int:
        """Return how many steps of a kind there were."""
        return sum(part.by_kind.get(kind, 0) for part in self.parts.values())

    def learn(self, kind: SightingKind, name: str, at_us: int) -> tuple[Known, bool]:
        """Return what is known of a use, and whether it is new; the least lately used makes room."""
        key = f"{kind}:{name}"
        found = self.known.get(key)
        if found is not None:
            found.last_us = max(found.last_us, at_us)
            return found, False
        if self.counts.get(kind, 0) >= MOST_KNOWN:
            oldest = min(self.of_kind(kind), key=lambda each: (each[1].last_us, each[0]))[0]
            del self.known[f"{kind}:{oldest}"]
            self.counts[kind] -= 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        found = self.known[key] = Known(at_us, at_us)
        self.firsts_us = [*self.firsts_us, at_us][-64:]
        return found, True


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AgentProfile).decode


def encode_profile(profile: AgentProfile) -> bytes:
    """Return a profile as bytes for a checkpoint."""
    return _encode(profile)


def decode_profile(data: bytes) -> AgentProfile:
    """Return a profile from a checkpoint. Raises `BadRecord` if it is of another shape."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRecord("checkpoint", str(error)) from None
