"""The JSON Schemas for readers in other languages."""

import importlib
import json
import pkgutil
from pathlib import Path

import schemas
from schemas import export
from schemas.message import Message


def every_message(base: type[Message] = Message) -> set[type[Message]]:
    """Return all classes of messages that Lictor has."""
    for module in pkgutil.iter_modules(schemas.__path__, "schemas."):
        importlib.import_module(module.name)
    return {each for found in base.__subclasses__() for each in (found, *every_message(found))}


def test_the_committed_schemas_are_those_of_the_code() -> None:
    """Readers in other languages would be built against messages that no longer exist."""
    kept = {path.stem: path.read_text(encoding="utf-8") for path in export.FOLDER.glob("*.json")}
    wanted = export.schemas()
    stale = sorted(name for name in kept.keys() | wanted.keys() if kept.get(name) != wanted.get(name))
    assert not stale, f"out of date: {', '.join(stale)}; run `make schemas` and commit schemas/json/"


def test_every_message_is_exported() -> None:
    """A new message would be published and nobody told how to read it."""
    ours = {message for message in every_message() if message.__module__.startswith("schemas.")}
    assert set(export.MESSAGES) == ours
    assert set(export.schemas()) == {message.type for message in export.MESSAGES} | {"step", "rule_file"}


def test_writing_brings_a_folder_up_to_date_and_leaves_it_so(tmp_path: Path) -> None:
    """The schema of a message that was given up would stay for ever."""
    (tmp_path / "gone.json").write_text("{}", encoding="utf-8")
    (tmp_path / "step.json").write_text("{}", encoding="utf-8")
    export.write(tmp_path)
    assert {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == export.schemas()


def test_a_schema_names_required_fields_and_allows_later_ones() -> None:
    """A reader built from the schema would refuse every message of a newer Lictor."""
    step, command = (json.loads(export.schemas()[name]) for name in ("step", "command"))
    assert {"v", "step_id", "agent_id", "run_id", "seq", "kind", "time_us"} <= set(step["$defs"]["Step"]["required"])
    assert {"command_id", "action", "target", "epoch"} <= set(command["required"])
    assert command.get("additionalProperties", True) is True
