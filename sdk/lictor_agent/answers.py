"""What the gate is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

STRICTNESS: Final = ("allow", "narrow", "clear", "ask", "deny")
"""What is known here. A grant that says anything else refuses: it is newer than this gate."""
RANK: Final = {effect: rank for rank, effect in enumerate(STRICTNESS)}


@dataclass(frozen=True, slots=True)
class Call:
    """What is about to be done, as conditions may ask about it. `kind`: `tools`, `models` or `agents`.

    `sums`: what the run's calls add up to so far, by the name of the policy's amount.
    """

    kind: str
    name: str
    values: dict[str, Any]
    sums: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate says, by which grant or rule, and why."""

    effect: str
    grant: str
    rule: str
    reason: str
    arguments: dict[str, Any] | None = None
    """What the tool is to be called with; None where nothing is rewritten."""
    instead: str = ""
    """Of a refusal: what the policy allows in its place."""


def rank_of(effect: str) -> int:
    """Return how strict an effect is."""
    return RANK.get(effect, RANK["deny"])


def verdict_in(mode: str, answer: Answer) -> str:
    """Return what is done: in `observe` nothing is held up; without a grant, `ask` asks and `enforce` denies."""
    if mode == "observe":
        return "allow"
    if answer.rule == "no_grant" and mode == "ask":
        return "ask"
    return "hold" if answer.effect == "clear" else answer.effect
