"""What of a call cannot be seen in what was published of it: texts that were redacted, cut or hidden; the run's sums.

The gate knew all of it. What cannot be seen is never held against the agent.
"""

from collections.abc import Iterable
from typing import Any, Final

from schemas.step import Step

REDACTED: Final = "[redacted:"
ONLY_THE_GATE: Final = frozenset({"spent", "amounts", "labels"})
"""Roots of paths that conditions may ask about and no step tells."""
TOO_LONG: Final = {"cut": True}
"""What the SDK publishes of arguments that would not fit into a record."""


def cut_paths(step: Step) -> tuple[str, ...]:
    """Return the paths of what was cut or hidden, whether of what was asked for or of what the tool got."""
    if TOO_LONG in (step.arguments, step.asked):
        return ("arguments",)
    found = (f"arguments{path[5:]}" if path.startswith("asked") else path for path in step.cut or ())
    return tuple(path for path in found if path.startswith("arguments"))


def is_hidden(path: str, value: Any, cut: Iterable[str]) -> bool:
    """Tell whether the value at a path is not what the gate saw."""
    if any(_above(path, each) or _above(each, path) for each in cut):
        return True
    return has_redacted(value)


def has_redacted(value: Any) -> bool:
    """Tell whether a text in a JSON value was redacted."""
    if isinstance(value, str):
        return REDACTED in value
    if isinstance(value, dict):
        return any(map(has_redacted, value.values()))
    return isinstance(value, list) and any(map(has_redacted, value))


def _above(upper: str, lower: str) -> bool:
    return lower.startswith(upper) and lower[len(upper) : len(upper) + 1] in ("", ".", "[")


def same_where_seen(expected: Any, found: Any, cut: tuple[str, ...], path: str = "arguments") -> bool:
    """Tell whether two JSON values are the same, as far as both can be seen."""
    if path in cut or _is_redacted(expected) or _is_redacted(found):
        return True
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(
            same_where_seen(item, found[name], cut, f"{path}.{name}"[:200]) for name, item in expected.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(
            same_where_seen(item, found[at], cut, f"{path}[{at}]"[:200]) for at, item in enumerate(expected)
        )
    return type(expected) is type(found) and bool(expected == found)


def _is_redacted(value: Any) -> bool:
    return isinstance(value, str) and REDACTED in value
