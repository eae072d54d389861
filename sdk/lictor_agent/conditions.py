"""Conditions of grants, compiled: a test becomes a function of the value, its path is split once."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.places import host_of, lies_in, parts_of
from lictor_agent.policy import Grant, Test

MISSING: Final = object()
Holds = Callable[[Any], bool]
Check = tuple[tuple[str, ...], Holds]
"""Where the value stands, and what must hold for it."""


def compiled(grant: Grant) -> tuple[Check, ...]:
    """Return a grant's conditions.

    A grant that allows needs every member of a list to pass; one that refuses, asks, clears or narrows is met by any one of
    them, and by a value that cannot be compared: doubt is never permission.
    """
    wary = grant.effect != "allow"
    return tuple((tuple(path.split(".")), _holds(test, wary)) for path, test in grant.when.items())


def all_hold(checks: tuple[Check, ...], values: Mapping[str, Any]) -> bool:
    """Tell whether all conditions hold."""
    return all(holds(value_at(values, path)) for path, holds in checks)


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path, or `MISSING`."""
    for part in path:
        if not isinstance(values, dict):
            return MISSING
        values = values.get(part, MISSING)
    return values


def _holds(test: Test, wary: bool) -> Holds:
    members = _members(test, wary)
    quantify = any if wary else all

    def holds(value: Any) -> bool:
        if value is MISSING:
            return test.exists is False
        if test.exists is False:
            return False
        if isinstance(value, list | tuple):
            return quantify(all(part(member) for part in members) for member in value)
        return all(part(value) for part in members)

    return holds


def _members(test: Test, wary: bool) -> tuple[Holds, ...]:
    """Return what must hold for one member, only for what the test sets."""
    found: list[Holds] = []
    if (eq := test.eq) is not None:
        found.append(lambda value: _same(value, eq))
    if (ne := test.ne) is not None:
        found.append(lambda value: not _same(value, ne))
    if (any_of := test.any_of) is not None:
        found.append(lambda value: any(_same(value, other) for other in any_of))
    if (none_of := test.none_of) is not None:
        found.append(lambda value: not any(_same(value, other) for other in none_of))
    if (test.lt, test.lte, test.gt, test.gte) != (None,) * 4:
        found.append(lambda value: _number_holds(test, value, wary))
    if (test.glob, test.not_glob, test.max_length) != (None,) * 3:
        found.append(lambda value: _text_holds(test, value, wary))
    if test.domain is not None or test.not_domain is not None:
        found.append(lambda value: _domain_holds(test, value, wary))
    if test.within is not None:
        folders = [folder for path in test.within if (folder := parts_of(path)) is not None]
        found.append(lambda value: _path_holds(folders, value, wary))
    return tuple(found)


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _number_holds(test: Test, value: Any, wary: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return wary
    if isinstance(value, float) and not math.isfinite(value):  # an int may be larger than any float
        return wary
    low_enough = (test.lt is None or value < test.lt) and (test.lte is None or value <= test.lte)
    return low_enough and (test.gt is None or value > test.gt) and (test.gte is None or value >= test.gte)


def _text_holds(test: Test, value: Any, wary: bool) -> bool:
    if not isinstance(value, str):
        return wary
    if test.glob is not None and not globs.match_any(test.glob, value):
        return False
    if test.not_glob is not None and globs.match_any(test.not_glob, value):
        return False
    return test.max_length is None or len(value) <= test.max_length


def _domain_holds(test: Test, value: Any, wary: bool) -> bool:
    host = host_of(value) if isinstance(value, str) else None
    if host is None:
        return wary
    if test.domain is not None and not globs.match_any(test.domain, host):
        return False
    return test.not_domain is None or not globs.match_any(test.not_domain, host)


def _path_holds(folders: list[tuple[bool, tuple[str, ...]]], value: Any, wary: bool) -> bool:
    if not isinstance(value, str):
        return wary
    answers = [lies_in(value, folder) for folder in folders]
    return True in answers or (wary and None in answers)
