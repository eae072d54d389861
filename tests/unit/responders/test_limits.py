"""How often, and on how much of the fleet, an action may be taken alone."""

import msgspec
import pytest

from responders.limits import HOUR_US, MINUTE_US, Limiter
from schemas.rules import ActionLimit, Safety
from tests.unit.builders import NOW, SECOND


def safety(**limit: object) -> Safety:
    """Return limits of stopping: generous but for what is given."""
    generous = {"per_minute": 10**6, "fleet_share": 1.0, "fleet_floor": 10**6}
    return Safety(actions={"stop": ActionLimit.model_validate({**generous, **limit})})


def stopped(limiter: Limiter, count: int, now_us: int = NOW, agent: str = "a{}") -> Limiter:
    """Return the limiter after it counted stops of that many agents."""
    for number in range(count):
        limiter.take("stop", agent.format(number), now_us)
    return limiter


def test_the_rate_is_bounded_within_a_minute() -> None:
    """A bad rule would stop agents as fast as they start."""
    limiter = stopped(Limiter(), 3)
    assert "3 times in the last minute" in limiter.refuse("stop", "b", safety(per_minute=3), NOW)
    assert limiter.refuse("stop", "b", safety(per_minute=4), NOW) == ""
    assert limiter.refuse("stop", "b", safety(per_minute=3), NOW + MINUTE_US) == ""


def test_a_rate_of_nothing_means_never_alone() -> None:
    """`per_minute: 0` would mean no limit."""
    assert Limiter().refuse("stop", "a", safety(per_minute=0), NOW) != ""


def test_each_action_is_counted_by_itself() -> None:
    """Many pauses would use up the stops."""
    limiter = stopped(Limiter(), 30)
    assert limiter.refuse("pause", "b", Safety(), NOW) == ""
    assert limiter.refuse("stop", "b", Safety(), NOW) != ""


def test_an_action_without_limits_of_its_own_has_the_default() -> None:
    """An action nobody thought of would be unlimited."""
    assert stopped(Limiter(), 9).refuse("stop", "b", Safety(default=ActionLimit(per_minute=9)), NOW) != ""


def test_between_two_orders_for_one_agent_lies_the_cooldown() -> None:
    """One agent could be paused and resumed without end."""
    limiter = stopped(Limiter(), 1)
    cool = safety(cooldown_s=30)
    assert "less than 30 s ago" in limiter.refuse("stop", "a0", cool, NOW + 30 * SECOND - 1)
    assert limiter.refuse("stop", "a0", cool, NOW + 30 * SECOND) == ""
    assert limiter.refuse("stop", "a1", cool, NOW) == ""


@pytest.mark.parametrize(
    ("fleet", "hit", "refused"), [(10, 4, False), (10, 5, True), (100, 49, False), (100, 50, True)]
)
def test_no_more_than_a_share_of_the_fleet_is_reached(fleet: int, hit: int, refused: bool) -> None:
    """A bad rule would stop every agent of the company."""
    limiter = stopped(Limiter(), hit)
    for number in range(fleet):
        limiter.saw(f"a{number}", NOW)
    answer = limiter.refuse("stop", f"a{hit}", safety(fleet_share=0.5, fleet_floor=1), NOW)
    assert bool(answer) is refused
    assert not refused or "50% of the fleet" in answer


def test_agents_that_a_policy_names_are_of_the_fleet() -> None:
    """In the first hour, or with nothing found on anybody else, a second agent could not be stopped."""
    limiter = stopped(Limiter(), 4)
    bound = safety(fleet_share=0.5, fleet_floor=1)
    assert limiter.refuse("stop", "b", bound, NOW) != ""
    limiter.registered = 10
    assert limiter.refuse("stop", "b", bound, NOW) == ""


def test_a_small_fleet_can_be_acted_on_all_the_same() -> None:
    """Whoever runs one agent could never have it stopped."""
    limiter = Limiter()
    limiter.saw("a0", NOW)
    bound = safety(fleet_share=0.01, fleet_floor=2)
    assert limiter.refuse("stop", "a0", bound, NOW) == ""
    assert limiter.refuse("stop", "x", bound, NOW) == ""
    assert stopped(limiter, 2).refuse("stop", "x", bound, NOW) != ""


def test_the_same_agent_again_is_not_more_of_the_fleet() -> None:
    """An agent with many runs could not be stopped any more."""
    limiter = stopped(Limiter(), 50, agent="same")
    assert limiter.refuse("stop", "same", safety(fleet_floor=1, fleet_share=0.01), NOW) == ""


def test_agents_not_seen_for_an_hour_are_not_of_the_fleet() -> None:
    """Agents long gone would raise the share that may be stopped."""
    limiter = stopped(Limiter(), 1, NOW + HOUR_US)
    for number in range(100):
        limiter.saw(f"old{number}", NOW - 1)
    assert limiter.refuse("stop", "b", safety(fleet_share=0.5, fleet_floor=1), NOW + HOUR_US) != ""
    assert limiter.fleet == {}


def test_what_was_ordered_an_hour_ago_no_longer_counts() -> None:
    """After a bad day nothing could be stopped alone ever again."""
    limiter = stopped(Limiter(), 50)
    assert limiter.refuse("stop", "b", safety(fleet_floor=1, fleet_share=0.01), NOW + HOUR_US + 1) == ""
    assert not limiter.taken["stop"]


def test_the_count_survives_a_restart_and_is_never_doubled() -> None:
    """Restarting `respond` would reset every bound, or a handover halve it."""
    limiter = stopped(Limiter(), 3)
    state = limiter.state()
    after = Limiter()
    after.restore(state)
    after.restore(state)
    assert after.taken == limiter.taken
    assert after.refuse("stop", "b", safety(per_minute=3), NOW) != ""


def test_counts_of_two_workers_come_together_in_order() -> None:
    """Taking over a partition would forget what the other worker ordered."""
    limiter = stopped(Limiter(), 1, NOW + 5, "late")
    limiter.restore(stopped(Limiter(), 1, NOW, "early").state())
    assert list(limiter.taken["stop"]) == [(NOW, "early"), (NOW + 5, "late")]


@pytest.mark.parametrize("state", [b"", b"\x80\x80", b"\xa1x", b'{"stop":[]}'])
def test_a_state_of_another_shape_is_refused(state: bytes) -> None:
    """A damaged checkpoint would lift every bound unnoticed."""
    with pytest.raises(msgspec.MsgspecError):
        Limiter().restore(state)
