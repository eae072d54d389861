"""Running totals of one agent."""

from schemas.activity import Activity
from tests.unit.builders import example, refused


def test_at_most_three_windows_travel() -> None:
    """Each update of one agent could grow without bound."""
    window = example("window")
    assert refused(Activity, "activity", windows=[window] * 3) == ""
    assert refused(Activity, "activity", windows=[window] * 4).startswith("windows")


def test_totals_start_at_nothing() -> None:
    """A new agent would begin with another's counts."""
    one, other = (Activity(agent_id=name, partition=0, offset=0) for name in "ab")
    assert (one.steps, one.by_kind, one.windows) == (0, {}, ())
    assert one.by_kind is not other.by_kind
