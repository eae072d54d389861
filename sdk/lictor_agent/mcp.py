"""Tools of an MCP server, through the gate: a session that asks before each call, publishes it and answers for it.

    async with mcp.Client("http://localhost:8000/mcp") as session:
        files = lictor_agent.mcp.guarded(session, "files")
        await files.call_tool("read", {"path": "notes.txt"})

Needs no import of the `mcp` package: whatever has `call_tool` and `list_tools` will do.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from lictor_agent import wire
from lictor_agent.context import current_run
from lictor_agent.errors import BadConfiguration
from lictor_agent.tools import declared


class Session(Protocol):
    """An MCP client session, as far as tools go."""

    async def call_tool(self, name: str, arguments: dict[str, Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        """Call a tool of the server."""

    async def list_tools(self, *args: Any, **kwargs: Any) -> Any:
        """List the server's tools."""


class Guarded:
    """Stands in the place of a session. A tool is known to the gate as `server.tool`. All else goes to the session."""

    def __init__(self, session: Session, server: str, origin: str) -> None:
        wire.must_be_origin(origin)
        self._session = session
        self._server = server
        self._origin = origin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def call_tool(self, name: str, arguments: Mapping[str, Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        """Ask the gate, call the tool with what it allows, publish the result. Raises `ToolDenied` and `AgentStopped`."""
        run, tool_name = current_run(), f"{self._server}.{name}"
        if run is None:
            raise BadConfiguration(f"MCP tool {tool_name} was called outside a run: use `with agent.run():`")
        given = dict(arguments or {})
        async with run.tool(tool_name, **given) as call:
            answer = await self._session.call_tool(name, call.given(given), *args, **kwargs)
            call.result(text_of(answer), origin=self._origin)
        return answer

    async def declarations(self) -> list[wire.DeclaredTool]:
        """Return the server's tools as a run declares them, each with the digest of its definition."""
        found = []
        for tool in (await self._session.list_tools()).tools:
            definition = tool.model_dump(mode="json", exclude_none=True)
            found.append(wire.DeclaredTool(wire.name_of(f"{self._server}.{tool.name}"), declared(definition).digest))
        return found


def guarded(session: Session, server: str, *, origin: str = "tool") -> Guarded:
    """Return a session whose tool calls go through the gate. `origin`: where what the server returns comes from."""
    return Guarded(session, server, origin)


def text_of(answer: Any) -> object:
    """Return what an MCP result says, as text where it is text; else as JSON can say it."""
    content = getattr(answer, "content", None)
    if not isinstance(content, list):
        return wire.plain_json(answer)
    parts = [getattr(part, "text", None) or wire.plain_json(_dumped(part)) for part in content]
    return "\n".join(part if isinstance(part, str) else str(part) for part in parts)


def _dumped(part: Any) -> Any:
    dump = getattr(part, "model_dump", None)
    return dump(mode="json", exclude_none=True) if callable(dump) else part
