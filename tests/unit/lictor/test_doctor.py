"""The doctor looks and changes nothing, and whatever it finds missing it says how to get."""

import json
import os
import socket
from pathlib import Path

import pytest

from lictor.doctor import Entry, examine
from lictor.kafka import KAFKA_VERSION, cache_folder
from lictor.keys import Keys
from lictor.settings import Settings
from tests.unit.lictor._verbs import run


def entry(name: str) -> Entry:
    """Return what is said of one thing."""
    return next(found for found in examine(Settings.read()) if found.name == name)


def everything(folder: Path) -> set[str]:
    """Return all paths below a folder."""
    return {str(path) for path in folder.rglob("*")}


def test_a_fresh_machine_lacks_nothing_that_cannot_be_got(home: Path) -> None:
    """A new user would be sent away by a check that `lictor up` itself resolves."""
    found = examine(Settings.read())
    assert {one.state for one in found} <= {"ok", "warning"}
    assert entry("kafka jars").state == "warning"
    assert entry("keys").what.startswith("none yet")


def test_looking_changes_nothing(home: Path) -> None:
    """A command that only looks would leave folders behind, or make keys."""
    examine(Settings.read())
    assert everything(home.parent) == set()


def test_what_is_not_ok_says_what_to_do(home: Path) -> None:
    """A user would know what is wrong and not how to mend it."""
    Keys(home / "keys").make()
    (home / "keys" / "root.key").chmod(0o644)
    for found in examine(Settings.read()):
        assert found.what
        assert bool(found.remedy) == (found.state != "ok"), found


def test_jars_in_the_cache_are_seen(home: Path) -> None:
    """A machine without a network would be told that it needs one."""
    cache_folder().mkdir(parents=True)
    (cache_folder() / f"kafka-{KAFKA_VERSION}.classpath").write_text("x", encoding="utf-8")
    assert entry("kafka jars").state == "ok"


def test_keys_that_others_can_read_are_missing_safety(home: Path) -> None:
    """Every user of the machine could give orders, and nobody would be told."""
    keys = Keys(home / "keys")
    keys.make()
    assert entry("keys").state == "ok"
    assert entry("keys and agents").state == "warning"
    (keys.folder / "detect.key").chmod(0o644)
    found = entry("keys")
    assert (found.state, found.remedy) == ("missing", f"chmod -R go= {keys.folder}")
    assert "detect.key" in found.what


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere.invalid:9092", "a b:1"])
def test_a_broker_that_does_not_answer_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A misspelt address would end in a stack trace, in the very command that should find it. What is none: test_settings."""
    monkeypatch.setenv("LICTOR_KAFKA", address)
    found = entry("kafka")
    assert found.state == "missing"
    assert address in found.what
    assert entry("java").what.startswith("not needed")


def test_a_broker_that_answers_is_ok(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working broker would be reported as missing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("LICTOR_KAFKA", f"127.0.0.1:{server.getsockname()[1]}")
        assert entry("kafka").state == "ok"


def test_a_server_for_the_history_needs_no_embedded_engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a ClickHouse would be told to install another."""
    assert entry("clickhouse").what.startswith("embedded engine")
    monkeypatch.setenv("LICTOR_CLICKHOUSE", "clickhouse://u:secret@host/")
    assert entry("clickhouse") == Entry("clickhouse", "ok", "a server is configured")


def test_a_running_lictor_is_reported(home: Path) -> None:
    """A user would start a second Lictor beside the first."""
    assert entry("lictor up").what == "not running in this data folder"
    home.mkdir()
    said = {"pid": os.getpid(), "kafka": "127.0.0.1:9", "sql": ""}
    (home / "run.json").write_text(json.dumps(said), encoding="utf-8")
    assert entry("lictor up").what == f"running, pid {os.getpid()}, Kafka 127.0.0.1:9, SQL none"
    assert entry("kafka").state == "missing"


@pytest.mark.parametrize(
    "text", ["{", json.dumps({"pid": os.getpid()}), '{"pid": 4194305, "kafka": "k:1", "sql": ""}'], ids=range(3)
)
def test_a_run_file_that_means_nothing_is_told(home: Path, text: str) -> None:
    """The command that looks for what is wrong would itself end in a stack trace."""
    home.mkdir()
    (home / "run.json").write_text(text, encoding="utf-8")
    found = entry("lictor up")
    assert (found.state, "run.json" in found.what, found.remedy) == ("warning", True, "`lictor up` writes it anew")


def test_a_cache_folder_that_cannot_be_made_is_no_stack_trace(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that looks for what is wrong would itself break on it."""
    (home.parent / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home.parent / "file"))
    assert entry("cache folder").name == "cache folder"


def test_the_verb_says_the_same_in_words_and_in_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that watches Lictor's machine would see another machine than its owner."""
    words, data = run("doctor"), run("doctor", "--json")
    entries = json.loads(data.out)
    assert (words.code, data.code) == (0, 0)
    assert [(one["state"], one["name"]) for one in entries] == [
        (line[:8].strip(), line[9:27].strip()) for line in words.out.splitlines() if not line.startswith(" ")
    ]
    monkeypatch.setenv("LICTOR_KAFKA", "127.0.0.1:9")
    assert run("doctor").code == run("doctor", "--json").code == 1
