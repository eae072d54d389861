"""Which run, trace and conversation this thread or task is in."""

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lictor_agent.run import Run

current: Final[contextvars.ContextVar["Run | None"]] = contextvars.ContextVar("lictor_run", default=None)
_trace: Final[contextvars.ContextVar[tuple["Run | None", str]]] = contextvars.ContextVar(
    "lictor_trace", default=(None, "")
)
_conversation: Final[contextvars.ContextVar[tuple["Run | None", str]]] = contextvars.ContextVar(
    "lictor_conversation", default=(None, "")
)


def current_run() -> "Run | None":
    """Return the run that this thread or task is in; None outside any."""
    return current.get()


def trace_in(run: "Run") -> str:
    """Return the trace of the innermost `with run.trace()` of this run; "" outside any."""
    owner, trace_id = _trace.get()
    return trace_id if owner is run else ""


def conversation_in(run: "Run") -> str:
    """Return the conversation of the innermost `with run.conversation()` of this run; "" outside any."""
    owner, conversation_id = _conversation.get()
    return conversation_id if owner is run else ""


@contextmanager
def in_run(run: "Run", trace_id: str = "") -> Iterator[None]:
    """Make a run the current one in this thread or task; with its trace, if one is given."""
    token = current.set(run)
    inner = _trace.set((run, trace_id)) if trace_id else None
    try:
        yield
    finally:
        if inner is not None:
            _trace.reset(inner)
        current.reset(token)


@contextmanager
def in_trace(run: "Run", trace_id: str) -> Iterator[str]:
    """Put the steps of this block into a trace."""
    token = _trace.set((run, trace_id))
    try:
        yield trace_id
    finally:
        _trace.reset(token)


@contextmanager
def in_conversation(run: "Run", conversation_id: str) -> Iterator[str]:
    """Say of the steps of this block that they belong to a conversation."""
    token = _conversation.set((run, conversation_id))
    try:
        yield conversation_id
    finally:
        _conversation.reset(token)
