"""Ten-second windows of one agent, put together over partitions, and what they look like in numbers."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from detectors.profiles.activity import OpenWindow
from detectors.profiles.state import AgentProfile
from schemas.activity import WINDOW_US, Window

GRACE_US: Final = 5_000_000
"""After its end, until the last worker has told of it."""
MOST_OPEN: Final = 16
MOST_GAPS: Final = 64


def take_windows(profile: AgentProfile, partition: int, windows: Iterable[Window]) -> None:
    """Keep the newest word on each window that is not judged yet."""
    for window in windows:
        if window.start_us > profile.closed_us:
            profile.windows.setdefault(window.start_us, {})[partition] = _kept(window)


def _kept(window: Window) -> OpenWindow:
    return OpenWindow(
        window.start_us,
        window.steps,
        dict(window.by_kind),
        dict(window.by_tool),
        window.errors,
        window.input_tokens,
        window.output_tokens,
        window.cost_usd,
        window.egress_bytes,
        window.duration_us,
        {-number for number in range(window.resources)},
    )


def closed(profile: AgentProfile, now_us: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield start and features of each window that is over, oldest first, and forget it."""
    crowd = len(profile.windows) - MOST_OPEN
    for start_us in sorted(profile.windows):
        if now_us < start_us + WINDOW_US + GRACE_US and crowd <= 0:
            return
        crowd -= 1
        parts = profile.windows.pop(start_us)
        _note_rhythm(profile, start_us)
        yield start_us, features_of(parts) | {"first_uses": _first_uses(profile, start_us)}


def _first_uses(profile: AgentProfile, start_us: int) -> int:
    ends_us = start_us + WINDOW_US
    count = sum(start_us <= at < ends_us for at in profile.firsts_us)
    profile.firsts_us = [at for at in profile.firsts_us if at >= ends_us]
    return count


def _note_rhythm(profile: AgentProfile, start_us: int) -> None:
    if profile.returned:
        profile.returned = False
    elif profile.closed_us:
        profile.gaps_us = [*profile.gaps_us, start_us - profile.closed_us][-MOST_GAPS:]
    profile.closed_us = start_us
    profile.active += 1
    profile.hours[start_us // 3_600_000_000 % 24] += 1


def features_of(parts: Mapping[int, OpenWindow]) -> dict[str, float]:
    """Return a window in numbers, over all partitions of steps: those that `anomaly.features` knows."""
    found = parts.values()
    kinds, tools = _sum(each.by_kind for each in found), _sum(each.by_tool for each in found)
    steps = sum(each.steps for each in found)
    done = kinds.get("tool_result", 0) + kinds.get("model_call", 0)
    return {
        "steps": steps,
        "tool_calls": kinds.get("tool_call", 0),
        "model_calls": kinds.get("model_call", 0),
        "messages": kinds.get("message", 0),
        "hand_overs": kinds.get("handoff", 0),
        "fan_out": len(tools),
        "entropy_bits": _entropy(tools),
        "errors": sum(each.errors for each in found),
        "error_share": sum(each.errors for each in found) / steps if steps else 0.0,
        "tokens": sum(each.input_tokens + each.output_tokens for each in found),
        "money_usd": sum(each.cost_usd for each in found),
        "egress_bytes": sum(each.egress_bytes for each in found),
        "resources": sum(len(each.resources) for each in found),
        "latency_s": sum(each.duration_us for each in found) / 1e6 / done if done else 0.0,
    }


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _entropy(counts: Mapping[str, int]) -> float:
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values()) if total else 0.0
