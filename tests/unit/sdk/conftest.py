"""An agent in a folder of its own."""

from pathlib import Path

import pytest

from tests.unit.sdk._agents import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return an agent whose link is not started, with a policy that grants everything and holds nothing up."""
    made = Lab(tmp_path / "spool")
    made.policy()
    return made
