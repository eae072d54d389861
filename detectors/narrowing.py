"""What grants that narrow make of a call's arguments: the same as the gate does, by another hand."""

import copy
import math
from collections.abc import Iterable
from typing import Any

from schemas.globs import glob_any
from schemas.policy import Grant, Rewrite


class CannotNarrow(Exception):
    """An argument is not of a kind that can be rewritten so; `args[0]` says which."""


def narrow(arguments: dict[str, Any], grants: Iterable[Grant]) -> dict[str, Any]:
    """Return a copy of the arguments as the grants rewrite them. Raises `CannotNarrow`."""
    made = copy.deepcopy(arguments)
    for grant in grants:
        for path, how in grant.narrow.items():
            *folders, last = path.split(".")[1:] or [""]
            holder: Any = made
            for name in folders:
                holder = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and last in holder:
                _rewrite(holder, last, how if isinstance(how, Rewrite) else _meant(how), path)
    return made


def _meant(how: bool | float | str) -> Rewrite:
    if isinstance(how, bool | str):
        return Rewrite(set=how)
    return Rewrite(at_most=how)


def _rewrite(holder: dict[str, Any], name: str, how: Rewrite, path: str) -> None:
    value = holder[name]
    if how.remove:
        del holder[name]
    elif how.set is not None:
        holder[name] = how.set
    elif how.keep is not None:
        _keep(holder, name, how.keep)
    elif how.shorten is not None:
        if not isinstance(value, str | list):
            raise CannotNarrow(f"{path} is neither a text nor a list, and cannot be shortened")
        holder[name] = value[: how.shorten]
    else:
        holder[name] = _capped(value, how.at_most, path)


def _keep(holder: dict[str, Any], name: str, globs: tuple[str, ...]) -> None:
    value = holder[name]
    if isinstance(value, list):
        holder[name] = [text for text in value if isinstance(text, str) and glob_any(globs, text)]
    elif not isinstance(value, str) or not glob_any(globs, value):
        del holder[name]


def _capped(value: Any, most: float | None, path: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (isinstance(value, float) and not math.isfinite(value)):
        raise CannotNarrow(f"{path} is no number, and cannot be capped")
    if most is None or value <= most:
        return value
    return int(most) if float(most).is_integer() else most
