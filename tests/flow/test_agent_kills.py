"""Agents that are killed at any moment: no effect without its step, no call without an outcome."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from benchmarks import report
from lictor.history import History
from lictor.kafka import EmbeddedKafka
from lictor_agent.drain import drain
from lictor_agent.link import ACK_PATIENCE_S
from lictor_agent.seal import AGAIN
from tests.flow.test_kills import stack_of
from tests.flow.test_write_ahead import AGENTS, await_archived, effects, notes, record_id
from tests.flow.world import ENFORCING, World

SEED = 20261123
AT_ONCE = 4
MOST_S = 0.8
"""An agent is killed between its fork and so long after: while it connects, while it works, in the middle of a call."""
FALTERING_S: Final = 4.0
"""The same where the broker falters: long enough to be told the policy, to work, and to be left without an answer."""


@contextmanager
def nursery(world: World, log: Path) -> Iterator[Callable[[], int]]:
    """Yield what starts an agent and returns its process id."""
    environment = {**world.agent_environment("bot"), "TOOL_LOG": str(log), "PATH": os.environ["PATH"]}
    one_at_a_time = threading.Lock()
    with subprocess.Popen(
        [sys.executable, str(AGENTS), "nursery"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        given, told = process.stdin, process.stdout
        assert given is not None
        assert told is not None

        def start() -> int:
            with one_at_a_time:
                given.write("one more\n")
                given.flush()
                return int(told.readline())

        yield start
        given.close()


def falter(broker: EmbeddedKafka, ended: threading.Event, *, dies: bool) -> None:
    """Have the broker freeze again and again, for longer than a call waits for it; or also be killed and started again.

    In the test's own thread: a broker ends with the thread that started it.
    """
    chance = random.Random(SEED + 1)
    for turn in itertools.count(1):
        if ended.wait(chance.uniform(0.3, 1.0)) or broker.process is None:
            return
        if dies and turn % 8 == 0:
            broker.kill()
            ended.wait(chance.uniform(0.5, 3.0))
            broker.start()
            continue
        os.killpg(broker.process.pid, signal.SIGSTOP)
        ended.wait(chance.uniform(ACK_PATIENCE_S + 0.2, 2.5))
        os.killpg(broker.process.pid, signal.SIGCONT)


def killed(world: World, log: Path, count: int, most_s: float = MOST_S) -> dict[str, int]:
    """Kill so many agents at random moments; return what came of it, after checking that nothing is missing."""
    kill_all(world, log, count, most_s)
    return accounted(world, log, count)


def kill_all(world: World, log: Path, count: int, most_s: float) -> None:
    """Start so many agents, some at once, and kill each at a random moment."""
    chance = random.Random(SEED)
    moments = [chance.uniform(0, most_s) for _ in range(count)]
    with nursery(world, log) as start, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(moment_s: float) -> None:
            pid = start()
            threading.Event().wait(moment_s)  # the moment is what the test is about
            os.kill(pid, signal.SIGKILL)

        list(pool.map(one, moments))


def accounted(world: World, log: Path, count: int) -> dict[str, int]:
    """Send what they left; check that no effect lacks its step and each call ended in one way; return the numbers."""
    drained = drain(world.settings.home / "spool", world.agent_settings("bot"), "bot")
    assert (drained.damaged, drained.left) == (0, 0)
    done, known = set(effects(log)), set(notes(world))
    assert done <= known, "every effect in the tool's own log has its step"
    again = sum(AGAIN in dict(record.headers) for record in world.read(world.topics.steps))
    return {
        "kills": count,
        "effects": len(done),
        "calls": len(known),
        "sent_from_disk": again,
        "sent_by_the_last_drain": drained.sent,
        **outcomes(world),
    }


def outcomes(world: World) -> dict[str, int]:
    """Return how the calls ended, as the history has it; each in one of the four ways."""
    with stack_of(world) as stack, History(stack.sql_address) as history:
        await_archived(history, len({record_id(value.value) for value in world.read(world.topics.steps)}))
        rows = history.rows("SELECT outcome, count(), uniqExact(step_id) FROM calls GROUP BY outcome ORDER BY outcome")[
            1
        ]
    assert all(each == once for _, each, once in rows), "no call stands twice"
    found = {str(outcome): int(each) for outcome, each, _ in rows}
    assert set(found) <= {"executed", "denied", "failed", "unknown"}
    return found


def test_agents_killed_at_random_moments_leave_no_effect_without_its_step(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """The step that matters most is the one an agent takes just before it dies."""
    found = killed(make_world(ENFORCING), tmp_path / "tool.log", 24)
    assert found["effects"] > 100
    assert found["executed"] > 100


def kills_of_a_faltering_broker(folder: Path, count: int, *, dies: bool) -> dict[str, int]:
    """Kill agents while their broker freezes, and maybe dies; return what came of it."""
    broker = EmbeddedKafka(folder / "own-kafka")
    broker.start()
    try:
        world, log = World(broker.bootstrap, folder, ENFORCING), folder / "tool.log"
        ended = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            killing = pool.submit(kill_all, world, log, count, FALTERING_S)
            killing.add_done_callback(lambda _: ended.set())
            falter(broker, ended, dies=dies)
            killing.result()
        return accounted(world, log, count)
    finally:
        broker.stop()


def test_agents_killed_while_the_broker_falters_leave_no_effect_without_its_step(tmp_path: Path) -> None:
    """It is when Kafka does not answer that a step can only be on disk; and that is when machines die."""
    found = kills_of_a_faltering_broker(tmp_path, 16, dies=False)
    assert found["effects"] > 50
    assert found["sent_from_disk"] > 0, "else nothing was shown"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_three_hundred_kills_while_the_broker_freezes_and_dies(tmp_path: Path) -> None:
    """What holds for a handful of deaths in an outage must hold for a bad day."""
    print(f"\nseed {SEED}")  # noqa: T201 - who repeats it needs the seed
    found = kills_of_a_faltering_broker(tmp_path, 300, dies=True)
    assert found["sent_from_disk"] > 0, "else nothing was shown"
    report.keep("agent_kills_faltering", {"seed": SEED, **found})


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_thousand_kills(make_world: Callable[..., World], tmp_path: Path) -> None:
    """What holds for two dozen deaths must hold for a year of them."""
    print(f"\nseed {SEED}")  # noqa: T201 - who repeats it needs the seed
    report.keep("agent_kills", {"seed": SEED, **killed(make_world(ENFORCING), tmp_path / "tool.log", 1000)})
