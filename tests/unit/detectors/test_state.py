"""What is remembered of traces, and how it is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from detectors.state import (
    RUNS_PER_TRACE,
    UNKNOWN_POOL,
    Directive,
    FlowState,
    Memory,
    Reading,
    RunawayState,
    RunState,
    SequenceState,
    TraceEntry,
    TraceState,
    decode_state,
    encode_state,
)
from schemas.errors import BadRecord
from tests.unit.builders import Story, a_policy
from tests.unit.strategies import examples, texts

NAMES = st.lists(texts(9), max_size=3).map(tuple)
READINGS = st.lists(st.builds(Reading, texts(32), st.integers(1, 1 << 53), texts(40)), max_size=4)
TABLES = st.binary(max_size=64)
DIRECTIVES = st.builds(Directive, texts(32), st.integers(1, 1 << 53), st.integers(0, 31), TABLES, texts(40))
FLOWS = st.builds(
    FlowState,
    READINGS,
    READINGS,
    TABLES.map(bytearray),
    TABLES.map(bytearray),
    directives=st.lists(DIRECTIVES, max_size=2),
    asked=st.integers(0, 31),
    at_first_hand=st.lists(texts(9), max_size=3),
)
SEQUENCES = st.builds(
    SequenceState,
    last=st.integers(0, 1 << 53),
    recent=st.binary(max_size=64).map(bytearray),
    clamps=st.integers(0, 9),
    reported=NAMES,
)
RUNAWAYS = st.builds(
    RunawayState,
    steps=st.integers(0, 1 << 40),
    tokens=st.integers(0, 1 << 62),
    cost_usd=st.floats(0, allow_nan=False),
    same_call=st.binary(max_size=36).map(bytearray),
    last_calls=st.binary(max_size=64),
    reported=NAMES,
)
RUNS = st.builds(RunState, texts(9), SEQUENCES, RUNAWAYS, after_stop=st.integers(0, 9))
STATES = st.builds(TraceState, FLOWS, st.dictionaries(texts(9), RUNS, max_size=2))
TRACES = st.builds(
    TraceEntry,
    texts(9),
    st.integers(0, 1 << 60),
    st.integers(-1, 1 << 60),
    STATES,
    st.none() | STATES,
)


@examples(150)
@given(TRACES)
def test_every_state_survives_its_checkpoint(state: TraceEntry) -> None:
    """A worker that takes over would judge by another past."""
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xc0", b"\x91" * 9999, encode_state(TraceEntry("a"))[:-1], b"\xa1\xff"]
)
def test_a_checkpoint_of_another_shape_is_refused(data: bytes) -> None:
    """A worker would end at its first damaged checkpoint, again and again."""
    with pytest.raises(BadRecord) as caught:
        decode_state(data)
    assert caught.value.kind == "checkpoint"


def test_new_states_share_nothing() -> None:
    """What one trace has read would be held against another."""
    one, other = TraceEntry("a"), TraceEntry("a")
    one.marked.flow.said.append(1)
    one.marked.run("r", "a")[0].sequence.remember(1, 1)
    assert other == TraceEntry("a")
    assert one.marked.run("r", "a")[0].sequence.digest_of(1) == 1


def test_the_doubted_state_begins_with_what_the_true_one_has_read_and_shares_nothing() -> None:
    """A forged step would write into the past of the agent that it names."""
    entry = TraceEntry("a")
    entry.marked.flow.brought.append(1)
    entry.of("forged").flow.brought.append(2)
    assert (entry.marked.flow.brought, entry.of("unmarked").flow.brought) == (b"\1", b"\1\2")


def test_a_flood_of_runs_in_one_trace_crowds_out_the_flooders_own() -> None:
    """One agent could have another's run forgotten in a trace they share, and its count of calls with it."""
    state = TraceState()
    state.run("victim", "victim")
    crowded = [state.run(f"r{number}", "flooder")[1] for number in range(3 * RUNS_PER_TRACE)]
    assert sum(crowded) == 2 * RUNS_PER_TRACE + 1
    assert len(state.runs) == RUNS_PER_TRACE
    assert "victim" in state.runs
    assert state.run("guest", "guest")[1]
    assert {"victim", "guest"} < set(state.runs)


def test_a_flood_evicts_only_the_flooders_own_oldest() -> None:
    """One agent could make Lictor forget what another has read."""
    memory = Memory(3)
    for name in ("v1", "v2", "v3"):
        memory.open(name, "victim")
    evicted = [memory.open(f"f{number}", "flooder")[1] for number in range(50)]
    assert evicted == ["", "", "", *(f"f{number}" for number in range(47))]
    assert [memory.get(name) is not None for name in ("v1", "v2", "v3")] == [True] * 3
    assert len(memory) == 6


def test_a_trace_in_use_is_evicted_last() -> None:
    """A flooder could choose which of its traces is forgotten."""
    memory = Memory(2)
    memory.open("old", "a")
    memory.open("new", "a")
    memory.open("old", "a")
    assert memory.open("third", "a")[1] == "new"


def test_agents_nobody_registered_share_one_pool() -> None:
    """An attacker could fill the memory by inventing agents."""
    story = Story(a_policy(agent_id="known"), bound=4)
    for number in range(20):
        story.tell("message", agent_id=f"invented-{number}", run_id=f"r{number}", trace_id=f"{number + 1:032x}")
    story.tell("message", agent_id="known", trace_id="a" * 32)
    assert {owner: len(pool) for owner, pool in story.memory.pools.items()} == {"*": 4, "known": 1}


def test_a_trace_belongs_to_who_opened_it() -> None:
    """A flooder could push its own traces onto another's account."""
    memory = Memory(1)
    memory.open("shared", "opener")
    state, evicted = memory.open("shared", "guest")
    assert (state.owner, evicted, len(memory)) == ("opener", "", 1)


def test_a_trace_that_strangers_opened_becomes_the_agents_own() -> None:
    """Whoever guesses a trace's id could have it forgotten in the flood of strangers."""
    memory = Memory(2)
    memory.open("shared", UNKNOWN_POOL)
    entry, _ = memory.open("shared", "agent")
    assert (entry.owner, set(memory.pools), memory.owner_of) == ("agent", {"agent"}, {"shared": "agent"})
    memory.open("shared", UNKNOWN_POOL)
    assert memory.owner_of == {"shared": "agent"}


def test_what_changed_and_what_was_forgotten_is_known() -> None:
    """A checkpoint would miss a change, or bring a forgotten trace back."""
    memory = Memory(1)
    memory.open("a", "x")
    assert (memory.changed, memory.forgotten) == ({"a"}, set())
    memory.open("b", "x")
    assert (memory.changed, memory.forgotten) == ({"b"}, {"a"})
    memory.open("a", "x")
    assert (memory.changed, memory.forgotten) == ({"a"}, {"b"})


def test_a_restored_trace_has_not_changed() -> None:
    """Each takeover would write every checkpoint anew."""
    memory = Memory(2)
    memory.put("a", TraceEntry("x", last_us=5))
    assert (memory.changed, len(memory)) == (set(), 1)
    assert memory.open("a", "y")[0].last_us == 5


def test_idle_traces_are_found_by_append_time() -> None:
    """Memory would only ever grow."""
    memory = Memory(9)
    for name, owner, at in (("a", "x", 5), ("b", "x", 50), ("c", "y", 7)):
        memory.put(name, TraceEntry(owner, last_us=at))
    assert sorted(memory.oldest()) == [("a", 5), ("c", 7)]


def test_a_trace_that_rests_is_the_same_when_it_is_woken() -> None:
    """What an agent read an hour ago would no longer count against what it sends now."""
    memory = Memory(9, awake=2)
    for name in "abcd":
        entry, _ = memory.open(name, "x")
        entry.last_us = ord(name)
        entry.marked.flow.said.extend(name.encode())
    packed = {name: memory.packed(name) for name in "abcd"}
    assert isinstance(memory.pools["x"]["a"], bytes)
    assert dict(memory.oldest()) == {"a": ord("a")}
    assert {name: encode_state(entry) for name, entry in memory.traces()} == packed
    woken = memory.get("a")
    assert woken is not None
    assert (woken.last_us, woken.marked.flow.said) == (ord("a"), b"a")
    woken.last_us = 1
    memory.open("c", "x")
    memory.open("d", "x")
    assert memory.get("a") is not woken
    assert memory.open("a", "x")[0].last_us == 1


class Memories(RuleBasedStateMachine):
    """Open and forget at random; the books must always agree."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(3, awake=2)
        self.said: dict[str, int] = {}

    @rule(key=st.sampled_from("abcdefghij"), owner=st.sampled_from("xy*"))
    def opened(self, key: str, owner: str) -> None:
        """Open a trace."""
        known = self.memory.get(key)
        state, evicted = self.memory.open(key, owner)
        assert state is self.memory.get(key)
        assert known is None or known is state
        assert known is None or not evicted or state.owner != UNKNOWN_POOL
        assert evicted != key
        self.said.pop(evicted, None)
        assert state.offset == self.said.get(key, -1)
        state.offset = self.said[key] = self.said.get(key, -1) + 1

    @rule(key=st.sampled_from("abcdefghij"))
    def forgotten(self, key: str) -> None:
        """Forget a trace."""
        if self.memory.get(key) is not None:
            self.memory.forget(key)
            del self.said[key]
            assert self.memory.get(key) is None

    @invariant()
    def the_books_agree(self) -> None:
        """Every trace is in one pool, within its bound, and either kept or forgotten."""
        held = [(key, owner) for owner, pool in self.memory.pools.items() for key in pool]
        assert dict(held) == self.memory.owner_of
        assert len(held) == len(self.memory)
        assert all(0 < len(pool) <= 3 for pool in self.memory.pools.values())
        assert self.memory.changed <= set(self.memory.owner_of)
        assert self.memory.forgotten.isdisjoint(self.memory.owner_of)


class TestMemories(Memories.TestCase):
    """The bookkeeping holds in any order of opening and forgetting: else a flood would be paid for by its victim."""

    settings = examples(60)
