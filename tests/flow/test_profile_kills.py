"""Kill `detect` and `profile` while agents work: nothing is lost, nothing is found twice, what is known stays the same."""

import random
from typing import Any

from detectors.facts import Facts
from detectors.profiles.activity import Activities
from detectors.profiles.profiler import Profiler
from schemas import ids
from schemas.finding import Finding
from schemas.inventory import Inventory
from schemas.sighting import Sighting
from schemas.step import Step, read_step
from tests.flow.test_kills import kill, stack_of
from tests.flow.world import World, step
from tests.unit.builders import facts_with, seen

SEED = 20261123
AGENTS = 12
ROUNDS = 6
POLICY = """
version: 1
defaults: {mode: observe}
agents:
  agent-0: {owner: a@example.com, grants: [{id: all, effect: allow, tools: ["*"]}]}
"""


def work(chance: random.Random, number: int) -> list[Step]:
    """Return what all agents do in one round: their everyday tools, and now and then one that is new."""
    made = []
    for agent in range(AGENTS):
        for at in range(40):
            tool = f"tool.{chance.randrange(3)}" if chance.random() < 0.97 else f"rare.{number}"
            trace = ids.named("test.trace", f"{agent}/{number}/{at // 20}")
            made.append(
                step(
                    agent_id=f"agent-{agent}",
                    run_id=f"run-{agent}-{number}",
                    trace_id=trace,
                    seq=at % 20 + 1,
                    kind="tool_call",
                    tool=tool,
                    text="",
                    origin="",
                    arguments={"path": f"/srv/{tool}/x"},
                )
            )
    chance.shuffle(made)
    return sorted(made, key=lambda one: (one.trace_id, one.seq))


def undisturbed(world: World, facts: Facts) -> tuple[set[str], dict[str, Profiler]]:
    """Return what a `detect` and a `profile` that nobody kills make of the very steps that are on the topic."""
    found: set[str] = set()
    profiler, by_partition = Profiler(), {n: Activities(n) for n in range(world.settings.partitions)}
    for record in world.read(world.topics.steps):
        one = seen(read_step(record.value), facts, offset=record.offset, append_us=record.timestamp * 1000)
        for sighting in by_partition[record.partition].feed(one):
            found.update(_claims(profiler.on_sighting(sighting, facts)))
    for activities in by_partition.values():
        for told in activities.messages(1000):
            profiler.on_activity(told, 0, facts)
    return found, {"": profiler}


def _claims(said: Any) -> set[str]:
    return {message.finding_id for message in said if isinstance(message, Finding)}


def test_kills_of_detect_and_profile_change_nothing_that_is_known(kafka: str, tmp_path: Any) -> None:
    """Each crash would make every agent look new, or hide what was new while nobody looked."""
    world, chance = World(kafka, tmp_path, POLICY), random.Random(SEED)
    total = AGENTS * 40 * ROUNDS
    with stack_of(world) as stack:
        for number in range(ROUNDS):
            world.publish(*[world.marked(one) for one in work(chance, number)])
            kill(stack, chance.choice(["profile", "profile", "detect"]))
        last = world.await_messages(world.topics.inventory, Inventory, lambda found: _calls(found) == total)
        findings = world.messages(world.topics.findings, Finding)
    newest = {one.agent_id: one for one in last}
    facts = facts_with(*world.policies.agents)
    expected, profilers = undisturbed(world, facts)
    assert {one.finding_id for one in findings if one.detector == "profile"} >= expected
    twice = [one for one in findings if one.rule_id == "lictor.novelty.use"]
    assert len({(one.agent_id, one.group) for one in twice}) == len({one.finding_id for one in twice})
    profiler = profilers[""]
    for agent_id, told in newest.items():
        profile = profiler.get(agent_id)
        assert profile is not None
        assert set(told.tools) == set(profile.names("tool"))
        assert set(told.resources) == set(profile.names("resource"))
    assert {one.kind for one in world.messages(world.topics.sightings, Sighting)} >= {"agent", "tool", "resource"}


def _calls(found: list[Any]) -> int:
    return sum({one.agent_id: one.calls for one in found}.values())
