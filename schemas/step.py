"""One thing an agent did or is about to do: the message of the firehose.

An `msgspec.Struct`, because a step is decoded a hundred thousand times a second. Field names follow the OpenTelemetry
GenAI conventions where these have a name (`docs/reference/opentelemetry.md`). Everything in a step is the agent's own
word: believed only as far as its mark and the policy go.
"""

import functools
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from schemas import ids
from schemas.errors import BadRecord

STEP_VERSION: Final = 1
MAX_STEP_BYTES: Final = 1 << 20
"""A longer value is refused unread. The SDK cuts each body at 64 KiB, so an honest step never comes near."""
MAX_DEPTH: Final = 32
"""Levels that arguments may nest: as deep as the SDK writes them, and no deeper than detectors look."""

Kind = Literal[
    "run_started",
    "run_ended",
    "heartbeat",
    "message",
    "model_call",
    "tool_call",
    "tool_result",
    "handoff",
    "memory_read",
    "memory_write",
]
Origin = Literal["user", "operator", "agent", "tool", "web", "file", "memory"]
Verdict = Literal["allow", "deny", "ask", "hold", "narrow"]
Outcome = Literal["executed", "denied", "failed", "unknown"]

TRUSTED_ORIGINS: Final = frozenset({"user", "operator"})
KINDS: Final = frozenset(get_args(Kind))

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Ref = Annotated[str, msgspec.Meta(max_length=128)]
Counter = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]


class Gate(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the gate in the agent's process said before the tool ran."""

    verdict: Verdict
    grant: Ref = ""
    """The grant that decided; empty when none matched."""
    policy_version: Counter = 0
    rule: Ref = ""
    """Why, in a word that can be looked up: `grant`, `no_grant`, `containment`, `budget:steps_per_run`, `clearance`."""
    mode: Ref = ""
    waited_us: Counter = 0


class Cut(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A body that was cut: how long it was (characters) and the keyed digest of the whole."""

    length: Counter
    digest: Ref
    hidden: bool = False
    """By the policy, not for its length: it stays as trusted as its origin."""


class DeclaredTool(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A tool the agent says it has, with the digest of its definition."""

    name: Name
    digest: Ref = ""


class Step(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One step of one run. `trace_id` is empty for steps outside a trace (start, end, heartbeat)."""

    v: Annotated[int, msgspec.Meta(ge=1)]
    step_id: Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
    agent_id: Name
    run_id: Name
    trace_id: Annotated[str, msgspec.Meta(max_length=32)] = ""
    seq: Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
    kind: Kind
    time_us: Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
    """The agent's own clock, microseconds since 1970 (UTC). Untrusted: judged against Kafka's append time."""
    digest: Ref = ""
    """`ids.content_digest` of `content(step)`: what a clearance or an approval is bound to."""

    version: Ref = ""
    principal: Ref = ""
    workflow: Ref = ""
    conversation_id: Ref = ""
    parent_run_id: Ref = ""
    delegation: tuple[Ref, ...] = ()
    """The agents this run acts for, outermost first."""

    tool: Ref = ""
    tool_call_id: Ref = ""
    arguments: dict[str, Any] | None = None
    gate: Gate | None = None
    outcome: Outcome | Literal[""] = ""
    """How the call ended, on a `tool_result`; a denied call says so in its gate."""

    text: str = ""
    origin: Origin | Literal[""] = ""
    cut: dict[str, Cut] | None = None
    """Bodies that were cut, by path (`text`, `arguments.body`). Truncated content counts as untrusted."""
    error: str = ""
    duration_us: Counter = 0

    model: Ref = ""
    provider: Ref = ""
    input_tokens: Counter = 0
    output_tokens: Counter = 0
    cost_usd: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    reasoning: str = ""
    """The agent's own claim; never lowers a finding."""

    to_agent: Ref = ""
    memory_id: Ref = ""
    labels: tuple[Ref, ...] = ()

    owner: Ref = ""
    tools: tuple[DeclaredTool, ...] = ()
    prompt_digest: Ref = ""
    mcp_servers: dict[str, str] | None = None
    mode: Ref = ""
    reason: str = ""
    """Why the run ended, on a `run_ended`: `done`, `failed`, `stopped`."""
    drill: str = ""
    """A signed drill token; a rehearsal is judged like anything else and kept out of statistics."""
    environment: Ref = ""
    """Where the agent runs, as it says: `production`, `staging`, …"""
    asked: dict[str, Any] | None = None
    """The arguments as the agent gave them, where the gate narrowed them; `arguments` are those the tool got."""
    dropped: Counter = 0
    """Steps the run has lost so far because neither Kafka nor its spool could take them; on `heartbeat` and `run_ended`."""


def content(step: Step) -> dict[str, object]:
    """Return the part of a step that its digest covers: what it says, not when or in what order."""
    return {
        "kind": step.kind,
        "tool": step.tool,
        "arguments": step.arguments,
        "text": step.text,
        "model": step.model,
        "to_agent": step.to_agent,
        "memory_id": step.memory_id,
    }


def message_key(step: Step) -> str:
    """Return the key the step must travel under: its trace, or its run when it has none."""
    return step.trace_id or step.run_id


class _Version(msgspec.Struct, gc=False):
    v: int


_decoder = msgspec.json.Decoder(Step)
_version_decoder = msgspec.json.Decoder(_Version)
_encoder = msgspec.json.Encoder()


def encode_step(step: Step) -> bytes:
    """Encode a step in the one form that `read_step` accepts without a second look."""
    return _encoder.encode(step)


def read_step(value: bytes | None) -> Step:
    """Decode and check one record of `lictor.steps`; `canonical_step` returns the bytes to keep as well."""
    return canonical_step(value)[0]


def canonical_step(value: bytes | None) -> tuple[Step, bytes]:
    """Decode one record and return it with its canonical bytes (known fields only, in order, each once).

    Raises `BadRecord` for anything that is not exactly one well-formed step: not JSON, wrong types, an unknown kind,
    NaN, invalid UTF-8, duplicate keys, too large, too deep, a later major version, an id that does not belong.
    """
    step = _decode(value)
    again = _encoder.encode(step)
    if again != value:
        _refuse_duplicate_keys(value or b"")
    if step.v > STEP_VERSION:
        raise _too_new(step.v)
    if again.count(b"{") + again.count(b"[") > MAX_DEPTH:
        for given in (step.arguments, step.asked):
            if given and _depth(given) > MAX_DEPTH:
                raise BadRecord("too_deep", f"arguments nest deeper than {MAX_DEPTH} levels")
    if step.step_id != _run_in_trace(step.agent_id, step.run_id, step.trace_id).step_id(step.seq):
        raise BadRecord("step_id", "step_id is not the hash of (agent_id, run_id, trace_id, seq)")
    return step, again


@functools.lru_cache(maxsize=1 << 14)
def _run_in_trace(agent_id: str, run_id: str, trace_id: str) -> ids.StepIds:
    """Check what all steps of a run in a trace have in common, once. Raises `BadRecord`."""
    if trace_id and not _is_trace_id(trace_id):
        raise BadRecord("trace_id", "trace_id must be 32 lower-case hex digits, not all zero (W3C trace context)")
    if not (agent_id + run_id).isprintable():
        raise BadRecord("control_characters", "agent_id and run_id must be printable")
    return ids.StepIds(agent_id, run_id, trace_id)


def _decode(value: bytes | None) -> Step:
    if value is None:
        raise BadRecord("empty", "a step cannot be a tombstone")
    if len(value) > MAX_STEP_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; a step has at most {MAX_STEP_BYTES}")
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _newer(value) or BadRecord("invalid", str(error)) from None
    except RecursionError:
        raise BadRecord("too_deep", "nested too deeply to be read") from None
    except UnicodeDecodeError as error:
        raise BadRecord("not_utf8", f"invalid UTF-8 at byte {error.start}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRecord("not_json", str(error)) from None


def _newer(value: bytes) -> BadRecord | None:
    """A later format may give a known field another type; then its version is the reason, not the type."""
    try:
        found = _version_decoder.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return _too_new(found.v) if found.v > STEP_VERSION else None


def _too_new(version: int) -> BadRecord:
    return BadRecord("version", f"step format {version} is newer than {STEP_VERSION}; upgrade Lictor first")


def _depth(arguments: dict[str, Any]) -> int:
    """Return how many levels of objects and lists there are, without recursion."""
    levels = 0
    level: list[Any] = [arguments]
    while level:
        levels += 1
        inner = (child for item in level for child in (item.values() if isinstance(item, dict) else item))
        level = [child for child in inner if isinstance(child, dict | list)]
    return levels


def _is_trace_id(text: str) -> bool:
    return len(text) == 32 and not text.strip(_HEX) and text != _NO_TRACE  # noqa: PLR2004 - W3C: 16 bytes as hex


_HEX: Final = "0123456789abcdef"
_NO_TRACE: Final = "0" * 32


def _refuse_duplicate_keys(value: bytes) -> None:
    """Two parsers may each believe another of two equal keys; so such a record is believed by none."""
    import json  # noqa: PLC0415 - the slow path alone: our own SDK writes canonical bytes

    def pairs(items: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in items}) != len(items):
            raise BadRecord("duplicate_keys", "an object holds the same key twice")

    try:
        json.loads(value.decode(), object_pairs_hook=pairs)
    except RecursionError:
        raise BadRecord("too_deep", "nested too deeply to be read") from None
    except UnicodeDecodeError as error:
        raise BadRecord("not_utf8", f"invalid UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise BadRecord("not_json", str(error)) from None
