"""`@tool`: a function behind the gate. And what an agent declares of its tools."""

import functools
import hashlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from lictor_agent import wire
from lictor_agent.calls import Call
from lictor_agent.context import current_run
from lictor_agent.errors import BadConfiguration
from lictor_agent.wire import MAX_BODY

P = ParamSpec("P")
R = TypeVar("R")


def tool(name: str = "", *, origin: str = "tool") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Put a function behind the gate: calls of it inside a run are asked, published and answered for.

    Works for plain and async functions, and for generators of both kinds. `origin` says where its results come from.
    Where the gate narrows a call, the function gets the narrowed arguments. Outside a run it raises `BadConfiguration`:
    a tool must not act unseen.
    """
    wire.must_be_origin(origin)

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        guarded = _Guarded(function, name or _name_of(function), origin)
        if inspect.isasyncgenfunction(function):
            made: Any = guarded.async_generator
        elif inspect.isgeneratorfunction(function):
            made = guarded.generator
        else:
            made = guarded.asynchronous if inspect.iscoroutinefunction(function) else guarded.sync
        return cast("Callable[P, R]", _like(function, made))

    return wrap


class _Guarded:
    """A function, and the four ways to call it through the gate."""

    def __init__(self, function: Callable[..., Any], name: str, origin: str) -> None:
        self.function = function
        self.name = name
        self.origin = origin
        self.signature = inspect.signature(function)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, inspect.BoundArguments]:
        run = current_run()
        if run is None:
            raise BadConfiguration(f"tool {self.name} was called outside a run: use `with agent.run():`, or `run.bind`")
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return run.tool(self.name, **bound.arguments), bound

    def _narrowed(self, call: Call, bound: inspect.BoundArguments) -> inspect.BoundArguments:
        bound.arguments = call.given(bound.arguments)
        return bound

    def sync(self, *args: Any, **kwargs: Any) -> Any:
        call, bound = self._call(args, kwargs)
        with call:
            bound = self._narrowed(call, bound)
            value = self.function(*bound.args, **bound.kwargs)
            if inspect.iscoroutine(value):
                value.close()
                raise BadConfiguration(f"tool {self.name} returned a coroutine: put @tool on the async function itself")
            return call.result(value, origin=self.origin)

    async def asynchronous(self, *args: Any, **kwargs: Any) -> Any:
        call, bound = self._call(args, kwargs)
        async with call:
            bound = self._narrowed(call, bound)
            return call.result(await self.function(*bound.args, **bound.kwargs), origin=self.origin)

    def generator(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        call, bound = self._call(args, kwargs)
        with call:
            bound = self._narrowed(call, bound)
            parts = _Parts()
            for part in self.function(*bound.args, **bound.kwargs):
                call.result(parts.add(part), origin=self.origin)
                yield part

    async def async_generator(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        call, bound = self._call(args, kwargs)
        async with call:
            bound = self._narrowed(call, bound)
            parts = _Parts()
            async for part in self.function(*bound.args, **bound.kwargs):
                call.result(parts.add(part), origin=self.origin)
                yield part


class _Parts:
    """What a generator has yielded so far, as one text, no longer than will be published."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, part: object) -> str:
        if len(self._text) <= MAX_BODY:
            self._text += part if isinstance(part, str) else f"{wire.plain_json(part)}\n"
        return self._text


def _like(function: Callable[..., Any], made: Callable[..., Any]) -> Callable[..., Any]:
    """Return `made` as a plain function that looks like `function`, so that frameworks read its signature and doc."""
    if inspect.isasyncgenfunction(made):

        async def yielding(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for part in made(*args, **kwargs):
                yield part

        return functools.wraps(function)(yielding)
    if inspect.iscoroutinefunction(made):

        async def waiting(*args: Any, **kwargs: Any) -> Any:
            return await made(*args, **kwargs)

        return functools.wraps(function)(waiting)

    def calling(*args: Any, **kwargs: Any) -> Any:
        return made(*args, **kwargs)

    return functools.wraps(function)(calling)


def _name_of(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def declared(tool: str | Mapping[str, Any]) -> wire.DeclaredTool:
    """Return what a run says of a tool it has: its name, and the digest of its function or MCP schema if there is one."""
    if isinstance(tool, str):
        return wire.DeclaredTool(wire.name_of(tool))
    inner = tool.get("function")
    schema: Mapping[str, Any] = inner if isinstance(inner, Mapping) else tool
    return wire.DeclaredTool(wire.name_of(str(schema.get("name", ""))) or "?", digest_of(dict(schema)))


def digest_of(definition: object) -> str:
    """Return the digest under which a definition (a tool's schema, a prompt, an MCP server) is known."""
    return hashlib.blake2b(wire.canonical(wire.plain_json(definition)), digest_size=16).hexdigest()
