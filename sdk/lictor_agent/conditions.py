"""The conditions of a grant, made into functions: paths are split and patterns looked at once, not at every call."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.places import host_of, lies_in, place_of
from lictor_agent.policy import Test

MISSING: Final = object()
DOUBT: Final = object()
"""A value that cannot be known, such as a sum to which something was added that is no number."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_EPOCH_DAY: Final = 3
"""1970 began on a Thursday."""

Values = Mapping[str, Any]
Find = Callable[[Values], Any]
Check = Callable[[Any], bool]
Holds = Callable[[Values], bool]


def compiled(when: Mapping[str, Test], *, wary: bool) -> Holds | None:
    """Return what tells whether all conditions hold; None where there are none.

    A grant that allows needs every member of a list to pass; one that is wary (refuses, asks, clears or narrows) is met
    by any one of them, and by a value that cannot be compared.
    """
    parts = [_condition(path, test, wary=wary) for path, test in when.items()]
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]

    def holds(values: Values) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs as much as the condition
            if not part(values):
                return False
        return True

    return holds


def finder(path: str) -> Find:
    """Return what finds the value at a path of `when`: `MISSING` where there is none, `DOUBT` where none can be known."""
    root, _, rest = path.partition(".")
    if path in ("time.hour", "time.weekday"):
        return _hour if path == "time.hour" else _weekday
    if root in ("spent", "amounts"):
        return lambda values: values.get(root, {}).get(rest, DOUBT)
    parts = tuple(path.split("."))
    if len(parts) == 1:
        return lambda values: values.get(path, MISSING)
    return lambda values: value_at(values, parts)


def value_at(values: Any, parts: Sequence[str]) -> Any:
    """Return the value at a path that was split, or `MISSING`."""
    found = values
    for part in parts:
        if not isinstance(found, dict):
            return MISSING
        found = found.get(part, MISSING)
    return found


def _hour(values: Values) -> Any:
    time_us = values.get("time_us")
    return DOUBT if time_us is None else time_us // _HOUR_US % 24


def _weekday(values: Values) -> Any:
    time_us = values.get("time_us")
    return DOUBT if time_us is None else WEEKDAYS[(time_us // _DAY_US + _EPOCH_DAY) % 7]


def _condition(path: str, test: Test, *, wary: bool) -> Holds:
    find, absent = finder(path), test.exists is False
    checks = _checks(test, wary=wary)

    def passes(value: Any) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs as much as the check
            if not check(value):
                return False
        return True

    member = checks[0] if len(checks) == 1 else passes

    def holds(values: Values) -> bool:
        value = find(values)
        if value is MISSING:
            return absent
        if value is DOUBT:
            return wary
        if absent:
            return False
        if isinstance(value, list | tuple):
            return any(map(member, value)) if wary else all(map(member, value))
        return member(value)

    return holds


def _checks(test: Test, *, wary: bool) -> list[Check]:
    found = _equalities(test)
    if any(bound is not None for bound in (test.lt, test.lte, test.gt, test.gte)):
        found.append(_number(test, wary=wary))
    if test.glob is not None or test.not_glob is not None or test.max_length is not None:
        found.append(_text(test, wary=wary))
    if test.domain is not None or test.not_domain is not None:
        found.append(_host(test, wary=wary))
    if test.within is not None:
        found.append(_path(test.within, wary=wary))
    return found


def _equalities(test: Test) -> list[Check]:
    found: list[Check] = []
    if (eq := test.eq) is not None:
        found.append(lambda value: _same(value, eq))
    if (ne := test.ne) is not None:
        found.append(lambda value: not _same(value, ne))
    if (any_of := test.any_of) is not None:
        found.append(lambda value: any(_same(value, other) for other in any_of))
    if (none_of := test.none_of) is not None:
        found.append(lambda value: not any(_same(value, other) for other in none_of))
    return found


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return bool(value == other)


def _number(test: Test, *, wary: bool) -> Check:
    lt, lte, gt, gte = test.lt, test.lte, test.gt, test.gte

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return wary
        if isinstance(value, float) and not math.isfinite(value):  # an int may be larger than any float
            return wary
        if (lt is not None and not value < lt) or (lte is not None and not value <= lte):
            return False
        return (gt is None or value > gt) and (gte is None or value >= gte)

    return holds


def _text(test: Test, *, wary: bool) -> Check:
    fits, avoids, longest = test.glob, test.not_glob, test.max_length

    def holds(value: Any) -> bool:
        if not isinstance(value, str):
            return wary
        if fits is not None and not globs.match_any(fits, value):
            return False
        if avoids is not None and globs.match_any(avoids, value):
            return False
        return longest is None or len(value) <= longest

    return holds


def _host(test: Test, *, wary: bool) -> Check:
    fits = _hosts(test.domain)
    avoids = _hosts(test.not_domain)

    def holds(value: Any) -> bool:
        host = host_of(value) if isinstance(value, str) else None
        if host is None:
            return wary
        if fits is not None and not globs.match_any(fits, host):
            return False
        return avoids is None or not globs.match_any(avoids, host)

    return holds


def _hosts(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if patterns is None else tuple(pattern.lower().removesuffix(".") for pattern in patterns)


def _path(folders: tuple[str, ...], *, wary: bool) -> Check:
    within = [place for folder in folders if (place := place_of(folder)) is not None]

    def holds(value: Any) -> bool:
        place = place_of(value) if isinstance(value, str) else None
        if place is None:
            return wary
        return any(lies_in(place, folder) for folder in within)

    return holds
