"""Counts with their intervals, and delays."""

import math
from collections.abc import Sequence
from typing import Any


def interval(count: int, exposure: float) -> list[float]:
    """Return 95 % of the rates that a count of rare events over an exposure is compatible with (Byar's for Poisson)."""

    def bound(events: float, sign: int) -> float:
        if events <= 0:
            return 0.0
        return float(events * (1 - 1 / (9 * events) + sign * 1.96 / (3 * math.sqrt(events))) ** 3)

    return [round(bound(count, -1) / exposure, 5), round(bound(count + 1, 1) / exposure, 5)]


def wilson(found: int, of: int) -> list[float]:
    """Return 95 % of the shares that so many found are compatible with."""
    if not of:
        return [0.0, 1.0]
    z2 = 1.96**2
    middle = (found + z2 / 2) / (of + z2)
    half = 1.96 * math.sqrt(found * (of - found) / of + z2 / 4) / (of + z2)
    return [round(max(0.0, middle - half), 3), round(min(1.0, middle + half), 3)]


def delays(after: Sequence[int | None]) -> dict[str, Any]:
    """Return how many were found, and after how many windows."""
    found = sorted(count for count in after if count is not None)
    return {
        "found": len(found),
        "interval_95": wilson(len(found), len(after)),
        "windows_p50": found[len(found) // 2] if found else None,
        "windows_max": found[-1] if found else None,
    }
