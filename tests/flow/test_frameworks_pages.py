"""Every program of the pages on frameworks runs as it stands there, on the real broker, and prints what the page says."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.step import read_step
from tests.flow.world import World

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = ("langgraph", "openai-agents", "asyncio", "threads")


def programs() -> Iterator[tuple[str, str, str]]:
    """Yield each program of the pages: where it stands, itself, and what the page says it prints."""
    for page in PAGES:
        text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
        found = re.findall(r"^```python\n(.*?)^```\n\nprints\n\n```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert len(found) == text.count("```python"), f"{page}.md: a program without what it prints"
        for number, (program, prints) in enumerate(found, 1):
            yield f"{page}-{number}", program, prints


@pytest.mark.parametrize(("name", "program", "prints"), [pytest.param(*found, id=found[0]) for found in programs()])
def test_the_program_of_a_page_runs_as_it_stands_there(
    make_world: Callable[..., World], tmp_path: Path, name: str, program: str, prints: str
) -> None:
    """Ten lines that are copied and do not work are the end of somebody's evaluation."""
    world = make_world()
    path = tmp_path / "my_agent.py"
    path.write_text(program, encoding="utf-8")
    connects = re.search(r'connect\("(\w+)"', program)
    assert connects is not None
    environment = world.agent_environment(connects[1])
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == prints
    steps = [read_step(record.value) for record in world.read(world.topics.steps)]
    assert {step.reason for step in steps if step.kind == "run_ended"} == {"done"}
    called = {step.tool_call_id for step in steps if step.kind == "tool_call"}
    assert called
    assert called == {step.tool_call_id for step in steps if step.kind == "tool_result"}
