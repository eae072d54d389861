"""Steps as bytes: the same fields in the same order as Lictor's schema, the same ids and digests.

Lictor's `schemas/step.py` is the other side; `tests/contract/` holds both to the same vectors.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from lictor_agent.errors import LictorAgentError

STEP_VERSION: Final = 1
MAX_BODY: Final = 64 * 1024
"""Characters; a longer body is cut: preview, length, digest."""
PREVIEW: Final = 4096


ORIGINS: Final = ("user", "operator", "agent", "tool", "web", "file", "memory")
MAX_BITS: Final = 14_000
"""A longer integer has more digits than Python turns into text; it is published as hexadecimal text."""
NAME: Final = 128
"""Characters; names of tools, models, agents, principals."""


class Gate(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the gate said."""

    verdict: str
    grant: str = ""
    policy_version: int = 0
    rule: str = ""
    mode: str = ""
    waited_us: int = 0


class Cut(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A body that was cut, or hidden by the policy."""

    length: int
    digest: str
    hidden: bool = False


class DeclaredTool(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A tool the agent says it has."""

    name: str
    digest: str = ""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One step, as it is published."""

    v: int
    step_id: str
    agent_id: str
    run_id: str
    trace_id: str = ""
    seq: int
    kind: str
    time_us: int
    digest: str = ""
    version: str = ""
    principal: str = ""
    workflow: str = ""
    conversation_id: str = ""
    parent_run_id: str = ""
    delegation: tuple[str, ...] = ()
    tool: str = ""
    tool_call_id: str = ""
    arguments: dict[str, Any] | None = None
    gate: Gate | None = None
    outcome: str = ""
    text: str = ""
    origin: str = ""
    cut: dict[str, Cut] | None = None
    error: str = ""
    duration_us: int = 0
    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    reasoning: str = ""
    to_agent: str = ""
    memory_id: str = ""
    labels: tuple[str, ...] = ()
    owner: str = ""
    tools: tuple[DeclaredTool, ...] = ()
    prompt_digest: str = ""
    mcp_servers: dict[str, str] | None = None
    mode: str = ""
    reason: str = ""
    drill: str = ""
    environment: str = ""
    asked: dict[str, Any] | None = None
    dropped: int = 0


_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


def encode(step: Step) -> bytes:
    """Return the bytes to publish."""
    return _encoder.encode(step)


def canonical(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces."""
    return _canonical.encode(value)


def named(domain: str, *parts: str) -> str:
    """Return the id of `parts` in `domain`: 32 hex digits."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=domain.encode()).hexdigest()


def step_id(agent_id: str, run_id: str, trace_id: str, seq: int) -> str:
    """Return the id of a step."""
    count = str(seq)
    said = (
        f"{len(agent_id)}:{agent_id}{len(run_id)}:{run_id}{len(trace_id)}:{trace_id}{len(count)}:{count}"  # as `named`
    )
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16, person=b"lictor.step").hexdigest()


def content_digest(kind: str, fields: dict[str, Any]) -> str:
    """Return the digest of what a step says: 64 hex digits."""
    content = {
        "kind": kind,
        "tool": fields.get("tool", ""),
        "arguments": fields.get("arguments"),
        "text": fields.get("text", ""),
        "model": fields.get("model", ""),
        "to_agent": fields.get("to_agent", ""),
        "memory_id": fields.get("memory_id", ""),
    }
    return hashlib.blake2b(canonical(content), digest_size=32, person=b"lictor.content").hexdigest()


def must_be_origin(origin: str) -> None:
    """Raise `LictorAgentError` for an origin that Lictor does not know."""
    if origin not in ORIGINS:
        raise LictorAgentError(f"origin must be one of {', '.join(ORIGINS)}, not {origin!r}")


def name_of(value: str) -> str:
    """Return a name as it may be published: plain text of at most 128 characters."""
    return str(_plain_leaf(_said_of(value)))[:NAME]


def is_agent_id(agent_id: str) -> bool:
    """Tell whether an agent can have this name: `~` begins the keys of Lictor's own records."""
    return 0 < len(agent_id) <= NAME and agent_id.isprintable() and not agent_id.startswith("~")


def plain_json(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON can say it: what JSON has no word for becomes its `repr`, lone surrogates are replaced.

    Never raises: an agent must not fail because it is looked at.
    """
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return _plain_leaf(value)
    if depth >= 32:  # noqa: PLR2004 - deeper than any honest call
        return "…"
    if isinstance(value, dict):
        return {str(_plain_leaf(_said_of(key))): plain_json(item, depth + 1) for key, item in value.items()}
    return [plain_json(item, depth + 1) for item in value]


def _plain_leaf(value: Any) -> Any:
    """Subclasses become what they are made of: the encoder knows the plain types only."""
    if isinstance(value, str):
        return value if type(value) is str and value.isascii() else str.encode(value, "utf-8", "replace").decode()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= MAX_BITS else hex(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return _plain_leaf(_said_of(value, repr))


def _said_of(value: Any, say: Callable[[Any], str] = str) -> str:
    """Return `str` or `repr` of an object of the agent's, which may raise anything."""
    try:
        return say(value)
    except Exception:  # noqa: BLE001 - somebody else's code
        return f"<{type(value).__name__}>"


def shorten(value: Any, path: str, key: bytes, cuts: dict[str, Cut]) -> Any:
    """Return `value` with every long text cut to a preview; what was cut is noted by path, with a keyed digest."""
    if isinstance(value, str):
        if len(value) <= MAX_BODY:
            return value
        digest = hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=16, key=key[:32]).hexdigest()
        cuts[path] = Cut(len(value), digest)
        return value[:PREVIEW]
    if isinstance(value, dict):
        return {name: shorten(item, f"{path}.{name}"[:200], key, cuts) for name, item in value.items()}
    if isinstance(value, list):
        return [shorten(item, f"{path}[{i}]"[:200], key, cuts) for i, item in enumerate(value)]
    return value
