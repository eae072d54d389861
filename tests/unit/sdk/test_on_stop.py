"""How a run is stopped: what is under way, the agent's own tidying up, and when the stop is called effective."""

import asyncio
import threading
from typing import Any

import pytest

from lictor_agent import AgentStopped, Run, Stop
from tests.unit.sdk._agents import Lab


def statuses(lab: Lab) -> list[str]:
    """Return what was answered."""
    return [receipt.status for receipt in lab.receipts()]


def effective(lab: Lab) -> None:
    """Wait until the stop is called effective."""
    with lab.queue.moved:
        assert lab.queue.moved.wait_for(lambda: "effective" in statuses(lab), 30)


def test_a_stop_is_effective_once_the_agent_has_tidied_up(lab: Lab) -> None:
    """A stop would count as done while the agent's browser still runs."""
    told: list[Stop] = []
    begun, go_on = threading.Event(), threading.Event()

    def tidy(stop: Stop) -> None:
        told.append(stop)
        begun.set()
        go_on.wait()

    with lab.agent.run(on_stop=tidy) as run:
        lab.hear(lab.order("stop", run.run_id, reason="it sends mail"))
        assert begun.wait(30)
        assert statuses(lab) == ["received"]
        go_on.set()
        effective(lab)
    assert [(stop.command_id, stop.reason) for stop in told] == [("c-1", "it sends mail")]


def test_an_agent_that_does_not_come_to_an_end_does_not_hold_up_the_stop(lab: Lab) -> None:
    """An agent could never be said to be stopped."""
    lab.policy(version=2, stop={"on_stop_ms": 10})
    release = threading.Event()
    with lab.agent.run(on_stop=lambda _: release.wait()) as run:
        lab.hear(lab.order("stop", run.run_id))
        effective(lab)
        release.set()


def test_tidying_up_that_fails_does_not_hold_up_the_stop(lab: Lab) -> None:
    """A mistake in the agent would keep its stop from being proven."""

    def tidy(_: Stop) -> None:
        raise AgentStopped("no", command_id="", run_id="")

    with lab.agent.run(on_stop=tidy) as run:
        lab.hear(lab.order("stop", run.run_id))
        effective(lab)


def test_an_async_agent_tidies_up_in_its_own_loop(lab: Lab) -> None:
    """A browser that belongs to one event loop would be closed in another, and stay open."""
    loops: list[Any] = []

    async def tidy(_: Stop) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    async def main() -> object:
        async with lab.agent.run(on_stop=tidy) as run:
            await asyncio.to_thread(lab.hear, lab.order("stop", run.run_id))
            await asyncio.to_thread(effective, lab)
        return asyncio.get_running_loop()

    assert [asyncio.run(main())] == loops


@pytest.mark.parametrize("by", ["policy", "command"])
def test_where_it_is_to_drain_what_is_under_way_ends_by_itself(lab: Lab, by: str) -> None:
    """A transfer would be cut off in the middle although the owner said that it must not be."""
    if by == "policy":
        lab.policy(version=2, stop={"how": "drain"})
    arguments = {"how": "drain"} if by == "command" else {}

    async def work(run: Run, begun: asyncio.Event, go_on: asyncio.Event) -> str:
        async with run.tool("crm.read"):
            begun.set()
            await go_on.wait()
        return "whole"

    async def main() -> tuple[str, str]:
        async with lab.agent.run() as run:
            begun, go_on = asyncio.Event(), asyncio.Event()
            task = asyncio.create_task(work(run, begun, go_on))
            await begun.wait()
            await asyncio.to_thread(lab.hear, lab.order("stop", run.run_id, arguments=arguments))
            with pytest.raises(AgentStopped):
                run.check()
            before = statuses(lab)[-1]
            go_on.set()
            return await task, before

    assert asyncio.run(main()) == ("whole", "received")
    assert statuses(lab) == ["received", "effective"]


def test_a_call_that_ends_as_the_stop_comes_does_not_take_its_task_along(lab: Lab) -> None:
    """A task that had nothing to do with the stopped call any more would be cancelled."""

    async def main() -> str:
        async with lab.agent.run() as run:
            async with run.tool("crm.read") as call:
                pass
            call.cancel()  # as a stop does that saw the call still executing
            await asyncio.sleep(0)
            return "went on"

    assert asyncio.run(main()) == "went on"


def test_a_run_beats_while_it_lives_and_not_after_its_stop(lab: Lab) -> None:
    """A stopped run would seem to go on, or a silent one to be dead."""
    with lab.agent.run() as run:
        run.beat()
        lab.hear(lab.order("stop", run.run_id))
        run.beat()
    assert [step.kind for step in lab.steps()] == ["run_started", "heartbeat", "run_ended"]


def test_the_heart_beats_as_often_as_the_policy_says(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that hangs, and one that is gone, would look the same."""
    monkeypatch.setattr(type(lab.agent), "heartbeat_s", lambda _: 0.01)
    with lab.agent.run(), lab.queue.moved:
        assert lab.queue.moved.wait_for(lambda: [s.kind for s in lab.steps()].count("heartbeat") >= 3, 30)
    lab.agent._heart.stop()
