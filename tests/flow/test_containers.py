"""What containers run: `lictor init`, then each role with the keys it was given and no others, asked whether it lives."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lictor.cli.run import READ_BY

Environment = Mapping[str, str]


@pytest.fixture
def environment(kafka: str, tmp_path: Path) -> Environment:
    """The environment of a container: nothing of this machine's Lictor."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LICTOR_")}
    return {
        **ours,
        "LICTOR_HOME": str(tmp_path),
        "LICTOR_KAFKA": kafka,
        "LICTOR_NAMESPACE": f"t{os.urandom(5).hex()}",
        "LICTOR_KEYS": str(tmp_path / "keys"),
    }


def lictor(environment: Environment, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a verb to its end."""
    command = [sys.executable, "-m", "lictor", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)


def init(environment: Environment, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """Run `lictor init` as docker-compose.yml does."""
    words = [word for role in READ_BY for word in ("--give", f"{role}={tmp_path / role}")]
    return lictor(environment, "init", *words)


@contextmanager
def role(environment: Environment, name: str, keys: Path) -> Iterator[dict[str, Any]]:
    """Run a role with the keys of a folder; it has said that it is ready inside the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lictor", "worker", name],
        env={**environment, "LICTOR_KEYS": str(keys)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline() or "{}")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_init_makes_what_is_missing_and_leaves_what_is_there(environment: Environment, tmp_path: Path) -> None:
    """Containers start again after every reboot: a second `init` must neither fail nor make new keys."""
    first, second = init(environment, tmp_path), init(environment, tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "keys made" in first.stdout
    assert "keys made" not in second.stdout
    assert "version 1 in force, 0 records published" in second.stdout
    files = sorted(path.name for path in (tmp_path / "respond").iterdir())
    assert files == ["respond.key", "root.pub"]
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["root.pub"], "its process serves SQL"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "detect").iterdir())


@pytest.mark.parametrize("name", ["detect", "respond", "archive"])
def test_a_role_lives_on_its_own_keys_and_says_so(name: str, environment: Environment, tmp_path: Path) -> None:
    """A role that needs another's keys cannot be kept apart from it; a check that is always content finds nothing."""
    assert init(environment, tmp_path).returncode == 0
    assert lictor(environment, "worker", "--check", name).returncode == 1
    with role(environment, name, tmp_path / name) as said:
        assert said["ready"] == name
        found = lictor({**environment, "LICTOR_KEYS": str(tmp_path / "none")}, "worker", "--check", name)
    assert (found.returncode, found.stdout) == (0, f"{name}: alive\n"), found.stderr


def test_init_says_what_it_needs(environment: Environment, tmp_path: Path) -> None:
    """A container that fails must say why in one line, or nobody finds out what to set."""
    without = {name: value for name, value in environment.items() if name != "LICTOR_KAFKA"}
    assert lictor(without, "init").stderr.startswith("lictor: LICTOR_KAFKA is not set")
    assert "ROLE=FOLDER" in lictor(environment, "init", "--give", f"audit={tmp_path}").stderr
