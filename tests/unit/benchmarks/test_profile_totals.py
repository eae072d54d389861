"""How the profile experiment accounts for events: what its verdict on Faust stands on."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.profile_totals import Event, Totals, compare, read_totals

AGENTS = ("a", "b", "c")
inclusions = st.lists(st.tuples(st.sampled_from(AGENTS), st.integers(0, 40)), max_size=120)


def totals_of(events: list[tuple[str, int]]) -> dict[str, Totals]:
    """Return the totals after these events, as (agent, number), at successive offsets."""
    found: dict[str, Totals] = {}
    for offset, (agent_id, number) in enumerate(events):
        found.setdefault(agent_id, Totals()).include(Event(agent_id, number, number + 1), offset)
    return found


@given(wanted=st.sets(st.tuples(st.sampled_from(AGENTS), st.integers(0, 40))), included=inclusions)
def test_each_missing_and_each_doubled_event_is_named(
    wanted: set[tuple[str, int]], included: list[tuple[str, int]]
) -> None:
    """The choice of what `profile` runs on would stand on figures in which a loss and a repeat cancel out."""
    included = [event for event in included if event in wanted]
    found = compare(totals_of(sorted(wanted)), totals_of(included))
    times = Counter(included)
    assert sorted(found.missing) == sorted(wanted - set(included))
    assert sorted(found.doubled) == sorted(event for event, count in times.items() if count > 1)
    assert found.too_often == sum(count - 1 for count in times.values())
    assert found.agents == len({agent for agent, number in wanted if times[agent, number] != 1})


@given(included=inclusions)
def test_kept_totals_are_read_back_whole(included: list[tuple[str, int]]) -> None:
    """A worker that takes over would go on from other totals than were kept, and a fault of ours would pass for Faust's."""
    for totals in totals_of(included).values():
        assert read_totals(totals.encode()) == totals


def test_an_agent_that_nobody_sent_is_a_difference() -> None:
    """State under a key that does not belong there would pass unseen."""
    assert compare({}, totals_of([("a", 0)])).agents == 1
