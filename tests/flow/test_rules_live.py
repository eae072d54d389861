"""Rules on real Kafka: put in force under load, and put together over agents."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from detectors.engine.engine import Engine
from detectors.engine.load import load_rules
from lictor.bundles import publish_bundle
from lictor.policy_publish import in_force, until_in_force
from schemas.finding import Finding
from schemas.liveness import Liveness
from schemas.rule_bundle import RuleBundle
from schemas.step import read_step
from streams.detect import Detect
from streams.respond import Respond
from tests.flow.load import POLICY, Load
from tests.flow.test_kills import SEED, stack_of
from tests.flow.world import World, step

EVERY_GET = """
title: Every page
name: every_page
logsource: {{product: ai_agent}}
detection: {{get: {{kind: tool_call, tool: web.get}}, condition: get}}
lictor: {{version: {version}}}
"""
REFUNDS = """
title: A refund
name: refund
logsource: {product: ai_agent}
detection: {pay: {kind: tool_call, tool: refunds.create}, condition: pay}
---
title: The fleet refunds too much together
name: refunds_of_all
correlation:
  type: value_sum
  rules: [refund]
  timespan: 1h
  condition: {field: arguments.amount, gt: 1500}
level: high
lictor: {scope: fleet, mode: enforce}
"""


def sources(version: int, more: int) -> dict[str, str]:
    """Return a bundle's files: the rule under test, and others that never fire."""
    quiet = {
        f"quiet/{n}.yml": f"title: Quiet {n}\nname: quiet_{version}_{n}\nlogsource: {{product: ai_agent}}\n"
        f"detection: {{t: {{text|contains: never-{version}-{n}-said}}, condition: t}}\n"
        for n in range(more)
    }
    return {"every.yml": EVERY_GET.format(version=version), **quiet}


def test_new_rules_come_into_force_at_one_offset_and_no_step_goes_unjudged_or_twice(kafka: str, tmp_path: Path) -> None:
    """A reload under load would lose findings, double them, or cost a rebalance in which nobody is watched."""
    world = World(kafka, tmp_path, POLICY)
    with stack_of(world) as stack:
        settings = stack.settings
        asyncio.run(publish_bundle(settings.kafka, settings, world.keys, sources(1, 50)))
        assert asyncio.run(until_in_force(settings, world.keys, 30)).everywhere
        load = Load(world, seed=SEED, steps_per_s=300)
        load.start()
        world.await_records(world.topics.steps, lambda found: len(found) > 300)
        before = words_of_detect(world)[-1]
        bundle = asyncio.run(publish_bundle(settings.kafka, settings, world.keys, sources(2, 300)))
        now = asyncio.run(until_in_force(settings, world.keys, 60))
        assert now.everywhere
        assert now.bundle_version == bundle.version
        seen = len(world.read(world.topics.steps))
        world.await_records(world.topics.steps, lambda found: len(found) > seen + 300)
        load.stop()
        pages = {
            read_step(record.value).step_id: (record.partition, record.offset)
            for record in world.read(world.topics.steps)
            if read_step(record.value).tool == "web.get" and read_step(record.value).kind == "tool_call"
        }
        found = world.await_messages(world.topics.findings, Finding, said_of_all(set(pages)))
        after = last_word_of_detect(world)
    versions = {one.step_id: one.rule_version for one in found if one.rule_id == "sigma.every_page"}
    told = Counter(one.step_id for one in found if one.rule_id == "sigma.every_page")
    assert set(told.values()) == {1}
    since = {int(partition): offset for partition, offset in after.rules_since.items()}
    wrong = {
        step_id: versions[step_id]
        for step_id, (partition, offset) in pages.items()
        if versions[step_id] != (2 if offset >= since.get(partition, offset + 1) else 1)
    }
    assert not wrong
    assert (before.instance, before.partitions) == (after.instance, after.partitions)
    assert set(versions.values()) == {1, 2}


def said_of_all(pages: set[str]) -> Callable[[list[Finding]], bool]:
    """Return whether the rule has spoken of each of these steps."""
    return lambda found: pages <= {one.step_id for one in found if one.rule_id == "sigma.every_page"}


def last_word_of_detect(world: World) -> Liveness:
    """Return what `detect` says of itself next: of all that it has judged by now."""
    known = len(words_of_detect(world))
    world.await_messages(world.topics.liveness, Liveness, lambda found: _of_detect(found) > known)
    return words_of_detect(world)[-1]


def _of_detect(found: list[Liveness]) -> int:
    return sum(word.component == "detect" for word in found)


def words_of_detect(world: World) -> list[Liveness]:
    """Return what `detect` has said of itself so far."""
    words = world.messages(world.topics.liveness, Liveness)
    return [word for word in words if word.component == "detect"]


def test_what_no_single_agent_shows_is_found(kafka: str, tmp_path: Path) -> None:
    """Fifty agents, each under its own limit, would give away a fortune together."""
    world = World(kafka, tmp_path)
    engine = Engine(load_rules({"refunds.yml": REFUNDS}, untested=True).rules)
    with world.running("detect", "respond") as lanes:
        for lane in lanes.values():
            assert isinstance(lane.stream, Detect | Respond)
            lane.stream.take_rules(RuleBundle.of({}, 1, 1), engine)
        for number in range(50):
            call = step(
                f"agent-{number}", f"r{number}", f"{number + 1:032x}", kind="tool_call", tool="refunds.create", origin="",
                text="", arguments={"amount": 40, "order": f"o{number}"},
            )  # fmt: skip
            world.publish(world.marked(call))
        found = world.await_messages(
            world.topics.findings, Finding, lambda said: any(one.rule_id == "sigma.refunds_of_all" for one in said)
        )
    (claim,) = [one for one in found if one.rule_id == "sigma.refunds_of_all"]
    assert "value_sum is 1520" in claim.reason
    assert len(claim.evidence) >= 30


def test_rules_that_cannot_be_loaded_leave_those_before_in_force(kafka: str, tmp_path: Path) -> None:
    """One bad file would leave all agents without any rule."""
    world = World(kafka, tmp_path, POLICY)
    with stack_of(world) as stack:
        settings = stack.settings
        good = asyncio.run(publish_bundle(settings.kafka, settings, world.keys, sources(1, 3)))
        assert asyncio.run(until_in_force(settings, world.keys, 30)).everywhere
        bad = {
            **sources(1, 3),
            "bad.yml": "title: Bad\nlogsource: {product: windows}\ndetection: {a: {b: c}, condition: a}\n",
        }
        asyncio.run(publish_bundle(settings.kafka, settings, world.keys, bad))
        ends = time.monotonic() + 30
        now = asyncio.run(in_force(settings, world.keys))
        while not all(worker.error for worker in now.workers):
            assert time.monotonic() < ends
            now = asyncio.run(in_force(settings, world.keys))
        assert not now.everywhere
        assert {worker.bundle_version for worker in now.workers} == {good.version}
        assert all("windows" in worker.error for worker in now.workers)
