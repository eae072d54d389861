"""Oddity in a month of agents: false alarms on honest ones, what is found of what was planted, and what it costs.

Beside the model stand one that never alarms, one that alarms by chance, a Gaussian over the last windows of three features,
and River's half-space trees. The thresholds of these are set in hindsight, so that they alarm as often on honest agents as the
model does. The trees, which take many times as long, see the first honest agents only, and all others.
"""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks import fleet_rivals
from benchmarks.fleet_agents import BEGIN_S, DAY_S, ROLL_OUTS, TRADES, WINDOW_S, Agent, agent, day, roll_out, windows
from benchmarks.fleet_figures import delays, interval
from benchmarks.fleet_forest import Forests, installed
from benchmarks.fleet_plants import PLANTS, Plant, Planted, begins
from benchmarks.memory import resident
from detectors.anomaly.windows import WindowModel

SEED: Final = 20261123
AGENTS: Final = 500
DAYS: Final = 30
EACH: Final = 12
"""Agents with each anomaly, beside the honest ones."""
SETTLED_DAYS: Final = 3
"""Alarms of the first days are counted apart."""
FOR_FOREST: Final = 60
PROFILED: Final = 100_000


@dataclass
class Member:
    """An agent of the fleet and what became of it."""

    one: Agent
    plant: Plant | None
    rivals: fleet_rivals.Rivals
    alarms: list[tuple[int, bool]] = field(default_factory=list)
    """Days, and whether the alarm was about something planted."""
    for_forest: bool = False
    begins: int = 0
    """On which day what is planted begins."""
    planted_windows: int = 0
    found_after: int | None = None
    found_on_day: int | None = None


def run(*, quick: bool = False, **_: Any) -> dict[str, Any]:
    """Let a fleet work for a month under the model, then measure what a window and an agent cost."""
    agents, each, profiled = (40, 2, 2_000) if quick else (AGENTS, EACH, PROFILED)
    fleet, model, counted = simulate(agents, each)
    return {
        "seed": SEED,
        "agents": agents,
        "days": DAYS,
        "windows": counted,
        "budget_per_agent_and_day": model.alarms_per_day,
        **_honest(fleet),
        "results": [row for plant in PLANTS for row in _planted(fleet, plant)],
        "cost": _cost(model, profiled),
    }


def simulate(agents: int, each: int, days: int = DAYS) -> tuple[list[Member], WindowModel, int]:
    """Return the fleet after some days, the model that watched it, and how many windows it judged."""
    model, forests = WindowModel(), Forests()
    fleet = [_member(f"honest-{at}", None, at) for at in range(agents)]
    fleet += [_member(f"{plant.name}-{at}", plant, at) for plant in PLANTS for at in range(each)]
    counted = 0
    for number in range(days):
        for member in fleet:
            _roll_outs(model, member.one, number)
            for start, values, planted in _day_of(member, number):
                counted += 1
                _watch(model, forests, member, number, start, values, planted=planted)
            member.rivals.end_day(honest=member.plant is None and number >= SETTLED_DAYS)
    return fleet, model, counted


def _member(name: str, plant: Plant | None, at: int) -> Member:
    one = agent(str(SEED), name, TRADES[at % len(TRADES)])
    first = begins(plant, at) if plant else 0
    return Member(one, plant, fleet_rivals.Rivals(name), for_forest=bool(plant) or at < FOR_FOREST, begins=first)


def _roll_outs(model: WindowModel, one: Agent, number: int) -> None:
    if one.trade.name in ROLL_OUTS.get(number, ()):
        roll_out(one)
        model.rolled_out(one.name, BEGIN_S + number * DAY_S)


def _day_of(member: Member, number: int) -> Planted:
    plant = member.plant
    if plant and member.begins <= number < member.begins + plant.lasts:
        yield from plant.of_day(member.one, number, number - member.begins)
        return
    for start, values in windows(member.one, day(member.one, number)):
        yield start, values, False


def _watch(
    model: WindowModel,
    forests: Forests,
    member: Member,
    number: int,
    start: int,
    values: dict[str, float],
    *,
    planted: bool,
) -> None:
    name, group = member.one.name, member.one.trade.name
    odd = model.judge(name, group, start, values)
    if odd is None:
        model.learn(name, group, start, values)
    elif not odd.repeated:
        member.alarms.append((number, planted))
    forest = forests.score(model, name, group, values) if member.for_forest else 0.0
    member.rivals.see(values, forest, planted=planted)
    if planted:
        if odd and member.found_after is None:
            member.found_after, member.found_on_day = member.planted_windows, number
        member.planted_windows += 1


def _honest(fleet: list[Member]) -> dict[str, Any]:
    honest = [member for member in fleet if member.plant is None]
    alarms = [number for member in honest for number, _ in member.alarms]
    settled = sum(number >= SETTLED_DAYS for number in alarms)
    days = len(honest) * (DAYS - SETTLED_DAYS)
    after_roll_out = sum(any(0 <= number - day < 3 for day in ROLL_OUTS) for number in alarms)  # noqa: PLR2004
    return {
        "false_alarms": settled,
        "false_alarms_per_agent_and_day": round(settled / days, 5),
        "interval_95": interval(settled, days),
        "false_alarms_in_the_first_days": len(alarms) - settled,
        "false_alarms_within_three_days_of_a_roll_out": after_roll_out,
        "agents_that_never_alarmed": sum(not member.alarms for member in honest),
    }


def _planted(fleet: list[Member], plant: Plant) -> Iterator[dict[str, Any]]:
    members = [member for member in fleet if member.plant is plant]
    honest = [member for member in fleet if member.plant is None]
    allowed = sum(number >= SETTLED_DAYS for member in honest for number, _ in member.alarms)
    found = {"lictor": [member.found_after for member in members]}
    for name in fleet_rivals.NAMES:
        if name == "half_space_trees" and not installed():
            continue
        judged = [member for member in honest if member.for_forest] if name == "half_space_trees" else honest
        share = round(allowed * len(judged) / max(1, len(honest)))
        threshold = fleet_rivals.threshold([member.rivals for member in judged], name, share)
        found[name] = [member.rivals.found_after(name, threshold) for member in members]
    for name, after in found.items():
        yield {"planted": plant.name, "detector": name, "agents": len(members), **delays(after)} | (
            _last_days(members) if name == "lictor" else {"day_of_find_p50": None, "day_of_find_max": None}
        )


def _last_days(members: list[Member]) -> dict[str, Any]:
    days = sorted(m.found_on_day - m.begins for m in members if m.found_on_day is not None)
    return {"day_of_find_p50": days[len(days) // 2] if days else None, "day_of_find_max": days[-1] if days else None}


def _cost(model: WindowModel, profiled: int) -> dict[str, Any]:
    """Measure a window's time on the month's model, and the memory of many agents."""
    one = agent("cost", "cost", TRADES[0])
    samples = [pair for number in range(60) for pair in windows(one, day(one, number))]
    began = time.perf_counter()
    for start, values in samples:
        if model.judge("cost", "support", start, values) is None:
            model.learn("cost", "support", start, values)
    spent = time.perf_counter() - began
    gc.collect()
    before = resident()
    many = WindowModel()
    for number in range(profiled):
        name = f"agent-{number:06}"
        for at in range(2):
            many.judge(name, "support", BEGIN_S + at * WINDOW_S, samples[at][1])
            many.learn(name, "support", BEGIN_S + at * WINDOW_S, samples[at][1])
    gc.collect()
    grown = resident() - before
    began = time.perf_counter()
    data = many.dump()
    dumped = time.perf_counter() - began
    began = time.perf_counter()
    same = WindowModel.load(data).dump() == data
    return {
        "us_a_window": round(1e6 * spent / len(samples), 1),
        "agents": profiled,
        "bytes_an_agent": round(grown / profiled),
        "mib_in_all": round(grown / 2**20),
        "dump_s": round(dumped, 2),
        "load_and_dump_again_s": round(time.perf_counter() - began, 2),
        "equal_to_the_bit": same,
    }
