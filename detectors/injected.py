"""An agent does what untrusted content ordered, with values that nobody else has named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from detectors.base import Detector, Seen, shown
from detectors.facts import Facts
from detectors.flow import DECISIVE, is_account, was_brought, was_said
from detectors.instructions import CLEAR_SIGNS, RUN, VISIT, kinds_of_call, stem
from detectors.state import Directive, FlowState, RunState, TraceState
from detectors.tainted_egress import DESTINATION_KEYS
from detectors.traits import words_of
from detectors.values import Values
from detectors.words import host_of, is_place, strings_in, words
from schemas.finding import Evidence, Finding
from schemas.message import Severity
from schemas.policy import EFFECTS
from schemas.step import Kind

MOST_WORDS: Final = 8
"""A value of more words is a sentence; what decides is looked for in its addresses alone."""
_GENERIC: Final = frozenset(
    {
        *(
            "get",
            "set",
            "read",
            "list",
            "send",
            "make",
            "run",
            "call",
            "use",
            "add",
            "new",
            "tool",
            "item",
            "data",
            "with",
            "from",
        )
    }
)


_AWAY: Final = frozenset({"egress", "spends", "grants_access"})
"""Traits of calls that give something to somebody."""


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What of a call an order in untrusted content decided."""

    order: Directive
    value: str
    argument: str


class Injected(Detector):
    """Hold each call against what untrusted content has ordered in its trace, and against what persons have asked for.

    `lictor.injected.value`: the call is of a kind that was ordered, with a value from the order that no person has named.
    `lictor.injected.action`: the call is what was ordered, by its tool's own name; no person spoke of anything like it.
    `lictor.injected.unasked`: something goes out to an address or account that only such content brought, unasked for.
    What a person points at to be obeyed ("do the tasks on that list") is obeyed.
    """

    name: ClassVar[str] = "injected"
    title: ClassVar[str] = "The agent obeys content that it read"
    severity: ClassVar[Severity] = "high"
    impact: ClassVar[float] = 0.9
    tags: ClassVar[tuple[str, ...]] = (
        "owasp.asi01",
        "owasp.asi02",
        "owasp.asi06",
        "atlas.aml.t0051.001",
        "atlas.aml.t0053",
    )
    blind_spots: ClassVar[str] = (
        "Content that misleads without ordering anything; orders in languages other than English, where the tool is not named; "
        "values that a person has named too; content that a person told the agent to obey."
    )

    @classmethod
    def watches(cls, kind: Kind, *, marked: bool) -> bool:
        """Return whether it is a call of a tool."""
        return kind == "tool_call"

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Judge calls in traces that have read anything untrusted."""
        flow = trace.flow
        if not flow.brought:
            return ()
        if not flow.directives and seen.traits.isdisjoint(_AWAY):
            return ()
        kinds = kinds_of_call(seen.traits)
        doubtful = "executes_code" in seen.traits and flow.asked & RUN  # guides tell everybody what to run
        orders = [
            order for order in flow.directives if order.kinds & kinds and (order.signs >= CLEAR_SIGNS or not doubtful)
        ]
        found = next(_obeyed(seen, flow, orders, kinds, facts.values), None) if orders else None
        if found is not None:
            return (self._by_value(seen, found),)
        if seen.traits.isdisjoint(EFFECTS):
            return ()
        named = next((order for order in orders if _is_named(seen.step.tool, order, flow, facts.values)), None)
        if named is not None:
            return (self._by_name(seen, named),)
        brought = _unasked(seen, flow, kinds, facts.values)
        return (self._unasked(seen, flow, brought),) if brought else ()

    def _by_value(self, seen: Seen, found: Obeyed) -> Finding:
        effects = not seen.traits.isdisjoint(EFFECTS)
        reason = (
            f"{shown(seen.step.tool)} does what content from {found.order.what} orders: {found.argument} is "
            f"{shown(found.value)!r}, which stands in that order and which no person has named"
        )
        evidence = [_evidence(found.order)]
        return self.finding(seen, reason, confidence=0.9 if effects else 0.6, evidence=evidence, aspect="value")

    def _unasked(self, seen: Seen, flow: FlowState, brought: str) -> Finding:
        reason = (
            f"nobody asked for anything like {shown(seen.step.tool)}; {brought}, which only untrusted content has brought into "
            "the trace"
        )
        return self.finding(seen, reason, confidence=0.6, evidence=_read(flow), aspect="unasked")

    def _by_name(self, seen: Seen, order: Directive) -> Finding:
        reason = (
            f"{shown(seen.step.tool)} is what content from {order.what} orders, by name, and no person in the trace has "
            "spoken of anything like it"
        )
        return self.finding(seen, reason, confidence=0.7, evidence=[_evidence(order)], aspect="action")


def _unasked(seen: Seen, flow: FlowState, kinds: int, values: Values) -> str:
    """Return a value that untrusted content brought into a call of a kind no person spoke of; "" where there is none.

    Visits are left out, since reading on is what reading leads to; so is everything while a person has handed the choice over,
    or has not been understood.
    """
    doing = kinds & ~VISIT
    visits = {"egress", "reads_untrusted"} <= seen.traits
    if (
        visits
        or seen.traits.isdisjoint(_AWAY)
        or not doing
        or doing & flow.asked
        or not flow.understood
        or flow.delegates
    ):
        return ""
    if any(values.has(flow.said, word) or values.has(flow.said, stem(word)) for word in words_of(seen.step.tool)):
        return ""
    for path, text in strings_in(seen.step.arguments or {}):
        found = _decisive(path, text, only_places=False)
        nobodys = any(map(is_account, found)) and not any(was_said(word, flow, values) for word in found)
        if nobodys and all(was_brought(word, flow, values) for word in found):
            return f"{path} is {shown(' '.join(found))!r}"
    return ""


def _read(flow: FlowState) -> list[Evidence]:
    return [Evidence(step_id=each.step_id, seq=each.seq, role=each.what) for each in flow.untrusted[:2]]


def _evidence(order: Directive) -> Evidence:
    return Evidence(step_id=order.step_id, seq=order.seq, role=f"untrusted content from {order.what} that gives orders")


def _obeyed(seen: Seen, flow: FlowState, orders: Sequence[Directive], kinds: int, values: Values) -> Iterator[Obeyed]:
    only_places = kinds & RUN and "executes_code" in seen.traits
    for path, text in strings_in(seen.step.arguments or {}):
        found = _decisive(path, text, only_places=bool(only_places))
        if not found or all(was_said(word, flow, values) for word in found):
            continue
        for order in orders:
            if all(values.has(order.words, word) or _host_in(order, word, values) for word in found):
                yield Obeyed(order, " ".join(found), path)


def _decisive(path: str, text: str, *, only_places: bool) -> list[str]:
    """Return the words of an argument that decide where or what: its addresses, else all of a short value's."""
    found = words(text) if len(text) <= 4 * DECISIVE else words(text[: 4 * DECISIVE])
    places = [word for word in found if is_place(word)]
    if places:
        return places[:1] if len(places) > 1 and len(found) > MOST_WORDS else places
    if only_places or len(found) > MOST_WORDS or len(text) > DECISIVE:
        return []
    telling = any(letter.isdigit() or letter.isupper() or letter in "@._/#" for letter in text)
    leads_somewhere = not DESTINATION_KEYS.isdisjoint(words_of(path.rpartition(".")[2]))
    return found if telling or leads_somewhere else []


def _host_in(order: Directive, word: str, values: Values) -> bool:
    host = host_of(word)
    return bool(host) and "@" not in word and values.has_host(order.words, host)


def _is_named(tool: str, order: Directive, flow: FlowState, values: Values) -> bool:
    """Tell whether an order names a tool: as it is called, or by all its telling words, none of which a person has said."""
    if len(words_of(tool)) > 1 and values.has(order.words, tool.casefold()):
        return not values.has(flow.said, tool.casefold())
    telling = [word for word in words_of(tool) if word not in _GENERIC and len(word) > 3]  # noqa: PLR2004 - `id`, `url`
    if len(telling) < 2:  # noqa: PLR2004 - one word alone says too little
        return False
    return all(values.has(order.words, word) for word in telling) and not any(values.has(flow.said, w) for w in telling)
