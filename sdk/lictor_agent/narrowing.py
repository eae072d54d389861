"""Arguments rewritten by fixed rules, in a copy: what the agent gave stays as it was."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.policy import Grant, Rewrite

_GONE: Final = object()

Change = Callable[[Any], Any]
"""A value → the value in its place, or `_GONE`. Raises `CannotNarrow`."""


class CannotNarrow(Exception):
    """A rewriting does not apply to the value it meets."""


def compiled(grant: Grant) -> Callable[[dict[str, Any]], None]:
    """Return what rewrites arguments, in place, as a grant says. It raises `CannotNarrow` where that cannot be done."""
    changes = [(path, _parts(path), _change(rewrite)) for path, rewrite in grant.narrow.items()]

    def apply(arguments: dict[str, Any]) -> None:
        for path, parts, change in changes:
            try:
                _rewrite(arguments, parts, change)
            except CannotNarrow as error:
                raise CannotNarrow(f"grant {grant.id} cannot narrow {path}: {error}") from None

    return apply


def copied(value: Any) -> Any:
    """Return a copy of JSON in which every object and list may be changed."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def _parts(path: str) -> tuple[str, ...]:
    root, *parts = path.split(".")
    return tuple(parts) if root == "arguments" else ()


def _rewrite(arguments: dict[str, Any], parts: Sequence[str], change: Change) -> None:
    if not parts:
        raise CannotNarrow("it is no path below arguments")
    holder: Any = arguments
    for part in parts[:-1]:
        holder = holder.get(part) if isinstance(holder, dict) else None
    name = parts[-1]
    if not isinstance(holder, dict) or name not in holder:
        return
    value = change(holder[name])
    if value is _GONE:
        del holder[name]
    else:
        holder[name] = value


def _change(rewrite: Rewrite | bool | float | str) -> Change:
    if not isinstance(rewrite, Rewrite):
        is_number = isinstance(rewrite, int | float) and not isinstance(rewrite, bool)
        return _cap(rewrite) if is_number else lambda _: rewrite  # type: ignore[arg-type]
    said = [
        change
        for wanted, change in (
            (rewrite.at_most is not None, lambda: _cap(rewrite.at_most or 0)),
            (rewrite.set is not None, lambda: lambda _: rewrite.set),
            (rewrite.remove, lambda: lambda _: _GONE),
            (rewrite.keep is not None, lambda: _keep(rewrite.keep or ())),
            (rewrite.shorten is not None, lambda: _shorten(rewrite.shorten or 0)),
        )
        if wanted
    ]
    return said[0]() if len(said) == 1 else _unknown


def _unknown(_: Any) -> Any:
    raise CannotNarrow("it says nothing that this gate can do")


def _cap(most: float) -> Change:
    def change(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
            raise CannotNarrow("only a number can be capped")
        if value <= most:
            return value
        return math.floor(most) if isinstance(value, int) else float(most)

    return change


def _keep(patterns: tuple[str, ...]) -> Change:
    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in value if isinstance(item, str) and globs.match_any(patterns, item)]
        if not isinstance(value, str):
            raise CannotNarrow("only texts can be chosen from")
        return value if globs.match_any(patterns, value) else _GONE

    return change


def _shorten(most: int) -> Change:
    def change(value: Any) -> Any:
        if not isinstance(value, str | list):
            raise CannotNarrow("only a text or a list can be shortened")
        return value[:most]

    return change
