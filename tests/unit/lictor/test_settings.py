"""Settings come from the environment, once; a misspelt name is an error, not a default."""

import json
import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from lictor.settings import Settings
from lictor_agent.settings import AgentSettings
from schemas.errors import BadSettings

NUMBERS = [("LICTOR_PARTITIONS", 1, 1024), ("LICTOR_DETECT_WORKERS", 1, 64), ("LICTOR_SQL_PORT", 0, 65535)]


def number(settings: Settings, name: str) -> object:
    """Return the value of a numeric setting."""
    return getattr(settings, name.removeprefix("LICTOR_").lower())


def test_nothing_set_means_the_embedded_parts_of_this_user() -> None:
    """`lictor up` on a fresh machine would ask for settings that nobody needs."""
    settings = Settings.read({"HOME": "/h", "XDG_DATA_HOME": "/data"})
    assert (settings.home, settings.kafka, settings.clickhouse) == (Path("/data/lictor"), "", "")
    assert (settings.partitions, settings.detect_workers, settings.sql_port) == (4, 1, 0)
    assert settings.keys_folder == Path("/data/lictor/keys")


def test_every_setting_is_taken() -> None:
    """A setting that is documented would change nothing."""
    settings = Settings.read(
        {
            "LICTOR_HOME": "/a",
            "LICTOR_KAFKA": "k:9092",
            "LICTOR_CLICKHOUSE": "clickhouse://c/",
            "LICTOR_NAMESPACE": "team.eu",
            "LICTOR_PARTITIONS": "12",
            "LICTOR_DETECT_WORKERS": "3",
            "LICTOR_POLICY": "/p.yml",
            "LICTOR_KEYS": "/k",
            "LICTOR_SQL_PORT": "8123",
            "LICTOR_KAFKA_SASL_USERNAME": "me",
        }
    )
    assert (settings.home, settings.kafka, settings.clickhouse) == (Path("/a"), "k:9092", "clickhouse://c/")
    assert (settings.namespace, settings.partitions, settings.detect_workers) == ("team.eu", 12, 3)
    assert (settings.policy, settings.keys_folder, settings.sql_port) == (Path("/p.yml"), Path("/k"), 8123)
    assert settings.kafka_client == {"sasl_plain_username": "me"}
    assert settings.topics.steps.name == "team.eu.steps"


@pytest.mark.parametrize("name", ["LICTOR_PARTITION", "LICTOR_KAFKA_HOST", "LICTOR_", "LICTOR_kafka", "LICTOR_TEST"])
def test_an_unknown_name_is_refused_and_the_known_ones_named(name: str) -> None:
    """A misspelt setting would silently leave the default in force."""
    with pytest.raises(BadSettings) as bad:
        Settings.read({name: "x"})
    assert f"unknown setting {name};" in str(bad.value)
    assert "LICTOR_PARTITIONS" in str(bad.value)
    assert bad.value.exit_code == 2


def test_names_of_the_agents_side_may_stand_in_the_same_environment() -> None:
    """Lictor and an agent could not be started from one shell."""
    mine = {"LICTOR_MODE": "off", "LICTOR_ROOT_KEY": "a", "LICTOR_AGENT_KEY": "", "LICTOR_SPOOL": "/s"}
    assert Settings.read({**mine, "LICTOR_SUPERVISOR": "/x", "LICTOR_SUPERVISOR_KEY": "b"}).kafka == ""
    assert AgentSettings.read(mine).off


@pytest.mark.parametrize(("name", "least", "most"), NUMBERS)
def test_numbers_are_taken_within_their_bounds(name: str, least: int, most: int) -> None:
    """A bound that is off by one would refuse what the help promises."""
    for value in (least, most):
        assert number(Settings.read({name: str(value)}), name) == value


@pytest.mark.parametrize(("name", "least", "most"), NUMBERS)
@pytest.mark.parametrize("text", ["x", "1.5", "-1", " 1", "0x10", "1e3", "9" * 30, "least", "most"])
def test_what_is_no_number_within_the_bounds_is_refused(name: str, least: int, most: int, text: str) -> None:
    """A typing error would start Lictor with a partition count that cannot be changed later."""
    given = {"least": str(least - 1), "most": str(most + 1)}.get(text, text)
    with pytest.raises(BadSettings, match=f"{name} must be a whole number from {least} to {most}"):
        Settings.read({name: given})


@pytest.mark.parametrize("name", ["LICTOR_NAMESPACE", "LICTOR_PARTITIONS", "LICTOR_POLICY", "LICTOR_HOME"])
def test_an_empty_value_means_the_default(name: str) -> None:
    """A blank line in a container's environment would be taken for a setting."""
    empty = {"XDG_DATA_HOME": "/data"}
    assert Settings.read({**empty, name: ""}) == Settings.read(empty)


def test_settings_are_frozen() -> None:
    """One part of the process could change what another reads."""
    with pytest.raises(FrozenInstanceError):
        Settings.read({}).kafka = "other:9092"  # type: ignore[misc]


def test_a_running_lictor_is_found_by_its_run_file(tmp_path: Path) -> None:
    """`lictor status` would not find the Lictor that runs beside it."""
    settings = Settings(home=tmp_path)
    assert settings.running() == {}
    (tmp_path / "run.json").write_text(json.dumps({"pid": os.getpid(), "kafka": "k:1", "sql": ""}), encoding="utf-8")
    assert settings.running()["kafka"] == "k:1"


ALIVE = {"pid": os.getpid(), "kafka": "k:1", "sql": "127.0.0.1:1"}
DAMAGED = [{"pid": "x"}, {"pid": None}, {"pid": 4194305}, {"pid": 1e30}, {"pid": True}, {"pid": 0}, {"pid": -1}]
DAMAGED += [{"pid": 1 << 70}, {"kafka": None}, {"kafka": ""}, {"kafka": "nowhere"}, {"sql": None}, {"sql": "x:y"}]
PARTIAL = [{name: value for name, value in ALIVE.items() if name != missing} for missing in ALIVE]


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", "[]", "null", '"x"', "[" * 100_000, *map(json.dumps, PARTIAL)]
    + [json.dumps({**ALIVE, **damage}) for damage in DAMAGED],
    ids=lambda text: text.replace(str(os.getpid()), "ours")[:60],
)
def test_a_damaged_or_stale_run_file_means_that_nothing_runs(tmp_path: Path, text: str) -> None:
    """After a power cut every verb would end in a stack trace, or talk to a process that is gone."""
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    assert Settings(home=tmp_path).running() == {}


@pytest.mark.parametrize("text", ["127.0.0.1:9092.", "127.0.0.1", ":9092", "kafka:65536", "a:1,b"])
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    """A full stop copied along with the address would end in a stack trace of somebody else's library."""
    with pytest.raises(BadSettings, match="LICTOR_KAFKA must be host:port"):
        Settings.read({"LICTOR_KAFKA": text})
