"""The embedded broker's folder belongs to one process, and its jars are looked for before anything is fetched."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lictor.kafka import (
    KAFKA_VERSION,
    AotCache,
    EmbeddedKafka,
    _answers,
    _properties,
    cache_folder,
    free_port,
    lock_folder,
    resolve_jars,
)
from schemas.errors import BadInput, InUse

HOLD = """
import sys
from pathlib import Path
from lictor.folders import lock_folder
held = lock_folder(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Start a process that holds a folder until its input is closed."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_owner_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    """Two brokers on one folder would ruin each other's log."""
    folder = tmp_path / "deep" / "home"
    with lock_folder(folder), pytest.raises(InUse) as used:
        lock_folder(folder)
    assert "another Lictor uses this data folder" in str(used.value)
    assert "LICTOR_HOME" in str(used.value)
    assert str(folder) in str(used.value)
    assert used.value.exit_code == 3


def test_another_process_is_refused_too_and_its_death_gives_the_folder_back(tmp_path: Path) -> None:
    """After a crash Lictor could never be started again in its own folder."""
    with holder(tmp_path) as process:
        with pytest.raises(InUse):
            lock_folder(tmp_path)
        process.kill()
        process.wait()
    lock_folder(tmp_path).close()


def test_a_folder_given_back_can_be_taken_again(tmp_path: Path) -> None:
    """`lictor up` could be run once a boot."""
    for _ in range(2):
        lock_folder(tmp_path).close()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_what_is_no_folder_is_refused_in_one_line(tmp_path: Path, place: str) -> None:
    """A misspelt LICTOR_HOME would end in a stack trace."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot use the data folder") as bad:
        lock_folder(tmp_path / place)
    assert "LICTOR_HOME" in str(bad.value)


def test_a_broker_in_a_folder_that_is_taken_does_not_start(tmp_path: Path) -> None:
    """The lock would be there, and the broker not ask for it."""
    kafka = EmbeddedKafka(tmp_path)
    with lock_folder(tmp_path), pytest.raises(InUse):
        kafka.start()
    assert kafka.process is None
    assert not (tmp_path / "server.properties").exists()


def test_a_broker_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    """A failed start would hide its reason behind a second error."""
    kafka = EmbeddedKafka(tmp_path)
    kafka.stop()
    kafka.kill()
    assert kafka.last_words() == "it left no word"


def test_jars_that_are_there_are_used_without_asking_anybody(home: Path) -> None:
    """Every start would need the network, and a machine without one could not start at all."""
    jars = [home.parent / name for name in ("a.jar", "b.jar")]
    for jar in jars:
        jar.write_bytes(b"")
    cache_folder().mkdir(parents=True)
    marker = cache_folder() / f"kafka-{KAFKA_VERSION}.classpath"
    marker.write_text(os.pathsep.join(map(str, jars)), encoding="utf-8")
    assert resolve_jars() == os.pathsep.join(map(str, jars))


def test_looking_for_the_cache_makes_nothing(home: Path) -> None:
    """`lictor doctor` would change the machine that it only looks at."""
    assert cache_folder() == home.parent / "cache" / "lictor"
    assert not (home.parent / "cache").exists()


def test_the_start_cache_is_made_once_and_then_used(home: Path) -> None:
    """Every start would take seconds, or the cache of another version would be used."""
    cache_folder().mkdir(parents=True)
    first = AotCache("classpath")
    assert first.options()[0] == f"-XX:AOTCacheOutput={first.fresh}"
    first.keep(143)
    assert not first.path.exists()
    first.fresh.write_bytes(b"cache")
    first.keep(143)
    assert AotCache("classpath").options()[0] == f"-XX:AOTCache={first.path}"
    assert AotCache("another").path != first.path


@pytest.mark.parametrize("status", [-9, 1, 137])
def test_a_start_cache_that_was_not_finished_is_not_kept(home: Path, status: int) -> None:
    """A kill at the wrong moment would leave a broken cache to every later start, or a file of 70 MB each time."""
    cache_folder().mkdir(parents=True)
    cache = AotCache("classpath")
    cache.fresh.write_bytes(b"half a ca")
    cache.fresh.with_name(f"{cache.fresh.name}.config").write_bytes(b"x")
    cache.keep(status)
    assert list(cache_folder().iterdir()) == []


def test_what_makers_left_that_were_killed_is_removed(home: Path) -> None:
    """Each kill -9 of `lictor up` would leave 70 MB behind."""
    cache_folder().mkdir(parents=True)
    mine = f"kafka-0123456789abcdef.{os.getpid()}.1"
    dead = "kafka-0123456789abcdef.4194305.1"
    others = ["kafka-4.4.0.classpath", "kafka-0123456789abcdef.aot", "kafka-4.4.0.lock", mine]
    for name in (*others, dead, f"{dead}.config"):
        (cache_folder() / name).write_bytes(b"x")
    AotCache("classpath")
    assert sorted(path.name for path in cache_folder().iterdir()) == sorted(others)


def test_a_file_in_the_place_of_its_folder_is_told(tmp_path: Path) -> None:
    """A file called `kafka` in the data folder would end in a stack trace."""
    (tmp_path / "kafka").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="a file stands where a folder must be"):
        EmbeddedKafka(tmp_path / "kafka").start()


def test_a_free_port_can_be_bound() -> None:
    """The broker would be given a port that somebody else has."""
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
    assert not _answers(port)


def test_a_listener_that_says_nothing_is_no_broker() -> None:
    """Lictor would say that Kafka is ready while it still loads its log."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            silent, _ = server.accept()
            silent.close()
        server.close()
        assert not _answers(port)


def test_the_broker_listens_on_loopback_alone_and_makes_no_topics_of_itself() -> None:
    """The whole network could read and write what agents do."""
    lines = dict(line.split("=", 1) for line in _properties(Path("/data/log"), 9092, 9093).splitlines())
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert lines["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert lines["auto.create.topics.enable"] == "false"
    assert int(lines["message.max.bytes"]) > 4 << 20
