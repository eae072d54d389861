"""Correlations: what completes, what must not, and that order, lateness and restarts do not change it."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine.correlate import Correlator
from detectors.engine.counting import number_of
from detectors.engine.firings import MOST_GROUPS, MOST_KEPT, Completed, CorrelationState, Firing, Value
from detectors.engine.plan import About, Absent, AllOf, AnyOf, Bound, Correlation, Lictor, When
from tests.unit.strategies import examples

S = 1_000_000


def correlation(of: Any = "event_count", *rules: str, span_s: int = 60, **more: Any) -> Correlation:
    """Return a correlation over these rules, grouped by `user`."""
    said: dict[str, Any] = {"id": "c", "about": About(title="t"), "group_by": ("user",), **more}
    return Correlation(of=of, rules=rules or ("a",), timespan_us=span_s * S, **said)


def at_least(number: float) -> tuple[Bound, ...]:
    """Return the bounds of a threshold."""
    return (Bound("gte", number),)


class Tale:
    """Firings fed one after the other; each has a `seq` of its own."""

    def __init__(self, *correlations: Correlation) -> None:
        self.judge = Correlator(correlations)
        self.state = CorrelationState()
        self.seq = 0

    def fire(self, rule: str = "a", at_s: float = 0, append_s: float | None = None, **values: Any) -> list[Completed]:
        """Feed one firing, of user `bob` where nothing else is said."""
        self.seq += 1
        told = {"user": "bob", **values}
        many: dict[str, tuple[Value, ...]] = {
            k: v if isinstance(v, tuple) else (v,) for k, v in told.items() if v is not None
        }
        append = at_s if append_s is None else append_s
        firing = Firing(rule, f"s{self.seq}", self.seq, "run", "agent", "t", int(at_s * S), int(append * S), many)
        return self.judge.feed(self.state, firing)

    def seqs(self, rule: str, at_s: float, **values: Any) -> list[list[int]]:
        """Feed one firing; return the `seq` of the hits of whatever it completes."""
        return [[hit.seq for hit in found.hits] for found in self.fire(rule, at_s, **values)]


def test_a_count_completes_when_it_is_reached_and_once() -> None:
    """An analyst would be told of the fifth refusal, and of every one after it."""
    tale = Tale(correlation(bounds=at_least(3)))
    assert [tale.seqs("a", at) for at in range(5)] == [[], [], [[1, 2, 3]], [], []]


def test_a_count_completes_again_after_it_has_fallen_below() -> None:
    """A second wave an hour later would go unnoticed."""
    tale = Tale(correlation(bounds=at_least(2)))
    assert [len(tale.fire(at_s=at)) for at in (0, 1, 500, 501)] == [0, 1, 0, 1]


def test_a_count_goes_on_while_it_holds_only_after_the_silence() -> None:
    """`suppress: 10m` would mean silence for ever, or none."""
    tale = Tale(correlation(bounds=at_least(2), lictor=Lictor(suppress_s=100)))
    assert [len(tale.fire(at_s=at)) for at in (0, 1, 30, 60, 90, 110, 130)] == [0, 1, 0, 0, 0, 1, 0]


def test_windows_slide() -> None:
    """Three events astride the edge of a fixed minute would never be three in a minute."""
    tale = Tale(correlation(bounds=at_least(3), span_s=60))
    assert [len(tale.fire(at_s=at)) for at in (50, 65, 100)] == [0, 0, 1]


@pytest.mark.parametrize(("apart_s", "found"), [(60, 1), (61, 0)])
def test_a_window_is_as_long_as_it_says(apart_s: int, found: int) -> None:
    """A second more or less decides."""
    tale = Tale(correlation(bounds=at_least(2), span_s=60))
    assert [len(tale.fire(at_s=at)) for at in (0, apart_s)] == [0, found]


def test_groups_do_not_mix() -> None:
    """Two users with one failure each would be one user with two."""
    tale = Tale(correlation(bounds=at_least(2)), correlation("temporal", "a", "b", id="d"))
    assert tale.fire("a", user="bob") == tale.fire("b", user="eve") == tale.fire("a", user="joe") == []


def test_what_has_no_group_value_belongs_to_no_group() -> None:
    """Steps without a user would all count as one user's."""
    tale = Tale(correlation(bounds=at_least(1)))
    assert tale.fire(user=None) == []


def test_a_field_with_many_values_counts_in_each_group() -> None:
    """An e-mail to two people would count for neither."""
    tale = Tale(correlation(bounds=at_least(2)))
    tale.fire(user=("bob", "eve"))
    assert [found.group for found in tale.fire(user=("eve", "joe"))] == [("eve",)]


def test_a_number_and_the_text_of_it_are_two_groups() -> None:
    """User 1 and user "1" would be one; or group keys made to collide would be."""
    tale = Tale(correlation(bounds=at_least(2), group_by=("user", "host")))
    tale.fire(user="a", host="b1:c")
    assert tale.fire(user="as1:b", host="c") == []
    assert tale.fire(user=1.0, host="x") == tale.fire(user="1.0", host="x") == []


def test_an_alias_joins_fields_of_different_names() -> None:
    """A value that one step calls `to` and another `user` could not be followed."""
    tale = Tale(correlation("temporal", "a", "b", group_by=("who",), aliases={"who": {"a": "user", "b": "to"}}))
    tale.fire("a", 0, user="bob")
    assert len(tale.fire("b", 1, user="eve", to="bob")) == 1


def test_order_is_held_beyond_the_second_rule() -> None:
    """A, C, B would be taken for A, then B, then C."""
    rules = correlation("temporal_ordered", "a", "b", "c")
    wrong, right = Tale(rules), Tale(rules)
    assert [wrong.seqs(rule, at) for at, rule in enumerate("acb")] == [[], [], []]
    assert [right.seqs(rule, at) for at, rule in enumerate("abc")] == [[], [], [[1, 2, 3]]]


@pytest.mark.parametrize("order", ["abc", "bca", "cab", "cba", "acb", "bac"])
def test_steps_that_come_late_are_put_where_they_belong(order: str) -> None:
    """A spool emptied after an outage would hide a sequence."""
    tale = Tale(correlation("temporal_ordered", "a", "b", "c"))
    found = [tale.fire(rule, at_s="abc".index(rule), append_s=100 + at) for at, rule in enumerate(order)]
    assert [len(each) for each in found] == [0, 0, 1]
    assert [hit.rule for hit in found[2][0].hits] == ["a", "b", "c"]


def test_equal_times_go_by_arrival() -> None:
    """Two steps in one microsecond would match in either order, or at random."""
    tale = Tale(correlation("temporal_ordered", "a", "b"))
    assert tale.fire("b", 5) == tale.fire("a", 5) == []
    assert len(tale.fire("b", 5)) == 1


def test_a_sequence_longer_than_its_span_is_none() -> None:
    """A step of last week would complete one of today."""
    tale = Tale(correlation("temporal_ordered", "a", "b", "c", span_s=10))
    assert [tale.fire(rule, at) for rule, at in (("a", 0), ("b", 8), ("c", 11))] == [[], [], []]
    assert tale.seqs("b", 12) == []
    tale.fire("a", 13)
    tale.fire("b", 14)
    assert tale.seqs("c", 15) == [[4 + 1, 6, 7]]


def test_a_rule_may_stand_twice_in_a_sequence() -> None:
    """Read, send, read could not be said."""
    tale = Tale(correlation("temporal_ordered", "a", "b", "a"))
    assert [len(tale.fire(rule, at)) for at, rule in enumerate("aba")] == [0, 0, 1]


def test_a_flood_of_one_rule_does_not_push_out_the_others() -> None:
    """An attacker could make the first step of a sequence be forgotten by repeating the second."""
    tale = Tale(correlation("temporal_ordered", "a", "b", "c", span_s=10_000))
    tale.fire("a", 0)
    for turn in range(5000):
        tale.fire("b", 1 + turn / 100)
    assert len(tale.fire("c", 100)) == 1
    assert tale.state.evicted == 0


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_any_order_will_do_where_none_is_said(order: str) -> None:
    """`temporal` would be `temporal_ordered`."""
    tale = Tale(correlation("temporal", "a", "b"))
    assert [len(tale.fire(rule, at)) for at, rule in enumerate(order)] == [0, 1]


def test_a_threshold_asks_for_some_of_the_rules() -> None:
    """Two of three could not be said."""
    occurs = AnyOf((AllOf((When("a"), When("b"))), AllOf((When("b"), When("c"))), AllOf((When("a"), When("c")))))
    tale = Tale(correlation("temporal", "a", "b", "c", occurs=occurs))
    assert [len(tale.fire(rule, at)) for at, rule in enumerate("ac")] == [0, 1]


ABSENT = AllOf((When("a"), Absent(When("b"))))


def test_what_does_not_follow_is_told_when_its_time_is_up() -> None:
    """A payment without a confirmation would never be told of, or at once."""
    tale = Tale(correlation("temporal_ordered", "a", "b", occurs=ABSENT, span_s=60))
    assert tale.fire("a", 0) == []
    assert tale.judge.advance(tale.state, 60 * S) == []
    assert [[hit.seq for hit in found.hits] for found in tale.judge.advance(tale.state, 60 * S + 1)] == [[1]]
    assert tale.judge.advance(tale.state, 999 * S) == []


@pytest.mark.parametrize(("at_s", "found"), [(30, 0), (60, 0), (61, 1)])
def test_what_follows_in_time_ends_the_wait(at_s: int, found: int) -> None:
    """Every payment would be told of, confirmed or not."""
    tale = Tale(correlation("temporal_ordered", "a", "b", occurs=ABSENT, span_s=60))
    tale.fire("a", 0)
    tale.fire("b", at_s)
    assert len(tale.judge.advance(tale.state, 500 * S)) == found


@pytest.mark.parametrize(("of", "found"), [("temporal_ordered", 1), ("temporal", 0)])
def test_only_without_an_order_does_what_came_before_count(of: str, found: int) -> None:
    """A rule that asks what follows would ask what happened."""
    tale = Tale(correlation(of, "a", "b", occurs=ABSENT, span_s=60))
    tale.fire("b", 0)
    tale.fire("a", 10)
    assert len(tale.judge.advance(tale.state, 500 * S)) == found


def test_a_correlation_of_correlations_is_grouped_by_its_own_fields() -> None:
    """Many refusals, then a success: could not be said."""
    first = correlation(id="many", bounds=at_least(2))
    second = correlation("temporal_ordered", "many", "b", id="then")
    tale = Tale(first, second)
    tale.fire("a", 0)
    assert [found.correlation for found in tale.fire("a", 1)] == ["many"]
    assert tale.fire("b", 2, user="eve") == []
    assert [found.correlation for found in tale.fire("b", 3)] == ["then"]


VALUES = [
    ("value_count", ["x", "y", "x", "z"], 3.0, [0, 0, 0, 1]),
    ("value_sum", [10, 20, "30", 1], 60.0, [0, 0, 1, 0]),
    ("value_avg", [10, 20, 90], 40.0, [0, 0, 1]),
    ("value_median", [10, 50, 60], 50.0, [0, 0, 1]),
    ("value_percentile", [10, 20, 100], 90.0, [0, 0, 1]),
]


@pytest.mark.parametrize(("of", "values", "bound", "found"), VALUES)
def test_values_are_counted_summed_and_ranked(of: str, values: list[Any], bound: float, found: list[int]) -> None:
    """Fifty refunds, each small, could not be told from one."""
    tale = Tale(correlation(of, bounds=at_least(bound), value_fields=("v",), percentile=95.0))
    assert [len(tale.fire(at_s=at, v=value)) for at, value in enumerate(values)] == found


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf, "nan", "inf", "1e999", "-Infinity"])
@pytest.mark.parametrize("of", ["value_sum", "value_avg", "value_median", "value_percentile"])
@pytest.mark.parametrize("op", ["gt", "gte", "lt", "lte", "neq", "eq"])
def test_what_is_no_finite_number_passes_no_threshold_and_spoils_no_sum(of: str, special: Any, op: Any) -> None:
    """One NaN would switch a limit off for good, or fire it."""
    tale = Tale(correlation(of, bounds=(Bound(op, 5),), value_fields=("v",), percentile=50.0))
    assert tale.fire(v=special) == []
    plain = Tale(correlation(of, bounds=at_least(10), value_fields=("v",), percentile=50.0))
    plain.fire(v=special)
    assert len(plain.fire(v=20)) == 1


def test_a_group_too_many_is_forgotten_and_counted() -> None:
    """Group keys that an attacker chooses would fill memory, or push out a slow attack in silence."""
    tale = Tale(correlation(bounds=at_least(2), span_s=100_000))
    tale.fire(at_s=0)
    for turn in range(MOST_GROUPS):
        tale.fire(at_s=1, user=f"user-{turn}")
    assert tale.state.evicted == 1
    assert len(tale.state.groups["c"]) == MOST_GROUPS


def test_groups_that_can_complete_nothing_make_room_unseen() -> None:
    """A long life with many users would be reported as an attempt to make Lictor forget."""
    tale = Tale(correlation(bounds=at_least(2), span_s=10))
    for turn in range(3 * MOST_GROUPS):
        tale.fire(at_s=turn, user=f"user-{turn}")
    assert tale.state.evicted == 0


def test_hits_too_many_are_forgotten_and_counted() -> None:
    """A flood into one group would fill memory."""
    tale = Tale(correlation(bounds=at_least(MOST_KEPT), span_s=100_000))
    assert sum(len(tale.fire(at_s=at)) for at in range(MOST_KEPT + 50)) == 1
    assert tale.state.evicted == 50


def test_a_rule_no_longer_in_force_leaves_nothing_behind() -> None:
    """State of rules long gone would be carried from checkpoint to checkpoint."""
    tale = Tale(correlation(bounds=at_least(2)))
    tale.fire()
    Correlator(()).advance(tale.state, 1)
    assert tale.state.groups == {}


def test_the_fields_that_firings_must_carry_are_known_beforehand() -> None:
    """Every step's every field would be kept, or the one needed be missing."""
    judge = Correlator(
        [
            correlation(
                "value_sum",
                "a",
                "b",
                value_fields=("arguments.amount",),
                group_by=("who",),
                aliases={"who": {"b": "to"}},
            )
        ]
    )
    assert judge.needed_fields() == {
        "a": {"who", "arguments.amount"},
        "b": {"to", "arguments.amount"},
    }


EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.sampled_from(["bob", "eve"]), st.integers(0, 5)),
    max_size=30,
)
KINDS = st.sampled_from(
    [
        correlation(bounds=at_least(3), span_s=10),
        correlation("value_count", "a", "b", bounds=at_least(3), span_s=10, value_fields=("v",)),
        correlation("value_sum", "a", bounds=at_least(9), span_s=10, value_fields=("v",)),
        correlation("temporal_ordered", "a", "b", "c", span_s=10),
        correlation("temporal", "a", "b", span_s=10),
        correlation("temporal_ordered", "a", "b", occurs=ABSENT, span_s=10),
    ]
)


def told(tale: Tale, events: list[tuple[str, int, str, int]]) -> list[Any]:
    """Feed firings; return what completed at each."""
    return [
        [
            (found.correlation, found.group, [hit.seq for hit in found.hits])
            for found in tale.fire(rule, at, user=user, v=v)
        ]
        for rule, at, user, v in events
    ]


@examples(150)
@given(KINDS, EVENTS, st.integers(0, 30))
def test_a_restart_in_the_middle_changes_nothing(kind: Correlation, events: list[Any], cut: int) -> None:
    """A worker that takes over would miss what its predecessor had begun to see, or see it twice."""
    whole, first = Tale(kind), Tale(kind)
    expected = told(whole, events)
    before = told(first, events[:cut])
    second = Tale(kind)
    second.state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.state), type=CorrelationState)
    second.seq = first.seq
    assert before + told(second, events[cut:]) == expected


def plain_count(kind: Correlation, events: list[tuple[str, int, str, int]], upto: int) -> float:
    """Return what the window around the newest of these events comes to, counted anew; in-order events only."""
    rule, at, user, _ = events[upto]
    window = [e for e in events[: upto + 1] if e[0] in kind.rules and e[2] == user and at - 10 <= e[1] <= at]
    if rule not in kind.rules:
        return 0
    if kind.of == "event_count":
        return len(window)
    return len({e[3] for e in window}) if kind.of == "value_count" else sum(e[3] for e in window)


@examples(150)
@given(st.sampled_from([0, 1, 2]), EVENTS)
def test_running_sums_are_those_counted_anew(which: int, events: list[Any]) -> None:
    """A window that slides would drift away from the truth."""
    kind = [
        correlation(bounds=at_least(0), span_s=10),
        correlation("value_count", "a", "b", bounds=at_least(0), span_s=10, value_fields=("v",)),
        correlation("value_sum", "a", bounds=at_least(-1), span_s=10, value_fields=("v",)),
    ][which]
    events.sort(key=lambda event: event[1])
    for upto in range(len(events)):
        tale = Tale(kind)
        for rule, at, user, v in events[: upto + 1]:
            for groups in tale.state.groups.values():
                for group in groups.values():
                    group.holds = False
            found = tale.fire(rule, at, user=user, v=v)
        if events[upto][0] in kind.rules:
            assert [each.amount for each in found] == [plain_count(kind, events, upto)]


@examples(100)
@given(EVENTS, st.randoms(use_true_random=False))
def test_another_order_of_arrival_finds_the_same_groups(events: list[Any], chance: Any) -> None:
    """Whether an attack is found would depend on the network."""
    kind = correlation("temporal_ordered", "a", "b", "c", span_s=10)
    unlike = [(rule, at, user, v) for at, (rule, _, user, v) in enumerate(events)]
    shuffled = list(unlike)
    chance.shuffle(shuffled)

    def groups(found: list[Any]) -> set[Any]:
        return {group for each in found for _, group, _ in each}

    assert groups(told(Tale(kind), unlike)) == groups(told(Tale(kind), shuffled))


@given(st.floats() | st.text(max_size=8))
def test_a_number_is_finite_or_none(value: Value) -> None:
    """What an agent claims would reach a sum unchecked."""
    found = number_of(value)
    assert found is None or math.isfinite(found)
