"""May `profile` run on Faust? Totals per agent through thirty kills, on Faust twice and on the batch lane.

`python -m benchmarks.faust_profile [--kills 30] [--variant NAME …]`. The end state is held against the input itself.
"""

import argparse
import asyncio
import itertools
import os
import subprocess
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import report
from benchmarks.profile_kills import Fleet, Kill, Load, kill_often
from benchmarks.profile_totals import Difference, compare
from benchmarks.profile_trial import PARTITIONS, Trial, Variant
from benchmarks.profile_words import Heard
from lictor.kafka import EmbeddedKafka
from schemas.errors import LictorError

SEED: Final = 20261123
KILLS: Final = 30
RATE: Final = 400
DRAINED: Final = 50_000
DRAIN_PATIENCE_S: Final = 180.0
JUMP_EVENTS: Final = 2000
JUMP: Final = 100
"""Offsets of each partition that are left out on purpose."""
VARIANTS: Final = {
    "faust": Variant("faust", "plain", "rocksdb://?driver=rocksdict"),
    "faust_mended": Variant("faust_mended", "mended", "rocksdb://?driver=rocksdict"),
    "faust_memory": Variant("faust_memory", "plain", "memory://"),
    "faust_mended_memory": Variant("faust_mended_memory", "mended", "memory://"),
    "lane": Variant("lane", "lane"),
}
DEFAULT: Final = ("faust", "faust_mended", "lane")


def run(
    *,
    kills: int = KILLS,
    rate: int = RATE,
    drained: int = DRAINED,
    variants: Sequence[str] = DEFAULT,
    keep_in: Path | None = None,
) -> dict[str, Any]:
    """Measure the variants one after the other on one broker. `rate` is events a second."""
    with tempfile.TemporaryDirectory(prefix="lictor-bench-", ignore_cleanup_errors=True) as made:
        folder = keep_in or Path(made)
        broker = EmbeddedKafka(folder / "kafka")
        broker.start()
        try:
            found = {
                name: asyncio.run(measure(VARIANTS[name], broker.bootstrap, folder, kills, rate, drained))
                for name in variants
            }
        finally:
            broker.stop()
    return {"seed": SEED, "kills": kills, "events_per_s": rate, "results": found}


async def measure(variant: Variant, kafka: str, folder: Path, kills: int, rate: int, drained: int) -> dict[str, Any]:
    """Measure one variant: a drain that nobody disturbs, then the kills."""
    undisturbed = await drain(trial_of(variant, kafka, folder, f"{variant.name}-drain"), drained)
    endured = await endure(trial_of(variant, kafka, folder, variant.name), kills, rate)
    jumped = await jump(trial_of(variant, kafka, folder, f"{variant.name}-jump"), JUMP_EVENTS, JUMP)
    print(variant.name, undisturbed, jumped, endured, flush=True)
    return {"store": variant.store, "drain": undisturbed, "planted_jump": jumped, **endured}


def trial_of(variant: Variant, kafka: str, folder: Path, name: str) -> Trial:
    """Return a trial in a folder and under a name of its own."""
    where = folder / name
    where.mkdir()
    return Trial(variant, kafka, where, name)


async def drain(trial: Trial, count: int) -> dict[str, Any]:
    """Have one worker handle what has piled up; return its rate, and how its end state differs."""
    trial.enough = count
    await trial.prepare()
    await Load(trial, SEED, 0).fill(count)
    process, heard = trial.start(0)
    try:
        await _drained(process, heard)
        kept_at = await trial.await_quiet()
        difference = compare(await trial.wanted(), await trial.found())
    finally:
        trial.stop()
    return {"events": count, **rates(heard, kept_at), **told(difference)}


def rates(heard: Heard, kept_at: float) -> dict[str, int | None]:
    """Return events a second: handled in memory, and until their state was acknowledged by the broker."""
    said = heard.drained
    if said is None:
        return {"handled_per_s": None, "kept_per_s": None}
    return {
        "handled_per_s": round(said["drained"] / said["took_s"]),
        "kept_per_s": round(said["drained"] / (kept_at - said["began"])),
    }


async def _drained(process: subprocess.Popen[bytes], heard: Heard) -> None:
    ends = time.monotonic() + DRAIN_PATIENCE_S
    while heard.drained is None and time.monotonic() < ends:
        if process.poll() is not None:
            raise LictorError(f"a worker ended by itself, see its log beside {heard.path}")
        await asyncio.sleep(0.1)
        heard.listen()


async def jump(trial: Trial, count: int, first: int) -> dict[str, Any]:
    """Have one worker go on from offset `first` of each partition though it has handled none below: a planted loss."""
    await trial.prepare()
    await Load(trial, SEED, 0).fill(count)
    async with AIOKafkaConsumer(bootstrap_servers=trial.kafka, group_id=trial.name, enable_auto_commit=False) as group:
        places = [TopicPartition(trial.events.name, partition) for partition in range(PARTITIONS)]
        group.assign(places)
        await group.commit(dict.fromkeys(places, first))
    trial.enough = count - first * PARTITIONS
    process, heard = trial.start(0)
    try:
        await _drained(process, heard)
        await trial.await_quiet()
        difference = compare(await trial.wanted(), await trial.found())
    finally:
        trial.stop()
    return {"events": count, "left_out_by_the_group": first * PARTITIONS, **told(difference)}


async def endure(trial: Trial, kills: int, rate: int) -> dict[str, Any]:
    """Kill one of two workers again and again under load; return what the end state lacks and what it has twice."""
    await trial.prepare()
    load = Load(trial, SEED, rate)
    fleet = Fleet(trial, load)
    loading = asyncio.create_task(load.run())
    began = time.monotonic()
    try:
        done = await kill_often(fleet, kills, SEED)
        load.stopping.set()
        await loading
        await trial.await_quiet()
        fleet.listen()
        difference = compare(await trial.wanted(), await trial.found())
    finally:
        load.stopping.set()
        trial.stop()
    return {
        "events": len(load.sent),
        "took_s": round(time.monotonic() - began),
        "load_average": round(os.getloadavg()[1], 1),
        **told(difference),
        "kills_with_missing": len(kills_of(difference.missing, load, done)),
        "kills_with_doubled": len(kills_of(difference.doubled, load, done)),
        **takeovers(done),
        "not_settled_in_time": sum(not one.settled for one in done),
        "died_unasked": fleet.died,
        "counters": fleet.counters(),
    }


def told(difference: Difference) -> dict[str, Any]:
    """Return a difference as figures."""
    return {
        "missing": len(difference.missing),
        "doubled": len(difference.doubled),
        "included_too_often": difference.too_often,
        "agents_differing": difference.agents,
    }


def kills_of(events: Sequence[tuple[str, int]], load: Load, done: Sequence[Kill]) -> set[int]:
    """Return the kills that events are nearest to, in the order in which events were published."""
    place = {event: at for at, event in enumerate(load.sent)}
    ends = [(one.at_event + other.at_event) // 2 for one, other in itertools.pairwise(done)]
    return {bisect_left(ends, place[event]) for event in events}


def takeovers(done: Sequence[Kill]) -> dict[str, Any]:
    """Return how long takeovers took, in seconds: revived at once, and by the other worker."""
    return {
        "takeover_s": {
            name: report.percentiles(
                [k.takeover_s for k in done if k.takeover_s is not None and k.revived_at_once == at_once]
            )
            for name, at_once in (("revived_at_once", True), ("revived_after", False))
        },
        "takeovers_not_seen": sum(one.takeover_s is None for one in done),
    }


def main() -> None:
    """Run from the command line and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--drained", type=int, default=DRAINED)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--name", default="faust_profile", help="of the file in benchmarks/results/")
    parser.add_argument("--folder", type=Path, help="keep broker, stores and logs here")
    parser.add_argument("--try-out", action="store_true", help="do not keep the result")
    given = parser.parse_args()
    at = report.commit()  # a run takes long: the code that was measured is the one at its beginning
    figures = run(
        kills=given.kills,
        rate=given.rate,
        drained=given.drained,
        variants=given.variant or DEFAULT,
        keep_in=given.folder,
    )
    if not given.try_out:
        print(report.keep(given.name, {"commit": at, **figures}))


if __name__ == "__main__":
    main()
