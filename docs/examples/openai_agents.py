"""Two OpenAI Agents SDK agents under Lictor: a front desk that hands a refund over to billing.

The models are scripted and the SDK's own tracing is off, so nothing leaves the machine; put real models in their place. What
Lictor needs is marked `Lictor:`. Needs `openai-agents`; see docs/how-to/openai-agents.md.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, RunContextWrapper, Runner, function_tool, handoff
from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.testing import ScriptedModel, assistant_message, function_call

import lictor_agent
from lictor_agent import AgentStopped, Run, ToolDenied, tool

MODEL = "scripted"
QUIET = RunConfig(tracing_disabled=True)
"""Lictor keeps the history; OpenAI's servers get no trace."""


class Desk:
    """Who is at work: the run of the agent that the conversation was handed to last."""

    def __init__(self, *, customer: str, conversation: str) -> None:
        self.stack = contextlib.ExitStack()
        self.runs: list[Run] = []
        self.customer, self.conversation = customer, conversation

    @property
    def run(self) -> Run:
        """The run that tools and models act in now."""
        return self.runs[-1]

    def begin(self, agent: lictor_agent.Agent, carried: dict[str, str] | None = None) -> Run:
        """Begin a run; from here on tools and models act in it."""
        run = agent.run(principal=self.customer, conversation_id=self.conversation, handoff=carried)
        self.runs.append(self.stack.enter_context(run))
        return run


class Gated(Model):
    """Lictor: any model behind the gate. A stop cancels its call."""

    def __init__(self, model: Model, name: str, desk: Desk) -> None:
        self.model, self.name, self.desk = model, name, desk

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Ask the model, in a step of its own."""
        async with self.desk.run.model_call(self.name, provider="openai") as call:
            answer = await self.model.get_response(*args, **kwargs)
            call.used(input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens)
            call.said("\n".join(_text(item) for item in answer.output))
        return answer

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Do the same while the answer streams in."""
        async with self.desk.run.model_call(self.name, provider="openai"):
            async for event in self.model.stream_response(*args, **kwargs):
                yield event


def _text(item: TResponseOutputItem) -> str:
    return (
        item.model_dump_json()
        if item.type != "message"
        else "".join(getattr(part, "text", "") for part in item.content)
    )


def tell(_: RunContextWrapper[Any], error: Exception) -> str:
    """Lictor: give the model the refusal as the tool's answer; the SDK's own default keeps it from the model."""
    return str(error) if isinstance(error, ToolDenied) else f"the tool failed: {type(error).__name__}"


@function_tool(failure_error_function=tell)
@tool("orders.read")  # Lictor: innermost, so that the gate stands right before the body
def read_order(order: str) -> str:
    """Return what is known of an order."""
    return f"{order}: a lamp, 80 EUR, arrived broken"


@function_tool(failure_error_function=tell)
@tool("payments.refund")
async def refund(order: str, amount_eur: int) -> str:
    """Pay an order back."""
    return f"{order}: {amount_eur} EUR paid back"


def frontdesk(desk: Desk, billing: lictor_agent.Agent) -> "Agent[None]":
    """Return the front desk, which may hand over to billing."""

    def over(_: RunContextWrapper[None]) -> None:
        """Lictor: the hand-over is a step, asked for like a call; billing goes on in the same trace, under its own policy."""
        desk.begin(billing, desk.run.handoff("billing", "refund of order A-17"))

    model = ScriptedModel(
        [
            [function_call("read_order", {"order": "A-17"}, call_id="c1")],
            [function_call("transfer_to_billing", {}, call_id="c2")],
        ]
    )
    team = handoff(cashier(desk), on_handoff=over)
    return Agent(name="frontdesk", model=Gated(model, MODEL, desk), tools=[read_order], handoffs=[team])


def cashier(desk: Desk) -> "Agent[None]":
    """Return billing: it asks for too much first, is told why not, and pays what the order cost."""
    model = ScriptedModel(
        [
            [function_call("refund", {"order": "A-17", "amount_eur": 800}, call_id="c3")],
            [function_call("refund", {"order": "A-17", "amount_eur": 80}, call_id="c4")],
            [assistant_message("You have your 80 EUR back.")],
        ]
    )
    return Agent(name="billing", model=Gated(model, MODEL, desk), tools=[refund])


async def serve(front: lictor_agent.Agent, billing: lictor_agent.Agent, text: str) -> Sequence[Any]:
    """Serve one customer; return everything that was said, in the SDK's own items."""
    desk = Desk(customer="jo@example.org", conversation="chat-4")
    with desk.stack:
        desk.begin(front).message(text, origin="user")
        result = await Runner.run(frontdesk(desk, billing), text, run_config=QUIET)
        said: Sequence[Any] = result.to_input_list()
        return said


def connected(name: str, *tools: str) -> lictor_agent.Agent:
    """Lictor: two agents in one process need a key each; here they are in FRONTDESK_KEY and BILLING_KEY."""
    key = os.environ[f"{name.upper()}_KEY"]
    settings = lictor_agent.AgentSettings.read({**os.environ, "LICTOR_AGENT_KEY": key})
    return lictor_agent.connect(name, version="1.0", owner="care@example.com", tools=tools, settings=settings)


def main() -> None:
    """Serve one customer."""
    front, billing = (connected(*who) for who in (("frontdesk", "orders.read"), ("billing", "payments.refund")))
    try:
        said = asyncio.run(serve(front, billing, "My lamp A-17 arrived broken."))
        print(said[-1]["content"][0]["text"])
    except AgentStopped as stopped:
        print("stopped:", stopped)
    for agent in (front, billing):
        agent.close()


if __name__ == "__main__":
    print(Path(__file__).stem, "starts", flush=True)
    main()
