"""What a rule can ask of a step: Lictor's own names, and those that published rules of `product: ai_agent` use.

A field has no, one or several values; a test passes if one of them does. What steps cannot tell is not a field: a rule that
asks for it is refused rather than never firing.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from detectors.base import Seen
from detectors.engine.firings import Value
from detectors.words import host_of, is_place, strings_in, words
from schemas.ids import canonical
from schemas.policy import EFFECTS

MOST_VALUES: Final = 1 << 16


class Context(Protocol):
    """What is known beside the step: of its trace, its run and its agent."""

    def value(self, name: str) -> tuple[Value, ...]:
        """Return the values of one of `CONTEXT`, or of `value.origin.NAME`."""


CONTEXT: Final[Mapping[str, str]] = {
    "flow.read": "what the trace has read so far: `untrusted`, `sensitive`",
    "flow.ordered": "kinds of doing that untrusted content has ordered: `visit send pay run change`",
    "value.origin": "where the values of this call's short arguments were first seen: `person`, `untrusted`, `unknown`",
    "tool.first_use": "`true` where the run calls this tool for the first time in the trace",
    "run.steps": "steps of the run in this trace so far",
    "run.tool_calls": "tool calls of the run in this trace so far",
    "run.model_calls": "model calls of the run in this trace so far",
    "run.tokens": "tokens of the run in this trace so far",
    "run.cost_usd": "cost of the run in this trace so far, in US dollars",
    "run.seconds": "seconds since the run's first step in this trace",
    "run.handoffs": "hand-overs of the run in this trace so far",
    "trace.agents": "how many runs take part in the trace",
    "agent.registered": "`true` where a policy names the agent",
    "agent.mode": "the agent's mode: `observe ask enforce`",
    "agent.owner": "the agent's owner, from the policy",
    "agent.criticality": "`low normal high`, from the policy",
}
"""Name → what it says."""

Reader = Callable[[Seen], tuple[Value, ...]]


def _attribute(name: str) -> Reader:
    def read(seen: Seen) -> tuple[Value, ...]:
        value = getattr(seen.step, name)
        return (value,) if value not in ("", None) else ()

    return read


def _counter(name: str) -> Reader:
    def read(seen: Seen) -> tuple[Value, ...]:
        return (getattr(seen.step, name),)

    return read


def _several(name: str) -> Reader:
    def read(seen: Seen) -> tuple[Value, ...]:
        return tuple(getattr(seen.step, name))

    return read


def _of_gate(name: str) -> Reader:
    def read(seen: Seen) -> tuple[Value, ...]:
        return (getattr(seen.step.gate, name),) if seen.step.gate is not None else ()

    return read


def _traits(seen: Seen) -> tuple[Value, ...]:
    return tuple(sorted(seen.traits))


def arguments_of(seen: Seen) -> tuple[Value, ...]:
    """Return every text and number in the arguments of a call."""
    return tuple(text for _, text in _leaves(seen))


def _leaves(seen: Seen) -> Iterator[tuple[str, str]]:
    for number, leaf in enumerate(strings_in(seen.step.arguments or {})):
        if number >= MOST_VALUES:
            return
        yield leaf


def _argument_names(seen: Seen) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(path.rpartition(".")[2] for path, _ in _leaves(seen)))


def _arguments_json(seen: Seen) -> tuple[Value, ...]:
    return (canonical(seen.step.arguments).decode("utf-8", "replace"),) if seen.step.arguments else ()


def _places(seen: Seen) -> tuple[Value, ...]:
    found = (host_of(word) for _, text in _leaves(seen) for word in words(text[:4096]) if is_place(word))
    return tuple(dict.fromkeys(host for host in found if host))


def _domains(seen: Seen) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(".".join(str(host).split(".")[-2:]) for host in _places(seen)))


def named(*names: str) -> Reader:
    """Return a reader of the arguments of these names, wherever in the arguments they stand."""
    wanted = frozenset(names)

    def read(seen: Seen) -> tuple[Value, ...]:
        return tuple(text for path, text in _leaves(seen) if path.rpartition(".")[2].casefold() in wanted)

    return read


@functools.lru_cache(maxsize=4096)
def argument(path: str) -> Reader:
    """Return a reader of one argument by its path below `arguments`; lists are looked through."""
    parts = path.split(".")

    def read(seen: Seen) -> tuple[Value, ...]:
        return tuple(_walk(seen.step.arguments, parts))

    return read


def _walk(value: Any, parts: list[str]) -> Iterator[Value]:
    if isinstance(value, list):
        for item in value[:MOST_VALUES]:
            yield from _walk(item, parts)
    elif parts and isinstance(value, dict):
        if parts[0] in value:
            yield from _walk(value[parts[0]], parts[1:])
    elif not parts and isinstance(value, bool):
        yield "true" if value else "false"
    elif not parts and isinstance(value, str | int | float):
        yield value


_PATHS: Final = named(
    "path", "file", "file_path", "filepath", "filename", "file_name", "target_file", "source", "destination"
)
_URLS: Final = named("url", "uri", "link", "href", "endpoint", "address", "site", "website", "webhook", "webhook_url")
_COMMANDS: Final = named("command", "cmd", "commands", "script", "code", "shell", "bash", "input", "program", "args")
_QUERIES: Final = named("query", "q", "search", "search_query", "sql")
_CONTENTS: Final = named(
    "content", "contents", "body", "text", "data", "new_content", "file_text", "message", "new_str", "value"
)


def _endings(seen: Seen) -> tuple[Value, ...]:
    """Return what the files' names end in, with the dot."""
    names = (str(path).rpartition("/")[2] for path in _PATHS(seen))
    return tuple("." + name.rpartition(".")[2] for name in names if "." in name)


def _events(seen: Seen) -> tuple[Value, ...]:
    """Return what published rules would call this kind of step; several names may fit."""
    step = seen.step
    found = [*_EVENTS.get(step.kind, ())]
    if step.kind == "message":
        found += _MESSAGES.get(step.origin, ())
    if step.kind == "tool_call":
        found += [event for event, fits in _CALLS.items() if fits(seen)]
    if step.kind == "tool_result" and "reads_untrusted" in seen.traits:
        found += _RETRIEVALS
    return tuple(found)


_RETRIEVALS: Final = ("content_retrieval", "document_retrieval", "web_content", "file_content")
_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "tool_call": ("tool_call", "tool_execution", "tool_invocation"),
    "tool_result": ("tool_response", "tool_result", "tool_output"),
    "model_call": ("model_call", "output_generation", "llm_output", "llm_response", "model_response", "agent_output"),
    "handoff": ("agent_message", "agent_handoff", "handoff", "delegation"),
    "memory_read": ("memory_read", "memory_access"),
    "memory_write": ("memory_write", "memory_update", "memory_access"),
    "run_started": ("session_start", "agent_start", "agent_creation"),
    "run_ended": ("session_end", "agent_stop"),
}
_MESSAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("user_input", "user_message", "prompt", "user_prompt"),
    "operator": ("system_prompt", "user_input"),
    "agent": ("agent_message",),
}
_CALLS: Final[Mapping[str, Callable[[Seen], bool]]] = {
    "file_write": lambda seen: "mutates" in seen.traits and bool(_PATHS(seen)),
    "file_edit": lambda seen: "mutates" in seen.traits and bool(_PATHS(seen)),
    "file_read": lambda seen: bool(_PATHS(seen)) and seen.traits.isdisjoint(EFFECTS),
    "exec": lambda seen: "executes_code" in seen.traits,
    "code_execution": lambda seen: "executes_code" in seen.traits,
    "dns_query": lambda seen: not seen.traits.isdisjoint(("executes_code", "egress")),
    "command_execution": lambda seen: "executes_code" in seen.traits,
    "shell_command": lambda seen: "executes_code" in seen.traits,
    "network_request": lambda seen: bool(_places(seen)),
    "outbound_request": lambda seen: "egress" in seen.traits,
    "web_browse": lambda seen: {"egress", "reads_untrusted"} <= seen.traits,
    "web_search": lambda seen: "reads_untrusted" in seen.traits and "search" in seen.step.tool.casefold(),
    "update_tool": lambda seen: "grants_access" in seen.traits and "tool" in seen.step.tool.casefold(),
}


def kinds_of_event(event: str) -> frozenset[str]:
    """Return the kinds of steps that this `event_type` can stand for; none where no step is called so."""
    found = {kind for kind, events in _EVENTS.items() if event in events}
    if event in _CALLS:
        found.add("tool_call")
    if any(event in events for events in _MESSAGES.values()):
        found.add("message")
    return frozenset(found | ({"tool_result"} if event in _RETRIEVALS else set()))


@functools.cache
def event_names() -> frozenset[str]:
    """Return every `event_type` that a step can be called."""
    groups = (*_EVENTS.values(), *_MESSAGES.values(), _RETRIEVALS, tuple(_CALLS))
    return frozenset(name for names in groups for name in names)


def _text_of(*kinds: str) -> Reader:
    wanted = frozenset(kinds)

    def read(seen: Seen) -> tuple[Value, ...]:
        return (seen.step.text,) if seen.step.kind in wanted and seen.step.text else ()

    return read


def _content(seen: Seen) -> tuple[Value, ...]:
    return ((seen.step.text,) if seen.step.text else ()) + _CONTENTS(seen)


OWN: Final[Mapping[str, Reader]] = {
    **{
        name: _attribute(name)
        for name in (
            *(
                "kind",
                "tool",
                "model",
                "provider",
                "agent_id",
                "run_id",
                "trace_id",
                "principal",
                "workflow",
                "version",
            ),
            *(
                "conversation_id",
                "parent_run_id",
                "environment",
                "origin",
                "text",
                "outcome",
                "error",
                "to_agent",
                "memory_id",
            ),
            *("mode", "owner", "reason", "tool_call_id"),
        )
    },
    **{
        name: _counter(name)
        for name in ("input_tokens", "output_tokens", "cost_usd", "duration_us", "seq", "dropped", "time_us")
    },
    **{name: _several(name) for name in ("labels", "delegation")},
    **{f"gate.{name}": _of_gate(name) for name in ("verdict", "grant", "rule", "mode", "policy_version", "waited_us")},
    "traits": _traits,
    "argument": arguments_of,
    "argument_name": _argument_names,
    "destination.host": _places,
    "destination.domain": _domains,
}
"""Lictor's own names."""

PUBLIC: Final[Mapping[str, Reader]] = {
    "event_type": _events,
    "tool_name": _attribute("tool"),
    "tool_input": _arguments_json,
    "arguments": _arguments_json,
    "parameters": _arguments_json,
    "command": _COMMANDS,
    "file_path": _PATHS,
    "url": _URLS,
    "source_url": _URLS,
    "target_host": _places,
    "content": _content,
    "message": _text_of("message", "handoff"),
    "prompt": _text_of("message"),
    "user_input": _text_of("message"),
    "response": _text_of("tool_result", "model_call"),
    "response_text": _text_of("tool_result", "model_call"),
    "output": _text_of("tool_result", "model_call"),
    "query": _QUERIES,
    "request.headers": named("headers", "header"),
    "file_extension": _endings,
    "description": named("description"),
    "code": named("code", "source_code", "script", "snippet", "python", "javascript"),
    "query_length": lambda seen: tuple(float(len(str(text))) for text in _QUERIES(seen)),
    "target": named("target", "destination", "recipient", "to"),
    "model_name": _attribute("model"),
    "user": _attribute("principal"),
    "session_id": _attribute("run_id"),
    "source": lambda seen: tuple(each for each in (seen.step.workflow, seen.step.agent_id) if each),
}
"""Names of published rules → what a step says under them. `source` is the software that events come from: its workflow, and
the agent's own name."""

_READERS: Final = {**PUBLIC, **OWN}
TEXTS: Final = frozenset(
    {"text", "argument", "error", "content", "message", "prompt", "user_input", "response", "response_text"}
)


SAME: Final[Mapping[str, str]] = {
    "session.tool_count": "run.tool_calls",
    "session.step_count": "run.steps",
    "session.cumulative_tokens": "run.tokens",
}
"""Names of published rules for what is known of a run."""


_SUMS: Final = "one step does not tell what a session came to; ask `run.…` and `flow.…`, or write a correlation"
_SEQUENCE: Final = "one step names one tool; write a correlation of type temporal_ordered"
_OTHERS: Final = "the verdict of another detector is no field of a step"
_UNTOLD: Final[Mapping[str, str]] = {
    "session.": _SUMS,
    "handoff.": "steps do not say whether a hand-over was signed; unmarked steps are findings of `lictor.identity`",
    "message.": "a message has a text and an origin; claims inside it are not taken for facts",
    "time_window": "a span of time is no field of a step; write a correlation with `timespan`",
    "time_between": "a span of time is no field of a step; write a correlation with `timespan`",
    "tools_used": _SEQUENCE,
    "tools_sequence": _SEQUENCE,
    "previous_tool": _SEQUENCE,
    "next_tool": _SEQUENCE,
    "pattern": _OTHERS,
    "suspicious_pattern": _OTHERS,
    "suspicious_data_pattern": _OTHERS,
    "visibility_analysis": _OTHERS,
    "description_hash_changed": "a changed definition of a tool is told by the digests that `run_started` carries",
}
"""What published rules ask for and no step tells → what to write instead; a name ending in a dot stands for all below."""


def why_unknown(field: str) -> str:
    """Return why steps cannot answer for a field."""
    for name, why in _UNTOLD.items():
        if field == name or (name.endswith(".") and field.startswith(name)):
            return why
    return "`lictor rules fields` lists what they can"


def is_known(field: str) -> bool:
    """Tell whether steps can answer for a field."""
    return field in _READERS or field in CONTEXT or field in SAME or field.startswith(("arguments.", "value.origin."))


def value_of(field: str, seen: Seen, context: Context) -> tuple[Value, ...]:
    """Return a field's values in a step."""
    reader = _READERS.get(field)
    if reader is not None:
        return reader(seen)
    if field.startswith("arguments."):
        return argument(field[10:])(seen)
    return context.value(SAME.get(field, field))


def is_of_context(field: str) -> bool:
    """Tell whether a field is about more than the step itself."""
    return field in CONTEXT or field.startswith("value.origin.")
