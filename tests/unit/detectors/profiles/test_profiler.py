"""Agents as a whole: what is new, what has changed, who is a shadow, who has fallen silent."""

import pytest

from schemas.errors import BadRecord
from schemas.step import DeclaredTool
from tests.unit.builders import a_grant, a_policy
from tests.unit.detectors.profiles._telling import AGENT, RUN, Telling


def test_a_new_tool_of_a_settled_agent_is_told_and_of_a_young_one_is_not() -> None:
    """An agent that begins to send mail would go unseen, or every first day would be a flood."""
    telling = Telling()
    for tool in ("a.read", "b.read", "c.read"):
        telling.calls(3, tool)
    assert telling.claims() == []
    telling.calls(500)
    telling.calls(1, "mail.send")
    assert telling.claims() == ["lictor.novelty.use"]
    assert "mail.send" in telling.found[0].reason
    assert telling.found[0].severity == "medium", "it sends something out, and nothing like it was ever used"
    telling.calls(5, "mail.send")
    assert len(telling.found) == 1


def test_who_uses_new_things_all_the_time_surprises_nobody() -> None:
    """An agent that reads the web would be told of with each site."""
    telling = Telling()
    for number in range(400):
        telling.step(tool="web.get", arguments={"url": f"https://site{number}.example/"})
        telling.tell()
    assert [f for f in telling.found if "site399" in f.reason] == []
    assert len(telling.found) < 4


def test_what_the_owners_other_agents_use_weighs_less() -> None:
    """One change for a team would be as many alarms as it has agents."""
    others = a_policy(a_grant("allow"), owner="ops", agent_id="other")
    telling = Telling(a_policy(a_grant("allow"), owner="ops"), others)
    telling.calls(300)
    telling.calls(1, "mail.send", agent_id="other", run_id="r2")
    telling.wait(2)
    assert "other" in {told.agent_id for told in telling.told}
    for told in telling.told:
        telling.facts.peers.take(told)
    telling.calls(1, "mail.send")
    (found,) = [f for f in telling.found if f.agent_id == AGENT]
    assert (found.severity, "1 other agents of its owner use it" in found.reason) == ("informational", True)


def test_a_roll_out_is_one_finding_and_hides_no_new_power() -> None:
    """Each release would flood the analysts; or a new version number would be all an attacker needs."""
    telling = Telling()
    telling.calls(300, version="1")
    for tool in ("d.read", "e.read", "f.list"):
        telling.calls(2, tool, version="2")
    assert telling.claims() == ["lictor.novelty.rollout"]
    telling.calls(1, "shell.exec", version="2")
    assert telling.claims() == ["lictor.novelty.rollout", "lictor.novelty.use"]


@pytest.mark.parametrize(
    ("first", "then", "claimed"),
    [
        ({"tools": (DeclaredTool("pay", "d1"),)}, {"tools": (DeclaredTool("pay", "d2"),)}, True),
        ({"tools": (DeclaredTool("pay", "d1"),)}, {"tools": (DeclaredTool("pay", "d1"),)}, False),
        ({"tools": (DeclaredTool("pay", "d1"),)}, {"tools": (DeclaredTool("pay", "d2"),), "version": "2"}, False),
        ({"prompt_digest": "p1"}, {"prompt_digest": "p2"}, True),
        ({"prompt_digest": "p1"}, {"prompt_digest": "p2", "version": "2"}, False),
        ({"mcp_servers": {"s": "d1"}}, {"mcp_servers": {"s": "d2"}}, True),
    ],
)
def test_what_changed_under_the_same_version_is_told(
    first: dict[str, object], then: dict[str, object], claimed: bool
) -> None:
    """A tool could turn on its users after it was approved."""
    telling = Telling()
    telling.step("run_started", **{"version": "1", **first})
    telling.step("run_started", run_id="r2", **{"version": "1", **then})
    assert ("lictor.changed.definition" in telling.claims()) is claimed


def test_an_agent_without_a_policy_is_a_shadow_once() -> None:
    """Nobody would know of it, or hear of nothing else."""
    telling = Telling()
    for _ in range(3):
        telling.calls(2, agent_id="ghost", identity="unmarked")
    assert telling.claims() == ["lictor.shadow.agent"]
    telling.calls(2)
    assert telling.claims() == ["lictor.shadow.agent"]


def test_work_handed_to_nobody_is_told_and_to_somebody_is_not() -> None:
    """A hand-over to an agent that reports nothing is how work leaves the fleet unseen."""
    telling = Telling()
    telling.step("handoff", to_agent="ghost")
    telling.step("handoff", to_agent="late")
    telling.wait(5)
    telling.calls(1, agent_id="late", identity="unmarked")
    telling.wait(10)
    assert [f.reason for f in telling.found if f.rule_id == "lictor.shadow.peer"] == [
        f"{AGENT} handed work to ghost, and no agent of that name has been seen"
    ]


def test_a_run_without_its_heartbeat_is_told_once_and_one_that_ended_is_not() -> None:
    """An agent whose reports were cut off looks like one that has nothing to do."""
    telling = Telling()
    for run in (RUN, "ended"):
        telling.step("heartbeat", run_id=run)
    telling.step("run_ended", run_id="ended")
    telling.wait(30)
    silent = [f for f in telling.found if f.rule_id == "lictor.silence.run"]
    assert [f.run_id for f in silent] == [RUN]
    telling.step("heartbeat")
    telling.wait(30)
    assert len([f for f in telling.found if f.rule_id == "lictor.silence.run"]) == 2, "it fell silent again"


def test_an_agent_that_stays_away_longer_than_ever_is_told() -> None:
    """A nightly job that no longer runs would be noticed at the end of the month."""
    telling = Telling()
    for _ in range(30):
        telling.calls(1, after_s=300)
        telling.wait(20)
    assert telling.claims() == []
    telling.wait(1200)
    assert telling.claims() == ["lictor.silence.agent"]
    telling.calls(1)
    telling.wait(1200)
    assert telling.claims() == ["lictor.silence.agent"] * 2


def test_the_inventory_says_what_is_known_soon_and_again_while_it_changes() -> None:
    """Whoever asks would be told what was true an hour ago."""
    telling = Telling()
    telling.calls(120, model="m")
    telling.step("model_call", model="gpt")
    telling.wait(2)
    first = telling.told[-1]
    assert (first.tools, first.models, first.calls, first.ungated) == (("crm.read",), ("gpt",), 120, 120)
    assert (first.owner, first.registered, first.settled, first.enforcement) == ("ops", True, True, "none")
    telling.calls(1, "new.tool")
    telling.wait(2)
    assert telling.told[-1].tools == ("crm.read", "new.tool")
    count = len(telling.told)
    telling.wait(600)
    assert len(telling.told) <= count + 1, "nothing changes, nothing is told"


def test_a_profile_survives_its_checkpoint_and_its_rest() -> None:
    """After each restart every agent would be new, and everything it does."""
    plain, restarted, resting = Telling(), Telling(), Telling()
    resting.profiler.awake = 1
    for telling in (plain, restarted, resting):
        telling.calls(200)
        telling.calls(3, agent_id="other", identity="unmarked")
        if telling is restarted:
            kept = {name: telling.profiler.dump(name) for name in telling.profiler.agents}
            telling.profiler = type(telling.profiler)()
            for name, data in kept.items():
                telling.profiler.restore(name, data or b"", telling.facts)
        telling.calls(1, "mail.send")
        telling.wait(40)
    assert plain.claims() == restarted.claims() == resting.claims()
    dumps = [{name: t.profiler.dump(name) for name in (AGENT, "other")} for t in (plain, restarted, resting)]
    assert dumps[0] == dumps[1] == dumps[2]
    with pytest.raises(BadRecord):
        plain.profiler.restore("x", b"\xc1", plain.facts)


def test_an_agent_that_behaves_unlike_itself_is_told_of_with_what_was_usual() -> None:
    """A runaway, or somebody else at the wheel, would look like work."""
    telling = Telling()
    for _ in range(320):  # three weeks
        telling.calls(3, after_s=3)
        telling.wait(1)
        telling.now_us += 5400 * 1_000_000
    assert [f for f in telling.found if f.rule_id == "lictor.anomaly.window"] == []
    for _ in range(4):
        telling.calls(3000, after_s=0.003)
        telling.wait(1)
    telling.wait(30)
    odd = [f for f in telling.found if f.rule_id == "lictor.anomaly.window"]
    assert odd
    assert "usually" in odd[0].reason


def test_what_is_usual_survives_checkpoint_and_rest_to_the_bit() -> None:
    """After a restart the agent's worst day would be its first."""
    plain, restarted = Telling(), Telling()
    restarted.profiler.awake = 1
    for telling in (plain, restarted):
        for number in range(60):
            telling.calls(3, after_s=3)
            if telling is restarted and number == 30:
                telling.calls(1, agent_id="other", identity="unmarked")
                kept = {name: telling.profiler.dump(name) for name in telling.profiler.agents}
                common = telling.profiler.oddity.dump()
                telling.profiler = type(telling.profiler)(awake=1)
                telling.profiler.oddity.restore(common)
                for name, data in kept.items():
                    telling.profiler.restore(name, data or b"", telling.facts)
            elif number == 30:
                telling.calls(1, agent_id="other", identity="unmarked")
    assert plain.profiler.dump(AGENT) == restarted.profiler.dump(AGENT)
    assert plain.profiler.oddity.dump() == restarted.profiler.oddity.dump()
