"""Seeded series of the kinds that servers, sensors, markets and people make, with anomalies planted and labelled.

They are ours, and stand in for no public set: they show that a detector does what it should, and keep it from getting worse.
Labels are wide windows about the moment an anomaly begins, a tenth of a series in all. Honest spikes that nobody labelled
are in them too, and some labelled events that hardly show.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

_BEGIN: Final = datetime(2026, 3, 2, tzinfo=UTC)
_WINDOWS_SHARE: Final = 0.1
_PROBATION: Final = 0.17
"""Nothing is planted before this share of a series: a detector may learn first."""


@dataclass
class Series:
    """Times, values, and the first and last row of each labelled window."""

    kind: str
    times: list[datetime]
    values: list[float]
    windows: list[tuple[int, int]] = field(default_factory=list)


def corpus(seed: int, each: int = 6) -> list[Series]:
    """Return `each` series of every kind."""
    return [_planted(random.Random(f"{seed}/{kind}/{at}"), kind) for kind in _KINDS for at in range(each)]


def _planted(chance: random.Random, kind: str) -> Series:
    make, rows, step_minutes, plants = _KINDS[kind]
    count = int(rows * chance.uniform(0.7, 1.3))
    times = _times(chance, count, step_minutes, irregular=kind == "traffic")
    values = make(chance, [_day(moment) for moment in times])
    series = Series(kind, times, values)
    events = chance.choice((0, 1, 1, 2, 2, 2, 3, 4))
    if events:
        _plant(chance, series, events, plants)
    return series


def _times(chance: random.Random, count: int, minutes: int, *, irregular: bool) -> list[datetime]:
    moment, times = _BEGIN + timedelta(hours=chance.randrange(24)), []
    for _ in range(count):
        times.append(moment)
        moment += timedelta(minutes=minutes * (chance.choice((1, 1, 1, 2, 3, 12)) if irregular else 1))
    return times


def _day(moment: datetime) -> float:
    """Return days since a Monday, in fractions."""
    return (moment - _BEGIN).total_seconds() / 86400


def _plant(chance: random.Random, series: Series, events: int, plants: Sequence[str]) -> None:
    count = len(series.values)
    width = int(_WINDOWS_SHARE * count / events)
    room = (count * (1 - _PROBATION) - width) / events
    spread = _spread(series.values[: count // 5])
    for at in range(events):
        first = int(count * _PROBATION + at * room + chance.uniform(0, max(1.0, room - 1.5 * width)))
        begins = first + int(width * chance.uniform(0.2, 0.6))
        if chance.random() > 0.08:  # noqa: PLR2004 - some of what people label cannot be seen in the numbers
            _PLANTS[chance.choice(plants)](chance, series.values, begins, width, spread)
        series.windows.append((first, min(count - 1, first + width)))


def _spread(values: Sequence[float]) -> float:
    ordered = sorted(values)
    wide = ordered[int(0.95 * len(ordered))] - ordered[int(0.05 * len(ordered))]
    return max(wide, 0.05 * (ordered[-1] - ordered[0]), 1e-6)


# --- what is planted --------------------------------------------------------------------------------------------------


def _spike(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    del width
    tall = spread * chance.uniform(1.0, 4) * chance.choice((1, 1, 1, -0.7))
    for at in range(begins, min(len(values), begins + chance.randint(1, 6))):
        values[at] += tall * chance.uniform(0.7, 1.0)


def _level(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    up = spread * chance.uniform(0.5, 1.5) * chance.choice((1, 1, -0.7))
    lasts = chance.choice((width, 3 * width, len(values)))
    for at in range(begins, min(len(values), begins + lasts)):
        values[at] += up


def _flat(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    del spread
    stuck = values[begins] if chance.random() < 0.5 else min(values)  # noqa: PLR2004
    for at in range(begins, min(len(values), begins + width // 2)):
        values[at] = stuck


def _wild(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    for at in range(begins, min(len(values), begins + width)):
        values[at] += chance.gauss(0, spread * 0.7)


def _drift(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    up = spread * chance.uniform(0.8, 2.0)
    for at in range(begins, min(len(values), begins + 2 * width)):
        values[at] += up * min(1.0, (at - begins) / width)


def _quiet_cycle(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    """Most of a day's rhythm is missing."""
    del chance, spread
    upto = min(len(values), begins + width // 2)
    middle = sum(values[begins:upto]) / max(1, upto - begins)
    for at in range(begins, upto):
        values[at] = middle + 0.25 * (values[at] - middle)


def _bursts(chance: random.Random, values: list[float], begins: int, width: int, spread: float) -> None:
    for at in range(begins, min(len(values), begins + width // 2)):
        if chance.random() < 0.15:  # noqa: PLR2004
            values[at] += spread * chance.expovariate(1.0)


_PLANTS: Final[dict[str, Callable[[random.Random, list[float], int, int, float], None]]] = {
    "spike": _spike,
    "level": _level,
    "flat": _flat,
    "wild": _wild,
    "drift": _drift,
    "quiet_cycle": _quiet_cycle,
    "bursts": _bursts,
}


# --- what honest series look like -------------------------------------------------------------------------------------


def _daily(day: float, sharp: float = 1.0) -> float:
    """Return 0 at night to 1 in the afternoon."""
    return float((0.5 - 0.5 * math.cos(2 * math.pi * (day - 0.12))) ** sharp)


def _weekday(day: float) -> float:
    return 0.6 if int(day) % 7 in (5, 6) else 1.0


def _cpu(chance: random.Random, days: Sequence[float]) -> list[float]:
    base, noise, rare = chance.uniform(2, 60), chance.uniform(0.2, 4), chance.uniform(0, 0.002)
    batch = chance.choice((0, 0, 0, 12, 288))
    values = []
    for at, _ in enumerate(days):
        value = base + chance.gauss(0, noise)
        if batch and at % batch == 0:
            value += 8 * noise * chance.uniform(0.6, 1.3)
        if chance.random() < rare:
            value += noise * chance.uniform(4, 14)
        values.append(max(0.0, value))
    return values


def _latency(chance: random.Random, days: Sequence[float]) -> list[float]:
    base, heavy, rhythm = chance.uniform(20, 60), chance.uniform(0.05, 0.4), chance.choice((0.0, 0.2, 0.6))
    return [base * (1 + rhythm * _daily(day)) * math.exp(chance.gauss(0, heavy)) for day in days]


def _network(chance: random.Random, days: Sequence[float]) -> list[float]:
    base, share = 10 ** chance.uniform(3, 6), chance.uniform(0.02, 0.2)
    return [
        base * (chance.uniform(5, 40) if chance.random() < share else 1) * math.exp(chance.gauss(0, 0.15)) for _ in days
    ]


def _disk(chance: random.Random, days: Sequence[float]) -> list[float]:
    share, tall = chance.uniform(0.005, 0.1), 10 ** chance.uniform(2, 7)
    return [tall * math.exp(chance.gauss(0, 0.7)) if chance.random() < share else 0.0 for _ in days]


def _taxi(chance: random.Random, days: Sequence[float]) -> list[float]:
    top, noise, slow = chance.uniform(5_000, 30_000), chance.uniform(0.02, 0.06), 0.0
    values = []
    for day in days:
        slow = 0.97 * slow + chance.gauss(0, noise * 0.3)
        evening = 0.25 * _daily(2 * day)
        shape = (0.15 + _daily(day, 1.4) + evening) * _weekday(day)
        values.append(1.0 * round(top * shape * (1 + slow + chance.gauss(0, noise)) / 1.3))
    return values


def _ads(chance: random.Random, days: Sequence[float]) -> list[float]:
    base, noise = 10 ** chance.uniform(-1.2, 0.5), chance.uniform(0.1, 0.4)
    return [
        base * (0.8 + 0.4 * _daily(day)) * math.exp(chance.gauss(0, noise)) * (1 if chance.random() > 0.004 else 2.5)  # noqa: PLR2004
        for day in days
    ]


def _tweets(chance: random.Random, days: Sequence[float]) -> list[float]:
    base, excited = chance.uniform(2, 60), 0.0
    values = []
    for day in days:
        excited *= 0.9
        if chance.random() < 0.004:  # noqa: PLR2004
            excited += chance.paretovariate(1.8)
        mean = base * (0.3 + _daily(day)) * (1 + excited)
        values.append(float(max(0, round(chance.gauss(mean, math.sqrt(mean) * 1.5)))))
    return values


def _temperature(chance: random.Random, days: Sequence[float]) -> list[float]:
    slow, base, rhythm = 0.0, chance.uniform(60, 90), chance.uniform(0, 6)
    values = []
    for day in days:
        slow = 0.995 * slow + chance.gauss(0, 0.4)
        values.append(base + slow + rhythm * _daily(day) + chance.gauss(0, 0.5))
    return values


def _traffic(chance: random.Random, days: Sequence[float]) -> list[float]:
    base, rush = chance.uniform(40, 80), chance.uniform(5, 25)
    values = []
    for day in days:
        jam = rush * (_daily(day, 6) + 0.7 * _daily(day + 0.4, 8)) * _weekday(day) * chance.uniform(0.3, 1.2)
        values.append(round(max(0.0, base - jam + chance.gauss(0, 3)), 1))
    return values


def _drawn(chance: random.Random, days: Sequence[float]) -> list[float]:
    """Return a square wave or a tooth, or nothing but a line, with hardly any noise."""
    shape, noise, high = chance.choice(("square", "tooth", "line", "sine")), chance.choice((0.0, 1.0, 4.0)), 60.0
    values = []
    for day in days:
        part = day % 1
        value = {"square": high * (0.35 < part < 0.75), "tooth": high * part, "line": 0.0, "sine": high * _daily(day)}[  # noqa: PLR2004
            shape
        ]
        values.append(20 + value + chance.uniform(-noise, noise))
    return values


_Make = Callable[[random.Random, Sequence[float]], list[float]]
_KINDS: Final[dict[str, tuple[_Make, int, int, tuple[str, ...]]]] = {
    "cpu": (_cpu, 4032, 5, ("spike", "level", "wild", "drift", "bursts", "flat")),
    "latency": (_latency, 4032, 5, ("spike", "level", "wild", "bursts", "drift")),
    "network": (_network, 4500, 5, ("spike", "level", "bursts", "flat")),
    "disk": (_disk, 4032, 5, ("spike", "level", "bursts")),
    "taxi": (_taxi, 10_320, 30, ("quiet_cycle", "level", "spike", "flat")),
    "ads": (_ads, 1600, 60, ("spike", "level", "bursts", "wild")),
    "tweets": (_tweets, 15_800, 5, ("spike", "level", "bursts")),
    "temperature": (_temperature, 9000, 60, ("drift", "level", "spike", "flat", "wild")),
    "traffic": (_traffic, 2000, 5, ("spike", "level", "flat", "wild")),
    "drawn": (_drawn, 4032, 5, ("level", "quiet_cycle", "flat", "spike", "wild")),
}
