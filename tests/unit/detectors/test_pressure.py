"""An agent that makes Lictor forget."""

from detectors.pressure import Pressure
from tests.unit.builders import AGENT, NOW, SECOND, Story, a_policy, a_step, claims, seen

MINUTE = 60 * SECOND


def flood(story: Story, *numbers: int, append_us: int = NOW) -> list[str]:
    """Open a trace for each number; return the ids of the findings."""
    found = [story.tell("message", trace_id=f"{number + 1:032x}", append_us=append_us) for number in numbers]
    return [finding.finding_id for findings in found for finding in findings]


def test_an_eviction_is_a_finding() -> None:
    """Whoever floods to make Lictor forget would leave no trace."""
    story = Story(a_policy(), watch=(), bound=2)
    assert flood(story, 0, 1) == []
    found = story.tell("message", trace_id="f" * 32)
    assert claims(found) == ["lictor.state_pressure"]
    assert AGENT in found[0].reason


def test_the_evictions_of_one_minute_are_one_finding() -> None:
    """A flood would fill the queue of findings too."""
    story = Story(a_policy(), watch=(), bound=2)
    start = NOW // MINUTE * MINUTE
    assert len(set(flood(story, *range(30), append_us=start))) == 1
    assert len(set(flood(story, *range(30, 60), append_us=start + MINUTE))) == 1
    assert Pressure().claim(seen(a_step(), append_us=start), "a") != Pressure().claim(
        seen(a_step(), append_us=start), "b"
    )


def test_it_claims_nothing_by_itself() -> None:
    """Every step would be reported as a flood."""
    assert Story(watch=(Pressure(),)).tell("message") == []
