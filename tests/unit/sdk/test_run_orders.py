"""A stopped run can do nothing more, a paused one waits, and a call that waits for clearance gets its own answer alone."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lictor_agent import AgentStopped, Run, ToolDenied
from lictor_agent.calls import Call
from lictor_agent.orders import Ordered
from tests.unit.sdk._agents import Lab, Pause, ended, gaps, standing
from tests.unit.streams._builders import AGENT

LONG_MS = 600_000
"""Far longer than a test may take: whatever ends such a wait is not its timeout."""


def waits_for_clearance(lab: Lab, timeout_ms: int = LONG_MS, **clearance: Any) -> None:
    """Put a policy in force under which every call waits for clearance."""
    traits = {"traits": {"*": ["irreversible"]}}
    lab.policy(version=2, clearance={"traits": ["irreversible"], "timeout_ms": timeout_ms, **clearance}, **traits)


def statuses(lab: Lab) -> list[tuple[str, str]]:
    """Return what was answered to which order."""
    return [(receipt.command_id, receipt.status) for receipt in lab.receipts()]


def stopped_by(work: Callable[[], object]) -> AgentStopped:
    """Return the stop that ends something."""
    with pytest.raises(AgentStopped) as stopped:
        work()
    return stopped.value


def test_after_a_stop_every_further_call_raises(lab: Lab) -> None:
    """A stopped agent would go on."""
    with lab.agent.run() as run:
        lab.hear(lab.order("stop", run.run_id, reason="it sends mail to strangers"))
        for work in (
            lambda: run.message("x"),
            lambda: run.tool("crm.read").__enter__(),
            lambda: run.model_call("m").__enter__(),
            lambda: run.handoff("clerk"),
            run.check,
        ):
            stop = stopped_by(work)
            assert (stop.command_id, stop.run_id, stop.reason) == ("c-1", run.run_id, "it sends mail to strangers")
    assert [step.kind for step in lab.steps()] == ["run_started", "run_ended"]
    assert lab.steps()[-1].reason == "stopped"


def test_no_except_exception_swallows_a_stop(lab: Lab) -> None:
    """A framework that retries on any error would carry on after a stop."""

    def framework(run: Run) -> None:
        for _ in range(100):
            try:
                with run.tool("crm.read"):
                    pass
            except Exception:  # noqa: BLE001, S112 - as careless frameworks do
                continue

    with lab.agent.run() as run:
        lab.hear(lab.order("stop", run.run_id))
        stopped_by(lambda: framework(run))


def test_a_stop_is_answered_received_and_effective_with_the_last_seq_of_each_trace(lab: Lab) -> None:
    """Nobody could prove that nothing came after the stop."""
    with lab.agent.run() as run:
        run.message("x")
        with run.trace() as inner:
            run.message("y")
            run.message("z")
        lab.hear(lab.order("stop", run.run_id))
    received, effective = lab.receipts()
    assert statuses(lab) == [("c-1", "received"), ("c-1", "effective")]
    assert effective.last_seq == {"": 1, run.trace_id: 1, inner: 2}
    assert (received.layer, effective.agent_id, effective.run_id) == ("sdk", AGENT, run.run_id)
    assert list(gaps(lab.steps())) == []


def test_a_stop_is_effective_only_when_nothing_executes_any_more(lab: Lab) -> None:
    """A stop would count as done while the payment is still being made."""
    with lab.agent.run() as run:
        with run.tool("crm.read"), run.tool("crm.list"):
            lab.hear(lab.order("stop", run.run_id))
            assert statuses(lab) == [("c-1", "received")]
            assert lab.receipts()[0].running == ("crm.read", "crm.list")
        assert statuses(lab) == [("c-1", "received"), ("c-1", "effective")]
    assert [step.kind for step in lab.steps()][-3:] == ["tool_result", "tool_result", "run_ended"]


def test_a_stop_says_how_long_after_the_bad_step_it_took_effect(lab: Lab) -> None:
    """The one figure that counts could not be measured."""
    with lab.agent.run() as run:
        run.message("bad")
        bad = lab.steps()[-1]
        target = {"agent_id": AGENT, "run_id": run.run_id, "step_id": bad.step_id}
        lab.hear(lab.order("stop", run.run_id, target=target))
    effective = lab.receipts()[-1]
    assert effective.step_id == bad.step_id
    assert effective.since_step_us is not None
    assert effective.since_step_us >= 0


def test_a_second_stop_changes_nothing(lab: Lab) -> None:
    """The account of the first stop would be written over."""
    with lab.agent.run() as run:
        lab.hear(lab.order("stop", run.run_id))
        lab.hear(lab.order("stop", run.run_id, number=2))
        assert stopped_by(run.check).command_id == "c-1"
    assert statuses(lab) == [("c-1", "received"), ("c-1", "effective")]


def test_a_run_that_starts_under_a_standing_stop_of_another_run_is_free(lab: Lab) -> None:
    """An agent that was stopped once could never be started again."""
    with lab.agent.run() as first:
        lab.hear(lab.stands(1, standing("stop", first.run_id)))
    with lab.agent.run() as second:
        second.message("x")
    assert second.stopped is None


def test_a_quarantine_refuses_every_call_of_every_run(lab: Lab) -> None:
    """Shutting an agent out would leave its other runs free."""
    lab.hear(lab.stands(1, standing("quarantine", reason="a stopped run went on")))
    with lab.agent.run() as run:
        for call in (run.tool("crm.read"), run.model_call("m")):
            with pytest.raises(ToolDenied, match="a stopped run went on") as refused, call:
                pytest.fail("a quarantined agent acted")
            assert refused.value.rule == "containment"
    lab.hear(lab.stands(2))
    with lab.agent.run() as run, run.tool("crm.read"):
        pass


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Start something in a thread of its own; return it and what it will raise."""
    raised: list[BaseException] = []

    def watched() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
            raised.append(error)

    thread = threading.Thread(target=watched)
    thread.start()
    return thread, raised


def paused(lab: Lab, run: Run) -> Pause:
    """Pause a run; return what says when somebody waits."""
    pause = run.orders._moved = Pause()
    lab.hear(lab.order("pause", run.run_id))
    return pause


def call_through(run: Run) -> None:
    """Make one call."""
    with run.tool("crm.read"):
        pass


def test_a_paused_run_waits_until_it_is_resumed(lab: Lab) -> None:
    """A pause would be a stop, or nothing at all."""
    with lab.agent.run() as run:
        pause = paused(lab, run)
        thread, raised = in_thread(lambda: call_through(run))
        pause.entered.wait()
        assert [step.kind for step in lab.steps()] == ["run_started"]
        lab.hear(lab.order("resume", run.run_id, number=2))
        thread.join()
    assert raised == []
    assert statuses(lab) == [("c-1", "effective"), ("c-2", "effective")]
    assert list(ended(lab.steps()).values()) == ["executed"]


def test_a_paused_run_can_be_stopped(lab: Lab) -> None:
    """Whoever waits would wait for ever."""
    with lab.agent.run() as run:
        pause = paused(lab, run)
        thread, raised = in_thread(lambda: call_through(run))
        pause.entered.wait()
        lab.hear(lab.order("stop", run.run_id, number=2))
        thread.join()
    assert [type(error) for error in raised] == [AgentStopped]


def test_stop_reaches_a_thread_in_the_middle_of_its_calls(lab: Lab) -> None:
    """A worker thread would go on after its run was stopped."""
    begun = threading.Event()

    def work(run: Run) -> None:
        while True:
            call_through(run)
            begun.set()

    with lab.agent.run() as run:
        threads = [in_thread(lambda: work(run)) for _ in range(8)]
        begun.wait()
        lab.hear(lab.order("stop", run.run_id))
        for thread, _ in threads:
            thread.join()
    assert {type(error) for _, raised in threads for error in raised} == {AgentStopped}
    effective = lab.receipts()[-1]
    after = [s for s in lab.steps() if s.trace_id == run.trace_id and s.seq > effective.last_seq[run.trace_id]]
    assert (effective.status, after) == ("effective", [])


# Clearance.


@pytest.mark.parametrize(
    ("word", "runs"), [("allow", True), ("deny", False), ("ask", False), ("hold", False), ("whatever", False)]
)
def test_a_call_that_waits_runs_only_when_it_is_allowed(lab: Lab, word: str, runs: object) -> None:
    """A payment would be made that `detect` has just refused."""
    waits_for_clearance(lab)
    with lab.agent.run() as run:
        thread, raised = in_thread(lambda: call_through(run))
        (call,) = lab.waiting()
        assert call.gate is not None
        assert call.gate.verdict == "hold"
        lab.hear(lab.clearance(call, word))
        thread.join()
    assert (raised == []) is runs
    assert list(ended(lab.steps()).values()) == ["executed" if runs else "denied"]
    assert [error.rule for error in raised if isinstance(error, ToolDenied)] == ([] if runs else [f"clearance:{word}"])


@pytest.mark.parametrize("wrong", [{"digest": "0" * 64}, {"run_id": "another"}, {"agent_id": "another"}])
def test_a_clearance_for_something_else_is_ignored(lab: Lab, wrong: dict[str, str]) -> None:
    """One call could be cleared and another made."""
    waits_for_clearance(lab)
    with lab.agent.run() as run:
        thread, raised = in_thread(lambda: call_through(run))
        (call,) = lab.waiting()
        lab.hear(lab.clearance(call, "allow", **wrong))
        lab.hear(lab.clearance(call, "deny"))
        thread.join()
    assert [type(error) for error in raised] == [ToolDenied]


def test_the_first_answer_counts_and_a_later_one_is_void(lab: Lab) -> None:
    """A refusal could be taken back by whoever can send once more."""
    waits_for_clearance(lab)
    with lab.agent.run() as run:
        thread, raised = in_thread(lambda: call_through(run))
        (call,) = lab.waiting()
        for word in ("deny", "allow", "allow"):
            lab.hear(lab.clearance(call, word))
        thread.join()
    assert [type(error) for error in raised] == [ToolDenied]
    assert lab.agent.control._waiting == {}


@pytest.mark.parametrize(("on_timeout", "runs"), [("deny", False), ("allow", True)])
def test_without_an_answer_the_policy_decides(lab: Lab, on_timeout: str, runs: object) -> None:
    """A call would hang, or run, although the policy says otherwise."""
    waits_for_clearance(lab, 10, on_timeout=on_timeout)
    with lab.agent.run() as run:
        thread, raised = in_thread(lambda: call_through(run))
        thread.join()
    assert (raised == []) is runs


def test_two_calls_at_once_each_get_their_own_answer(lab: Lab) -> None:
    """Of two calls that wait, the refused one would run."""
    waits_for_clearance(lab)
    with lab.agent.run() as run:
        threads = [in_thread(lambda: call_through(run)) for _ in range(2)]
        first, second = lab.waiting(2)
        lab.hear(lab.clearance(second, "allow"))
        lab.hear(lab.clearance(first, "deny"))
        for thread, _ in threads:
            thread.join()
    outcomes = {step.tool_call_id: step.outcome for step in lab.steps() if step.kind == "tool_result"}
    assert outcomes == {first.tool_call_id: "denied", second.tool_call_id: "executed"}


def test_a_stop_ends_the_wait_for_clearance_at_once(lab: Lab) -> None:
    """A stopped run would hold on to its call until the answer's deadline, and the stop not be effective."""
    waits_for_clearance(lab)
    with lab.agent.run() as run:
        thread, raised = in_thread(lambda: call_through(run))
        lab.waiting()
        lab.hear(lab.order("stop", run.run_id))
        thread.join()
    assert [type(error) for error in raised] == [AgentStopped]
    assert statuses(lab)[-1] == ("c-1", "effective")


def test_a_stop_that_comes_while_a_call_begins_to_wait_is_obeyed(lab: Lab) -> None:
    """Agent and listener would wait for each other for ever, and no further order be heard."""
    waits_for_clearance(lab)
    control = lab.agent.control
    with lab.agent.run() as run:
        with control._lock:  # as while a record is being taken
            thread, raised = in_thread(lambda: call_through(run))
            lab.waiting()
            run.obey(Ordered("stop", "c-1", "because"))
        thread.join()
    assert [type(error) for error in raised] == [AgentStopped]


# asyncio.


def test_a_stop_cancels_calls_in_asyncio_and_raises_in_their_place(lab: Lab) -> None:
    """A stopped agent would finish the download it is in the middle of."""

    async def work(run: Run, begun: asyncio.Event) -> None:
        async with run.tool("crm.read"):
            begun.set()
            await asyncio.Event().wait()

    async def main() -> BaseException | None:
        async with lab.agent.run() as run:
            begun = asyncio.Event()
            task = asyncio.create_task(work(run, begun))
            await begun.wait()
            await asyncio.to_thread(lab.hear, lab.order("stop", run.run_id))
            (raised,) = await asyncio.gather(task, return_exceptions=True)
            return raised

    assert isinstance(asyncio.run(main()), AgentStopped)
    assert list(ended(lab.steps()).values()) == ["failed"]
    assert statuses(lab) == [("c-1", "received"), ("c-1", "effective")]
    assert lab.steps()[-1].reason == "stopped"


def test_an_ordinary_cancellation_stays_one(lab: Lab) -> None:
    """A timeout in the agent would look as if Lictor had stopped it."""

    async def main() -> None:
        async with lab.agent.run() as run:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), run.tool("crm.read"):
                    await asyncio.Event().wait()

    asyncio.run(main())
    assert list(ended(lab.steps()).values()) == ["failed"]


def test_in_asyncio_too_a_pause_holds_and_a_clearance_is_awaited(lab: Lab) -> None:
    """The event loop would stand still while one of its tasks waits."""
    waits_for_clearance(lab)

    async def main() -> list[str]:
        order: list[str] = []

        async def work(run: Run) -> None:
            async with run.tool("crm.read"):
                order.append("ran")

        async with lab.agent.run() as run:
            lab.hear(lab.order("pause", run.run_id))
            task = asyncio.create_task(work(run))
            while not run.orders._held:
                await asyncio.sleep(0)
            order.append("paused")
            lab.hear(lab.order("resume", run.run_id, number=2))
            (call,) = await asyncio.to_thread(lab.waiting)
            order.append("waits")
            lab.hear(lab.clearance(call, "allow"))
            await task
        return order

    assert asyncio.run(main()) == ["paused", "waits", "ran"]


@pytest.mark.parametrize("word", ["deny", "stop"])
def test_in_asyncio_too_a_refusal_and_a_stop_end_the_wait(lab: Lab, word: str) -> None:
    """A task would wait for ever, or run what was refused."""
    waits_for_clearance(lab)

    async def main() -> BaseException | None:
        async with lab.agent.run() as run:
            call: Call = run.tool("crm.read")
            task = asyncio.create_task(call.__aenter__())  # type: ignore[arg-type]  # a coroutine
            (waiting,) = await asyncio.to_thread(lab.waiting)
            lab.hear(lab.order("stop", run.run_id) if word == "stop" else lab.clearance(waiting, "deny"))
            (raised,) = await asyncio.gather(task, return_exceptions=True)
            return raised if isinstance(raised, BaseException) else None

    assert isinstance(asyncio.run(main()), AgentStopped if word == "stop" else ToolDenied)
