"""Write the JSON Schema of every message, and of rule files, to `schemas/json/`: `python -m schemas.export`.

The checkpoint is left out: it is Lictor's own, in MessagePack, and of use to nobody else.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.activity import Activity, Window
from schemas.approval import Approval
from schemas.audit import AuditHead
from schemas.command import Command
from schemas.containment import Containment
from schemas.correlation import Correlation
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.finding import Finding
from schemas.incident import Incident
from schemas.inventory import Inventory
from schemas.keys import KeyList
from schemas.liveness import Liveness
from schemas.match import Match
from schemas.message import Message
from schemas.policy import AgentPolicy
from schemas.receipt import Receipt
from schemas.rule_bundle import RuleBundle
from schemas.rule_file import RuleFile
from schemas.rules import RuleBook
from schemas.sighting import Sighting
from schemas.step import Step
from schemas.taint import Taint
from schemas.verdict import Verdict

FOLDER: Final = Path(__file__).resolve().parent / "json"
MESSAGES: Final[tuple[type[Message], ...]] = (
    Activity,
    AgentPolicy,
    Approval,
    AuditHead,
    Command,
    Containment,
    Correlation,
    DeadLetter,
    Decision,
    Finding,
    Incident,
    Inventory,
    KeyList,
    Liveness,
    Match,
    Receipt,
    RuleBook,
    RuleBundle,
    Sighting,
    Taint,
    Verdict,
    Window,
)
_DIALECT: Final = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schemas() -> dict[str, str]:
    """Return each message's name and its JSON Schema as text: the same text for the same code."""
    found: dict[str, dict[str, Any]] = {message.type: message.model_json_schema() for message in MESSAGES}
    found["step"] = msgspec.json.schema(Step)
    found["rule_file"] = RuleFile.model_json_schema(by_alias=True)
    return {
        name: json.dumps(_DIALECT | schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, schema in sorted(found.items())
    }


def write(folder: Path = FOLDER) -> None:
    """Bring the folder up to date; a schema of no message is removed."""
    folder.mkdir(exist_ok=True)
    wanted = schemas()
    for path in folder.glob("*.json"):
        if path.stem not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
