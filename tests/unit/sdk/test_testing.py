"""What a developer's own test sees is what production does: the real gate, the real policy, no Kafka."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.examples import invoices
from lictor_agent import AgentStopped, BadConfiguration, ToolDenied
from lictor_agent.testing import Lab, lictor

__all__ = ["lictor"]

POLICY = Path(__file__).parents[3] / "docs" / "examples" / "policy.yml"
Make = Callable[..., Lab]


def grants(*grants: dict[str, object], **more: object) -> dict[str, object]:
    """Return a policy that enforces."""
    return {"mode": "enforce", "layers": [{"name": "org", "grants": list(grants)}], **more}


def test_the_policy_file_of_production_is_the_policy_of_the_test(lictor: Make) -> None:
    """A developer's test would pass and production refuse."""
    lab = lictor(POLICY, "invoices")
    with lab.run(principal="erin@example.com"):
        assert invoices.pay("INV-311", 120) == "INV-311: 120 EUR paid"
        with pytest.raises(ToolDenied, match=r"Allowed for payments.create: .*500"):
            invoices.pay("INV-313", 4900)
    assert (lab.denied, lab.held) == (["payments.create"], ["payments.create"])
    assert [step.outcome for step in lab.published("tool_result", tool="payments.create")] == ["executed"]


@pytest.mark.parametrize("word", ["deny", "ask", "hold"])
def test_a_call_that_waits_is_told_what_the_test_says(lictor: Make, word: str) -> None:
    """Nobody could test what an agent does when `detect` refuses."""
    lab = lictor(POLICY, "invoices")
    lab.clearance = word
    with lab.run(), pytest.raises(ToolDenied) as refused:
        invoices.pay("INV-311", 120)
    assert refused.value.rule == f"clearance:{word}"


def test_what_is_narrowed_asked_and_published_can_be_asserted(lictor: Make) -> None:
    """A test could only see that nothing failed."""
    lab = lictor(
        grants(
            {"id": "cap", "effect": "narrow", "tools": ["search"], "narrow": {"arguments.limit": 10}},
            {"id": "ask", "effect": "ask", "tools": ["send"]},
        ),
        "finder",
    )
    with lab.run() as run:
        assert run.invoke("search", lambda limit: limit, {"limit": 900}) == 10
        with pytest.raises(ToolDenied):
            run.invoke("send", print, {})
    assert lab.narrowed == [("search", {"limit": 900}, {"limit": 10})]
    assert lab.asked == ["send"]
    assert lab.steps[0].kind == "run_started"


def test_an_agent_can_be_stopped_and_paused(lictor: Make) -> None:
    """Nobody would know what his agent does when it is stopped, until it is."""
    lab = lictor(grants({"id": "all", "effect": "allow", "tools": ["*"]}), "bot")

    async def main() -> str:
        async with lab.run() as run:
            lab.pause(run)
            task = asyncio.create_task(run.handoff_async("clerk"))
            while not run.orders._held:
                await asyncio.sleep(0)
            lab.resume(run)
            await task
            lab.stop(run)
            with pytest.raises(AgentStopped):
                run.check()
            return "tidied up"

    assert asyncio.run(main()) == "tidied up"
    assert lab.published("run_ended")[0].reason == "stopped"


@pytest.mark.parametrize("policy", ["nowhere.yml", "nowhere.json", {"mode": 7}, {"layers": "x"}])
def test_a_policy_that_cannot_be_read_is_said_in_one_line(lictor: Make, policy: object) -> None:
    """A developer would look for a mistake in the agent."""
    with pytest.raises(BadConfiguration) as said:
        lictor(policy, "bot")
    assert "\n" not in str(said.value)
