"""`lictor up` as a person runs it: one line a part, revived when it dies, nothing left behind."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import clickhouse_connect
import pytest

from lictor.folders import lock_folder
from lictor.processes import is_alive
from tests.flow.world import PATIENCE_S


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a Lictor of its own."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LICTOR_")}
    return {**ours, "LICTOR_HOME": str(home)}


class Up:
    """A running `lictor up` and what it has printed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lictor", "up"],
            env=environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._moved = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._moved:
                self.lines.append(line)
                self._moved.notify_all()

    def close(self) -> None:
        """End it, kindly, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def await_line(self, *words: str) -> str:
        """Wait for a line that holds all the words."""
        with self._moved:
            found = self._moved.wait_for(lambda: self._find(words), PATIENCE_S * 2)
        assert found, "".join(self.lines)
        return found

    def _find(self, words: tuple[str, ...]) -> str:
        return next((line for line in self.lines if all(word in line for word in words)), "")

    def run_file(self) -> dict[str, object]:
        """Return what it tells other commands of itself."""
        return dict(json.loads((self.home / "run.json").read_text(encoding="utf-8")))

    def pids(self) -> dict[str, int]:
        """Return the process ids of its parts."""
        return dict(self.run_file()["components"])  # type: ignore[call-overload]


@contextmanager
def up(home: Path) -> Iterator[Up]:
    """Run `lictor up` for as long as the context lasts."""
    running = Up(home)
    try:
        running.await_line("Lictor is up")
        yield running
    finally:
        running.close()


def lictor(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run one `lictor` verb against that Lictor."""
    command = [sys.executable, "-m", "lictor", *arguments]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False, timeout=60)


def await_gone(pids: dict[str, int]) -> None:
    """Wait until every process has ended."""
    ends = time.monotonic() + PATIENCE_S
    while left := {name: pid for name, pid in pids.items() if is_alive(pid)}:
        assert time.monotonic() < ends, f"still alive: {left}"


def test_parts_are_revived_answer_and_are_all_gone_after_ctrl_c(tmp_path: Path) -> None:
    """A part that stays dead is a fleet unguarded; a part that stays alive is a machine somebody has to clean up."""
    with up(tmp_path) as running:
        before = running.pids()
        assert set(before) == {"kafka", "detect", "respond", "profile", "archive"}
        second = lictor(tmp_path, "up")
        assert second.returncode == 3
        assert "another Lictor uses this data folder" in second.stderr
        os.kill(before["detect"], signal.SIGKILL)
        running.await_line("detect", "ended (SIGKILL)")
        running.await_line("detect", "ready again")
        ask_history(running)
        status = json.loads(lictor(tmp_path, "status", "--json").stdout)
        assert {part["name"]: part["alive"] for part in status["parts"]} == dict.fromkeys(
            ("detect", "respond", "archive"), True
        )
        after = running.pids()
        assert after["detect"] != before["detect"]
    await_gone(before | after)
    assert not (tmp_path / "run.json").exists()
    assert lictor(tmp_path, "status").returncode == 3


def ask_history(running: Up) -> None:
    """Ask over ClickHouse's own protocol, as any client does."""
    host, port = str(running.run_file()["sql"]).split(":")
    client = clickhouse_connect.get_client(host=host, port=int(port))
    assert client.query("SELECT count() FROM steps").result_rows == [(0,)]
    client.close()
    with urllib.request.urlopen(f"http://{host}:{port}/?query=SELECT%201%2B1") as answer:
        assert answer.read() == b"2\n"


def test_nothing_outlives_a_lictor_that_was_killed(tmp_path: Path) -> None:
    """After kill -9 of `lictor up` no broker may go on, holding the data folder of the next start."""
    with up(tmp_path) as running:
        pids = running.pids()
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(PATIENCE_S)
        await_gone(pids)
    with up(tmp_path) as again:
        assert again.pids().keys() == pids.keys()


def test_after_a_kill_everything_is_where_it_was_or_it_is_said(tmp_path: Path) -> None:
    """Every agent and every dashboard would have to be told another address, and nobody would say so."""
    with up(tmp_path) as running:
        before = running.run_file()
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(PATIENCE_S)
        with up(tmp_path) as again:  # at once: what the killed one left is still ending
            after = again.run_file()
    assert (after["kafka"], after["sql"]) == (before["kafka"], before["sql"])
    host, port = str(after["kafka"]).split(":")
    with socket.create_server((host, int(port))), up(tmp_path) as moved:
        moved.await_line("kafka", f"port {port}, which it had before, is taken by another program")
        assert moved.run_file()["kafka"] != after["kafka"]
        assert moved.run_file()["sql"] == after["sql"]


@pytest.mark.parametrize("reached", ["keys", "kafka", "policy"])
def test_ctrl_c_ends_a_start_wherever_it_stands(tmp_path: Path, reached: str) -> None:
    """Who started Lictor by mistake would have to wait for it to be ready before it can be stopped."""
    starting = Up(tmp_path)
    try:
        starting.await_line(" s  ", reached)
    finally:
        starting.close()
    out = "".join(starting.lines)
    assert starting.process.returncode == 130, out
    assert "interrupted; stopping what was started" in out
    assert "Lictor is up" not in out
    assert "Traceback" not in out
    assert not (tmp_path / "run.json").exists()
    lock_folder(tmp_path).close()  # nobody is left who holds it
    lock_folder(tmp_path / "kafka").close()


def test_a_limit_of_the_machine_is_told_in_one_line(tmp_path: Path) -> None:
    """A user whose disk is full would be shown a page of Java."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000))
    command = [sys.executable, "-m", "lictor", "up"]
    done = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=120, preexec_fn=limit
    )
    assert done.returncode == 3
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lictor: Kafka stopped while starting: a file may not grow")
    assert "\tat " not in done.stderr
