"""The conditions of a grant, held against what is known of a call afterwards."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from detectors.hidden import ONLY_THE_GATE, is_hidden
from detectors.places import host_fits, host_of, lies_within, resolved
from schemas.globs import glob_any, glob_match
from schemas.policy import Grant, Test

MISSING: Final = object()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_YEARS: Final = 146_097 * 86_400_000_000
"""Microseconds of 400 years, after which the calendar repeats."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What conditions may ask about."""

    kind: str
    """`tools`, `models` or `agents`: which of a grant's globs must fit."""
    name: str
    values: dict[str, Any]
    cut: tuple[str, ...] = field(default=())
    """Paths of arguments that were cut or hidden before they were published."""


def conditions_hold(grant: Grant, facts: CallFacts) -> bool | None:
    """Tell whether all conditions of a grant hold; None where one is wary and what it asks about cannot be seen.

    A grant that allows needs every member of a list to pass; one that refuses, asks, clears or narrows is met by any
    one of them, and by a value that cannot be compared: neither a second recipient nor `"501"` for 501 slips through.
    What cannot be seen was seen by the gate: it is held against nobody.
    """
    wary = grant.effect != "allow"
    unsure = False
    for path, test in grant.when.items():
        value = value_at(facts.values, path)
        if path.partition(".")[0] in ONLY_THE_GATE or is_hidden(path, value, facts.cut):
            unsure = wary
        elif not holds(test, value, wary=wary):
            return False
    return None if unsure else True


def time_facts(time_us: int) -> dict[str, Any]:
    """Return the hour and the weekday of a time in microseconds since 1970, UTC.

    >>> time_facts(0), time_facts(-1)
    ({'hour': 0, 'weekday': 'thu'}, {'hour': 23, 'weekday': 'wed'})
    """
    moment = _EPOCH + timedelta(microseconds=time_us % _YEARS)
    return {"hour": moment.hour, "weekday": _DAYS[moment.weekday()]}


def value_at(values: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or `MISSING`."""
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def holds(test: Test, value: Any, *, wary: bool) -> bool:
    """Tell whether everything the test sets holds for the value, which may be `MISSING`."""
    if value is MISSING:
        return test.exists is False
    if test.exists is False:
        return False
    if isinstance(value, list):
        quantify = any if wary else all
        return quantify(_member_holds(test, member, wary=wary) for member in value)
    return _member_holds(test, value, wary=wary)


def _member_holds(test: Test, value: Any, *, wary: bool) -> bool:
    return (
        _equality_holds(test, value)
        and _number_holds(test, value, wary=wary)
        and _text_holds(test, value, wary=wary)
        and _place_holds(test, value, wary=wary)
    )


def _equality_holds(test: Test, value: Any) -> bool:
    if test.eq is not None and not _same(value, test.eq):
        return False
    if test.ne is not None and _same(value, test.ne):
        return False
    if test.any_of is not None and not any(_same(value, other) for other in test.any_of):
        return False
    return test.none_of is None or not any(_same(value, other) for other in test.none_of)


def _same(value: Any, other: Any) -> bool:
    """Equal and of the same kind: True is not 1, and "1" is not 1."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _number_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if test.lt is None and test.lte is None and test.gt is None and test.gte is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return wary
    if isinstance(value, float) and not math.isfinite(value):  # an int may be larger than any float
        return wary
    return (
        (test.lt is None or value < test.lt)
        and (test.lte is None or value <= test.lte)
        and (test.gt is None or value > test.gt)
        and (test.gte is None or value >= test.gte)
    )


def _text_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if test.glob is None and test.not_glob is None and test.max_length is None:
        return True
    if not isinstance(value, str):
        return wary
    if test.glob is not None and not glob_any(test.glob, value):
        return False
    if test.not_glob is not None and any(glob_match(pattern, value) for pattern in test.not_glob):
        return False
    return test.max_length is None or len(value) <= test.max_length


def _place_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if test.domain is not None or test.not_domain is not None:
        host = host_of(value) if isinstance(value, str) else None
        if host is None:
            return wary and _path_holds(test, value, wary=wary)
        if test.domain is not None and not host_fits(test.domain, host):
            return False
        if test.not_domain is not None and host_fits(test.not_domain, host):
            return False
    return _path_holds(test, value, wary=wary)


def _path_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if test.within is None:
        return True
    path = resolved(value) if isinstance(value, str) else None
    return wary if path is None else any(lies_within(path, folder) for folder in test.within)
