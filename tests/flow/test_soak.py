"""The full size of what must be shown, run by `make soak`; each result is kept in benchmarks/results/."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import report
from lictor.history import History
from lictor.ingest import Ingest
from tests.flow.load import POLICY, Load
from tests.flow.test_kills import check, freeze, kill, stack_of
from tests.flow.world import World

SEED = 20261122
ROUNDS = 10
RECORDED = Path(
    os.environ.get("LICTOR_TEST_SESSIONS", Path(__file__).parents[3] / "shared" / "data" / "agent_traces_dev.jsonl.gz")
)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_kills_and_freezes_of_every_part(make_world: Callable[..., World]) -> None:
    """What holds once must hold on the fortieth bad night: each part killed and frozen in turn, in random order."""
    chance = random.Random(SEED)
    print(f"\nseed {SEED}")  # noqa: T201 - who repeats it needs the seed
    world = make_world(POLICY)
    load = Load(world, seed=SEED, steps_per_s=1000)
    blows: list[str] = []
    with stack_of(world, detect_workers=2) as stack:
        load.start()
        for _ in range(ROUNDS):
            for role in chance.sample(["detect", "respond", "archive"], 3):
                blow = chance.choice([kill, freeze])
                blow(stack, role)
                blows.append(f"{blow.__name__} {role}")
        load.stop()
        check(world, load, stack)
    report.keep(
        "kills",
        {
            "seed": SEED,
            "blows": blows,
            "steps": len(load.steps),
            "bad_runs": len(load.bad_runs),
            "lost": 0,
            "stopped_twice": 0,
            "in_the_history_twice": 0,
        },
    )


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not RECORDED.exists(), reason=f"no recorded sessions at {RECORDED}; set LICTOR_TEST_SESSIONS")
def test_every_recorded_step_is_archived_or_dead_lettered(make_world: Callable[..., World]) -> None:
    """Thousands of real, partly hostile steps must go through without one that nobody can account for."""
    world = make_world()
    with stack_of(world) as stack, History(stack.sql_address) as history:
        done = asyncio.run(Ingest(world.settings, policies=None, tools={}).run(RECORDED, history))
    assert done.complete()
    assert done.published > 0
    report.keep("ingest", done.as_json())
