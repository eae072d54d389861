"""What is remembered of a trace and of each run in it: plain structs, so that a checkpoint is one encode."""

from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from schemas.errors import BadRecord

UNKNOWN_POOL = "*"
"""Agents that no policy names share one pool, so that invented names cannot crowd out anybody."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A step that brought something into the trace."""

    step_id: str
    seq: int
    what: str


class FlowState(msgspec.Struct, omit_defaults=True):
    """What the trace has read so far, and which words people and strangers brought in (64-bit digests)."""

    untrusted: list[Reading] = []
    sensitive: list[Reading] = []
    trusted_words: set[int] = set()
    untrusted_words: set[int] = set()


class SequenceState(msgspec.Struct, omit_defaults=True):
    """The highest `seq` seen and the digests of the last steps, to tell a repeat from a rewrite."""

    last: int = 0
    recent: dict[int, int] = {}
    """seq → 64-bit digest of the value, the last `SequenceDetector.remembered` of them."""
    gaps: int = 0
    clamps: int = 0
    reported: set[str] = set()


class RunawayState(msgspec.Struct, omit_defaults=True):
    """Counts of one run in one trace."""

    tool_calls: int = 0
    model_calls: int = 0
    steps: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    same_call: dict[int, int] = {}
    """64-bit digest of (tool, arguments) → how often."""
    last_calls: list[tuple[int, str, int]] = []
    """The last calls as (digest, step_id, seq), for evidence."""
    reported: set[str] = set()


class RunState(msgspec.Struct):
    """One run within one trace."""

    agent_id: str
    sequence: SequenceState = msgspec.field(default_factory=SequenceState)
    runaway: RunawayState = msgspec.field(default_factory=RunawayState)
    after_stop: int = 0


class TraceState(msgspec.Struct):
    """One trace, across all agents in it. `owner` is the pool that pays for it: the agent that opened it."""

    owner: str
    flow: FlowState = msgspec.field(default_factory=FlowState)
    runs: dict[str, RunState] = {}
    last_us: int = 0
    """Append time of the last step: what idle traces are forgotten by."""
    offset: int = -1
    """Offset of the last step this state includes."""

    def run(self, run_id: str, agent_id: str) -> RunState:
        """Return the state of one run, made if new."""
        found = self.runs.get(run_id)
        if found is None:
            found = self.runs[run_id] = RunState(agent_id)
        return found


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TraceState)


def encode_state(state: TraceState) -> bytes:
    """Return the state as bytes for a checkpoint."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> TraceState:
    """Return the state from a checkpoint. Raises `BadRecord` if it is of another shape."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("checkpoint", str(error)) from None


class Memory:
    """The traces of one partition, bounded per agent: a flood evicts only the flooder's own oldest."""

    def __init__(self, traces_per_agent: int) -> None:
        self.bound = traces_per_agent
        self.pools: dict[str, OrderedDict[str, TraceState]] = {}
        self.owner_of: dict[str, str] = {}
        self.changed: set[str] = set()
        self.forgotten: set[str] = set()

    def __len__(self) -> int:
        return len(self.owner_of)

    def get(self, trace_key: str) -> TraceState | None:
        """Return what is known of a trace, without touching it."""
        owner = self.owner_of.get(trace_key)
        return None if owner is None else self.pools[owner][trace_key]

    def open(self, trace_key: str, owner: str) -> tuple[TraceState, str]:
        """Return the state of a trace, made if new, and the key of the trace evicted to make room ("" for none)."""
        known = self.owner_of.get(trace_key)
        evicted = ""
        if known is None:
            pool = self.pools.setdefault(owner, OrderedDict())
            if len(pool) >= self.bound:
                evicted = next(iter(pool))
                self.forget(evicted)
            self.put(trace_key, TraceState(owner))
            known = owner
        pool = self.pools[known]
        pool.move_to_end(trace_key)
        self.changed.add(trace_key)
        self.forgotten.discard(trace_key)
        return pool[trace_key], evicted

    def put(self, trace_key: str, state: TraceState) -> None:
        """Take over a restored trace."""
        self.owner_of[trace_key] = state.owner
        self.pools.setdefault(state.owner, OrderedDict())[trace_key] = state

    def forget(self, trace_key: str) -> None:
        """Drop a trace; its checkpoint is dropped with the next manifest."""
        owner = self.owner_of.pop(trace_key)
        pool = self.pools[owner]
        del pool[trace_key]
        if not pool:
            del self.pools[owner]
        self.changed.discard(trace_key)
        self.forgotten.add(trace_key)

    def idle(self, before_us: int) -> list[str]:
        """Return the traces whose last step was appended before this time, oldest first."""
        return [key for key, state in self.traces() if state.last_us < before_us]

    def traces(self) -> Iterator[tuple[str, TraceState]]:
        """Yield every trace."""
        for pool in self.pools.values():
            yield from pool.items()
