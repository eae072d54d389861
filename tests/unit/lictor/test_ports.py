"""A data folder keeps its ports as long as nobody else takes them."""

import json
import socket
from pathlib import Path

import pytest

from lictor.ports import LOOPBACK, Ports, free_port, is_free


def test_a_port_that_somebody_listens_at_is_not_free() -> None:
    """A start would take a port that is taken, and fail."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
    assert is_free(free_port())


def test_a_port_that_was_used_a_moment_ago_is_free() -> None:
    """After every restart agents would have to be told another address, for a minute at least."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            taken, _ = server.accept()
            taken.close()
    assert is_free(port)


def test_ports_are_remembered_part_by_part(tmp_path: Path) -> None:
    """Agents and dashboards would have to be told another address after each start."""
    ports = Ports(tmp_path / "ports.json")
    assert ports.of("kafka") == 0
    ports.remember("kafka", 2000)
    ports.remember("sql", 3000)
    ports.remember("kafka", 2001)
    assert (Ports(tmp_path / "ports.json").of("kafka"), ports.of("sql")) == (2001, 3000)
    assert [path.name for path in tmp_path.iterdir()] == ["ports.json"]


NO_PORTS = [json.dumps({"kafka": value}).encode() for value in ("1", 1, True, -1, 1e9, None, 1 << 70)]


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, *NO_PORTS])
def test_a_damaged_memory_says_nothing(tmp_path: Path, said: bytes) -> None:
    """A half-written file would keep Lictor from starting."""
    (tmp_path / "ports.json").write_bytes(said)
    ports = Ports(tmp_path / "ports.json")
    assert ports.of("kafka") == 0
    ports.remember("kafka", 2000)
    assert ports.of("kafka") == 2000
