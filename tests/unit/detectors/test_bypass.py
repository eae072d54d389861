"""What came back from calls nobody was told of."""

from detectors.bypass import Bypass
from detectors.sequence import StepSequence
from tests.unit.builders import Story, a_grant, a_policy, claims


def story(*, registered: bool = True) -> Story:
    """Return a trace under a policy."""
    return Story(a_policy(a_grant("allow"), registered=registered), watch=(StepSequence(), Bypass()))


def test_a_result_of_a_call_nobody_told_of_is_told() -> None:
    """A tool that is called beside the SDK shows itself only by what it brings."""
    told = story()
    told.call("web.get")
    assert told.result("web.get", "page") == []
    assert claims(told.result("crm.export", "names")) == ["lictor.bypass"]
    assert told.tell("tool_result", tool="x.y", outcome="denied") == []


def test_where_steps_are_missing_or_nobody_registered_the_agent_nothing_is_claimed() -> None:
    """Each lost step would be two findings, and each agent of which nothing is known a flood."""
    told = story()
    told.call("web.get")
    assert "lictor.bypass" not in claims(told.tell("tool_result", tool="crm.export", outcome="executed", seq=9))
    assert story(registered=False).result("crm.export", "names") == []
