"""The rungs that carry orders out, and what their word is worth."""

from itertools import pairwise

import pytest

from responders import LADDER
from responders.sdk import AgentSdk
from responders.supervisor import Supervisor
from schemas.command import Target
from tests.unit.builders import AGENT, a_command, a_receipt

REACHES = ["run", "process", "agent", "principal"]


def test_the_ladder_goes_from_mild_to_hard() -> None:
    """A process would be killed where a word would have done."""
    assert [rung.layer for rung in LADDER] == ["sdk", "supervisor"]
    assert all(REACHES.index(low.reach) < REACHES.index(high.reach) for low, high in pairwise(LADDER))


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.layer)
def test_an_order_for_a_run_must_name_it(rung: AgentSdk | Supervisor) -> None:
    """A stop without a run would end whatever happens to run."""
    nameless = a_command("stop", target=Target(agent_id=AGENT))
    assert rung.refuse(a_command("stop")) is None
    assert "names none" in (rung.refuse(nameless) or "")


def test_each_rung_refuses_what_it_does_not_carry_out() -> None:
    """An order would count as given although nobody carries it out."""
    assert "does not carry out revoke" in (AgentSdk().refuse(a_command("revoke")) or "")
    assert "does not carry out pause" in (Supervisor().refuse(a_command("pause")) or "")
    assert AgentSdk().refuse(a_command("deny", target=Target(agent_id=AGENT))) is None


def test_an_agents_own_word_is_a_claim() -> None:
    """A kill would be closed by the agent that was to be killed."""
    assert AgentSdk().proof(a_receipt("c")) == "claimed"
    assert AgentSdk().proof(a_receipt("c", exit_status=0)) == "claimed"
    assert AgentSdk().proof(a_receipt("c", status="received")) == ""
    assert AgentSdk().proof(a_receipt("c", layer="supervisor", exit_status=0)) == ""


@pytest.mark.parametrize("status", [0, 1, -9, -15])
def test_a_reaped_exit_status_is_proof(status: int) -> None:
    """A kill that worked would stay open for ever."""
    assert Supervisor().proof(a_receipt("c", layer="supervisor", exit_status=status)) == "proven"


@pytest.mark.parametrize(
    "fields",
    [
        {"layer": "supervisor"},
        {"layer": "supervisor", "exit_status": 0, "status": "failed"},
        {"layer": "sdk", "exit_status": 0},
    ],
)
def test_anything_less_is_no_proof(fields: dict[str, object]) -> None:
    """A process that still runs would count as ended."""
    assert Supervisor().proof(a_receipt("c", **fields)) == ""
