"""What a trace has read, and which words came from whom: kept up to date before any detector of flow judges."""

import functools
from typing import Final

from detectors.base import Seen, shown
from detectors.state import FlowState, Reading
from detectors.words import digest64, host_of, words
from schemas.step import TRUSTED_ORIGINS, Step

KEPT_READINGS: Final = 8
MAX_WORDS: Final = 4096
MAX_WORDS_PER_STEP: Final = 2048
OBSERVED: Final = frozenset({"tool_result", "message", "memory_read"})
"""Kinds of steps that bring something into their trace."""
_FOREIGN: Final = frozenset({"web", "file", "agent", "memory"})


def observe(seen: Seen, flow: FlowState) -> None:
    """Take note of what this step brings into its trace."""
    step = seen.step
    if step.kind == "tool_result" and step.outcome != "denied":
        _observe_result(seen, flow)
    elif step.kind in ("message", "memory_read"):
        _observe_text(step, flow, trusted=step.origin in TRUSTED_ORIGINS)


def _observe_result(seen: Seen, flow: FlowState) -> None:
    step = seen.step
    trusted = seen.policy.trusts(step.tool) and not was_truncated(step)
    if not trusted and ("reads_untrusted" in seen.traits or step.origin in _FOREIGN):
        _add(flow.untrusted, step, f"read untrusted content through {step.tool}")
    if "reads_sensitive" in seen.traits:
        _add(flow.sensitive, step, f"read sensitive data through {step.tool}")
    _add_words(flow.trusted_words if trusted else flow.untrusted_words, step.text)


def _observe_text(step: Step, flow: FlowState, *, trusted: bool) -> None:
    if trusted and not was_truncated(step):
        _add_words(flow.trusted_words, step.text)
        return
    if step.origin == "" or (step.kind == "message" and step.origin == "agent"):
        return  # the agent's own words: neither a source nor a permission
    _add(flow.untrusted, step, f"read content of origin {step.origin}")
    _add_words(flow.untrusted_words, step.text)


def was_truncated(step: Step) -> bool:
    """Tell whether some of what the step says was cut for its length; what the policy hides stays as its origin says."""
    return step.cut is not None and any(not cut.hidden for cut in step.cut.values())


def _add(readings: list[Reading], step: Step, what: str) -> None:
    if len(readings) < KEPT_READINGS:
        readings.append(Reading(step.step_id, step.seq, shown(what, 200)))


def _add_words(known: set[int], text: str) -> None:
    if len(known) >= MAX_WORDS or not text:
        return
    fresh = set(words(text)[:MAX_WORDS_PER_STEP])
    known.update(map(word_key, fresh))
    known.update([host_key(host) for word in fresh if "." in word and (host := host_of(word))])


@functools.lru_cache(maxsize=1 << 16)
def word_key(word: str) -> int:
    """Return the digest under which a word is remembered."""
    return digest64(word.encode("utf-8", "surrogatepass"))


@functools.lru_cache(maxsize=1 << 12)
def host_key(host: str) -> int:
    """Return the digest under which the host of a link is remembered, apart from the word itself."""
    return digest64(b"host:" + host.encode("utf-8", "surrogatepass"))
