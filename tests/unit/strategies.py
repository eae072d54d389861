"""Hypothesis strategies: what an agent, honest or not, may send. Everything they make is a well-formed step."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from schemas.step import Cut, DeclaredTool, Gate, Step
from tests.unit.builders import NOW, SECOND, TRACE, a_step

FAR = (1 << 53) - 1
_WORDS = ["get", "send", "email", "delete", "run", "pay", "customer", "web", "zzz", "a\nb", "Mail\x1b[2J"]
_JOINTS = [".", "_", "", "-"]
_LINKS = ["https://evil.example/a?b=1", "bob@example.com", "10.0.0.7", "1.2.3.\u00b2", "\u0661.2.3.4", "..", "a\u202eb"]


def examples(count: int) -> settings:
    """Return settings: this many examples, the same in every run, however slow the machine is."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=slow)


def texts(most: int = 60) -> SearchStrategy[str]:
    """Return strategies of text that JSON can carry, with links and addresses among it."""
    free = st.text(st.characters(exclude_categories=["Cs"]), max_size=most)
    spoken = st.lists(st.sampled_from([*_WORDS, *_LINKS]), max_size=6).map(" ".join)
    return free | spoken


def tool_names() -> SearchStrategy[str]:
    """Return strategies of tool names: made of known words, and of anything at all."""
    spoken = st.tuples(st.sampled_from(_WORDS), st.sampled_from(_JOINTS), st.sampled_from(_WORDS)).map("".join)
    return spoken | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def json_values(most: int = 8) -> SearchStrategy[Any]:
    """Return strategies of JSON values, huge numbers included."""
    numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | st.just(10**400)
    leaves = st.none() | st.booleans() | numbers | texts(20)
    keys = st.sampled_from(["to", "url", "body", "amount"]) | texts(8)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner), max_leaves=most
    )


def arguments() -> SearchStrategy[dict[str, Any]]:
    """Return strategies of a call's arguments."""
    return st.dictionaries(st.sampled_from(["to", "url", "text", "amount", "path"]) | texts(8), json_values())


def gates() -> SearchStrategy[Gate]:
    """Return strategies of what a gate may have said."""
    verdicts = st.sampled_from(["allow", "deny", "ask", "hold", "narrow"])
    return st.builds(
        Gate, verdicts, grant=texts(20), rule=st.sampled_from(["grant", "budget:steps", "clearance"]) | texts(9)
    )


_COUNTS = st.integers(0, 9) | st.just(FAR)
_COSTS = st.sampled_from([0.0, 0.25, 1e308])
_ORIGINS = st.sampled_from(["user", "operator", "agent", "tool", "web", "file", "memory"])
_NAMES = texts(12)
_FIELDS: dict[str, SearchStrategy[Any]] = {
    "tool": tool_names(),
    "arguments": arguments(),
    "gate": gates(),
    "text": texts(120),
    "origin": _ORIGINS,
    "outcome": st.sampled_from(["executed", "denied", "failed", "unknown"]),
    "model": _NAMES,
    "to_agent": _NAMES,
    "memory_id": _NAMES,
    "cut": st.dictionaries(texts(10), st.builds(Cut, _COUNTS, _NAMES), max_size=2),
    "tools": st.lists(st.builds(DeclaredTool, tool_names(), _NAMES), max_size=3).map(tuple),
    "delegation": st.lists(_NAMES, max_size=3).map(tuple),
    "input_tokens": _COUNTS,
    "output_tokens": _COUNTS,
    "cost_usd": _COSTS,
    "drill": _NAMES,
    "error": _NAMES,
    "owner": _NAMES,
    "reason": st.sampled_from(["done", "failed", "stopped"]),
}
_SAID: dict[str, tuple[str, ...]] = {
    "run_started": ("tools", "owner", "drill"),
    "run_ended": ("reason", "error"),
    "heartbeat": (),
    "message": ("text", "origin", "cut"),
    "model_call": ("model", "text", "input_tokens", "output_tokens", "cost_usd", "gate"),
    "tool_call": ("tool", "arguments", "gate", "delegation", "drill"),
    "tool_result": ("tool", "text", "origin", "outcome", "cut"),
    "handoff": ("to_agent", "text", "gate"),
    "memory_read": ("memory_id", "text", "origin"),
    "memory_write": ("memory_id", "text", "tool"),
}
_PLACES = st.fixed_dictionaries(
    {
        "agent_id": st.sampled_from(["invoice-bot", "invoice-bot", "stranger", "r\u00e9gie"]),
        "run_id": st.sampled_from(["run-1", "run-1", "run-2"]),
        "trace_id": st.sampled_from([TRACE, TRACE, "", "0af7651916cd43dd8448eb211c80319c"]),
        "seq": st.integers(1, 90) | st.just(FAR),
        "time_us": st.integers(NOW, NOW + 10**5 * SECOND) | st.sampled_from([0, -(1 << 62), 1 << 62]),
    }
)


def _of_kind(kind: str) -> SearchStrategy[Step]:
    said = st.fixed_dictionaries({}, optional={name: _FIELDS[name] for name in _SAID[kind]})
    return st.builds(lambda place, fields: a_step(kind, **place, **fields), _PLACES, said)


def steps(kinds: tuple[str, ...] = tuple(_SAID)) -> SearchStrategy[Step]:
    """Return strategies of steps of these kinds, from a few runs and traces, in any order of `seq`."""
    return st.one_of(*map(_of_kind, kinds))
