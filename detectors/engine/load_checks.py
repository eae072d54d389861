"""What is looked at before and after pySigma reads a rule: what it does not know, says badly, or cannot know."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import re2

from detectors.engine.fields import event_names
from detectors.engine.judging import pattern_of
from detectors.engine.plan import Both, Either, Neither, Node, Test
from schemas.policy import ALL_TRAITS
from schemas.step import KINDS, Origin, Outcome, Verdict

MOST_PATTERN_CHARS: Final = 4096
_LOOKS: Final = ("(?=", "(?!", "(?<=", "(?<!")
_ALIASES: Final = {"utf16le": "wide"}
"""Modifiers of the specification → what pySigma calls them."""
_BOUNDS: Final = ("gt", "gte", "lt", "lte", "eq", "neq")
VOCABULARY: Final[Mapping[str, frozenset[str]]] = {
    "kind": KINDS,
    "origin": frozenset(get_args(Origin)),
    "outcome": frozenset(get_args(Outcome)),
    "gate.verdict": frozenset(get_args(Verdict)),
    "traits": frozenset(ALL_TRAITS),
    "tool.first_use": frozenset({"true", "false"}),
    "agent.registered": frozenset({"true", "false"}),
}
"""Fields with a fixed set of values: a rule that asks for another would never fire."""


def renamed(found: Any) -> Any:
    """Return a detection with modifiers as pySigma calls them."""
    if isinstance(found, dict):
        return {_renamed_key(key): renamed(value) for key, value in found.items()}
    return [renamed(each) for each in found] if isinstance(found, list) else found


def _renamed_key(key: Any) -> Any:
    if not isinstance(key, str) or "|" not in key:
        return key
    field, *modifiers = key.split("|")
    return "|".join((field, *(_ALIASES.get(each, each) for each in modifiers)))


def one_bound(correlation: Any) -> Any:
    """Return a correlation with the first of its bounds alone: a range has two, and pySigma takes one."""
    condition = correlation.get("condition") if isinstance(correlation, dict) else None
    if not isinstance(condition, dict):
        return correlation
    more = [key for key in condition if key in _BOUNDS][1:]
    return correlation | {"condition": {key: value for key, value in condition.items() if key not in more}}


def bad_expression(detection: Any) -> tuple[str, str] | None:
    """Return why an expression of a detection cannot be matched in time linear in the text, and the expression."""
    for key, value in _items(detection):
        field, *modifiers = key.split("|")
        for pattern in (value if isinstance(value, list) else [value]) if "re" in modifiers else ():
            why = why_not(pattern) if isinstance(pattern, str) else "a regular expression is a text"
            if why:
                return f"field {field!r}: {why}", str(pattern)[:24]
    return None


def why_not(pattern: str) -> str:
    """Return why an expression is refused, and what to write instead; "" where it is not."""
    if len(pattern) > MOST_PATTERN_CHARS:
        return f"a regular expression has at most {MOST_PATTERN_CHARS} characters"
    if any(look in pattern for look in _LOOKS):
        return "the regular expression looks around, which no engine linear in its input can; write a test of its own under `not`"
    plain = pattern.replace("\\\\", "")
    if "(?P=" in pattern or any(f"\\{digit}" in plain for digit in "123456789"):
        return (
            "the regular expression refers back, which no engine linear in its input can; compare fields by `fieldref`"
        )
    try:
        pattern_of(pattern, "")
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0] if error.args else error
        return f"RE2 does not take the regular expression: {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    return ""


def _items(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, dict):
        for key, value in found.items():
            if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
                yield from _items(value)
            else:
                yield str(key), value
    elif isinstance(found, list):
        for each in found:
            yield from _items(each)


def is_never(test: Test) -> bool:
    """Tell whether a test asks for a value that its field never has."""
    if test.op != "eq" or test.numeric or not test.text:
        return False
    known = event_names() if test.field == "event_type" else VOCABULARY.get(test.field)
    return known is not None and test.text.casefold() not in known


def possible(node: Node) -> bool:
    """Tell whether any step could meet a condition, as far as fixed sets of values tell."""
    match node:
        case Both(items):
            return all(map(possible, items))
        case Either(items):
            return any(map(possible, items))
        case Neither():
            return True
        case Test():
            return not is_never(node)


def never_met(node: Node) -> tuple[str, ...]:
    """Return what a condition asks for that no step ever is."""
    match node:
        case Both(items) | Either(items):
            return tuple(dict.fromkeys(each for item in items for each in never_met(item)))
        case Neither(item):
            return never_met(item)
        case Test():
            return (f"{node.field} {node.text!r}",) if is_never(node) else ()
