"""What is remembered of a trace and of each run in it: plain structs, so that a checkpoint is one encode."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from detectors.engine.firings import CorrelationState
from schemas.errors import BadRecord
from schemas.finding import Identity

RUNS_PER_TRACE: Final = 64
TOOLS_PER_RUN: Final = 64
REMEMBERED: Final = 64
"""Steps of a run whose digests are kept: an older one that comes again cannot be told from a late one."""

AWAKE: Final = 4096
"""Traces of a partition kept unpacked, those that last had a step."""
UNKNOWN_POOL: Final = "*"
"""Agents that no policy names, and speakers without a good mark, share one pool: invented names crowd out nobody."""


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A step that brought something into the trace."""

    step_id: str
    seq: int
    what: str


class Directive(msgspec.Struct, frozen=True, array_like=True):
    """Untrusted content that orders something: what kinds of doing, and the words of the order."""

    step_id: str
    seq: int
    kinds: int
    words: bytes
    what: str
    signs: int = 0
    """How many kinds of signs of an order it has at most."""


class FlowState(msgspec.Struct, array_like=True):
    """What the trace has read so far, and which words people and strangers brought in (tables of `values`)."""

    untrusted: list[Reading] = []
    sensitive: list[Reading] = []
    said: bytearray = msgspec.field(default_factory=bytearray)
    """Words of users and operators, and of what the policy trusts."""
    brought: bytearray = msgspec.field(default_factory=bytearray)
    """Words of everything else."""
    full: bool = False
    """Some of what was brought found no room: a word nobody is known to have said may have been among it."""
    directives: list[Directive] = []
    asked: int = 0
    """Kinds of doing that persons have spoken of (bits of `instructions`)."""
    understood: bool = False
    """Persons have spoken, and in words whose kinds can be told."""
    delegates: bool = False
    """A person told the agent to do what stands elsewhere."""
    at_first_hand: list[str] = []
    """Calls that only persons' words decided: what they return is what a person pointed at."""


class SequenceState(msgspec.Struct, array_like=True):
    """The highest `seq` seen and the digests of the last steps, to tell a repeat from a rewrite."""

    last: int = 0
    recent: bytearray = msgspec.field(default_factory=bytearray)
    """8 bytes for each of the last `REMEMBERED` numbers, at `seq % REMEMBERED`; zero where there was none."""
    clamps: int = 0
    lost: int = 0
    reported: tuple[str, ...] = ()

    def digest_of(self, seq: int) -> int:
        """Return the 64-bit digest under which a number was remembered; 0 where it was not."""
        if not self.last - REMEMBERED < seq <= self.last:
            return 0
        at = seq % REMEMBERED * 8
        return int.from_bytes(self.recent[at : at + 8], "big")

    def remember(self, seq: int, digest: int) -> None:
        """Keep the digest of a number among the highest `REMEMBERED`; the first one of each number stays."""
        last, recent = self.last, self.recent
        if seq > last:
            if seq > last + 1:
                self._forget_between(last, seq)
            self.last = seq
        elif seq <= last - REMEMBERED or self.digest_of(seq):
            return
        at = seq % REMEMBERED * 8
        if len(recent) < at:
            recent.extend(bytes(at - len(recent)))
        recent[at : at + 8] = (digest or 1).to_bytes(8, "big")

    def _forget_between(self, last: int, seq: int) -> None:
        """Numbers left out have no digest, whatever stood in their places."""
        for skipped in range(max(last + 1, seq - REMEMBERED), seq):
            at = skipped % REMEMBERED * 8
            if at < len(self.recent):
                self.recent[at : at + 8] = bytes(8)


class RunawayState(msgspec.Struct, array_like=True):
    """Counts of one run in one trace."""

    tool_calls: int = 0
    model_calls: int = 0
    steps: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    began_us: int = 0
    """Append time of the run's first step in the trace."""
    handoffs: int = 0
    same_call: bytearray = msgspec.field(default_factory=bytearray)
    """12 bytes for each different call: 8 of its digest, 4 of how often it was made; the longest known first."""
    last_calls: bytes = b""
    """16 bytes for each of the last calls, for evidence: 8 of its digest, 8 of its `seq`."""
    context: int = 0
    """Input tokens of the last model call."""
    first_context: int = 0
    growths: int = 0
    """How many model calls in a row were given more than the one before."""
    reported: tuple[str, ...] = ()


class RunState(msgspec.Struct, array_like=True):
    """One run within one trace."""

    agent_id: str
    sequence: SequenceState = msgspec.field(default_factory=SequenceState)
    runaway: RunawayState = msgspec.field(default_factory=RunawayState)
    tools: list[str] = []
    """Tools that the run has called in this trace, the first `TOOLS_PER_RUN` of them."""
    after_stop: int = 0
    ending: int = 0
    """Model calls that were under way when the run was ordered to stop, as the run says."""


class TraceState(msgspec.Struct, array_like=True):
    """What one kind of speaker has made of a trace: what it has read, and its runs."""

    flow: FlowState = msgspec.field(default_factory=FlowState)
    runs: dict[str, RunState] = {}
    steps: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    reported: tuple[str, ...] = ()
    sums: CorrelationState | None = None
    """What rules have fired, for those that build on them; None while nothing has."""
    silent: dict[str, int] = {}
    """Rule → append time until which it is silent here."""

    def run(self, run_id: str, agent_id: str) -> tuple[RunState, bool]:
        """Return the state of a run, made if new, and whether another had to be forgotten for it."""
        found = self.runs.get(run_id)
        if found is not None:
            return found, False
        crowded = len(self.runs) >= RUNS_PER_TRACE
        if crowded:
            del self.runs[self._least_missed(agent_id)]
        found = self.runs[run_id] = RunState(agent_id)
        return found, crowded

    def _least_missed(self, agent_id: str) -> str:
        """Return the run to forget: the agent's own oldest, so that a flood crowds out the flooder; else the crowd's."""
        held = Counter(run.agent_id for run in self.runs.values())
        payer = agent_id if agent_id in held else held.most_common(1)[0][0]
        return next(run_id for run_id, run in self.runs.items() if run.agent_id == payer)


class TraceEntry(msgspec.Struct, array_like=True):
    """One trace, across all agents in it, as memory and checkpoints hold it.

    Steps without a good mark have a state of their own: whoever forges one can neither talk a true step's suspicion away,
    nor use up its `seq`, nor make its trace count against the agent it names.
    """

    owner: str
    """The pool that pays for it: the registered agent whose marked step opened it, else the one of strangers."""
    last_us: int = 0
    """Append time of the last step: what idle traces are forgotten by."""
    offset: int = -1
    """Offset of the last step this state includes."""
    marked: TraceState = msgspec.field(default_factory=TraceState)
    doubted: TraceState | None = None

    def of(self, identity: Identity) -> TraceState:
        """Return the state that a step is judged in. The doubted one begins with what the true one has read."""
        if identity == "marked":
            return self.marked
        if self.doubted is None:
            self.doubted = TraceState(flow=_decode_flow(_encoder.encode(self.marked.flow)))
        return self.doubted


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TraceEntry)
_decode_flow = msgspec.msgpack.Decoder(FlowState).decode


class _Last(msgspec.Struct, array_like=True):
    """Of a packed trace, when its last step was: the rest is skipped."""

    owner: str
    last_us: int


_decode_last = msgspec.msgpack.Decoder(_Last).decode


def encode_state(state: TraceEntry) -> bytes:
    """Return the state as bytes for a checkpoint."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> TraceEntry:
    """Return the state from a checkpoint. Raises `BadRecord` if it is of another shape."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("checkpoint", str(error)) from None


def waits_of(entry: TraceEntry) -> list[int]:
    """Return the deadlines of what is waited for in a trace."""
    sums = [state.sums for state in (entry.marked, entry.doubted) if state is not None and state.sums is not None]
    return [until_us for each in sums if (until_us := each.earliest())]


class Memory:
    """The traces of one partition, bounded per agent: a flood evicts only the flooder's own oldest.

    Traces that nothing has happened to for a while are kept packed, as a checkpoint would hold them: less than half the size.
    """

    def __init__(self, traces_per_agent: int, awake: int = AWAKE) -> None:
        self.bound = traces_per_agent
        self.awake_bound = awake
        self.pools: dict[str, OrderedDict[str, TraceEntry | bytes]] = {}
        """Owner → its traces, the longest untouched first; bytes where one rests."""
        self.owner_of: dict[str, str] = {}
        self.changed: set[str] = set()
        self.forgotten: set[str] = set()
        self._awake: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.owner_of)

    def get(self, trace_key: str) -> TraceEntry | None:
        """Return what is known of a trace; it becomes no younger by that."""
        owner = self.owner_of.get(trace_key)
        return None if owner is None else self._wake(trace_key, self.pools[owner])

    def open(self, trace_key: str, owner: str) -> tuple[TraceEntry, str]:
        """Return the entry of a trace, made if new, and the key of the trace evicted to make room ("" for none).

        A trace that strangers opened becomes the first known agent's own.
        """
        known = self.owner_of.get(trace_key)
        evicted = ""
        if known is None or (known == UNKNOWN_POOL != owner):
            evicted = self._make_room(owner)
            entry = TraceEntry(owner)
            if known is not None:
                entry = self._wake(trace_key, self.pools[known])
                del self.pools[known][trace_key]
            self._drop_if_empty(known)
            entry.owner = known = owner
            self.put(trace_key, entry)
        pool = self.pools[known]
        pool.move_to_end(trace_key)
        self.changed.add(trace_key)
        self.forgotten.discard(trace_key)
        return self._wake(trace_key, pool), evicted

    def _wake(self, trace_key: str, pool: OrderedDict[str, TraceEntry | bytes]) -> TraceEntry:
        """Return a trace of a pool unpacked; the one that was asked for least lately goes to rest for it."""
        found = pool[trace_key]
        if isinstance(found, bytes):
            found = pool[trace_key] = _decoder.decode(found)
            self._stay_awake(trace_key)
        else:
            self._awake.move_to_end(trace_key)
        return found

    def _stay_awake(self, trace_key: str) -> None:
        awake = self._awake
        awake[trace_key] = None
        if len(awake) > self.awake_bound:
            tired, _ = awake.popitem(last=False)
            pool = self.pools[self.owner_of[tired]]
            entry = pool[tired]
            if not isinstance(entry, bytes):
                pool[tired] = _encoder.encode(entry)

    def _make_room(self, owner: str) -> str:
        """Forget the oldest of a full pool; return its key."""
        pool = self.pools.get(owner, ())
        if len(pool) < self.bound:
            return ""
        evicted = next(iter(pool))
        self.forget(evicted)
        return evicted

    def _drop_if_empty(self, owner: str | None) -> None:
        if owner is not None and not self.pools[owner]:
            del self.pools[owner]

    def put(self, trace_key: str, entry: TraceEntry) -> None:
        """Take over a restored trace."""
        self.owner_of[trace_key] = entry.owner
        self.pools.setdefault(entry.owner, OrderedDict())[trace_key] = entry
        self._stay_awake(trace_key)

    def packed(self, trace_key: str) -> bytes | None:
        """Return a trace as a checkpoint holds it; None where it is not known."""
        owner = self.owner_of.get(trace_key)
        if owner is None:
            return None
        found = self.pools[owner][trace_key]
        return found if isinstance(found, bytes) else _encoder.encode(found)

    def forget(self, trace_key: str) -> None:
        """Drop a trace; its checkpoint is dropped with the next manifest."""
        owner = self.owner_of.pop(trace_key)
        del self.pools[owner][trace_key]
        self._drop_if_empty(owner)
        self._awake.pop(trace_key, None)
        self.changed.discard(trace_key)
        self.forgotten.add(trace_key)

    def oldest(self) -> list[tuple[str, int]]:
        """Return the longest untouched trace of each pool, with the append time of its last step."""
        return [(key, _last_us(pool[key])) for pool in self.pools.values() for key in (next(iter(pool)),)]

    def traces(self) -> Iterator[tuple[str, TraceEntry]]:
        """Yield every trace, those that rest as copies: to look at, not to change."""
        for pool in self.pools.values():
            for key, entry in pool.items():
                yield key, _decoder.decode(entry) if isinstance(entry, bytes) else entry


def _last_us(entry: TraceEntry | bytes) -> int:
    return (_decode_last(entry) if isinstance(entry, bytes) else entry).last_us
