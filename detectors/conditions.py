"""Whether the conditions of a grant hold for a step, as far as what was published tells.

What the gate knew and the step does not say is `UNSEEN`: there the gate's word stands, and no bypass is claimed.
"""

import math
from typing import Any, Final

from detectors.places import Folder, is_within, named_host, resolved
from schemas.globs import glob_any, glob_match
from schemas.policy import Grant, Test

MISSING: Final = object()
UNSEEN: Final = object()
"""Known to the gate alone: what the run has spent, and what was cut or redacted before it was published."""
REDACTED: Final = "[redacted:"


def conditions_hold(grant: Grant, values: dict[str, Any]) -> bool:
    """Tell whether all conditions of a grant hold.

    A grant that allows needs every member of a list to pass; one that refuses, asks, clears or narrows is met by any one
    of them, and by a value that cannot be compared: neither a second recipient nor `"501"` for 501 slips through.
    """
    wary = grant.effect != "allow"
    return all(holds(test, value_at(values, path), wary=wary) for path, test in grant.when.items())


def value_at(values: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, `MISSING`, or `UNSEEN`."""
    found: Any = values
    for part in path.split("."):
        if found is UNSEEN:
            return UNSEEN
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def holds(test: Test, value: Any, *, wary: bool) -> bool:
    """Tell whether everything the test sets holds for the value, which may be `MISSING` or `UNSEEN`."""
    if value is MISSING:
        return test.exists is False
    if test.exists is False:
        return False
    if isinstance(value, list):
        quantify = any if wary else all
        return quantify(_member_holds(test, member, wary=wary) for member in value)
    return _member_holds(test, value, wary=wary)


def _member_holds(test: Test, value: Any, *, wary: bool) -> bool:
    if value is UNSEEN or (isinstance(value, str) and REDACTED in value):
        return not wary
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
        host = named_host(value) if isinstance(value, str) else ""
        if not host and not wary:
            return False
        if host and test.domain is not None and not glob_any(test.domain, host):
            return False
        if host and test.not_domain is not None and glob_any(test.not_domain, host):
            return False
    return test.within is None or _within(test.within, value, wary=wary)


def _within(folders: tuple[str, ...], value: Any, *, wary: bool) -> bool:
    if not isinstance(value, str):
        return wary
    known: list[Folder] = [folder for path in folders if (folder := resolved(path)) is not None]
    said = {is_within(value, folder) for folder in known}
    return True in said or (wary and None in said)
