"""What a receipt is worth to the person who gave the order."""

from dataclasses import replace
from typing import Any

import pytest

from lictor import orders
from schemas.receipt import Receipt
from tests.unit.streams._builders import AGENT, RUN, World


def proof(
    role: str, *, action: str = "stop", key: str = AGENT, kind: str = "receipt", **fields: Any
) -> tuple[str, bool]:
    """Return the first word of the proof that one receipt gives, and whether it ends the waiting; role "": unsigned."""
    world = World()
    base = {"receipt_id": "r", "command_id": "c", "agent_id": AGENT, "run_id": RUN, "layer": "supervisor"}
    said = Receipt.model_validate(base | {"status": "effective", "exit_status": -9, "time_us": 1} | fields)
    record = world.signed(world.topics.receipts, key, said, role or "detect", kind=kind)
    told: dict[str, dict[str, Any]] = {"c": {"run_id": RUN, "receipts": []}}
    orders._note(told, record if role else replace(record, headers=()), world.knowledge().keyring)
    return orders._proof(told["c"]).split()[0], orders._is_proven(told["c"], action)


def test_the_supervisors_signed_exit_status_is_proof() -> None:
    """A person would go on looking for a process that is gone."""
    assert proof("supervisor") == ("proven:", True)


@pytest.mark.parametrize("role", ["", "person", "detect", "respond", "audit"])
def test_a_supervisors_receipt_that_no_supervisor_signed_proves_nothing(role: str) -> None:
    """Whoever can write to Kafka could have a person believe that a process is gone while it goes on."""
    assert proof(role) == ("none", False)


@pytest.mark.parametrize(
    "fields",
    [
        {"exit_status": None},
        {"status": "received"},
        {"run_id": "another"},
        {"command_id": "another"},
        {"agent_id": "another"},
        {"key": "another"},
    ],
)
def test_a_signed_receipt_about_something_else_proves_nothing(fields: dict[str, Any]) -> None:
    """The end of one process would be taken for the end of another."""
    assert proof("supervisor", **fields) == ("none", False)


@pytest.mark.parametrize("role", ["", "supervisor", "respond"])
def test_the_agents_own_receipt_is_its_word_whoever_signed_it(role: str) -> None:
    """An agent that goes on could close its own kill."""
    assert proof(role, layer="sdk", exit_status=0) == ("claimed:", False)


def test_a_pause_is_done_when_the_agent_says_so() -> None:
    """A person would wait in vain for a proof that there is not for a pause."""
    assert proof("", action="pause", layer="sdk", exit_status=None) == ("claimed:", True)
