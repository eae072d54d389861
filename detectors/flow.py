"""What a trace has read, which words came from whom, and what strangers ordered: kept up to date step by step."""

import functools
from typing import Final

from detectors.base import Seen, shown
from detectors.facts import Facts
from detectors.instructions import CLEAR_SIGNS, EVERYTHING, delegates, kinds_spoken_of, orders_in
from detectors.state import Directive, FlowState, Reading
from detectors.values import Values
from detectors.words import host_of, is_place, strings_in, words
from schemas.step import TRUSTED_ORIGINS, Step
from schemas.taint import Taint

KEPT_READINGS: Final = 4
KEPT_DIRECTIVES: Final = 8
KEPT_CALLS: Final = 16
DIRECTIVE_SLOTS: Final = 256
MOST_TOLD: Final = 1 << 14
TAINT_LIFE_US: Final = 30 * 24 * 3600 * 1_000_000
DECISIVE: Final = 200
"""A longer argument is content, and decides nothing about where or what."""
OBSERVED: Final = frozenset({"tool_call", "tool_result", "message", "memory_read", "memory_write"})
"""Kinds of steps that tell something of their trace's flow."""
_FOREIGN: Final = frozenset({"web", "file", "agent", "memory"})


def observe(seen: Seen, flow: FlowState, facts: Facts) -> None:
    """Take note of what this step brings into its trace; a tainted record that it writes goes to `facts.tainted`."""
    step, values = seen.step, facts.values
    if step.kind == "tool_call":
        if flow.delegates:
            _observe_call(step, flow, values)
    elif step.kind == "tool_result":
        if step.outcome != "denied":
            _observe_result(seen, flow, values)
    elif step.kind == "memory_write":
        if flow.brought:
            _observe_write(seen, flow, facts)
    elif step.kind == "memory_read" and step.memory_id in facts.taints:
        _observe_tainted(seen, flow, facts)
    elif step.kind in ("message", "memory_read"):
        _observe_text(step, flow, values, trusted=step.origin in TRUSTED_ORIGINS)


def _observe_call(step: Step, flow: FlowState, values: Values) -> None:
    """Remember calls that a person's own words decided."""
    decisive = [word for _, text in strings_in(step.arguments or {}) if len(text) <= DECISIVE for word in words(text)]
    if decisive and all(was_said(word, flow, values) for word in decisive):
        flow.at_first_hand = [*flow.at_first_hand[1 - KEPT_CALLS :], step.tool_call_id or step.tool]


def _observe_result(seen: Seen, flow: FlowState, values: Values) -> None:
    step = seen.step
    trusted = seen.policy.trusts(step.tool) and not was_truncated(step)
    if not trusted and ("reads_untrusted" in seen.traits or step.origin in _FOREIGN):
        _add(flow.untrusted, step, _read("untrusted content", step.tool))
    if "reads_sensitive" in seen.traits:
        _add(flow.sensitive, step, _read("sensitive data", step.tool))
    if trusted:
        values.add(flow.said, step.text)
    else:
        pointed_at = flow.delegates and (step.tool_call_id or step.tool) in flow.at_first_hand
        _take_in(step, flow, values, pointed_at=pointed_at)


def _observe_text(step: Step, flow: FlowState, values: Values, *, trusted: bool) -> None:
    if trusted and not was_truncated(step):
        values.add(flow.said, step.text)
        kinds, understood = kinds_spoken_of(step.text[:MOST_TOLD].casefold().split() + words(step.text[:MOST_TOLD]))
        flow.asked |= kinds
        flow.understood |= understood
        flow.delegates = flow.delegates or delegates(step.text)
        return
    if step.origin == "" or (step.kind == "message" and step.origin == "agent"):
        return  # the agent's own words: neither a source nor a permission
    _add(flow.untrusted, step, _read(f"content of origin {step.origin}", ""))
    _take_in(step, flow, values, pointed_at=False)


def _take_in(step: Step, flow: FlowState, values: Values, *, pointed_at: bool) -> None:
    """Remember the words of untrusted content, and what it orders, unless a person pointed at it to be obeyed."""
    if not step.text:
        return
    folded = step.text.casefold()
    if not values.add_folded(flow.brought, folded) or was_truncated(step):
        flow.full = True
    if pointed_at:
        return
    kinds, signs, ordered = 0, 0, bytearray()
    for order in orders_in(folded):
        signs = max(signs, order.signs)
        kinds |= order.kinds
        values.add_folded(ordered, order.text, DIRECTIVE_SLOTS)
    if not kinds:
        return
    if len(flow.directives) >= KEPT_DIRECTIVES:
        del flow.directives[1]  # the first and the newest stay
    source = step.tool or step.origin
    flow.directives.append(Directive(step.step_id, step.seq, kinds, bytes(ordered), shown(source, 100), signs))


def _observe_write(seen: Seen, flow: FlowState, facts: Facts) -> None:
    """A record that keeps an address or account which only untrusted content has named is tainted, for every trace."""
    step, values = seen.step, facts.values
    place = next((word for word in words(step.text) if is_account(word) and not was_said(word, flow, values)), "")
    if not step.memory_id or not place or not was_brought(place, flow, values):
        return
    reason = (
        f"written by {step.agent_id} after it {flow.untrusted[0].what if flow.untrusted else 'read untrusted content'}"
    )
    facts.tainted.append(
        Taint(
            kind="memory",
            name=step.memory_id,
            agent_id=step.agent_id,
            run_id=step.run_id,
            trace_id=step.trace_id,
            step_id=step.step_id,
            reason=shown(f"{reason}: it names {shown(place)}", 400),
            time_us=max(0, seen.append_us),
            expires_us=max(0, seen.append_us) + TAINT_LIFE_US,
        )
    )


def _observe_tainted(seen: Seen, flow: FlowState, facts: Facts) -> None:
    """What a tainted record says orders whatever it names: the harm was done when it was written."""
    step, taint = seen.step, facts.taints[seen.step.memory_id]
    if taint.expires_us < seen.append_us:
        del facts.taints[step.memory_id]
        _observe_text(step, flow, facts.values, trusted=False)
        return
    _add(flow.untrusted, step, _read(f"memory {step.memory_id[:80]}, {taint.reason[:120]}", ""))
    _take_in(step, flow, facts.values, pointed_at=True)
    table = bytearray()
    facts.values.add(table, step.text, DIRECTIVE_SLOTS)
    source = f"memory {step.memory_id[:40]}, {taint.reason[:200]}"
    flow.directives = [
        *flow.directives[1 - KEPT_DIRECTIVES :],
        Directive(step.step_id, step.seq, EVERYTHING, bytes(table), shown(source, 260), CLEAR_SIGNS),
    ]


def is_account(word: str) -> bool:
    """Tell whether a word says to whom: a place on the net, or a number as accounts have."""
    return is_place(word) or sum(letter.isdigit() for letter in word) >= 6  # noqa: PLR2004 - shorter ones are dates and ids


def was_said(word: str, flow: FlowState, values: Values) -> bool:
    """Tell whether a person said a word: as it stands, or, for a link, by its host."""
    return _is_in(flow.said, word, values)


def was_brought(word: str, flow: FlowState, values: Values) -> bool:
    """Tell whether untrusted content brought a word in."""
    return _is_in(flow.brought, word, values)


def _is_in(table: bytes | bytearray, word: str, values: Values) -> bool:
    if values.has(table, word):
        return True
    host = host_of(word)
    return bool(host) and "@" not in word and values.has_host(table, host)


def was_truncated(step: Step) -> bool:
    """Tell whether some of what the step says was cut for its length; what the policy hides stays as its origin says."""
    return step.cut is not None and any(not cut.hidden for cut in step.cut.values())


def _add(readings: list[Reading], step: Step, what: str) -> None:
    if len(readings) < KEPT_READINGS:
        readings.append(Reading(step.step_id, step.seq, what))


@functools.lru_cache(maxsize=4096)
def _read(what: str, tool: str) -> str:
    """Return how a reading is told of: the same words for all runs, held once."""
    return shown(f"read {what} through {tool}" if tool else f"read {what}", 200)
