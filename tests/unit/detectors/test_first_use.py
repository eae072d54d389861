"""A tool that a known agent never used, after untrusted content."""

from detectors.first_use import FirstUse
from schemas.inventory import Inventory
from tests.unit.builders import AGENT, Story, a_grant, a_policy, claims


def story(*, settled: bool = True, user: str = "Summarise the page") -> Story:
    """Return the trace of an agent that has used two tools so far, and has read a page."""
    told = Story(a_policy(a_grant("allow")), watch=(FirstUse(),))
    known = Inventory(
        agent_id=AGENT, first_seen_us=1, last_seen_us=2, tools=("web.get", "notes.write"), calls=500, settled=settled
    )
    told.facts.peers.take(known)
    told.tell("message", text=user, origin="user")
    told.call("web.get", url="https://a.example")
    told.result("web.get", "some page", origin="web")
    return told


def test_a_first_use_after_untrusted_content_weighs_more_where_nobody_asked() -> None:
    """Either alone is everyday; together they are how a page moves an agent to something new."""
    (found,) = story().call("files.delete", path="/srv/x")
    assert (found.rule_id, found.severity) == ("lictor.first_use", "high")
    assert "never did in 500 calls" in found.reason
    (asked,) = story(user="Delete the old reports after you read the page").call("files.delete", path="/srv/x")
    assert asked.severity == "medium"


def test_what_it_uses_every_day_and_what_nobody_knows_yet_is_no_finding() -> None:
    """Every first day would be a flood."""
    assert claims(story().call("notes.write", text="x")) == []
    assert claims(story(settled=False).call("files.delete", path="/srv/x")) == []
    clean = Story(a_policy(a_grant("allow")), watch=(FirstUse(),))
    assert claims(clean.call("files.delete", path="/srv/x")) == []
