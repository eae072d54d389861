"""The reference page of the SDK: what an agent's developer may call, as the code says it."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import lictor_agent
from lictor_agent import calls, mcp

_OURS: Final = frozenset({"beat", "forked", "forget", "has_read", "obey", "say_started"})
"""Methods of a run that the SDK's own parts call."""
_AGENT: Final = ("run", "close")
MOST_LENGTH: Final = 100
_CALL: Final = ("result", "given")
_MODEL: Final = ("used", "said")


def lines() -> Iterator[str]:
    """Yield the page."""
    yield "# The SDK"
    yield ""
    yield "`import lictor_agent`. Everything here works in threads and in asyncio; what is a context manager is one for `with`"
    yield "and for `async with`. [Your first agent](../how-to/first-agent.md) shows how the parts go together."
    yield ""
    yield from _function("lictor_agent.connect", lictor_agent.connect)
    yield from _class("Agent", lictor_agent.Agent, _AGENT)
    yield from _class("Run", lictor_agent.Run, [name for name in _public(lictor_agent.Run) if name not in _OURS])
    yield from _class("Call", calls.Call, _CALL)
    yield from _class("ModelCall", calls.ModelCall, _MODEL)
    yield from _function("lictor_agent.tool", lictor_agent.tool)
    yield from _function("lictor_agent.current_run", lictor_agent.current_run)
    yield from _function("lictor_agent.mcp.guarded", mcp.guarded)
    yield "## Errors"
    yield ""
    for error in (lictor_agent.ToolDenied, lictor_agent.AgentStopped, lictor_agent.BadConfiguration):
        yield f"**`{error.__name__}`** (`{error.__mro__[1].__name__}`). {_text(error)}"
        yield ""


def _public(kind: type[Any]) -> list[str]:
    return [name for name, found in vars(kind).items() if not name.startswith("_") and callable(found)]


def _class(name: str, kind: type[Any], methods: "tuple[str, ...] | list[str]") -> Iterator[str]:
    yield f"## `{name}`"
    yield ""
    yield _text(kind)
    yield ""
    for method in methods:
        yield from _function(method, getattr(kind, method), level="###")


def _function(name: str, function: Callable[..., Any], level: str = "##") -> Iterator[str]:
    yield f"{level} `{name}`"
    yield ""
    yield "```text"
    yield f"{name.rpartition('.')[2]}{_signature(function)}"
    yield "```"
    yield ""
    yield _text(function)
    yield ""


def _signature(function: Callable[..., Any]) -> str:
    """Return a function's parameters, without `self` and without the modules its types come from."""
    found = inspect.signature(function)
    kept = [parameter for name, parameter in found.parameters.items() if name != "self"]
    whole = _plain(str(found.replace(parameters=kept)))
    if len(whole) <= MOST_LENGTH:
        return whole
    parts = [_plain(str(parameter)) for parameter in kept]
    if kept[0].kind is inspect.Parameter.KEYWORD_ONLY:
        parts.insert(0, "*")
    return "(\n    " + ",\n    ".join(parts) + f",\n) -> {whole.rpartition(' -> ')[2]}"


def _plain(text: str) -> str:
    text = re.sub(r"\b(?:lictor_agent|collections|typing|contextlib)(?:\.\w+)*\.(?=\w)", "", text).replace("~", "")
    return re.sub(r"(?<!= )'([^']+)'", r"\1", text).replace("'", '"')


def _text(found: Any) -> str:
    return inspect.cleandoc(found.__doc__ or "")
