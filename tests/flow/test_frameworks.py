"""Real LangGraph and OpenAI Agents agents through the public SDK alone: the examples, end to end on the real broker."""

import asyncio
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import lictor_agent
from lictor_agent import ToolDenied
from schemas.seal import MARK, agent_key, mark
from schemas.step import Step, read_step
from tests.flow.world import World

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
POLICY = (EXAMPLES / "frameworks.yml").read_text(encoding="utf-8")


@pytest.fixture
def desk(make_world: Callable[..., World]) -> Iterator[World]:
    """A world with the examples' policy, in which Lictor clears what spends."""
    world = make_world(POLICY)
    with world.running("detect", "respond"):
        yield world


def steps_of(world: World) -> list[Step]:
    """Return everything that agents published, by run and number."""
    steps = [read_step(record.value) for record in world.read(world.topics.steps)]
    return sorted(steps, key=lambda step: (step.time_us, step.seq))


def assert_every_call_is_answered(steps: Sequence[Step]) -> None:
    """Each call has one result, in its own run and trace, and each run's numbers have no gap."""
    calls = Counter((s.run_id, s.trace_id, s.tool_call_id) for s in steps if s.kind == "tool_call" and refused(s) == "")
    results = Counter((s.run_id, s.trace_id, s.tool_call_id) for s in steps if s.kind == "tool_result")
    assert calls == results
    assert set(calls.values()) == {1}
    numbers: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for step in steps:
        numbers[step.run_id, step.trace_id].append(step.seq)
    for found in numbers.values():
        assert sorted(found) == list(range(1, len(found) + 1))


def refused(step: Step) -> str:
    """Return the verdict of a call that the gate refused; "" for one that it let go on."""
    verdict = step.gate.verdict if step.gate else ""
    return verdict if verdict in ("deny", "ask") else ""


@pytest.mark.parametrize("asynchronous", [False, True], ids=["threads", "asyncio"])
def test_a_langgraph_agent_is_gated_through_parallel_tools_interrupts_and_refusals(
    desk: World, asynchronous: bool
) -> None:
    """Whoever builds on LangGraph would find steps missing, in the wrong trace, or a model that never learns of a no."""
    from docs.examples import langgraph_agent as example  # noqa: PLC0415 - seconds to import, in this test's worker alone

    agent = lictor_agent.connect("travel", settings=desk.agent_settings("travel"))
    app = example.graph(asynchronous=asynchronous)

    def turn(said: str | bool, trace: str = "") -> tuple[str, str]:
        if asynchronous:
            return asyncio.run(example.turn_async(agent, app, "trip-17", said, trace))
        return example.turn(agent, app, "trip-17", said, trace)

    trace, first = turn("Book me a trip to Lisbon.")
    assert first == "Book {'city': 'Lisbon', 'price_eur': 900}?"
    _, second = turn(True, trace)
    assert second == "Book {'city': 'Lisbon', 'price_eur': 420}?"
    _, third = turn(True, trace)
    assert third == "Done. booked: Lisbon for 420 EUR"
    assert agent.close()
    steps = steps_of(desk)
    assert_every_call_is_answered(steps)
    assert {step.trace_id for step in steps if step.kind not in ("run_started", "run_ended")} == {trace}
    assert {step.conversation_id for step in steps} == {"trip-17"}
    assert len({step.run_id for step in steps}) == 3
    assert [step.reason for step in steps if step.kind == "run_ended"] == ["done"] * 3
    called = [(step.tool, refused(step)) for step in steps if step.kind == "tool_call"]
    assert sorted(called[:2]) == [("flights.search", ""), ("weather.get", "")]
    assert called[2:] == [("trips.book", "deny"), ("trips.book", "")]
    assert sum(step.kind == "model_call" and step.input_tokens == 100 for step in steps) == 4
    told = [str(m.content) for m in app.get_state({"configurable": {"thread_id": "trip-17"}}).values["messages"]]
    assert sum(text.startswith("refused by Lictor (no_grant") for text in told) == 1


def test_openai_agents_hand_over_with_their_trace_and_are_told_of_refusals(desk: World) -> None:
    """A customer's case would fall into two histories, or billing act under the front desk's policy."""
    from docs.examples import openai_agents as example  # noqa: PLC0415 - seconds to import, in this test's worker alone

    front, billing = (
        lictor_agent.connect(name, settings=desk.agent_settings(name)) for name in ("frontdesk", "billing")
    )
    said = asyncio.run(example.serve(front, billing, "My lamp A-17 arrived broken."))
    assert front.close()
    assert billing.close()
    outputs = [str(item["output"]) for item in said if item.get("type") == "function_call_output"]
    assert outputs[0].startswith("A-17: a lamp")
    assert outputs[2].startswith("refused by Lictor (no_grant")
    assert outputs[3] == "A-17: 80 EUR paid back"
    steps = steps_of(desk)
    assert_every_call_is_answered(steps)
    assert len({step.trace_id for step in steps if step.kind not in ("run_started", "run_ended")}) == 1
    over = next(step for step in steps if step.kind == "handoff")
    taken = [step for step in steps if step.agent_id == "billing"]
    assert {(step.parent_run_id, step.delegation) for step in taken} == {(over.run_id, ("frontdesk",))}
    assert {step.principal for step in steps} == {"jo@example.org"}
    called = [(step.agent_id, step.tool, refused(step)) for step in steps if step.kind == "tool_call"]
    assert called == [
        ("frontdesk", "orders.read", ""),
        ("billing", "payments.refund", "deny"),
        ("billing", "payments.refund", ""),
    ]
    assert sum(step.kind == "model_call" for step in steps) == 5


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("langgraph_agent", "Done. booked: Lisbon for 420 EUR"),
        ("openai_agents", "You have your 80 EUR back."),
    ],
)
def test_each_example_runs_as_a_program(desk: World, name: str, last: str) -> None:
    """What a newcomer copies and starts must say what the page says, and every step must bear its own agent's mark."""
    keys = {f"{who.upper()}_KEY": str(desk.keys.agent_key_file(who)) for who in ("frontdesk", "billing")}
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    environment = {**desk.agent_environment("travel"), **keys}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == last
    records = desk.read(desk.topics.steps)
    assert_every_call_is_answered([read_step(record.value) for record in records])
    for record in records:
        key, value = (record.key or b"").decode(), record.value or b""
        owner = agent_key(desk.keys.master(), read_step(value).agent_id)
        assert dict(record.headers)[MARK] == mark(owner, record.topic, key, "step", value)


def test_a_refused_hand_over_begins_no_other_run(make_world: Callable[..., World]) -> None:
    """Work would reach an agent that its policy keeps it from, because a framework took the refusal for a hiccup."""
    from docs.examples import openai_agents as example  # noqa: PLC0415 - seconds to import, in this test's worker alone

    world = make_world(POLICY.replace("agents: [billing]", "agents: [nobody]"))
    front, billing = (lictor_agent.connect(n, settings=world.agent_settings(n)) for n in ("frontdesk", "billing"))
    with pytest.raises(ToolDenied, match="'billing'"):
        asyncio.run(example.serve(front, billing, "My lamp A-17 arrived broken."))
    assert front.close()
    assert billing.close()
    steps = steps_of(world)
    assert [refused(step) for step in steps if step.kind == "handoff"] == ["deny"]
    assert {step.agent_id for step in steps} == {"frontdesk"}
    assert [(step.reason, step.error) for step in steps if step.kind == "run_ended"] == [("failed", "ToolDenied")]


def test_a_call_before_a_question_in_the_same_node_is_made_again(world: World) -> None:
    """The page tells to give questions a node of their own; if that were not so, it would send people round for nothing."""
    from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415
    from langgraph.graph import START, MessagesState, StateGraph  # noqa: PLC0415
    from langgraph.types import Command, interrupt  # noqa: PLC0415

    agent = lictor_agent.connect("bot", settings=world.agent_settings("bot"))
    read = lictor_agent.tool("orders.read")(lambda: "A-17")

    def node(state: MessagesState) -> dict[str, object]:
        return {"messages": [("ai", f"{read()} {interrupt('Go on?')}")]}

    app = StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile(checkpointer=InMemorySaver())
    with agent.run():
        app.invoke({"messages": []}, {"configurable": {"thread_id": "1"}})
    with agent.run():
        app.invoke(Command(resume="yes"), {"configurable": {"thread_id": "1"}})
    assert agent.close()
    steps = steps_of(world)
    assert_every_call_is_answered(steps)
    assert sum(step.kind == "tool_call" for step in steps) == 2
