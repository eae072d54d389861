"""`lictor-agent drain DIR`: what dead agents left is sent by hand, and nothing else is touched."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lictor_agent.drain import drain
from lictor_agent.spool import Spool, Spooled, folder_of
from schemas.step import read_step
from tests.flow.world import World, step


def left_behind(folder: Path, world: World, agent_id: str, count: int) -> None:
    """Leave what a dead agent has written ahead."""
    spool = Spool(folder, agent_id)
    for number in range(1, count + 1):
        made = world.marked(step(agent_id, seq=number))
        spool.write(Spooled(made.topic, made.key or "", made.value, list(made.headers), number))
    spool.close(keep=True)


def drained(world: World, folder: Path, **changes: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    environment = {**world.agent_environment("bot"), "PATH": os.environ["PATH"], **changes}
    command = [sys.executable, "-m", "lictor_agent.cli", "drain", str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_what_dead_agents_left_is_sent_in_order_and_removed(make_world: Callable[..., World], tmp_path: Path) -> None:
    """The last steps of an agent whose machine is given up would never arrive."""
    world, folder = make_world(), tmp_path / "spool"
    left_behind(folder, world, "bot", 3)
    left_behind(folder, world, "other", 2)
    living = Spool(folder, "alive")
    living.write(Spooled("t", "k", b"v", []))
    done = drained(world, folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5 records of 2 processes sent\n", "")
    values = [record.value for record in world.read(world.topics.steps)]
    assert [(found.agent_id, found.seq) for found in map(read_step, values) if found.agent_id == "bot"] == [
        ("bot", 1),
        ("bot", 2),
        ("bot", 3),
    ]
    assert len(values) == 5
    assert len(list(folder.rglob("*.spool"))) == 1, "what a living process holds is its own to send"
    assert drained(world, folder).stdout == "0 records of 0 processes sent\n"
    living.close(keep=False)


def test_what_cannot_be_sent_is_said_in_one_line_and_stays(make_world: Callable[..., World], tmp_path: Path) -> None:
    """An operator would throw away a disk whose steps were not sent."""
    world, folder = make_world(), tmp_path / "spool"
    left_behind(folder, world, "bot", 3)
    for where, changes, why in (
        (tmp_path / "nowhere", {}, "is no folder"),
        (folder, {"LICTOR_KAFKA": "127.0.0.1:1"}, "cannot be reached"),
        (folder, {"LICTOR_KAFKA": ""}, "LICTOR_KAFKA is not set"),
    ):
        done = drained(world, where, **changes)
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert why in done.stderr
    assert len(list(folder.rglob("*.spool"))) == 1


def test_of_two_drains_at_once_each_record_is_sent_by_one(make_world: Callable[..., World], tmp_path: Path) -> None:
    """A supervisor and an operator who both tidy up would publish everything twice, or lose it between them."""
    world, folder = make_world(), tmp_path / "spool"
    agents = [f"bot-{number}" for number in range(6)]
    for agent_id in agents:
        for _ in range(3):
            left_behind(folder, world, agent_id, 50)
    settings = world.agent_settings("bot")
    with ThreadPoolExecutor(4) as pool:
        counts = [future.result() for future in [pool.submit(drain, folder, settings) for _ in range(4)]]
    assert sum(count.sent for count in counts) == 6 * 3 * 50
    assert (sum(count.left for count in counts), sum(count.refused for count in counts)) == (0, 0)
    assert len(world.read(world.topics.steps)) == 6 * 3 * 50
    assert not list(folder.rglob("*.spool"))


def test_one_folder_that_cannot_be_used_does_not_hold_up_the_others(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """Whoever can make one folder unusable would keep every agent's last steps from being sent."""
    world, folder = make_world(), tmp_path / "spool"
    for agent_id in ("a", "b", "c"):
        left_behind(folder, world, agent_id, 2)
    folder_of(folder, "b").chmod(0o777)
    done = drain(folder, world.agent_settings("bot"))
    assert (done.sent, done.refused, done.left) == (4, 1, 0)
    assert [path.parent for path in folder.rglob("*.spool")] == [folder_of(folder, "b")]
