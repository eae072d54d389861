"""What travels with a hand-over: the trace (W3C), who acts for whom, and what the trace has read.

As headers or any text map. Whoever receives it is told no secret by it, and believes no more than it could do anyway:
what was read and labels can only make the gate stricter, and a chain of delegators only takes rights away.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from lictor_agent.wire import name_of

Carrier = Mapping[str, str | bytes] | Iterable[tuple[str | bytes, str | bytes]]
"""HTTP headers, Kafka headers, ASGI's pairs of bytes, or a dict."""
TRACEPARENT: Final = "traceparent"
RUN: Final = "lictor-run"
DELEGATION: Final = "lictor-delegation"
READS: Final = "lictor-reads"
LABELS: Final = "lictor-labels"
MOST_NAMES: Final = 64
"""Of delegators and of labels."""
MOST_LENGTH: Final = 16_384
_KNOWN_READS: Final = frozenset({"untrusted", "sensitive"})
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Carried:
    """What a carrier said."""

    trace_id: str = ""
    parent_run_id: str = ""
    delegation: tuple[str, ...] = ()
    reads: frozenset[str] = field(default=frozenset())
    labels: frozenset[str] = field(default=frozenset())


def read(carrier: Carrier | None) -> Carried:
    """Return what a carrier says. What is missing or makes no sense is left out."""
    said = _lower(carrier)
    return Carried(
        trace_id=trace_of(said.get(TRACEPARENT, "")),
        parent_run_id=name_of(said.get(RUN, "")),
        delegation=_names(said.get(DELEGATION, "")),
        reads=frozenset(_names(said.get(READS, ""))) & _KNOWN_READS,
        labels=frozenset(_names(said.get(LABELS, ""))),
    )


def write(
    *, trace_id: str, step_id: str, run_id: str, delegation: Iterable[str], reads: Iterable[str], labels: Iterable[str]
) -> dict[str, str]:
    """Return the headers of a hand-over; plain ASCII, whatever the names are."""
    headers = {
        TRACEPARENT: f"00-{trace_id}-{step_id[:16]}-01",
        RUN: quote(run_id),
        DELEGATION: ",".join(quote(name, safe="") for name in delegation),
        READS: ",".join(reads),
        LABELS: ",".join(quote(name, safe="") for name in labels),
    }
    return {name: value for name, value in headers.items() if value}


def trace_of(traceparent: str) -> str:
    """Return the trace id of a W3C traceparent; "" if it is none."""
    parts = traceparent.strip().split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or parts[0] == "ff" or not _HEX.issuperset(parts[0]):  # noqa: PLR2004 - W3C
        return ""
    return parts[1] if is_trace_id(parts[1]) and len(parts[2]) == 16 and _HEX.issuperset(parts[2]) else ""  # noqa: PLR2004


def is_trace_id(text: str) -> bool:
    """Tell whether this is a trace id: 32 lower-case hex digits, not all zero."""
    return len(text) == 32 and _HEX.issuperset(text) and text != "0" * 32  # noqa: PLR2004 - W3C: 16 bytes as hex


def new_trace_id() -> str:
    """Return a trace id nobody has."""
    return os.urandom(16).hex()


def _lower(carrier: Carrier | None) -> dict[str, str]:
    if carrier is None:
        return {}
    pairs = carrier.items() if isinstance(carrier, Mapping) else carrier
    found = {_text(name).lower(): _text(value) for name, value in pairs}
    return {name: value for name, value in found.items() if len(value) <= MOST_LENGTH}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _names(text: str) -> tuple[str, ...]:
    names = (name_of(unquote(part.strip())) for part in text.split(",")[:MOST_NAMES])
    return tuple(name for name in names if name)
