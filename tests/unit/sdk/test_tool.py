"""A decorated function is a tool: asked about, published and answered for, in threads and in asyncio, and never unseen."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from lictor_agent import AgentStopped, BadConfiguration, ToolDenied, tool
from lictor_agent.context import current
from tests.unit.sdk._agents import GRANTS, Lab, ended


@tool("crm.read")
def read(customer: int, *fields: str, limit: int = 5, **more: object) -> str:
    """Return a customer."""
    return f"{customer} {fields} {limit} {more}"


@tool("crm.read")
async def fetch(customer: int) -> str:
    """Return a customer, later."""
    await asyncio.sleep(0)
    return f"customer {customer}"


@tool()
def unnamed() -> None:
    """Do nothing."""


@tool("crm.drop")
def drop() -> None:
    """Do what no policy here allows."""
    pytest.fail("the body of a refused tool ran")


@tool("crm.read")
def broken() -> None:
    """Fail."""
    raise ValueError("boom")


def test_a_decorated_function_does_what_it_did(lab: Lab) -> None:
    """Putting a function behind the gate would change what it returns."""
    with lab.agent.run():
        assert read(7, "name", "city", limit=2, x=1) == "7 ('name', 'city') 2 {'x': 1}"
        assert unnamed() is None
    assert (read.__name__, read.__doc__) == ("read", "Return a customer.")


def test_its_call_is_published_with_its_arguments_and_its_result(lab: Lab) -> None:
    """A tool would act and nobody know with what."""
    with lab.agent.run():
        read(7, "name", x=1)
        unnamed()
    steps = lab.steps()
    call = next(step for step in steps if step.kind == "tool_call")
    assert (call.tool, call.arguments) == (
        "crm.read",
        {"customer": 7, "fields": ["name"], "limit": 5, "more": {"x": 1}},
    )
    assert [step.text for step in steps if step.kind == "tool_result"] == ["7 ('name',) 5 {'x': 1}", "null"]
    assert [step.tool for step in steps if step.kind == "tool_call"] == ["crm.read", "unnamed"]


def test_an_async_function_stays_one(lab: Lab) -> None:
    """A tool in asyncio would block the loop, or not be published."""
    assert asyncio.iscoroutinefunction(fetch)

    async def main() -> list[str]:
        async with lab.agent.run():
            return await asyncio.gather(*[fetch(number) for number in range(3)])

    assert asyncio.run(main()) == ["customer 0", "customer 1", "customer 2"]
    assert list(ended(lab.steps()).values()) == ["executed"] * 3


def test_outside_a_run_it_refuses_to_act(lab: Lab) -> None:
    """A tool would act and no step tell of it."""
    for call in (lambda: read(1), lambda: asyncio.run(fetch(1))):
        with pytest.raises(BadConfiguration, match=r"tool crm\.read was called outside a run"):
            call()
    with lab.agent.run():
        read(1)
    with pytest.raises(BadConfiguration):
        read(1)
    assert current.get() is None


def test_a_refused_tool_does_not_run(lab: Lab) -> None:
    """The gate would refuse, and the tool act all the same."""
    lab.policy(version=2, **GRANTS)
    with lab.agent.run(), pytest.raises(ToolDenied):
        drop()


def test_a_tool_that_fails_says_so(lab: Lab) -> None:
    """A failed call would count as done."""
    with lab.agent.run(), pytest.raises(ValueError, match="boom"):
        broken()
    (result,) = [step for step in lab.steps() if step.kind == "tool_result"]
    assert (result.outcome, result.error) == ("failed", "ValueError: boom")


def test_wrong_arguments_fail_before_anything_is_published(lab: Lab) -> None:
    """A call that cannot be made would stand in the history as made."""
    with lab.agent.run(), pytest.raises(TypeError):
        read()  # type: ignore[call-arg]
    assert ended(lab.steps()) == {}


def test_a_stopped_run_runs_no_tool(lab: Lab) -> None:
    """A decorated tool would be a way around the stop."""
    with lab.agent.run() as run:
        lab.hear(lab.order("stop", run.run_id))
        with pytest.raises(AgentStopped):
            read(1)


def test_the_innermost_run_is_asked(lab: Lab) -> None:
    """A tool's step would be counted for another run."""
    with lab.agent.run() as outer:
        with lab.agent.run() as inner:
            read(1)
        read(2)
    calls = [step.run_id for step in lab.steps() if step.kind == "tool_call"]
    assert calls == [inner.run_id, outer.run_id]


def test_two_tasks_each_have_their_own_run(lab: Lab) -> None:
    """Of two runs in one process, one would act in the other's name."""

    async def work(number: int, both: asyncio.Barrier) -> str:
        async with lab.agent.run() as run:
            await both.wait()
            await fetch(number)
            return run.run_id

    async def main() -> list[str]:
        both = asyncio.Barrier(2)
        return await asyncio.gather(work(0, both), work(1, both))

    runs = asyncio.run(main())
    calls = {step.run_id: step.arguments for step in lab.steps() if step.kind == "tool_call"}
    assert calls == {runs[0]: {"customer": 0}, runs[1]: {"customer": 1}}


def test_a_thread_without_a_run_of_its_own_is_outside(lab: Lab) -> None:
    """A tool in a worker thread would act for whichever run happens to be there."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            read(1)
        except BadConfiguration as error:
            raised.append(error)

    with lab.agent.run():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(raised) == 1


@tool("crm.read", origin="web")
def pages(count: int) -> Iterator[str]:
    """Yield pages."""
    for number in range(count):
        yield f"page {number} "


@tool("crm.read")
async def rows(count: int) -> AsyncIterator[int]:
    """Yield rows."""
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def test_a_generator_is_a_call_for_as_long_as_it_yields(lab: Lab) -> None:
    """A tool that streams would act after its call had ended, and its stop be called effective meanwhile."""

    async def collect() -> list[int]:
        return [row async for row in rows(3)]

    with lab.agent.run() as run:
        stream = pages(2)
        assert next(stream) == "page 0 "
        assert len(run.orders.executing) == 1
        assert list(stream) == ["page 1 "]
        assert asyncio.run(collect()) == [0, 1, 2]
    results = [(step.text, step.origin, step.outcome) for step in lab.steps() if step.kind == "tool_result"]
    assert results == [("page 0 page 1 ", "web", "executed"), ("0\n1\n2\n", "tool", "executed")]


def test_a_function_that_returns_a_coroutine_is_refused_with_what_to_do(lab: Lab) -> None:
    """The call would be over before the tool has begun, and nothing it does be seen."""
    careless = tool("crm.read")(lambda: asyncio.sleep(0))
    with lab.agent.run(), pytest.raises(BadConfiguration, match="put @tool on the async function itself"):
        careless()


def test_a_function_given_by_name_is_called_through_the_gate(lab: Lab) -> None:
    """A tool of a schema, not of a decorator, would have to be guarded by hand."""
    with lab.agent.run() as run:
        assert run.invoke("crm.read", lambda customer: f"customer {customer}", {"customer": 7}) == "customer 7"
    call, result = (step for step in lab.steps() if step.tool)
    assert (call.arguments, result.text) == ({"customer": 7}, "customer 7")
