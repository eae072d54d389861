"""A broker of a benchmark's own, with Lictor's topics, keys and policies in it."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import workload
from lictor import topic_io
from lictor.admin import ensure_topics
from lictor.kafka import EmbeddedKafka
from lictor.keys import Keys
from lictor.policy_file import load_policies, words
from lictor.publish import publish_more, publish_policies
from lictor.settings import Settings


@dataclass(slots=True)
class Bench:
    """Where the benchmark runs."""

    settings: Settings
    keys: Keys


@contextmanager
def kafka_bench() -> Iterator[Bench]:
    """Yield a broker with everything in place; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lictor-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        broker = EmbeddedKafka(home / "kafka")
        broker.start()
        try:
            settings = replace(Settings.read({}), home=home, kafka=broker.bootstrap)
            keys = Keys(settings.keys_folder)
            keys.make()
            asyncio.run(_prepare(settings, keys))
            yield Bench(settings, keys)
        finally:
            broker.stop()


async def _prepare(settings: Settings, keys: Keys) -> None:
    await ensure_topics(settings.kafka, settings.topics, settings.partitions, {})
    await publish_policies(settings.kafka, settings, keys, load_policies())
    await publish_more(settings.kafka, settings, keys, workload.policies(words()))


async def fill(bench: Bench, seed: int, count: int) -> None:
    """Publish `count` steps."""
    topics = bench.settings.topics
    made = workload.steps(seed, count, int(time.time() * 1e6))
    marked = workload.outputs(topics.steps, bench.keys.master(), made)
    async with topic_io.sender(bench.settings.kafka, {}) as out:
        while batch := list(itertools.islice(marked, 2000)):
            await out.send(batch)
