"""The simulated fleet: what the figures of the model of windows stand on."""

import json
from pathlib import Path

import pytest

from benchmarks import fleet, fleet_rivals
from benchmarks.fleet_agents import BEGIN_S, DAY_S, TRADES, WINDOW_S, agent, day, roll_out, windows
from benchmarks.fleet_figures import delays, interval, wilson
from benchmarks.fleet_plants import PLANTS
from lictor.cli import bench


def test_an_agents_days_are_the_same_for_the_same_seed() -> None:
    """A figure could not be measured again."""
    one, same = (agent("s", "a", TRADES[0]) for _ in range(2))
    assert [list(windows(one, day(one, number))) for number in range(5)] == [
        list(windows(same, day(same, number))) for number in range(5)
    ]
    other = agent("t", "a", TRADES[0])
    assert day(other, 6) != day(agent("s", "a", TRADES[0]), 6)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_planted_windows_are_in_order_within_their_day(plant: object) -> None:
    """The model would be blamed for windows that no agent could have had."""
    one = agent("s", "a", TRADES[0])
    seen = list(plant.of_day(one, 22, 0))  # type: ignore[attr-defined]
    starts = [start for start, _, _ in seen]
    assert starts == sorted(set(starts))
    assert starts[0] >= BEGIN_S + 22 * DAY_S
    assert starts[-1] < BEGIN_S + 23 * DAY_S
    assert all(start % WINDOW_S == 0 for start in starts)
    assert any(planted for _, _, planted in seen)


def test_a_roll_out_changes_what_an_agent_does() -> None:
    """Two roll-outs without a false alarm would be two that nobody noticed."""
    one = agent("s", "a", TRADES[0])
    before = one.trade
    roll_out(one)
    assert one.trade.tools == before.tools + 1
    assert one.trade.tokens != before.tokens


def test_a_small_fleet_is_watched_to_the_end() -> None:
    """The benchmark would break after minutes."""
    members, model, counted = fleet.simulate(6, 1, days=5)
    assert len(members) == 6 + len(PLANTS)
    assert counted == sum(1 for _ in range(counted)) > 1000
    assert set(model.agents) == {member.one.name for member in members}
    assert fleet._honest(members)["false_alarms_per_agent_and_day"] < 0.2
    rows = list(fleet._planted(members, PLANTS[0]))
    assert [row["detector"] for row in rows] == ["lictor", *fleet_rivals.NAMES]


def test_intervals_hold_the_truth() -> None:
    """A zero from a short run would look like a zero for ever."""
    assert interval(0, 1000) == [0.0, pytest.approx(0.0037, abs=0.0025)]
    low, high = interval(100, 1000)
    assert low == pytest.approx(0.0814, abs=0.001)
    assert high == pytest.approx(0.1216, abs=0.001)
    assert wilson(10, 10)[0] == pytest.approx(0.722, abs=0.001)
    assert delays([None, 3, 1])["windows_p50"] == 3


def test_a_rival_is_over_its_threshold_as_often_as_allowed() -> None:
    """The rivals would be compared at other false alarms than the model."""
    rivals = [fleet_rivals.Rivals(f"r{number}") for number in range(4)]
    for one in rivals:
        for _ in range(20):
            one.see({"tool_calls": 1.0, "tokens": 2.0, "egress_bytes": 0.0}, 0.0, planted=False)
            one.end_day(honest=True)
    threshold = fleet_rivals.threshold(rivals, "random", 5)
    assert sum(day > threshold for one in rivals for day in one.days["random"]) == 5


def test_the_kept_result_is_that_of_the_full_size() -> None:
    """What is published would be a figure of a quick look."""
    kept = json.loads((Path(fleet.__file__).parent / "results" / "fleet.json").read_text(encoding="utf-8"))
    assert kept["agents"] == fleet.AGENTS
    assert kept["days"] == fleet.DAYS
    assert kept["interval_95"][0] <= kept["budget_per_agent_and_day"]
    assert "fleet" in bench.NAMES
