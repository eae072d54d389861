"""How many steps a second one `detect` process judges from Kafka, by how many rules, beside Faust and RSigma."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks import workload
from benchmarks.kafka_bench import Bench, fill, kafka_bench
from benchmarks.rsigma import HOW, Nothing, find
from benchmarks.rsigma import measure as measure_rsigma
from benchmarks.rule_mix import rules
from detectors.base import Seen
from detectors.engine.engine import Engine
from detectors.engine.load import load_rules
from detectors.facts import Facts
from detectors.inspect import see
from lictor import topic_io
from lictor.workers import lane_settings, spare_the_collector
from schemas.rule_bundle import RuleBundle
from schemas.step import encode_step, read_step
from streams.broadcast import Follower
from streams.detect import Detect
from streams.knowledge import Knowledge
from streams.lane import Lane

SEED: Final = 20261122
STEPS: Final = 200_000
FAUST_STEPS: Final = 10_000
FILE_STEPS: Final = 20_000
SIZES: Final = (100, 1000, 3000)
QUICK_STEPS: Final = 4000


def run(*, quick: bool = False, rsigma: str | None = None, **given: Any) -> dict[str, Any]:
    """Measure all on the same steps and rules; what is quoted are ratios within this run."""
    if quick:
        return measure_all(QUICK_STEPS, SIZES[:1], rsigma)
    return measure_all(given.get("steps", STEPS), given.get("sizes", SIZES), rsigma)


def measure_all(steps: int, sizes: tuple[int, ...], rsigma: str | None) -> dict[str, Any]:
    """Measure Lictor from Kafka and alone, Faust, and RSigma where it is found."""
    spare_the_collector()
    rows: list[dict[str, Any]] = []
    with kafka_bench() as bench:
        asyncio.run(fill(bench, SEED, steps))
        bare = asyncio.run(measure_reading(bench, steps))
        for size in sizes:
            engine = Engine(load_rules(rules(SEED, size), untested=True).rules)
            rows.append(row("lictor", size, "kafka", asyncio.run(measure_lane(bench, steps, engine, size))))
            rows.append(row("lictor", size, "file", measure_file(engine, min(FILE_STEPS, steps))))
        rows += [
            row("faust", size, "kafka", measure_faust(bench, min(FAUST_STEPS, steps // 2), size)) for size in sizes
        ]
    other = find(rsigma)
    if other is not None:
        compared = measure_rsigma(other, SEED, min(FILE_STEPS, steps), sizes)
        rows += [row("rsigma", size, "file", each) for size, each in zip(sizes, compared, strict=True)]
    return {
        "seed": SEED,
        "results": rows,
        "reading_and_decoding_alone_steps_per_s": bare["steps_per_s"],
        "ratios": ratios(rows, bare["steps_per_s"]),
        "rsigma": other.about() if other is not None else {"found": False, "how": HOW},
    }


def row(engine: str, size: int, source: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return one row of the result."""
    return {"engine": engine, "rules": size, "source": source, **found}


def ratios(rows: list[dict[str, Any]], bare: int) -> dict[str, float | None]:
    """Return what can be compared within one run."""
    rate = {(each["engine"], each["rules"], each["source"]): each["steps_per_s"] for each in rows}
    least, most = min(each["rules"] for each in rows), max(each["rules"] for each in rows)
    middle = sorted({each["rules"] for each in rows})[len({each["rules"] for each in rows}) // 2]

    def over(one: Any, other: Any) -> float | None:
        return round(rate[one] / rate[other], 2) if rate.get(other) and rate.get(one) else None

    return {
        f"time_at_{most}_over_{least}_rules": over(("lictor", least, "kafka"), ("lictor", most, "kafka")),
        f"lictor_over_faust_at_{middle}_rules": over(("lictor", middle, "kafka"), ("faust", middle, "kafka")),
        f"lictor_over_rsigma_at_{middle}_rules": over(("lictor", middle, "file"), ("rsigma", middle, "file")),
        f"share_of_reading_alone_at_{middle}_rules": round(rate["lictor", middle, "kafka"] / bare, 3),
    }


async def make_detect(bench: Bench) -> tuple[Detect, Follower]:
    """Return a `detect` stream that knows its policies."""
    settings, topics = bench.settings, bench.settings.topics
    know = Knowledge(topics, bench.keys.keyring(), master=bench.keys.master())
    follower = Follower(settings.kafka, [topics.policies, topics.rules, topics.containment], know.apply, {})
    await follower.start(int(time.time() * 1000))
    return Detect(know, bench.keys.signer("detect"), "bench", settings.partitions), follower


async def measure_lane(bench: Bench, count: int, engine: Engine, size: int) -> dict[str, Any]:
    """Run the real lane over everything; from the first record judged to the last one's findings acknowledged."""
    stream, follower = await make_detect(bench)
    stream.take_rules(RuleBundle.of({}, 1, 1), engine)
    stream.name = f"detect-{size}"  # checkpoints and places of its own
    settings = lane_settings("detect", bench.settings)
    settings = type(settings)(**{**vars_of(settings), "group": f"bench-{size}"})
    lane = Lane(stream, settings)
    running = asyncio.create_task(lane.run())
    await lane.ready.wait()
    while not lane.counters["records"]:
        await asyncio.sleep(0.001)
    began, first = time.perf_counter(), lane.counters["records"]
    while lane.counters["records"] < count:
        await asyncio.sleep(0.005)
        if running.done():
            running.result()
    took = time.perf_counter() - began
    lane.stopping.set()
    await running
    await follower.stop()
    return {
        "steps": count,
        "steps_per_s": round((count - first) / took),
        "findings": stream.counters["findings"],
        "event_loop_held_over_500_ms": lane.counters["loop_held"],
    }


def vars_of(settings: Any) -> dict[str, Any]:
    """Return the fields of a frozen dataclass with slots."""
    return {name: getattr(settings, name) for name in settings.__slots__}


def measure_file(engine: Engine, count: int) -> dict[str, Any]:
    """Decode and match the same steps from memory, as an engine alone would: no state, no Kafka. The better of two."""
    lines = [encode_step(step) for step in workload.steps(SEED, count, 1)]
    facts = Facts()
    seen = [seen_of(line, at, facts) for at, line in enumerate(lines)]
    whole = min(
        _timed(lambda: [_fired(engine, seen_of(line, at, facts)) for at, line in enumerate(lines)]) for _ in "ab"
    )
    matching = min(_timed(lambda: [_fired(engine, each) for each in seen]) for _ in "ab")
    return {
        "steps": count,
        "steps_per_s": round(count / whole),
        "matching_alone_us": round(matching / count * 1e6, 2),
        "matches": sum(_fired(engine, each) for each in seen),
    }


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _fired(engine: Engine, seen: Seen) -> int:
    return len(engine.compiled.match(seen, NOTHING).fired)


NOTHING: Final = Nothing()


def seen_of(line: bytes, at: int, facts: Facts) -> Seen:
    """Return a step as detectors see it, read from its bytes."""
    return see(read_step(line), at, at, 1, "marked", facts)


async def measure_reading(bench: Bench, count: int) -> dict[str, Any]:
    """Read and decode the same steps and do nothing with them: as far as any Python process could get."""
    read = 0
    async with topic_io.consumer(bench.settings.kafka, [bench.settings.topics.steps], {}, "beginning") as source:
        began = time.perf_counter()
        while read < count:
            for records in (await source.getmany(timeout_ms=500, max_records=2000)).values():
                for record in records:
                    read_step(record.value)
                read += len(records)
        took = time.perf_counter() - began
    return {"steps": count, "steps_per_s": round(count / took)}


def measure_faust(bench: Bench, count: int, size: int) -> dict[str, Any]:
    """Run the Faust agent in a process of its own; it prints one line of JSON."""
    where = {
        "home": str(bench.settings.home),
        "kafka": bench.settings.kafka,
        "count": count,
        "rules": size,
        "seed": SEED,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faust_detect", json.dumps(where)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"steps": 0, "steps_per_s": 0, "error": (done.stderr or done.stdout).strip()[-300:]}
    return dict(json.loads(lines[-1]))
