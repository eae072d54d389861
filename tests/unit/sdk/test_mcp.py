"""Tools of a real MCP server go through the gate, and what they return is published with where it comes from."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer

from lictor_agent import BadConfiguration, ToolDenied, mcp
from tests.unit.sdk._agents import Lab


def served(work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Connect to a server with two tools; return what `work` makes of the session."""
    server = MCPServer("files")

    @server.tool()
    def read(path: str) -> str:
        """Return a file."""
        return f"content of {path}"

    @server.tool()
    def wipe() -> str:
        """Delete everything."""
        pytest.fail("the tool of a refused call ran")

    async def main() -> Any:
        async with Client(server) as session:
            return await work(session)

    return asyncio.run(main())


def grants(lab: Lab) -> None:
    """Allow reading, narrowed to one folder's notes, and nothing else."""
    rewrite = {"arguments.path": {"shorten": 9}}
    read = {"id": "read", "effect": "narrow", "tools": ["files.read"], "narrow": rewrite}
    lab.policy(version=2, layers=[{"name": "org", "grants": [read]}])


def test_a_call_is_asked_narrowed_published_and_answered_for(lab: Lab) -> None:
    """A tool server would be a way around the gate."""
    grants(lab)

    async def work(session: Any) -> str:
        files = mcp.guarded(session, "files", origin="file")
        async with lab.agent.run():
            answer = await files.call_tool("read", {"path": "notes.txt.secret"})
        return str(answer.content[0].text)

    assert served(work) == "content of notes.txt"
    call, result = (step for step in lab.steps() if step.tool)
    assert (call.tool, call.arguments, call.asked) == (
        "files.read",
        {"path": "notes.txt"},
        {"path": "notes.txt.secret"},
    )
    assert (result.text, result.origin, result.outcome) == ("content of notes.txt", "file", "executed")


def test_a_refused_call_does_not_reach_the_server(lab: Lab) -> None:
    """A refusal would come after the files are gone."""
    grants(lab)

    async def work(session: Any) -> None:
        files = mcp.guarded(session, "files")
        async with lab.agent.run():
            with pytest.raises(ToolDenied):
                await files.call_tool("wipe")

    served(work)


def test_outside_a_run_it_refuses_to_act() -> None:
    """A tool server would be used unseen."""

    async def work(session: Any) -> None:
        with pytest.raises(BadConfiguration, match="outside a run"):
            await mcp.guarded(session, "files").call_tool("read", {"path": "x"})

    served(work)


def test_its_tools_are_declared_with_digests_and_the_rest_goes_to_the_session() -> None:
    """A tool whose description was changed after it was approved could not be noticed."""

    async def work(session: Any) -> tuple[list[tuple[str, bool]], int]:
        files = mcp.guarded(session, "files")
        declared = await files.declarations()
        listed = await files.list_tools()
        return [(tool.name, bool(tool.digest)) for tool in declared], len(listed.tools)

    assert served(work) == ([("files.read", True), ("files.wipe", True)], 2)
