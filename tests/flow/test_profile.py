"""Agents as a whole, on real Kafka: who is there, what is new, who has fallen silent."""

from collections.abc import Callable
from typing import Any

from schemas import ids
from schemas.finding import Finding
from schemas.inventory import Inventory
from schemas.sighting import Sighting
from schemas.step import Step, encode_step, message_key
from streams.records import Output
from tests.flow.world import World, step

POLICY = """
version: 1
defaults: {mode: observe}
agents:
  bot: {owner: ops@example.com, heartbeat_s: 1, grants: [{id: all, effect: allow, tools: ["*"]}]}
  helper: {owner: ops@example.com, grants: [{id: all, effect: allow, tools: ["*"]}]}
"""


def calls(
    count: int, *, tool: str = "crm.read", agent_id: str = "bot", run: str = "run-1", first: int = 1
) -> list[Step]:
    """Return calls of a tool in one trace."""
    trace = ids.named("test.trace", f"{agent_id}/{run}")
    return [
        step(
            agent_id=agent_id,
            run_id=run,
            trace_id=trace,
            seq=first + number,
            kind="tool_call",
            tool=tool,
            text="",
            origin="",
            arguments={"id": number},
        )
        for number in range(count)
    ]


def marked(world: World, steps: list[Step]) -> list[Output]:
    """Return steps as their agents publish them."""
    return [world.marked(one) for one in steps]


def found(world: World, rule: str, agent_id: str = "bot") -> Finding:
    """Wait for a finding of a rule about an agent."""
    wanted = [
        one
        for one in world.await_messages(
            world.topics.findings, Finding, lambda all_: any((f.rule_id, f.agent_id) == (rule, agent_id) for f in all_)
        )
        if (one.rule_id, one.agent_id) == (rule, agent_id)
    ]
    assert len({one.finding_id for one in wanted}) == 1, "one claim, however often it is told"
    return wanted[0]


def told(world: World, agent_id: str, enough: Callable[[Inventory], bool]) -> Inventory:
    """Wait until the inventory says something of an agent."""

    def newest(all_: list[Any]) -> Inventory | None:
        mine = [one for one in all_ if one.agent_id == agent_id]
        return mine[-1] if mine else None

    def is_told(all_: list[Any]) -> bool:
        mine = newest(all_)
        return mine is not None and enough(mine)

    last = newest(world.await_messages(world.topics.inventory, Inventory, is_told))
    assert last is not None
    return last


def test_what_an_agent_is_and_uses_is_known_and_a_new_tool_is_told(make_world: Callable[..., World]) -> None:
    """A one-time audit is out of date at once; an agent that begins to send mail would be noticed at the next one."""
    world = make_world(POLICY)
    with world.running("detect", "profile"):
        world.publish(*marked(world, calls(300)))
        first = told(world, "bot", lambda one: one.calls == 300)
        world.publish(*marked(world, calls(1, tool="mail.send", first=301)))
        new = found(world, "lictor.novelty.use")
        after = told(world, "bot", lambda one: "mail.send" in one.tools)
    assert (first.tools, first.registered, first.owner, first.settled) == (("crm.read",), True, "ops@example.com", True)
    assert first.grants == ("all",)
    assert "mail.send" in new.reason
    assert "in 301 uses there were 1 others" in new.reason or "in 300 uses there were 1 others" in new.reason
    assert after.tools == ("crm.read", "mail.send")


def test_an_agent_nobody_registered_is_told_of_and_one_that_nobody_saw(make_world: Callable[..., World]) -> None:
    """Somebody's script could act in production, and no list would have it."""
    world = make_world(POLICY)
    ghost = step(agent_id="bot", seq=1, kind="handoff", to_agent="ghost", text="", origin="")
    known = step(agent_id="bot", seq=2, kind="handoff", to_agent="helper", text="", origin="")
    with world.running("detect", "profile"):
        world.publish(world.marked(ghost), world.marked(known), *marked(world, calls(1, agent_id="helper")))
        world.publish(*[world.raw(*_bare(one)) for one in calls(3, agent_id="nobody-knows-me")])
        shadow = found(world, "lictor.shadow.agent", "nobody-knows-me")
        unseen = found(world, "lictor.shadow.peer")
        edges = told(world, "bot", lambda one: len(one.delegates_to) == 2)
    assert "no policy names it" in shadow.reason
    assert shadow.identity == "unmarked"
    assert "ghost" in unseen.reason
    assert set(edges.delegates_to) == {"ghost", "helper"}
    assert not [one for one in world.messages(world.topics.findings, Finding) if "helper" in one.reason]


def _bare(one: Step) -> tuple[bytes, str, None]:
    return encode_step(one), message_key(one), None


def test_a_run_that_falls_silent_is_told_of_and_one_that_ended_is_not(make_world: Callable[..., World]) -> None:
    """An agent that hangs, or whose reports somebody cut off, looks like one that has nothing to do."""
    world = make_world(POLICY)
    with world.running("detect", "profile"):
        for run in ("hangs", "ends"):
            beats = [step(run_id=run, trace_id="", seq=seq, kind="heartbeat", text="", origin="") for seq in (1, 2)]
            world.publish(*marked(world, beats), *marked(world, calls(2, run=run)))
        world.publish(world.marked(step(run_id="ends", trace_id="", seq=3, kind="run_ended", text="", origin="")))
        silent = found(world, "lictor.silence.run")
    assert silent.run_id == "hangs"
    assert "has not ended" in silent.reason


def test_what_anybody_writes_in_an_agents_name_does_not_change_its_profile(make_world: Callable[..., World]) -> None:
    """A stranger could make a dangerous tool look like the agent's own, long before he uses it."""
    world = make_world(POLICY)
    with world.running("detect", "profile"):
        world.publish(*[world.raw(*_bare(one)) for one in calls(3, tool="shell.exec")])
        world.publish(*marked(world, calls(3, run="run-2")))
        mine = told(world, "bot", lambda one: one.calls == 3)
    assert mine.tools == ("crm.read",)
    assert {one.name for one in world.messages(world.topics.sightings, Sighting) if one.kind == "tool"} == {"crm.read"}
