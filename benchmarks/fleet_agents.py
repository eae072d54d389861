"""Seeded agents and how they spend a month: their ten-second windows, honest ones and planted ones, in order of time.

Agents of five trades work in sessions, by day more than by night, on workdays more than on weekends; some days are busy, some
sessions frantic. Every agent has its own amounts, its own mix of tools and its own hours. Two new versions are rolled out
to some trades, declared, and change both.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

WINDOW_S: Final = 10
DAY_S: Final = 86_400
BEGIN_S: Final = 1_772_409_600  # a Monday, 2026-03-02
ROLL_OUTS: Final = {8: ("support", "coder"), 18: ("research",)}
"""On which days which trades get a new version."""
_BUSY_DAY, _BUSY_FACTOR = 0.05, 2.0
_FRANTIC_SESSION, _FRANTIC_FACTOR = 0.02, 2.5


@dataclass(frozen=True)
class Trade:
    """What agents of a kind do in a window: means, and shares of windows."""

    name: str
    calls: float
    tokens: float
    egress_share: float
    egress_kib: float
    error_share: float
    hand_over_share: float
    tools: int
    weekend: float


TRADES: Final = (
    Trade("support", 2.0, 800, 0.30, 2, 0.02, 0.05, 6, 0.5),
    Trade("coder", 4.0, 3000, 0.05, 20, 0.08, 0.02, 10, 0.2),
    Trade("invoice", 1.5, 400, 0.15, 6, 0.01, 0.01, 4, 0.05),
    Trade("research", 3.0, 6000, 0.40, 4, 0.05, 0.15, 8, 0.3),
    Trade("operations", 2.5, 600, 0.02, 3, 0.04, 0.03, 7, 0.9),
)


@dataclass
class Agent:
    """One agent of a trade: its own amounts, mix and hours."""

    name: str
    trade: Trade
    chance: random.Random
    sessions: float
    session_windows: float
    busiest_hour: float
    night: float
    weights: list[float]
    used: set[int] = field(default_factory=set)
    version: int = 0


@dataclass
class Work:
    """What becomes of an agent's work where something is planted: factors and additions."""

    calls: float = 1.0
    tokens: float = 1.0
    extra_egress_kib: float = 0.0
    one_tool: bool = False
    new_tool_share: float = 0.0


HONEST: Final = Work()


def agent(seed: str, name: str, trade: Trade) -> Agent:
    """Return an agent that differs from its peers as agents do."""
    chance = random.Random(f"{seed}/{name}")
    own = replace(
        trade,
        calls=trade.calls * _about(chance, 0.3),
        tokens=trade.tokens * _about(chance, 0.5),
        egress_share=min(0.9, trade.egress_share * _about(chance, 0.5)),
        egress_kib=trade.egress_kib * _about(chance, 0.6),
        error_share=trade.error_share * _about(chance, 0.4),
        hand_over_share=trade.hand_over_share * _about(chance, 0.5),
    )
    return Agent(
        name,
        own,
        chance,
        sessions=min(40.0, 8 * _about(chance, 0.7)),
        session_windows=min(80.0, 12 * _about(chance, 0.5)),
        busiest_hour=chance.gauss(13, 1.5),
        night=chance.choice((0.0, 0.0, 0.02, 0.1)),
        weights=[1 / (1 + place) ** 1.3 for place in range(trade.tools)],
    )


def day(one: Agent, number: int, *, sessions: float = 1.0) -> list[int]:
    """Return the starts of the windows of a day in which an agent is awake, as seconds, in order."""
    chance = one.chance
    weekend = number % 7 >= 5  # noqa: PLR2004 - the month begins on a Monday
    mean = one.sessions * (one.trade.weekend if weekend else 1.0) * sessions
    if chance.random() < _BUSY_DAY:
        mean *= _BUSY_FACTOR
    starts: set[int] = set()
    for _ in range(_poisson(chance, mean)):
        at = _hour(chance, one) * 3600
        for _ in range(1 + int(chance.expovariate(1 / one.session_windows))):
            if at < DAY_S:
                starts.add(int(at) // WINDOW_S * WINDOW_S)
            at += WINDOW_S * (1 if chance.random() < 0.8 else chance.randint(2, 12))  # noqa: PLR2004
    return [BEGIN_S + number * DAY_S + start for start in sorted(starts)]


def night_shift(one: Agent, number: int) -> list[int]:
    """Return windows of an hour and a half at three in the morning."""
    first = BEGIN_S + number * DAY_S + 3 * 3600
    return [first + at * WINDOW_S for at in range(540) if one.chance.random() < 0.4]  # noqa: PLR2004


def roll_out(one: Agent) -> None:
    """Give an agent a new version: other amounts, another mix, one more tool."""
    one.version += 1
    one.trade = replace(
        one.trade,
        calls=one.trade.calls * one.chance.uniform(0.6, 1.7),
        tokens=one.trade.tokens * one.chance.uniform(0.5, 2.0),
        tools=one.trade.tools + 1,
    )
    one.chance.shuffle(one.weights)
    one.weights.append(0.3)


def windows(one: Agent, starts: list[int], work: Work = HONEST) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the windows that begin at these seconds."""
    frantic, last = 1.0, 0
    for start in starts:
        if start - last > 30 * WINDOW_S:
            frantic = _FRANTIC_FACTOR if one.chance.random() < _FRANTIC_SESSION else 1.0
        last = start
        yield start, _window(one, frantic, work)


def _window(one: Agent, frantic: float, work: Work) -> dict[str, float]:
    chance, trade = one.chance, one.trade
    calls = _poisson(chance, trade.calls * frantic * work.calls)
    models = 1 + _poisson(chance, 0.5 * frantic)
    counts = _tools(one, calls, work)
    new = counts.keys() - one.used
    one.used |= new
    errors = sum(chance.random() < trade.error_share for _ in range(calls))
    tokens = models * trade.tokens * work.tokens * math.exp(chance.gauss(0, 0.5))
    egress = trade.egress_kib * math.exp(chance.gauss(0, 0.8)) if chance.random() < trade.egress_share else 0.0
    if work.extra_egress_kib:
        egress += work.extra_egress_kib * chance.uniform(0.7, 1.3)
    hand_overs = 1 if chance.random() < trade.hand_over_share else 0
    return {
        "steps": models + 2 * calls + hand_overs,
        "model_calls": models,
        "tool_calls": calls,
        "messages": 1 if chance.random() < 0.2 else 0,  # noqa: PLR2004
        "errors": errors,
        "error_share": errors / calls if calls else 0.0,
        "tokens": tokens,
        "money_usd": tokens * 1e-5,
        "resources": len(counts) + _poisson(chance, 0.3 * calls),
        "egress_bytes": 1024 * egress,
        "latency_s": 0.4 * math.exp(chance.gauss(0, 0.5)),
        "hand_overs": hand_overs,
        "entropy_bits": _entropy(counts),
        "fan_out": len(counts),
        "first_uses": len(new),
    }


def _tools(one: Agent, calls: int, work: Work) -> dict[int, int]:
    counts: dict[int, int] = {}
    if work.one_tool:
        return {0: calls} if calls else counts
    for tool in one.chance.choices(range(len(one.weights)), one.weights, k=calls):
        counts[tool] = counts.get(tool, 0) + 1
    if work.new_tool_share and one.chance.random() < work.new_tool_share:
        for tool in range(100, 103):
            counts[tool] = 1
    return counts


def _entropy(counts: dict[int, int]) -> float:
    whole = sum(counts.values())
    return -sum(count / whole * math.log2(count / whole) for count in counts.values()) if len(counts) > 1 else 0.0


def _hour(chance: random.Random, one: Agent) -> float:
    if chance.random() < one.night:
        return chance.uniform(0, 24)
    return min(23.9, max(6.0, chance.gauss(one.busiest_hour, 2.5)))


def _about(chance: random.Random, spread: float) -> float:
    return math.exp(chance.gauss(0, spread))


def _poisson(chance: random.Random, mean: float) -> int:
    if mean > 30:  # noqa: PLR2004 - the normal approximation is near enough
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
