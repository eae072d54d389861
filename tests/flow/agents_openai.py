"""OpenAI Agents SDK agents that never give up: parallel function tools, plain and async, every error retried."""

from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
from agents.testing import function_call

from lictor_agent import Run, tool
from tests.flow.agents_stopped import Journal, hosted_in_asyncio


class Eager(Model):
    """Wants both tools again and again; itself behind the gate."""

    def __init__(self, run: Run, journal: Journal) -> None:
        self.run, self.journal, self.turns = run, journal, 0

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        """Ask for one plain and two async calls."""
        async with self.run.model_call("scripted", provider="openai"):
            await self.journal.model_async(self.run.run_id)
        self.turns += 1
        names = ("write", "write_async", "write_async")
        wanted = [function_call(name, {}, call_id=f"{self.turns}-{n}") for n, name in enumerate(names)]
        return ModelResponse(output=wanted, usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Nobody streams here."""
        raise NotImplementedError


async def forever(run: Run, journal: Journal) -> None:
    """Run the agent again whatever comes out."""

    @function_tool
    @tool("notes.write")
    def write() -> str:
        """Write a note, in a thread."""
        journal.tool(run.run_id)
        return "written"

    @function_tool
    @tool("notes.write")
    async def write_async() -> str:
        """Write a note."""
        await journal.tool_async(run.run_id)
        return "written"

    eager: Agent[None] = Agent(name="eager", model=Eager(run, journal), tools=[write, write_async])
    while True:
        try:
            await Runner.run(eager, "go on", max_turns=20, run_config=RunConfig(tracing_disabled=True))
        except Exception:  # noqa: BLE001, S112 - this agent retries whatever happens
            continue


host = hosted_in_asyncio(forever)
