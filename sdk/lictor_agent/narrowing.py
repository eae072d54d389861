"""Arguments rewritten by fixed rules: what a grant that narrows makes of them."""

import math
from collections.abc import Iterable
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.policy import Grant, Rewrite

_GONE: Final = object()


class CannotNarrow(Exception):
    """An argument is not of a kind that can be rewritten so; `args[0]` says which."""


def narrowed(arguments: dict[str, Any], grants: Iterable[Grant]) -> dict[str, Any]:
    """Return the arguments as the grants rewrite them, in their order; the caller's stay as they are.

    What is missing stays missing. Raises `CannotNarrow`.
    """
    found: Any = arguments
    for grant in grants:
        for path, how in grant.narrow.items():
            found = _at(found, path.split(".")[1:], _as_rewrite(how), path)
    return dict(found)


def _as_rewrite(how: Any) -> Rewrite:
    """A bare number caps, a bare text or flag replaces."""
    if isinstance(how, Rewrite):
        return how
    if isinstance(how, int | float) and not isinstance(how, bool):
        return Rewrite(at_most=float(how))
    return Rewrite(set=how)


def _at(values: Any, path: list[str], how: Rewrite, named: str) -> Any:
    if not path or not isinstance(values, dict) or path[0] not in values:
        return values
    value = values[path[0]]
    made = _at(value, path[1:], how, named) if len(path) > 1 else _rewritten(value, how, named)
    if made is _GONE:
        return {name: kept for name, kept in values.items() if name != path[0]}
    return {**values, path[0]: made}


def _rewritten(value: Any, how: Rewrite, named: str) -> Any:
    if how.remove:
        return _GONE
    if how.set is not None:
        return how.set
    if how.keep is not None:
        return _kept(value, how.keep)
    if how.shorten is not None:
        if not isinstance(value, str | list):
            raise CannotNarrow(f"{named} is neither a text nor a list, and cannot be shortened")
        return value[: how.shorten]
    return _capped(value, how.at_most, named)


def _kept(value: Any, patterns: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [member for member in value if isinstance(member, str) and globs.match_any(patterns, member)]
    return value if isinstance(value, str) and globs.match_any(patterns, value) else _GONE


def _capped(value: Any, most: float | None, named: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise CannotNarrow(f"{named} is no number, and cannot be capped")
    if most is None or value <= most:
        return value
    return int(most) if most.is_integer() else most


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)
