"""What a call that waits for clearance is told, from the rulings on its own step. Pure."""

from collections.abc import Iterable
from typing import Final, Literal

from responders.autonomy import Ruling
from schemas.message import Action
from schemas.policy import AgentPolicy, Trait
from schemas.step import Step

Word = Literal["allow", "ask", "hold", "deny"]
STRICTNESS: Final[tuple[Word, ...]] = ("allow", "ask", "hold", "deny")
_WORDS: Final[dict[Action, Word]] = {"observe": "allow", "ask": "ask", "hold": "hold", "narrow": "ask"}


def needs_clearance(step: Step, traits: frozenset[Trait], policy: AgentPolicy) -> bool:
    """Tell whether the gate waits for `detect` before this call: as the gate decides it, from the same policy."""
    if step.kind != "tool_call" or policy.mode == "observe":
        return False
    if step.gate is not None and step.gate.verdict in ("deny", "ask"):
        return False
    return not traits.isdisjoint(policy.clearance.traits) or bool(step.gate and step.gate.verdict == "hold")


def word_of(ruling: Ruling) -> Word:
    """Return what one ruling tells the waiting call: everything harder than a question keeps it from running."""
    return ruling.clearance or _WORDS.get(ruling.action, "deny")


def strictest(rulings: Iterable[Ruling]) -> Word:
    """Return the strictest answer; nothing against it is `allow`."""
    return max((word_of(ruling) for ruling in rulings), key=STRICTNESS.index, default="allow")
