"""What the gate must have made of a call's arguments, where grants narrow them: worked out again, by another hand."""

import copy
import math
from collections.abc import Iterable
from typing import Any, Final

from detectors.hidden import is_hidden
from schemas.globs import glob_any
from schemas.policy import Grant, Rewrite

_REMOVED: Final = object()


class Impossible(Exception):
    """A rewriting does not apply to the value it meets; the gate refuses such a call."""


def narrowed(arguments: dict[str, Any], grants: Iterable[Grant], cut: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
    """Return the arguments as the grants rewrite them, in order; and whether all that is rewritten could be seen.

    Raises `Impossible`.
    """
    found = copy.deepcopy(arguments)
    whole = True
    for grant in grants:
        for path, rewrite in grant.narrow.items():
            try:
                whole &= _rewrite(found, path, rewrite, cut)
            except Impossible as error:
                raise Impossible(f"grant {grant.id} cannot narrow {path}: {error}") from None
    return found, whole


def _rewrite(arguments: dict[str, Any], path: str, rewrite: Any, cut: tuple[str, ...]) -> bool:
    root, *way = path.split(".")
    if root != "arguments" or not way:
        raise Impossible("it is no path below arguments")
    holder: Any = arguments
    for name in way[:-1]:
        holder = holder.get(name) if isinstance(holder, dict) else None
    last = way[-1]
    value = holder.get(last, _REMOVED) if isinstance(holder, dict) else _REMOVED
    if is_hidden(path, value, cut):
        return False
    if value is not _REMOVED:
        _put(holder, last, _changed(value, rewrite))
    return True


def _put(holder: dict[str, Any], name: str, value: Any) -> None:
    holder[name] = value
    if value is _REMOVED:
        del holder[name]


def _changed(value: Any, rewrite: Any) -> Any:
    if isinstance(rewrite, Rewrite):
        return _by_rule(value, rewrite)
    return rewrite if isinstance(rewrite, bool | str) else _capped(value, rewrite)


def _by_rule(value: Any, rewrite: Rewrite) -> Any:
    said = [name for name in ("at_most", "set", "keep", "shorten") if getattr(rewrite, name) is not None]
    said += ["remove"] if rewrite.remove else []
    match said:
        case ["at_most"]:
            return _capped(value, rewrite.at_most or 0)
        case ["set"]:
            return rewrite.set
        case ["remove"]:
            return _REMOVED
        case ["keep"]:
            return _kept(value, rewrite.keep or ())
        case ["shorten"]:
            return _shortened(value, rewrite.shorten or 0)
    raise Impossible("it says nothing that this gate can do")


def _capped(value: Any, most: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Impossible("only a number can be capped")
    if value <= most:
        return value
    return float(most) if isinstance(value, float) else math.floor(most)


def _kept(value: Any, patterns: tuple[str, ...]) -> Any:
    match value:
        case list():
            return [member for member in value if isinstance(member, str) and glob_any(patterns, member)]
        case str():
            return value if glob_any(patterns, value) else _REMOVED
    raise Impossible("only texts can be chosen from")


def _shortened(value: Any, most: int) -> Any:
    if isinstance(value, str | list):
        return value[:most]
    raise Impossible("only a text or a list can be shortened")
