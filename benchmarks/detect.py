"""How many steps a second one `detect` process judges from Kafka, beside a Faust agent with the same detectors."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any, Final

from benchmarks.kafka_bench import Bench, fill, kafka_bench
from lictor import topic_io
from lictor.workers import lane_settings
from streams.broadcast import Follower
from streams.detect import Detect
from streams.knowledge import Knowledge
from streams.lane import Lane

SEED: Final = 20261122
STEPS: Final = 200_000
FAUST_STEPS: Final = 40_000


def run(**_: Any) -> dict[str, Any]:
    """Measure both on the same steps; the ratio to the one that can be taken over, too, is the figure to quote."""
    with kafka_bench() as bench:
        asyncio.run(fill(bench, SEED, STEPS))
        ours = asyncio.run(measure_lane(bench, STEPS))
        bare = asyncio.run(measure_reading(bench, STEPS))
        faust = measure_faust(bench, FAUST_STEPS, table=False)
        faust_table = measure_faust(bench, FAUST_STEPS // 4, table=True)
    rows = [
        {"engine": "lictor", "source": "kafka", **ours},
        {"engine": "faust, state kept in a table", "source": "kafka", **faust_table},
        {"engine": "faust, state lost with the process", "source": "kafka", **faust},
        {"engine": "reading and decoding alone", "source": "kafka", **bare},
    ]
    return {
        "seed": SEED,
        "results": rows,
        "lictor_over_faust": _ratio(ours, faust_table),
        "lictor_over_faust_that_keeps_no_state": _ratio(ours, faust),
    }


def _ratio(ours: dict[str, Any], other: dict[str, Any]) -> float | None:
    return round(ours["steps_per_s"] / other["steps_per_s"], 1) if other["steps_per_s"] else None


async def make_detect(bench: Bench) -> tuple[Detect, Follower]:
    """Return a `detect` stream that knows its policies."""
    settings, topics = bench.settings, bench.settings.topics
    know = Knowledge(topics, bench.keys.keyring(), master=bench.keys.master())
    follower = Follower(settings.kafka, [topics.policies, topics.rules, topics.containment], know.apply, {})
    await follower.start(int(time.time() * 1000))
    return Detect(know, bench.keys.signer("detect"), "bench", settings.partitions), follower


async def measure_lane(bench: Bench, count: int) -> dict[str, Any]:
    """Run the real lane over everything; from the first record judged to the last one's findings acknowledged."""
    stream, follower = await make_detect(bench)
    lane = Lane(stream, lane_settings("detect", bench.settings))
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


async def measure_reading(bench: Bench, count: int) -> dict[str, Any]:
    """Read and decode the same steps and do nothing with them: as far as any Python process could get."""
    from schemas.step import read_step  # noqa: PLC0415 - what is measured

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


def measure_faust(bench: Bench, count: int, *, table: bool) -> dict[str, Any]:
    """Run the Faust agent in a process of its own; it prints one line of JSON."""
    where = {"home": str(bench.settings.home), "kafka": bench.settings.kafka, "count": count, "table": table}
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
