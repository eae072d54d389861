"""Agents that are killed at any moment: no effect without its step, no call without an outcome."""

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

import pytest

from benchmarks import report
from lictor.history import History
from lictor_agent.drain import drain
from tests.flow.test_kills import stack_of
from tests.flow.test_write_ahead import AGENTS, await_archived, effects, notes, record_id
from tests.flow.world import ENFORCING, World

SEED = 20261123
AT_ONCE = 4
MOST_S = 0.8
"""An agent is killed between its fork and so long after: while it connects, while it works, in the middle of a call."""


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


def killed(world: World, log: Path, count: int) -> dict[str, int]:
    """Kill so many agents at random moments; return what came of it, after checking that nothing is missing."""
    chance = random.Random(SEED)
    moments = [chance.uniform(0, MOST_S) for _ in range(count)]
    with nursery(world, log) as start, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(moment_s: float) -> None:
            pid = start()
            threading.Event().wait(moment_s)  # the moment is what the test is about
            os.kill(pid, signal.SIGKILL)

        list(pool.map(one, moments))
    drained = drain(world.settings.home / "spool", world.agent_settings("bot"), "bot")
    assert (drained.damaged, drained.left) == (0, 0)
    done, known = set(effects(log)), set(notes(world))
    assert done <= known, "every effect in the tool's own log has its step"
    return {
        "kills": count,
        "effects": len(done),
        "calls": len(known),
        "sent_from_disk": drained.sent,
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


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_thousand_kills(make_world: Callable[..., World], tmp_path: Path) -> None:
    """What holds for two dozen deaths must hold for a year of them."""
    print(f"\nseed {SEED}")  # noqa: T201 - who repeats it needs the seed
    report.keep("agent_kills", {"seed": SEED, **killed(make_world(ENFORCING), tmp_path / "tool.log", 1000)})
