"""A trace that has read untrusted content and sensitive data sends something out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.flow import was_brought, was_said
from detectors.state import FlowState, Reading, RunState, TraceState
from detectors.traits import words_of
from detectors.values import Values
from detectors.words import is_place, strings_in, words
from schemas.finding import Evidence, Finding
from schemas.message import Severity
from schemas.step import Kind

DESTINATION_KEYS: Final = frozenset(
    [
        "to",
        "recipient",
        "recipients",
        "address",
        "email",
        "url",
        "uri",
        "link",
        "href",
        "host",
        "domain",
        "endpoint",
        "channel",
        "user",
        "users",
        "participant",
        "participants",
        "cc",
        "bcc",
        "account",
        "iban",
        "phone",
        "webhook",
        "target",
        "destination",
        "receiver",
        "server",
        "bucket",
        "repo",
        "repository",
    ]
)
SHORT: Final = 512
"""A longer argument is content, not an address."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where something is sent, and who brought that into the trace."""

    text: str
    named: bool
    """A user or operator said it."""
    introduced: bool
    """Untrusted content said it, and nobody trusted did."""


class TaintedEgress(Detector):
    """The lethal trifecta, complete: untrusted content, sensitive data, and a way out, in one trace.

    How sure it is depends on who named the destination. By itself it is seldom sure enough to hold anybody up, since honest
    agents do this whenever they answer a mail; rules and risk build on it, and `lictor.injected` tells when it was ordered.
    """

    name: ClassVar[str] = "tainted_egress"
    title: ClassVar[str] = "Sensitive data may leave on a stranger's word"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.9
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi01", "owasp.asi02", "atlas.aml.t0051.001", "atlas.aml.t0086")
    blind_spots: ClassVar[str] = "Data that leaves through a tool without the trait egress, or in another trace."

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether it is a call of a tool."""
        return kind == "tool_call"

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Judge a `tool_call` whose tool has the trait `egress`."""
        flow = trace.flow
        if seen.step.kind != "tool_call" or "egress" not in seen.traits or not (flow.untrusted and flow.sensitive):
            return ()
        places = list(destinations(seen, flow, facts.values))
        if places and all(place.named for place in places):
            return ()  # the user asked for this very thing
        confidence, severity, why = _weigh(places, spoken=bool(flow.said))
        tool = shown(seen.step.tool)
        reason = (
            f"{tool} sends something out of a trace that {flow.untrusted[0].what} and {flow.sensitive[0].what}; {why}"
        )
        evidence = [_evidence(flow.untrusted[0]), _evidence(flow.sensitive[0])]
        return (self.finding(seen, reason, confidence=confidence, severity=severity, evidence=evidence),)


def _weigh(places: Sequence[Destination], *, spoken: bool) -> tuple[float, Severity, str]:
    introduced = [place for place in places if place.introduced]
    if introduced and not spoken:
        return 0.7, "high", f"only untrusted content named {shown(introduced[0].text)}, and no person has spoken at all"
    if introduced:  # people ask for exactly this all day; that it was ordered, `injected` tells
        return 0.4, "medium", f"only untrusted content named {shown(introduced[0].text)}"
    unknown = next((place for place in places if not place.named), None)
    if unknown is None:
        return 0.4, "medium", "it names no destination that could be checked"
    return 0.45, "medium", f"nobody in the trace named {shown(unknown.text)}"


def _evidence(reading: Reading) -> Evidence:
    return Evidence(step_id=reading.step_id, seq=reading.seq, role=reading.what)


def destinations(seen: Seen, flow: FlowState, values: Values) -> Iterator[Destination]:
    """Yield where the call would send something, judged by who said so."""
    for path, text in strings_in(seen.step.arguments or {}):
        if len(text) > SHORT:
            continue
        key = path.rpartition(".")[2]
        found = list(words(text))
        if DESTINATION_KEYS.isdisjoint(words_of(key)):
            found = [word for word in found if is_place(word)]
        if found:
            said = [word for word in found if was_said(word, flow, values)]
            named = len(said) == len(found)
            foreign = any(word not in said and was_brought(word, flow, values) for word in found)
            yield Destination(text, named, foreign)
