"""The broker goes away under load and comes back: nothing lost, order kept, memory bounded."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lictor_agent
from benchmarks import report
from lictor.kafka import EmbeddedKafka
from lictor_agent import link, outbox
from schemas.step import read_step
from tests.flow.world import ENFORCING, World

SEED = 20261123


@contextmanager
def away_for(broker: EmbeddedKafka, seconds: float) -> Iterator[None]:
    """Kill the broker, do what is to be done meanwhile, start it again."""
    broker.kill()
    began = time.monotonic()
    yield
    threading.Event().wait(max(0.0, seconds - (time.monotonic() - began)))  # an outage is so long; nothing else ends it
    broker.start()


class Load:
    """An agent that says something all the time, in several runs and traces; remembers what, in order."""

    def __init__(self, agent: lictor_agent.Agent, every_s: float) -> None:
        self.agent = agent
        self.every_s = every_s
        self.chance = random.Random(SEED)
        self.ending = threading.Event()
        self.said = 0
        self.most_held = 0
        self.most_queued = 0
        self.thread = threading.Thread(target=self._go)

    def _go(self) -> None:
        runs = [self.agent.run() for _ in range(4)]
        for run in runs:
            run.__enter__()
        while not self.ending.wait(self.every_s):
            run = self.chance.choice(runs)
            run.message(f"{self.said} " + "x" * self.chance.choice([10, 400, 4000]))
            self.said += 1
            waiting = self.agent.link.outbox
            self.most_held, self.most_queued = (
                max(self.most_held, waiting.held + self.agent.link._flying_bytes),
                max(self.most_queued, len(waiting.queue)),
            )
        for run in runs:
            run.__exit__(None, None, None)


def outage(folder: Path, seconds: float, every_s: float) -> dict[str, int]:
    """Have the broker away under load; return what came of it, after checking that nothing is missing or mixed up."""
    broker = EmbeddedKafka(folder / "own-kafka")
    broker.start()
    try:
        world = World(broker.bootstrap, folder, ENFORCING)
        agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
        load = Load(agent, every_s)
        load.thread.start()
        while agent.link.counters["published"] < 50:
            time.sleep(0.01)  # noqa: S311, RUF100 - a counter of another thread
        with away_for(broker, seconds):
            before = load.said
        after = load.said
        load.ending.set()
        load.thread.join()
        assert agent.close(120), "everything was acknowledged in the end"
        steps = [read_step(record.value) for record in world.read(world.topics.steps)]
        seen: dict[tuple[str, str], list[int]] = {}
        again = 0
        for step in steps:
            known = seen.setdefault((step.run_id, step.trace_id), [])
            if step.seq in known[-20_000:]:
                again += 1
                continue
            known.append(step.seq)
        assert sum(step.kind == "message" for step in steps) - again == load.said
        for seqs in seen.values():
            assert seqs == list(range(1, len(seqs) + 1)), "in the order in which they were taken, without a gap"
        counters = agent.link.counters
        assert counters["dropped"] == 0
        bound = outbox.SPILL_BYTES + link.MAX_FLYING_BYTES + (4 << 20)
        assert load.most_held <= bound, "what waits and what is under way, together"
        return {
            "steps": len(steps), "said_while_away": after - before, "overflowed": counters["overflowed"], "sent_again": again,
            "most_bytes_in_memory": load.most_held, "most_records_in_memory": load.most_queued, "lost": 0,
        }  # fmt: skip
    finally:
        broker.stop()


def test_a_short_outage_costs_no_step_and_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an agent did while Kafka was away would be lost, or come in another order than it was done."""
    monkeypatch.setattr(outbox, "SPILL_RECORDS", 200)
    monkeypatch.setattr(outbox, "SPILL_BYTES", 200_000)
    found = outage(tmp_path, 3, 0.001)
    assert found["overflowed"] > 0
    assert found["said_while_away"] > 500


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_minute_without_the_broker_under_load(tmp_path: Path) -> None:
    """What holds for seconds must hold for as long as a broker needs to be replaced."""
    print(f"\nseed {SEED}")  # noqa: T201 - who repeats it needs the seed
    found = outage(tmp_path, 60, 0.0005)
    report.keep("broker_away", {"seed": SEED, "away_s": 60, **found})
