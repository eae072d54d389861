"""The gate asks before each call: grants, budgets, cold starts; and no effect goes ahead without its step."""

import asyncio
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lictor_agent import Agent, Run, ToolDenied, passage
from schemas.policy import AgentPolicy
from tests.unit.sdk._agents import GRANTS, Lab, acknowledged, denied, ended
from tests.unit.streams._builders import AGENT, policy


def budgets(**bounds: float) -> dict[str, Any]:
    """Return a policy's budgets."""
    return {"budgets": bounds}


def test_a_budget_holds_under_eight_threads(lab: Lab) -> None:
    """Eight threads at once would each make the last call that is allowed."""
    lab.policy(version=2, **budgets(tool_calls=200))
    start = threading.Barrier(8)
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(run: Run) -> int:
        start.wait()
        made = 0
        for _ in range(200):
            try:
                with run.tool("crm.read"):
                    made += 1
            except ToolDenied:
                pass
        return made

    try:
        with lab.agent.run() as run, ThreadPoolExecutor(8) as pool:
            made = sum(done.result() for done in [pool.submit(work, run) for _ in range(8)])
    finally:
        sys.setswitchinterval(often)
    assert made == 200


def test_a_denied_call_says_why_by_which_rule_and_version(lab: Lab) -> None:
    """The model would try again in another way, because nobody told it why."""
    lab.policy(version=7, **GRANTS)
    with lab.agent.run() as run:
        refused = denied(run, "crm.drop", id=1)
    assert (refused.verdict, refused.rule, refused.grant, refused.policy_version) == ("deny", "grant", "no", 7)
    assert str(refused) == (
        "refused by Lictor (grant, policy version 7): customers are not dropped. Allowed tools: crm.*, pay. "
        "Do not try another way; say so instead."
    )
    (call,) = [step for step in lab.steps() if step.kind == "tool_call"]
    assert call.gate is not None
    assert (call.gate.verdict, call.gate.grant, call.gate.policy_version, call.gate.mode) == (
        "deny",
        "no",
        7,
        "enforce",
    )


@pytest.mark.parametrize(
    ("name", "amount", "rule", "verdict"),
    [("pay", 500, "grant", "ask"), ("unheard.of", 1, "no_grant", "deny"), ("crm.drop", 1, "grant", "deny")],
)
def test_what_the_policy_does_not_allow_does_not_run(lab: Lab, name: str, amount: int, rule: str, verdict: str) -> None:
    """The gate would be a formality."""
    lab.policy(version=2, **GRANTS)
    with lab.agent.run() as run:
        refused = denied(run, name, amount=amount)
        assert (refused.rule, refused.verdict) == (rule, verdict)
        with run.tool("pay", amount=5):
            pass


def test_models_and_peers_are_asked_about_too(lab: Lab) -> None:
    """An agent could use any model, or hand its work to anybody."""
    lab.policy(version=2, **GRANTS)
    with lab.agent.run() as run:
        with run.model_call("good"):
            pass
        with pytest.raises(ToolDenied), run.model_call("bad"):
            pytest.fail("a refused model was called")
        run.handoff("clerk")
        with pytest.raises(ToolDenied):
            run.handoff("stranger")
    assert [step.gate.verdict for step in lab.steps() if step.gate] == ["allow", "deny", "allow", "deny"]


@pytest.mark.parametrize("mode", ["observe", "ask", "enforce"])
def test_the_mode_decides_what_a_missing_grant_means(lab: Lab, mode: str) -> None:
    """Watching an agent would hold it up, or enforcing let it pass."""
    lab.policy(version=2, mode=mode, **GRANTS)
    with lab.agent.run() as run:
        if mode == "observe":
            with run.tool("unheard.of"):
                pass
        else:
            assert denied(run, "unheard.of").verdict == {"ask": "ask", "enforce": "deny"}[mode]


@pytest.mark.parametrize(
    ("bound", "rule", "made"),
    [
        ({"tool_calls": 3}, "budget:tool_calls", 3),
        ({"tool_calls_per_minute": 2}, "budget:tool_calls_per_minute", 2),
        ({"same_call": 4}, "budget:same_call", 4),
        ({"steps": 5}, "budget:steps", 2),
        ({"tool_calls": 0}, "budget:tool_calls", 0),
    ],
)
def test_a_budget_of_calls_is_kept(lab: Lab, bound: dict[str, float], rule: str, made: int) -> None:
    """A loop would go on until somebody reads the bill."""
    lab.policy(version=2, **budgets(**bound))
    with lab.agent.run() as run:
        for _ in range(made):
            with run.tool("crm.read", id=1):
                pass
        assert denied(run, "crm.read", id=1).rule == rule


@pytest.mark.parametrize(
    ("bound", "rule"),
    [({"model_calls": 1}, "model_calls"), ({"tokens": 12}, "tokens"), ({"cost_usd": 0.5}, "cost_usd")],
)
def test_a_budget_of_models_is_kept(lab: Lab, bound: dict[str, float], rule: str) -> None:
    """An agent would spend more than its owner allows."""
    lab.policy(version=2, **budgets(**bound))
    with lab.agent.run() as run:
        with run.model_call("m") as call:
            call.used(input_tokens=5, output_tokens=7, cost_usd=0.5)
        with pytest.raises(ToolDenied) as refused, run.model_call("m"):
            pytest.fail("a call over the budget was made")
    assert refused.value.rule == f"budget:{rule}"


def test_the_same_call_is_counted_by_trace_and_arguments(lab: Lab) -> None:
    """Honest work on many customers would look like a loop."""
    lab.policy(version=2, **budgets(same_call=1))
    with lab.agent.run() as run:
        for number in range(3):
            with run.tool("crm.read", id=number), run.trace():
                pass
        with run.trace(), run.tool("crm.read", id=0):
            pass
        denied(run, "crm.read", id=0)


def test_budgets_are_a_runs_own(lab: Lab) -> None:
    """One run's spending would stop the next."""
    lab.policy(version=2, **budgets(tool_calls=1))
    for _ in range(2):
        with lab.agent.run() as run, run.tool("crm.read"):
            pass


def test_what_a_trace_has_read_counts_in_conditions(lab: Lab) -> None:
    """A page of a stranger could have the agent post what it read."""
    clean = {"id": "post", "effect": "allow", "tools": ["post"], "when": {"reads": {"none_of": ["untrusted"]}}}
    read = {"id": "read", "effect": "allow", "tools": ["web"]}
    lab.policy(version=2, layers=[{"name": "org", "grants": [clean, read]}], traits={"*": ["reads_untrusted"]})
    with lab.agent.run() as run:
        with run.tool("post"):
            pass
        denied(run, "post")  # what `post` itself brought back was untrusted
        with run.trace(), run.tool("post"):
            pass


def test_a_call_with_effects_goes_to_disk_where_kafka_does_not_answer(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment could be made of which no record exists."""
    monkeypatch.setattr(passage, "ACK_PATIENCE_S", 0.01)
    lab.policy(version=2, traits={"*": ["mutates"]})
    with lab.agent.run() as run, run.tool("crm.write"):
        assert lab.agent.link.counters["spooled"] == 1
    assert len(list(lab.folder.rglob("*.spool"))) == 1
    lab.agent.link.outbox.close([])


def test_only_the_first_call_of_an_outage_waits_for_kafka(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka is away an agent would take a second longer for each call, and an hour for its work of a minute."""
    link = lab.agent.link
    monkeypatch.setattr(passage, "ACK_PATIENCE_S", 0.01)
    lab.policy(version=2, traits={"*": ["mutates"]})
    with lab.agent.run() as run:
        with run.tool("crm.write"):
            pass
        monkeypatch.setattr(passage, "ACK_PATIENCE_S", 3600.0)
        with run.tool("crm.write"):
            assert link.counters["spooled"] == 2
    record = lab.agent.record("steps", "k", "step", b"{}")
    link._flying[id(record)] = record
    done: asyncio.Future[None] = asyncio.Future(loop=asyncio.new_event_loop())
    done.set_result(None)
    link._done(record, done)
    done.get_loop().close()
    assert not link.slow, "Kafka answers again, and is waited for again"
    link.outbox.close([])


def test_a_call_with_effects_is_refused_where_neither_kafka_nor_the_disk_takes_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment could be made of which no record exists."""
    monkeypatch.setattr(passage, "ACK_PATIENCE_S", 0.01)
    lab.policy(version=2, traits={"*": ["mutates"]})
    shutil.rmtree(lab.folder)
    lab.folder.write_text("no folder", encoding="utf-8")
    with lab.agent.run() as run:
        assert denied(run, "crm.write").rule == "spool"
    assert list(ended(lab.steps()).values()) == ["denied"]


def test_a_call_with_effects_runs_at_once_when_kafka_has_its_step(lab: Lab) -> None:
    """Every write would wait for the disk."""
    lab.policy(version=2, traits={"*": ["mutates"]})
    with acknowledged(lab), lab.agent.run() as run, run.tool("crm.write"):
        pass
    assert lab.agent.link.counters["spooled"] == 0


def test_a_cold_start_denies_what_cannot_be_undone_and_nothing_else(lab: Lab) -> None:
    """An agent cut off from Lictor would act as it likes, or not at all."""
    cold = Agent(AGENT, version="", owner="", tools=[], settings=lab.settings())
    cold._waited = True  # as after the seconds in which the first call waits for Kafka
    with cold.run() as run:
        assert denied(run, "send_email").rule == "cold_start"
        with run.tool("get_time"):
            pass


def test_the_policy_of_any_agent_holds_until_the_agents_own_comes(lab: Lab) -> None:
    """An agent nobody has described would be bound by nothing."""
    anybody = AgentPolicy.model_validate({**policy("*", mode="enforce", layers=()).model_dump(), "registered": False})
    other = Lab(lab.folder)
    other.policy(anybody)
    with other.agent.run() as run:
        denied(run, "crm.read")
        other.policy(policy(AGENT, traits={"*": ("reads_sensitive",)}))
        with run.tool("crm.read"):
            pass
