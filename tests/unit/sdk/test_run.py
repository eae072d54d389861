"""A run counts its steps without a gap, asks the gate before each call, and says how each call ended."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lictor_agent import (
    Agent,
    AgentSettings,
    AgentStopped,
    BadConfiguration,
    LictorAgentError,
    Run,
    ToolDenied,
    connect,
    tool,
)
from schemas import ids
from schemas.step import content
from tests.unit.sdk._agents import GRANTS, Lab, denied, ended, gaps
from tests.unit.streams._builders import AGENT


def test_off_changes_nothing_and_publishes_nothing(tmp_path: Path) -> None:
    """A developer without a Kafka could not run the agent."""
    agent = connect(AGENT, settings=AgentSettings.read({"LICTOR_MODE": "off", "LICTOR_SPOOL": str(tmp_path / "s")}))
    with agent.run(principal="alice") as run:
        run.message("hello")
        with run.model_call("m") as model:
            assert model.said("hi") == "hi"
        with run.tool("db.drop", name="x") as call:
            assert call.result(7) == 7
        assert run.handoff("clerk")["lictor-run"] == run.run_id
    assert agent.link.pending() == 0
    assert agent.close()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cost_usd"])
@pytest.mark.parametrize(
    "value", [-1, -0.5, float("nan"), float("inf"), -float("inf"), None, "5", 1 + 2j], ids=lambda value: f"{value!r}"
)
def test_a_call_cannot_have_used_less_than_nothing(lab: Lab, name: str, value: float) -> None:
    """An agent could give itself back what it has spent, and its budget would never end."""
    with lab.agent.run() as run:
        with run.model_call("m") as model:
            model.used(input_tokens=5, output_tokens=7, cost_usd=0.5)
            with pytest.raises(LictorAgentError, match=f"^{name} must be a .*number of at least 0"):
                model.used(**{name: value})  # type: ignore[arg-type]
        assert (run.spent.tokens, run.spent.cost_usd) == (12, 0.5)
    assert [(step.input_tokens, step.cost_usd) for step in lab.steps() if step.kind == "model_call"] == [(5, 0.5)]


@pytest.mark.parametrize(("tokens", "taken"), [(0, True), (2**53 - 1, True), (2**53, False), (0.5, False)])
def test_tokens_are_whole_numbers_that_a_step_can_hold(lab: Lab, tokens: int, taken: bool) -> None:
    """The step would be refused by `detect`, and what the call used be counted nowhere."""
    may = contextlib.nullcontext() if taken else pytest.raises(LictorAgentError, match="whole number")
    with lab.agent.run() as run, run.model_call("m") as model, may:
        model.used(input_tokens=tokens)
    assert [step.input_tokens for step in lab.steps() if step.kind == "model_call"] == [tokens if taken else 0]


def test_a_run_says_all_that_it_does(lab: Lab) -> None:
    """An analyst would see half of what happened."""
    with lab.agent.run(principal="alice", workflow="month-end", conversation_id="c") as run:
        run.message("Send it", origin="user")
        with run.model_call("m-1", provider="p") as model:
            model.used(input_tokens=5, output_tokens=7, cost_usd=0.5)
            model.said("I will", reasoning="because")
        with run.tool("crm.read", id=1) as call:
            call.result({"name": "Alice"}, origin="web")
        run.handoff("clerk", "please file it")
    steps = lab.steps()
    assert [step.kind for step in steps] == [
        "run_started", "message", "model_call", "tool_call", "tool_result", "handoff", "run_ended",
    ]  # fmt: skip
    started, message, model_call, tool_call, result, handoff, end = steps
    assert (started.version, started.owner, started.tools[0].name, started.mode) == ("1.4", "me", "crm.read", "enforce")
    assert {(step.principal, step.workflow, step.conversation_id) for step in steps} == {("alice", "month-end", "c")}
    assert (message.text, message.origin) == ("Send it", "user")
    assert (model_call.text, model_call.input_tokens, model_call.cost_usd) == ("I will", 5, 0.5)
    assert (tool_call.arguments, result.text, result.origin) == ({"id": 1}, '{"name": "Alice"}', "web")
    assert (handoff.to_agent, handoff.text, end.reason) == ("clerk", "please file it", "done")


def test_a_step_carries_the_digest_of_what_it_says(lab: Lab) -> None:
    """A clearance could be bound to something else than is done."""
    with lab.agent.run() as run, run.tool("crm.read", note="é\ud800", deep={"a": [1, None]}):
        pass
    assert all(step.digest == ids.content_digest(content(step)) for step in lab.steps())


def test_seq_has_no_gap_under_eight_threads(lab: Lab) -> None:
    """Every busy agent would look as if it hid steps."""
    start = threading.Barrier(8)

    def work(run: Run, number: int) -> None:
        start.wait()
        for turn in range(25):
            with run.tool("crm.read", worker=number, turn=turn) as call:
                call.result("ok")
            with run.trace(f"{number:032x}"):
                run.message("hello")

    with lab.agent.run() as run, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, run, number) for number in range(1, 9)]:
            done.result()
    steps = lab.steps()
    assert len(steps) == 2 + 8 * 25 * 3
    assert list(gaps(steps)) == []
    assert set(ended(steps).values()) == {"executed"}


def test_every_call_ends_with_an_outcome(lab: Lab) -> None:
    """Nobody could say whether a payment was made."""
    lab.policy(version=2, **GRANTS)
    with lab.agent.run() as run:
        with run.tool("crm.read"):
            pass
        with pytest.raises(ValueError, match="boom"), run.tool("crm.read"):
            raise ValueError("boom")
        denied(run, "crm.drop")
        denied(run, "unheard.of")
        with pytest.raises(KeyboardInterrupt), run.tool("crm.read"):
            raise KeyboardInterrupt
    steps = lab.steps()
    assert list(ended(steps).values()) == ["executed", "failed", "denied", "denied", "failed"]
    assert [step.error for step in steps if step.outcome == "failed"] == ["ValueError: boom", "KeyboardInterrupt: "]


def test_nested_traces_are_counted_apart_and_end_where_they_end(lab: Lab) -> None:
    """Two workflows would be judged as one, or one as two."""
    with lab.agent.run() as run:
        outer = run.trace_id
        run.message("a")
        with run.trace() as middle:
            run.message("b")
            with run.trace("f" * 32) as inner:
                run.message("c")
            run.message("d")
        run.message("e")
    by_trace: dict[str, list[str]] = {}
    for step in lab.steps():
        by_trace.setdefault(step.trace_id, []).append(step.text)
    assert by_trace == {"": ["", ""], outer: ["a", "e"], middle: ["b", "d"], inner: ["c"]}
    assert (inner, list(gaps(lab.steps()))) == ("f" * 32, [])


def test_a_call_ends_in_the_trace_in_which_it_began(lab: Lab) -> None:
    """A result would be judged in another workflow than its call."""
    with lab.agent.run() as run:
        with run.trace() as inner:
            call = run.tool("crm.read")
        with call:
            pass
    assert [step.trace_id for step in lab.steps() if step.tool] == [inner, inner]


def test_a_handoff_carries_trace_run_and_chain(lab: Lab) -> None:
    """Work handed over would start a new story, and nobody know for whom it is done."""
    with lab.agent.run() as first:
        carried = first.handoff("clerk")
    clerk = Agent("clerk", version="", owner="", tools=[], settings=lab.settings())
    clerk.link.ready.set()
    with clerk.run(handoff=carried) as second:
        onward = second.handoff("archivist")
    assert second.trace_id == first.trace_id
    assert (second.parent_run_id, second.delegation) == (first.run_id, (AGENT,))
    assert onward["lictor-delegation"] == f"{AGENT},clerk"
    (step,) = [step for step in lab.steps() if step.kind == "handoff"]
    assert carried["traceparent"] == f"00-{first.trace_id}-{step.step_id[:16]}-01"


@pytest.mark.parametrize(
    "traceparent", ["", "x", "00-short-1-01", f"00-{'0' * 32}-1-01", f"00-{'Z' * 32}-1-01", f"00-{'a' * 32}"]
)
def test_a_traceparent_that_is_none_begins_a_new_trace(lab: Lab, traceparent: str) -> None:
    """One odd header would make every step of a run unreadable."""
    with lab.agent.run(handoff={"traceparent": traceparent}) as run:
        run.message("x")
    assert len(run.trace_id) == 32
    assert len(lab.steps()) == 3


def test_a_huge_step_still_fits(lab: Lab) -> None:
    """A call with many long arguments would be refused unread, and its effect lack its step."""
    with lab.agent.run() as run, run.tool("crm.read", **{f"a{i}": "x" * 60_000 for i in range(40)}) as call:
        call.result("y" * 1_000_000)
    steps = lab.steps()
    assert list(gaps(steps)) == []
    assert set(ended(steps).values()) == {"executed"}
    assert all(step.digest == ids.content_digest(content(step)) for step in steps)


def test_a_full_queue_drops_and_counts_and_never_waits(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent would fill its memory while Kafka is away, or stand still."""
    monkeypatch.setattr("lictor_agent.outbox.MAX_QUEUED", 5)
    with lab.agent.run() as run:
        for _ in range(10):
            run.message("x")
    assert len(lab.published()) == 5
    assert lab.agent.link.counters["dropped"] == 7


def test_origins_are_checked_where_they_are_given(lab: Lab) -> None:
    """A misspelt origin would make the step a dead letter."""
    with lab.agent.run() as run:
        with pytest.raises(LictorAgentError, match="origin must be"):
            run.message("x", origin="stranger")
        with pytest.raises(LictorAgentError, match="origin must be"), run.tool("crm.read") as call:
            call.result("x", origin="internet")
    assert list(ended(lab.steps()).values()) == ["failed"]


def test_agent_stopped_is_no_exception() -> None:
    """Any framework's `except Exception` would carry on after a stop."""
    assert issubclass(AgentStopped, BaseException)
    assert not issubclass(AgentStopped, Exception)
    assert issubclass(ToolDenied, Exception)
    with pytest.raises(BadConfiguration, match="outside a run"):
        tool("x")(lambda: None)()
