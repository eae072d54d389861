"""A server that connects first and forks its workers then, on the real broker."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from schemas.step import read_step
from tests.flow.world import ENFORCING, World

AGENTS = Path(__file__).with_name("agents.py")
WORKERS, RUNS = 3, 4


def test_workers_forked_after_connecting_publish_all_they_do(make_world: Callable[..., World], tmp_path: Path) -> None:
    """Agents behind a prefork server would hang, or act unseen."""
    world = make_world(ENFORCING)
    environment = {**world.agent_environment("bot"), "TOOL_LOG": str(tmp_path / "tool.log"), "WORKERS": str(WORKERS)}
    done = subprocess.run(
        [sys.executable, str(AGENTS), "prefork"],
        env={**environment, "CALLS": str(RUNS), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    steps = [read_step(record.value) for record in world.read(world.topics.steps)]
    kinds = Counter(step.kind for step in steps if step.kind != "heartbeat")
    workers = WORKERS * RUNS
    assert kinds == {
        "run_started": workers + 1,
        "tool_call": workers + 1,
        "tool_result": workers + 1,
        "run_ended": workers + 1,
    }
    assert len((tmp_path / "tool.log").read_text(encoding="utf-8").splitlines()) == workers + 1
    assert len({step.run_id for step in steps}) == workers + 1
