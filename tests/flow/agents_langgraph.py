"""LangGraph agents that never give up: a real graph, parallel tools, every error retried."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy

from lictor_agent import Run, tool
from tests.flow.agents_stopped import Journal, hosted_in_asyncio, hosted_in_threads

CONFIG: RunnableConfig = {"recursion_limit": 1000}
PARALLEL = 3
RETRY = RetryPolicy(initial_interval=0.001, max_interval=0.001, max_attempts=3, retry_on=Exception)


class Chat(BaseChatModel):
    """Wants the same tools again and again."""

    journal: Any
    run_id: str

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.journal.model(self.run_id)
        return ChatResult(generations=[ChatGeneration(message=_wanted(len(messages)))])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        await self.journal.model_async(self.run_id)
        return ChatResult(generations=[ChatGeneration(message=_wanted(len(messages)))])


def _wanted(number: int) -> AIMessage:
    calls = [{"name": "write", "args": {}, "id": f"{number}-{n}", "type": "tool_call"} for n in range(PARALLEL)]
    return AIMessage("", tool_calls=calls)


def graph(run: Run, journal: Journal, *, asynchronous: bool) -> Any:
    """Return a graph that goes round for ever."""
    chat = Chat(journal=journal, run_id=run.run_id)

    @tool("notes.write")
    def write() -> str:
        """Write a note."""
        journal.tool(run.run_id)
        return "written"

    @tool("notes.write")
    async def write_async() -> str:
        """Write a note."""
        await journal.tool_async(run.run_id)
        return "written"

    def think(state: MessagesState) -> dict[str, Any]:
        with run.model_call("scripted"):
            return {"messages": [chat.invoke(state["messages"][-1:])]}

    async def think_async(state: MessagesState) -> dict[str, Any]:
        async with run.model_call("scripted"):
            return {"messages": [await chat.ainvoke(state["messages"][-1:])]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think_async if asynchronous else think, retry_policy=RETRY)
    tools = [StructuredTool.from_function(write, coroutine=write_async)]
    builder.add_node("tools", ToolNode(tools, handle_tool_errors=True), retry_policy=RETRY)
    builder.add_edge(START, "think")
    builder.add_edge("think", "tools")
    builder.add_edge("tools", "think")
    return builder.compile()


def forever(run: Run, journal: Journal) -> None:
    """Invoke it again whatever comes out."""
    app = graph(run, journal, asynchronous=False)
    while True:
        try:
            app.invoke({"messages": [("user", "go on")]}, CONFIG)
        except Exception:  # noqa: BLE001, S112 - this agent retries whatever happens
            continue


async def forever_async(run: Run, journal: Journal) -> None:
    """Do the same in asyncio."""
    app = graph(run, journal, asynchronous=True)
    while True:
        try:
            await app.ainvoke({"messages": [("user", "go on")]}, CONFIG)
        except Exception:  # noqa: BLE001, S112 - this agent retries whatever happens
            continue


threads = hosted_in_threads(forever)
asynchronous = hosted_in_asyncio(forever_async)
