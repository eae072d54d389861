"""An agent that starts where something is missing: it goes on or refuses as the policy says, and says so in one line."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from lictor.keys import Keys
from tests.flow.world import ENFORCING, World

PROGRAM = textwrap.dedent("""
    import resource, signal, sys
    import lictor_agent
    from lictor_agent import LictorAgentError, ToolDenied

    if "full-disk" in sys.argv:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        agent = lictor_agent.connect("bot")
    except LictorAgentError as error:
        sys.exit(f"{error}")
    with agent.run() as run:
        for tool in ("notes.write", "payments.create", "clock.read"):
            try:
                with run.tool(tool):
                    print(tool, "ran", flush=True)
            except ToolDenied as denied:
                print(tool, denied.rule, flush=True)
    agent.close(1)
""")


def started(environment: dict[str, str], *words: str) -> tuple[list[str], list[str], int]:
    """Run the agent; return what it did, what it said on stderr, and its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.splitlines(), done.stderr.splitlines(), done.returncode


def environment_of(world: World, **changes: str) -> dict[str, str]:
    """Return the agent's environment with some of it changed."""
    return {**world.agent_environment("bot"), **changes}


def test_without_kafka_and_without_a_policy_of_last_time_the_dangerous_is_denied(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """An agent that starts blind would pay, or not start at all."""
    world = make_world(ENFORCING)
    nowhere = environment_of(world, LICTOR_KAFKA="127.0.0.1:1", LICTOR_SPOOL=str(tmp_path / "fresh"))
    did, said, status = started(nowhere)
    assert did == ["notes.write ran", "payments.create cold_start", "clock.read ran"]
    assert len(said) == 1
    assert "127.0.0.1:1 cannot be reached and no policy is kept from last time" in said[0]
    assert status == 0


def test_without_kafka_the_policy_of_last_time_holds(make_world: Callable[..., World]) -> None:
    """An outage would change what agents may do."""
    world = make_world(ENFORCING.replace("traits: [spends]", "traits: []"))
    did, said, _ = started(environment_of(world))
    assert (did, said) == (["notes.write ran", "payments.create ran", "clock.read no_grant"], [])
    again, said, status = started(environment_of(world, LICTOR_KAFKA="127.0.0.1:1"))
    assert again == did
    assert len(said) == 1
    assert "going on under policy version 1, kept from last time" in said[0]
    assert status == 0


def test_a_policy_that_does_not_verify_is_no_policy(make_world: Callable[..., World], tmp_path: Path) -> None:
    """An agent that was given the wrong root key would run on ungoverned, and its owner think it protected."""
    world = make_world()
    other = Keys(tmp_path / "other")
    other.make()
    did, said, status = started(environment_of(world, LICTOR_ROOT_KEY=other.root_public().hex()))
    assert did == ["notes.write ran", "payments.create cold_start", "clock.read ran"]
    assert "LICTOR_ROOT_KEY did not sign the key list" in said[-1]
    assert status == 0


def test_with_a_full_disk_and_no_kafka_what_leaves_a_mark_is_denied(make_world: Callable[..., World]) -> None:
    """An effect would have no step anywhere."""
    world = make_world(ENFORCING)
    did, said, status = started(environment_of(world, LICTOR_KAFKA="127.0.0.1:1"), "full-disk")
    assert did == ["notes.write spool", "payments.create cold_start", "clock.read ran"]
    assert not [line for line in said if "Traceback" in line]
    assert status == 0


def test_with_a_full_disk_kafka_is_enough(make_world: Callable[..., World]) -> None:
    """A full disk would stop agents that do not need it."""
    world = make_world(ENFORCING.replace("traits: [spends]", "traits: []"))
    did, said, status = started(environment_of(world), "full-disk")
    assert did == ["notes.write ran", "payments.create ran", "clock.read no_grant"]
    assert (said, status) == ([], 0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"LICTOR_KAFKA": ""}, "LICTOR_KAFKA is not set"),
        ({"LICTOR_KAFKA": "not an address"}, "LICTOR_KAFKA must be host:port"),
        ({"LICTOR_ROOT_KEY": ""}, "LICTOR_ROOT_KEY is not set"),
        ({"LICTOR_ROOT_KEY": "/nowhere"}, "LICTOR_ROOT_KEY is neither a key"),
        ({"LICTOR_AGENT_KEY": "abc"}, "LICTOR_AGENT_KEY is neither a key"),
    ],
)
def test_a_wrong_setting_is_said_in_one_line(
    make_world: Callable[..., World], changes: dict[str, str], line: str
) -> None:
    """A developer's first minute would be a stack trace."""
    did, said, status = started(environment_of(make_world(), **changes))
    assert (did, status) == ([], 1)
    assert len(said) == 1
    assert line in said[0]


def test_off_needs_nothing(tmp_path: Path) -> None:
    """A developer without Lictor could not run the agent."""
    did, said, status = started({**os.environ, "LICTOR_MODE": "off", "LICTOR_SPOOL": str(tmp_path)})
    assert (did, said, status) == ([f"{tool} ran" for tool in ("notes.write", "payments.create", "clock.read")], [], 0)
