"""What an attacker changes about the same attack: each way of writing it otherwise, and whether a rule still fires."""

import base64
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from detectors.engine.engine import Engine
from detectors.engine.ruletests import Words, run_case
from schemas.rule_file import Case, CaseStep

SHORTEST: Final = 4
"""A shorter text is not worth disguising."""
_LIKE: Final = str.maketrans("aeopcxyi", "".join(map(chr, (0x430, 0x435, 0x43E, 0x440, 0x441, 0x445, 0x443, 0x456))))
"""Latin letters as the Cyrillic ones that look like them."""


class Recall(msgspec.Struct, frozen=True):
    """Of so many firing tests with something to change, how many still fire when it is changed."""

    found: int = 0
    of: int = 0

    def __str__(self) -> str:
        return f"{self.found}/{self.of}" if self.of else "-"


def _case(text: str) -> str:
    return text.swapcase()


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _zero_width(text: str) -> str:
    return "\u200b".join(text)


def _homoglyph(text: str) -> str:
    return text.translate(_LIKE)


REWRITES: Final[Mapping[str, Callable[[str], str]]] = {
    "case": _case,
    "percent": _percent,
    "base64": _base64,
    "zero_width": _zero_width,
    "homoglyph": _homoglyph,
}
SPLIT: Final = "split"
NAMES: Final = (*REWRITES, SPLIT)


def mutants(case: Case) -> dict[str, Case]:
    """Return a firing test, changed in each way that changes anything: name → test."""
    found = {
        name: _with(case, [_rewritten(step, rewrite) for step in case.steps]) for name, rewrite in REWRITES.items()
    }
    halves = itertools.chain.from_iterable(_halves(step) for step in case.steps)
    found[SPLIT] = _with(case, list(halves))
    return {name: each for name, each in found.items() if each.steps != case.steps}


def _with(case: Case, steps: Sequence[CaseStep]) -> Case:
    return case.model_copy(update={"steps": tuple(steps)})


def _rewritten(step: CaseStep, rewrite: Callable[[str], str]) -> CaseStep:
    """Return a step with its text and the texts in its arguments rewritten; what a user or operator says stays as it is."""
    if step.origin in ("user", "operator"):
        return step
    return step.model_copy(
        update={"text": _in_value(step.text, rewrite), "arguments": _in_value(step.arguments, rewrite)}
    )


def _in_value(value: Any, rewrite: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return rewrite(value) if len(value) >= SHORTEST else value
    if isinstance(value, dict):
        return {name: _in_value(item, rewrite) for name, item in value.items()}
    return [_in_value(item, rewrite) for item in value] if isinstance(value, list) else value


def _halves(step: CaseStep) -> tuple[CaseStep, ...]:
    """Return a step as two, the first half of each text in one and the rest in the other."""
    first = _rewritten(step, lambda text: text[: len(text) // 2])
    return (step,) if first == step else (first, _rewritten(step, lambda text: text[len(text) // 2 :]))


def recall(engine: Engine, rule: str, cases: Sequence[Case], words: Words) -> dict[str, Recall]:
    """Return, for each way of writing it otherwise, how many of a rule's firing tests it still fires on."""
    found = dict.fromkeys(NAMES, (0, 0))
    for case in cases:
        for name, mutant in mutants(case).items() if case.fires else ():
            hits, of = found[name]
            found[name] = (hits + run_case(engine, rule, mutant, words).fired, of + 1)
    return {name: Recall(*counts) for name, counts in found.items()}
