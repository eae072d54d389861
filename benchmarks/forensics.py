"""How many steps a second the archive writes from Kafka into the embedded ClickHouse, each once."""

import asyncio
import time
from typing import Any, Final

from benchmarks.kafka_bench import Bench, fill, kafka_bench
from lictor.workers import lane_settings
from storage.store import Store
from streams.archive import Archive
from streams.lane import Lane

SEED: Final = 20261122
STEPS: Final = 400_000


def run(*, steps: int = STEPS, **_: Any) -> dict[str, Any]:
    """Measure; every step must be in the history once."""
    with kafka_bench() as bench:
        asyncio.run(fill(bench, SEED, steps))
        figures = asyncio.run(measure(bench, steps))
    return {"seed": SEED, "steps": steps, **figures}


async def _nothing_newer() -> None:
    """Steps carry no signatures, so nothing waits for keys."""


async def measure(bench: Bench, count: int) -> dict[str, Any]:
    """Run the real lane; from the first block asked for to the last one written."""
    folder = bench.settings.home / "history"
    folder.mkdir()
    store = await asyncio.to_thread(Store, f"chdb://{folder}")
    await asyncio.to_thread(store.migrate)
    stream = Archive(bench.settings.topics, store, "bench", bench.keys.keyring(), _nothing_newer)
    lane = Lane(stream, lane_settings("archive", bench.settings))
    running = asyncio.create_task(lane.run())
    await lane.ready.wait()
    began = time.perf_counter()
    while stream.counters["steps"] < count:
        await asyncio.sleep(0.005)
        if running.done():
            running.result()
    took = time.perf_counter() - began
    lane.stopping.set()
    await running
    rows, distinct = store.rows("SELECT count(), uniqExact(step_id) FROM steps")[0]
    sizes = store.rows(
        "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts WHERE database = 'lictor' AND table = 'steps' AND active"
    )[0]
    store.close()
    return {
        "load_steps_per_s": round(count / took),
        "rows": int(rows),
        "lost": count - int(distinct),
        "double": int(rows) - int(distinct),
        "bytes_per_step": round(int(sizes[0]) / max(1, int(sizes[1])), 1),
    }
