"""Two workers under load; one of them is killed, again and again, at moments that a seed chooses."""

import asyncio
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from benchmarks.profile_totals import Event
from benchmarks.profile_trial import PARTITIONS, Trial, kill
from benchmarks.profile_words import Heard
from lictor import topic_io
from schemas.errors import LictorError
from streams.records import Output, partition_of
from streams.sender import Sender

AGENTS: Final = 1000
TURN_S: Final = 0.05
PATIENCE_S: Final = 60.0
SETTLE_PATIENCE_S: Final = 20.0
LAG_S: Final = 1.0
"""Workers count as settled once no partition is further behind than what comes in so long."""
MOMENT_S: Final = 2.0
"""The kill falls somewhere in so long after that."""
MOST_DEATHS: Final = 50


@dataclass(slots=True)
class Load:
    """Events of many agents, in an order that the seed gives."""

    trial: Trial
    seed: int
    rate: int
    """Events a second."""
    sent: list[tuple[str, int]] = field(default_factory=list)
    """(agent, number) of each acknowledged event."""
    ends: Counter[int] = field(default_factory=Counter)
    """Partition → how many events went there."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Publish at the given rate until stopped."""
        made = self._events()
        async with topic_io.sender(self.trial.kafka, {}) as out:
            began = time.monotonic()
            while not self.stopping.is_set():
                due = int((time.monotonic() - began) * self.rate) - len(self.sent)
                await self._send(out, [next(made) for _ in range(due)])
                await asyncio.sleep(TURN_S)

    async def fill(self, count: int) -> None:
        """Publish so many events as fast as the broker takes them."""
        made = self._events()
        async with topic_io.sender(self.trial.kafka, {}) as out:
            while len(self.sent) < count:
                await self._send(out, [next(made) for _ in range(min(2000, count - len(self.sent)))])

    def _events(self) -> Iterator[Event]:
        chance = random.Random(self.seed)
        numbers: Counter[str] = Counter()
        while True:
            agent_id = f"agent-{chance.randrange(AGENTS):04d}"
            yield Event(agent_id, numbers[agent_id], chance.randrange(1, 1000))
            numbers[agent_id] += 1

    async def _send(self, out: Sender, events: list[Event]) -> None:
        topic = self.trial.events.name
        await out.send([Output(topic, event.agent_id, msgspec.json.encode(event)) for event in events])
        for event in events:
            self.sent.append((event.agent_id, event.number))
            self.ends[partition_of(event.agent_id, PARTITIONS)] += 1


@dataclass(slots=True)
class Kill:
    """One kill and what followed."""

    worker: int
    revived_at_once: bool
    """Else only once the other had taken over."""
    at_event: int
    """How many events had been published."""
    takeover_s: float | None = None
    """From the kill until each partition of the dead was handled again; None: not in time, or it had none."""
    settled: bool = False


@dataclass(slots=True)
class Fleet:
    """The two workers, and what they say."""

    trial: Trial
    load: Load
    alive: dict[int, tuple[subprocess.Popen[bytes], Heard]] = field(default_factory=dict)
    gone: list[Heard] = field(default_factory=list)
    died: int = 0
    """Workers that ended though nobody killed them."""

    def start(self, worker: int) -> None:
        """Start one worker."""
        self.alive[worker] = self.trial.start(worker)

    def listen(self) -> None:
        """Hear all; start again what ended by itself."""
        for worker, (process, heard) in list(self.alive.items()):
            heard.listen()
            if process.poll() is not None:
                self.died += 1
                if self.died > MOST_DEATHS:
                    raise LictorError(f"workers end by themselves, see their logs beside {heard.path}")
                self.gone.append(heard)
                self.start(worker)

    def owner(self, partition: int) -> int | None:
        """Return which worker last told of a partition."""
        told = {w: heard.last_at[partition] for w, (_, heard) in self.alive.items() if partition in heard.last_at}
        return max(told, key=lambda worker: told[worker]) if told else None

    def settled(self) -> bool:
        """Tell whether both workers have partitions and none of these is behind."""
        owners = [self.owner(partition) for partition in range(PARTITIONS)]
        if set(owners) != set(self.alive):
            return False
        allowed = self.load.rate * LAG_S
        return all(
            self.alive[owner][1].offsets[partition] >= self.load.ends[partition] - allowed
            for partition, owner in enumerate(owners)
            if owner is not None
        )

    def counters(self) -> dict[str, int]:
        """Return what all processes counted, as far as they told."""
        heard = [*self.gone, *(each for _, each in self.alive.values())]
        return dict(sum((each.counters for each in heard), Counter[str]()))


async def kill_often(fleet: Fleet, kills: int, seed: int) -> list[Kill]:
    """Kill one worker of two again and again, and bring it back each time."""
    chance = random.Random(seed)
    for worker in (0, 1):
        fleet.start(worker)
    await _patiently(fleet, fleet.settled)
    done = []
    for number in range(kills):
        await asyncio.sleep(chance.uniform(0, MOMENT_S))
        fleet.listen()
        one = await _kill_one(fleet, chance.randrange(2), revived_at_once=chance.random() < 0.5)  # noqa: PLR2004 - a coin
        print(f"{fleet.trial.name}: kill {number + 1}: {one}", flush=True)
        done.append(one)
    return done


async def _kill_one(fleet: Fleet, worker: int, *, revived_at_once: bool) -> Kill:
    lost = [partition for partition in range(PARTITIONS) if fleet.owner(partition) == worker]
    process, heard = fleet.alive.pop(worker)
    at = time.monotonic()
    kill(process)
    heard.listen()
    fleet.gone.append(heard)
    one = Kill(worker, revived_at_once, len(fleet.load.sent))
    if revived_at_once:
        fleet.start(worker)
    if lost and await _patiently(fleet, lambda: None not in _handled_since(fleet, lost, at).values()):
        one.takeover_s = round(max((t for t in _handled_since(fleet, lost, at).values() if t), default=at) - at, 2)
    if not revived_at_once:
        fleet.start(worker)
    one.settled = await _patiently(fleet, fleet.settled, SETTLE_PATIENCE_S)
    return one


def _handled_since(fleet: Fleet, partitions: list[int], at: float) -> Mapping[int, float | None]:
    """Return when each partition was told of again by a worker that had not told of it before `at`."""
    found: dict[int, float | None] = {}
    for partition in partitions:
        times = [heard.first_at.get(partition, 0.0) for _, heard in fleet.alive.values()]
        again = [heard.last_at.get(partition, 0.0) for _, heard in fleet.alive.values()]
        fresh = [time_s for time_s in (*times, *again) if time_s > at]
        found[partition] = min(fresh) if fresh else None
    return found


async def _patiently(fleet: Fleet, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        fleet.listen()
        if holds():
            return True
        await asyncio.sleep(TURN_S)
    return False
