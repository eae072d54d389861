"""Fixtures of the flow tests: one broker a worker, a world a test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flow import parts
from tests.flow.world import World


def pytest_report_header() -> str:
    """Say which parts the tests run on."""
    return f"parts: {parts.chosen()}"


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a real broker."""
    with parts.kafka() as address:
        yield address


@pytest.fixture
def make_world(kafka: str, tmp_path: Path) -> Callable[..., World]:
    """Return a maker of worlds: `make_world(policy_text)`."""
    return lambda policy=None: World(kafka, tmp_path, policy)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with the default policy."""
    return make_world()
