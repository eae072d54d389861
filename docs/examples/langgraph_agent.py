"""A LangGraph agent under Lictor: looks for a trip with tools in parallel, asks a person, books.

The chat model is scripted, so nothing leaves the machine; put a real one in its place. What Lictor needs is marked `Lictor:`.
Needs `langgraph` and the agent's settings in the environment; see docs/how-to/langgraph.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

import lictor_agent
from lictor_agent import Run, ToolDenied, tool

MODEL = "scripted-chat"
PRICES = {"first": 900, "economy": 420}


@dataclass
class Work:
    """Lictor: what the graph is given beside its state. The run belongs here: state is stored by the checkpointer."""

    run: Run


Graph = CompiledStateGraph[MessagesState, Work, MessagesState, MessagesState]


@tool("flights.search")  # Lictor: the name that grants speak of; under it stands what any LangGraph tool is
def search_flights(city: str) -> str:
    """Find flights to a city."""
    return f"{city}: first class {PRICES['first']} EUR, economy {PRICES['economy']} EUR"


@tool("weather.get")
def get_weather(city: str) -> str:
    """Say what the weather in a city will be."""
    return f"{city}: sunny"


@tool("weather.get")
async def get_weather_async(city: str) -> str:
    """Say what the weather in a city will be, in asyncio."""
    return f"{city}: sunny"


@tool("trips.book")
def book_trip(city: str, price_eur: int) -> str:
    """Book a trip."""
    return f"booked: {city} for {price_eur} EUR"


class ScriptedChat(BaseChatModel):
    """Answers from what has been said so far: looks around, wants first class, takes economy when refused."""

    @property
    def _llm_type(self) -> str:
        return MODEL

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        answer = _answer(messages)
        answer.usage_metadata = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
        return ChatResult(generations=[ChatGeneration(message=answer)])


def _answer(messages: Sequence[BaseMessage]) -> AIMessage:
    results = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
    if not results:
        return _calls(search_flights={"city": "Lisbon"}, get_weather={"city": "Lisbon"})
    if results[-1].startswith("booked"):
        return AIMessage(f"Done. {results[-1]}")
    if results[-1].startswith("the traveller"):
        return AIMessage("Nothing was booked.")
    refused = any(result.startswith("refused by Lictor") for result in results)
    return _calls(book_trip={"city": "Lisbon", "price_eur": PRICES["economy" if refused else "first"]})


def _calls(**wanted: dict[str, Any]) -> AIMessage:
    calls = [
        {"name": name, "args": arguments, "id": f"{name}-{'-'.join(map(str, arguments.values()))}", "type": "tool_call"}
        for name, arguments in wanted.items()
    ]
    return AIMessage("I need more.", tool_calls=calls)


def think(state: MessagesState, runtime: Runtime[Work]) -> dict[str, Any]:
    """Ask the model."""
    with runtime.context.run.model_call(MODEL) as call:  # Lictor: raises AgentStopped once the run was stopped
        return {"messages": [_note(call, ScriptedChat().invoke(state["messages"]))]}


async def think_async(state: MessagesState, runtime: Runtime[Work]) -> dict[str, Any]:
    """Ask the model in asyncio: a stop cancels the call."""
    async with runtime.context.run.model_call(MODEL) as call:
        return {"messages": [_note(call, await ScriptedChat().ainvoke(state["messages"]))]}


def _note(call: lictor_agent.ModelCall, answer: AIMessage) -> AIMessage:
    usage = answer.usage_metadata
    if usage is not None:
        call.used(input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"])
    call.said(answer.text)
    return answer


def tell(denied: ToolDenied) -> str:
    """Lictor: give the model the refusal as the tool's answer. Only this error; others stay errors."""
    return str(denied)


def confirm(state: MessagesState) -> Command[str]:
    """Ask the traveller before a booking. In a node of its own: what stands before `interrupt` runs again on resume."""
    booking = _booking(state)
    if booking is None or interrupt(f"Book {booking['args']}?"):
        return Command(goto="tools")
    refusal = ToolMessage("the traveller said no", tool_call_id=booking["id"])
    return Command(goto="think", update={"messages": [refusal]})


def _booking(state: MessagesState) -> dict[str, Any] | None:
    calls = getattr(state["messages"][-1], "tool_calls", [])
    return next((dict(call) for call in calls if call["name"] == "book_trip"), None)


def _next(state: MessagesState) -> str:
    return "confirm" if getattr(state["messages"][-1], "tool_calls", None) else END


def graph(*, asynchronous: bool = False) -> Graph:
    """Return the graph: think → confirm → tools → think …; the run is handed to it as its context."""
    weather = StructuredTool.from_function(get_weather, coroutine=get_weather_async)
    builder = StateGraph(MessagesState, context_schema=Work)
    builder.add_node("think", think_async if asynchronous else think)
    builder.add_node("confirm", confirm, destinations=("think", "tools"))
    builder.add_node("tools", ToolNode([search_flights, weather, book_trip], handle_tool_errors=tell))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", _next, ["confirm", END])
    builder.add_edge("tools", "think")
    return builder.compile(checkpointer=InMemorySaver())


def turn(agent: lictor_agent.Agent, app: Graph, thread: str, said: str | bool, trace_id: str = "") -> tuple[str, str]:
    """Let the agent work until it asks or is done; return its trace and what it says. A bool answers its question.

    Lictor: each turn is a run of its own, in the conversation; an answer goes on in the trace of its question.
    """
    with agent.run(principal="kim@example.com", conversation_id=thread, trace_id=trace_id) as run:
        run.message(str(said), origin="user")
        return run.trace_id, _words(app.invoke(_given(said), _config(thread), context=Work(run)))


async def turn_async(
    agent: lictor_agent.Agent, app: Graph, thread: str, said: str | bool, trace_id: str = ""
) -> tuple[str, str]:
    """Do the same in asyncio, with an asynchronous graph."""
    async with agent.run(principal="kim@example.com", conversation_id=thread, trace_id=trace_id) as run:
        run.message(str(said), origin="user")
        return run.trace_id, _words(await app.ainvoke(_given(said), _config(thread), context=Work(run)))


def _given(said: str | bool) -> Any:
    return Command(resume=said) if isinstance(said, bool) else {"messages": [HumanMessage(said)]}


def _config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def _words(state: dict[str, Any]) -> str:
    asked = state.get("__interrupt__")
    return str(asked[0].value if asked else state["messages"][-1].content)


def main() -> None:
    """Ask for a trip; say yes to what the agent asks, twice: the first booking is over what its policy lets it spend."""
    agent = lictor_agent.connect(
        "travel", version="1.0", owner="travel@example.com", tools=["flights.search", "weather.get", "trips.book"]
    )
    app = graph()
    trace, said = turn(agent, app, "trip-17", "Book me a trip to Lisbon.")
    while said.startswith("Book "):
        print(said, "yes", flush=True)
        trace, said = turn(agent, app, "trip-17", True, trace)
    print(said)
    agent.close()


if __name__ == "__main__":
    print(Path(__file__).stem, "starts", flush=True)
    main()
