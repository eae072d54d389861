"""A stop cancels the body of a call, and never what the same task does after it."""

import asyncio

import pytest

from lictor_agent import AgentStopped
from tests.unit.sdk._agents import Lab


def test_a_stop_does_not_cancel_what_follows_a_call_that_has_ended(lab: Lab) -> None:
    """A run would end in a bare CancelledError, somewhere in a framework, and nobody be told that it was stopped."""

    async def work() -> None:
        async with lab.agent.run() as run:
            async with run.tool("notes.write"):
                lab.hear(
                    lab.order("stop", run.run_id)
                )  # the loop is told to cancel, and the body ends before the loop gets to it
            await asyncio.sleep(0)
            run.message("the next thing is refused")

    with pytest.raises(AgentStopped):
        asyncio.run(work())
