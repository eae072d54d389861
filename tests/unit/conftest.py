"""One embedded store a test process: the engine allows one data folder in each, for good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.guard import Guard
from storage.store import Store


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of this process's embedded store."""
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="session")
def store(history: Path) -> Iterator[Store]:
    """Yield the store, migrated. Tests share it: each uses topics and agents of its own."""
    opened = Store(f"chdb://{history}")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def guard(store: Store, history: Path) -> Iterator[Guard]:
    """Yield the guard over the store's folder, as `archive` has it."""
    opened = Guard(history)
    yield opened
    opened.close()
