"""Whether a Faust table survives kills: two workers under load, one killed again and again, its table beside the truth."""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from benchmarks.faust_profile_app import PARTITIONS, SOURCE
from lictor.admin import connect
from lictor.kafka import EmbeddedKafka

SEED: Final = 20261123
KEYS: Final = 1000
RATE_PER_S: Final = 800
EVERY_S: Final = 16.0
DOWN_S: Final = 2.0
SETTLE_S: Final = 60.0
KILLS: Final = {"plain": 8, "mending": 30}


def run(**_: Any) -> dict[str, Any]:
    """Measure both variants, each on a broker of its own."""
    return {
        "seed": SEED,
        "events_per_s": RATE_PER_S,
        "keys": KEYS,
        **{name: _variant(name, kills) for name, kills in KILLS.items()},
    }


def _variant(name: str, kills: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lictor-faust-", ignore_cleanup_errors=True) as folder:
        broker = EmbeddedKafka(Path(folder) / "kafka")
        broker.start()
        try:
            return asyncio.run(_Trial(broker.bootstrap, Path(folder), name, kills).run())
        finally:
            broker.stop()


class _Trial:
    """One long load with many kills."""

    def __init__(self, kafka: str, folder: Path, name: str, kills: int) -> None:
        self.kafka, self.folder, self.name, self.kills = kafka, folder, name, kills
        self.chance = random.Random(SEED)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.died = 0
        self.over = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        """Run; return how the table's end differs from the truth."""
        admin = await connect(self.kafka, {})
        await admin.create_topics([NewTopic(SOURCE, PARTITIONS, 1)])
        await admin.close()
        self.workers = [self._start(number) for number in range(2)]
        await asyncio.sleep(8)
        load = asyncio.create_task(self._load())
        for _ in range(self.kills):
            await asyncio.sleep(EVERY_S - DOWN_S)
            await self._kill(self.chance.randrange(2))
        await asyncio.sleep(EVERY_S)
        self.over.set()
        sent = await load
        found, took_s = await self._settled(sent)
        for worker in self.workers:
            worker.kill()
            worker.wait()
        return self._compared(sent, found) | {
            "kills": self.kills,
            "workers_that_ended_by_themselves": self.died,
            "settled_s": took_s,
        }

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        home = self.folder / f"worker-{number}"
        said = {"kafka": self.kafka, "app": f"trial-{self.name}", "home": str(home), "mending": self.name == "mending"}
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faust_profile_app", json.dumps(said), "worker"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def _kill(self, number: int) -> None:
        for at, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.died += 1
                self.workers[at] = self._start(at)
        self.workers[number].kill()
        self.workers[number].wait()
        await asyncio.sleep(DOWN_S)
        self.workers[number] = self._start(number)

    async def _load(self) -> Counter[str]:
        sent: Counter[str] = Counter()
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", linger_ms=5)
        await producer.start()
        began, count = time.monotonic(), 0
        try:
            while not self.over.is_set():
                pending = []
                for _ in range(RATE_PER_S // 20):
                    key = f"agent-{self.chance.randrange(KEYS)}"
                    pending.append(await producer.send(SOURCE, b"{}", key=key.encode()))
                    sent[key] += 1
                await asyncio.gather(*pending)
                count += 1
                await asyncio.sleep(max(0.0, began + count / 20 - time.monotonic()))
        finally:
            await producer.stop()
        return sent

    async def _settled(self, sent: Counter[str]) -> tuple[dict[str, int], float]:
        """Return the table as its changelog has it, once it is right, or has not changed for a while."""
        began = changed = time.monotonic()
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False)
        await consumer.start()
        found: dict[str, int] = {}
        try:
            places = [TopicPartition(f"trial-{self.name}-totals-changelog", number) for number in range(PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            while time.monotonic() < changed + SETTLE_S and dict(sent) != found:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        key = record.key.decode()
                        if record.value and not key.startswith("~"):
                            found[key] = json.loads(record.value)[0]
                            changed = time.monotonic()
        finally:
            await consumer.stop()
        return found, round(time.monotonic() - began, 1)

    @staticmethod
    def _compared(sent: Counter[str], found: dict[str, int]) -> dict[str, int]:
        apart = {key: found.get(key, 0) - count for key, count in sent.items() if found.get(key, 0) != count}
        return {
            "events": sum(sent.values()),
            "keys_that_differ": len(apart),
            "counted_too_little": -sum(each for each in apart.values() if each < 0),
            "counted_twice": sum(each for each in apart.values() if each > 0),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(), indent=1) + "\n")
