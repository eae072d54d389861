"""A call's way through: asked, published, waited for, done, and how it ended published too."""

import concurrent.futures
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lictor_agent import verdicts
from lictor_agent.errors import ToolDenied
from lictor_agent.gate import Answer
from lictor_agent.link import ACK_PATIENCE_S, Outgoing, monotonic_us
from lictor_agent.spool import SpoolFull
from lictor_agent.traits import EFFECTS
from lictor_agent.verdicts import Judged
from lictor_agent.waits import Wait

if TYPE_CHECKING:
    from lictor_agent.calls import Call
    from lictor_agent.orders import Command
    from lictor_agent.run import Run

REFUSED: Final = frozenset({"deny", "ask"})
MOST_SAME: Final = 20_000
"""Calls of a run that are remembered, to tell when one is made again."""


def begin(run: "Run", call: "Call") -> Sequence[Wait]:
    """Ask the gate and publish the call; return what it has to wait for. Raises `ToolDenied` and `AgentStopped`."""
    if run.agent.settings.off:
        return ()
    run.recorder.begin()
    run.agent.policy()  # the very first call waits here for what stands, and not under the lock
    waits: Sequence[Wait] = ()
    with run.recorder.lock:
        run.check()
        call.time_us = time.time_ns() // 1000
        judged = verdicts.judge(run, call)  # under the lock: of two calls one is the last that a budget allows
        goes_on = judged.verdict not in REFUSED
        call.take_verdict(run, judged)
        if call.kind != "model_call" or not goes_on:
            record = run.recorder.take(
                call.kind, call.begun(), call.trace_id, traits=judged.traits, time_us=call.time_us, call=call
            )
            waits = _waits(run, call, judged, record) if goes_on else ()
            run.agent.link.publish(record)
        _count(run, call)
        if goes_on:
            verdicts.add_up(run, call)
            run.orders.executing[id(call)] = call
    if not goes_on:
        raise verdicts.refusal(judged.answer, run)
    return waits


def _waits(run: "Run", call: "Call", judged: Judged, record: Outgoing) -> Sequence[Wait]:
    if judged.verdict == "hold":
        return (_clearance(run, call),)
    if EFFECTS.isdisjoint(judged.traits):
        return ()
    return (_write_ahead(run, record, judged.traits),)


def _write_ahead(run: "Run", record: Outgoing, traits: frozenset[str]) -> Wait:
    """Wait until the broker has the step, or else the disk: no effect without its step.

    Where the last wait was for nothing the disk is asked at once: an outage must not cost a second a call.
    """
    record.acked = concurrent.futures.Future()

    def then(acknowledged: bool) -> None:
        run.check()
        if acknowledged:
            return
        try:
            run.agent.link.on_disk(record)
        except SpoolFull as full:
            if traits.isdisjoint(run.agent.policy().policy.spool_full_deny):
                run.agent.link.counters["unwritten"] += 1  # the policy would rather act unseen than not at all
                return
            why = f"the step can be kept neither by Kafka nor on disk: {full}"
            raise verdicts.refusal(Answer("deny", "", "spool", why), run) from None
        run.check()

    return Wait(record.acked, 0.0 if run.agent.link.slow else ACK_PATIENCE_S, then)


def _clearance(run: "Run", call: "Call") -> Wait:
    """Wait until `detect` has judged this very step. Its answer fits this digest only; a late one is void."""
    future: concurrent.futures.Future[Command] = concurrent.futures.Future()
    digest, step_id, run_id = call.digest, call.step_id, run.run_id

    def answer(command: "Command") -> None:
        if command.target.digest == digest and command.target.run_id == run_id and not future.done():
            future.set_result(command)

    def then(answered: bool) -> None:
        run.check()
        command = future.result() if answered and not future.cancelled() else None
        verdicts.after_clearance(run, command)

    def forget() -> None:
        run.agent.control.forget(step_id)
        run.orders.clearing.discard(future)

    run.agent.control.expect(step_id, answer)
    run.orders.clearing.add(future)
    return Wait(future, run.agent.clearance_s(), then, forget)


def finish(run: "Run", call: "Call", error: BaseException | None) -> None:
    """Publish how the call ended."""
    if run.agent.settings.off or call.run_id != run.run_id:  # begun before a fork, in the parent: it is the parent's
        return
    took = monotonic_us() - call.began_us if call.began_us else 0
    fields = {**call.fields, **call.outcome, "duration_us": max(0, took), **_ending(error)}
    if call.kind == "model_call":
        _finish_model(run, call, fields)
    elif call.kind == "tool_call":
        del fields["gate"]
        if fields["outcome"] != "denied":
            run.has_read(call.trace_id, verdicts.reads_through(run, call), call.outcome.get("labels", ()))
        run.recorder.publish("tool_result", fields, call.trace_id, call.traits)
    with run.recorder.lock:
        run.orders.executing.pop(id(call), None)
    run.orders.settle()


def _finish_model(run: "Run", call: "Call", fields: dict[str, Any]) -> None:
    fields.pop("outcome", None)
    with run.recorder.lock:
        run.spent.tokens += int(fields.get("input_tokens", 0)) + int(fields.get("output_tokens", 0))
        run.spent.cost_usd += float(fields.get("cost_usd", 0.0))
    run.recorder.publish("model_call", fields, call.trace_id)


def _count(run: "Run", call: "Call") -> None:
    spent = run.spent
    spent.model_calls += call.kind == "model_call"
    if call.kind == "tool_call":
        spent.tool_calls += 1
        spent.last_minute.append(time.monotonic())
        spent.same_call[verdicts.same_call(call)] += 1
        if len(spent.same_call) > MOST_SAME:
            del spent.same_call[next(iter(spent.same_call))]


def _ending(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {"outcome": "executed"}
    outcome = "denied" if isinstance(error, ToolDenied) else "failed"
    return {"outcome": outcome, "error": f"{type(error).__name__}: {_said(error)}"[:2000]}


def _said(error: BaseException) -> str:
    """Return what an error of the agent's own says of itself; it may fail at that too."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody else's code
        return "?"
