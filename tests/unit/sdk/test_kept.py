"""What was believed last time holds at a start without Kafka, and nobody can make use of the file it is kept in."""

import logging
from pathlib import Path

import pytest

from lictor_agent import Agent
from lictor_agent.kept import Kept
from tests.unit.sdk._agents import GRANTS, Lab, denied, standing
from tests.unit.streams._builders import AGENT, World, policy


def again(lab: Lab, world: World | None = None) -> Agent:
    """Return the agent as it starts anew, with Kafka away."""
    fresh = Lab.__new__(Lab)
    fresh.folder, fresh.world = lab.folder, world or lab.world
    agent = Agent(AGENT, version="1.4", owner="me", tools=[], settings=fresh.settings())
    agent.control.recall()
    agent._waited = True  # as after the seconds in which the first call waits for Kafka
    return agent


def test_a_start_without_kafka_goes_on_under_the_policy_of_last_time(lab: Lab) -> None:
    """An outage of Kafka would make every agent that starts deny, or dare, what its policy says otherwise."""
    lab.policy(version=2, **GRANTS)
    agent = again(lab)
    with agent.run() as run:
        with run.tool("crm.read"):
            pass
        refused = denied(run, "crm.drop")
        assert (refused.rule, refused.policy_version) == ("grant", 2)


def test_orders_that_stood_still_stand(lab: Lab) -> None:
    """An agent that was shut out would come back by being started while Kafka is away."""
    lab.hear(lab.stands(3, standing("quarantine")))
    agent = again(lab)
    with agent.run() as run:
        assert denied(run, "crm.read").rule == "containment"


def test_a_newer_policy_from_kafka_takes_its_place(lab: Lab) -> None:
    """Last week's policy would stay in force for good."""
    lab.policy(version=2, **GRANTS)
    agent = again(lab)
    lab.agent = agent
    lab.policy(version=3)
    with agent.run() as run, run.tool("crm.drop"):
        pass
    assert again(lab).control.policy.policy.version == 3  # type: ignore[union-attr]


def test_what_another_root_key_signed_is_not_believed(lab: Lab) -> None:
    """Whoever can write the file could grant himself everything."""
    lab.policy(version=2)
    assert again(lab, World()).control.policy is None


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b"\x91\x01", b"{}"])
def test_a_damaged_file_is_no_error(lab: Lab, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """An agent could not start because its machine went down while it wrote."""
    Path(lab.agent.kept.path).write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert again(lab).control.policy is None
    assert "cannot be read; it is not used" in caplog.text


def test_a_folder_that_others_may_write_is_not_used(lab: Lab) -> None:
    """Another user of the machine could put an older policy in force."""
    lab.folder.chmod(0o777)
    assert again(lab).control.policy is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, lab: Lab) -> None:
    """An agent without a home could not run at all."""
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    kept = Kept(tmp_path / "file" / "spool", AGENT)
    kept.keep(lab.policy_record())
    assert kept.read() == []


@pytest.mark.parametrize(("ready", "keys", "line"), [
    (False, True, "cannot be reached: going on under policy version 1, kept from last time"),
    (False, False, "cannot be reached and no policy is kept from last time: calls of tools that are"),
    (True, False, "the key in LICTOR_ROOT_KEY did not sign the key list on Kafka"),
])  # fmt: skip
def test_a_start_without_policy_says_why_in_one_line(
    lab: Lab, caplog: pytest.LogCaptureFixture, ready: bool, keys: bool, line: str
) -> None:
    """An operator would look for a broken agent where Kafka, or a key, is the matter."""
    agent = again(lab) if keys else again(lab, World())
    agent._waited = False
    if ready:
        agent.link.ready.set()
    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch:
        patch.setattr("lictor_agent.agent.READY_S", 0.01)
        agent.policy()
        agent.policy()
    said = [record.getMessage() for record in caplog.records if "Kafka" in record.getMessage()]
    assert len(said) == 1
    assert line in said[0]
    assert "\n" not in said[0]


def test_a_policy_that_does_not_verify_denies_as_a_cold_start(lab: Lab) -> None:
    """An agent with the wrong root key would run on ungoverned."""
    agent = again(lab, World())
    agent.link.ready.set()
    lab.agent = agent
    lab.hear(lab.world.signed(lab.world.topics.policies, AGENT, policy(), "person"))
    with agent.run() as run:
        assert denied(run, "send_email").rule == "cold_start"
