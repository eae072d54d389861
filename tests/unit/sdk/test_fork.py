"""A process that forks: the child's runs are runs of its own, and the parent's account stays whole."""

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from lictor_agent import fork
from schemas.step import read_step
from tests.unit.sdk._agents import Lab, Queue, gaps


def in_child(work: Callable[[], Any]) -> Any:
    """Do something in a forked process; return what it returned."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with os.fdopen(into, "w") as pipe:
                json.dump(work(), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(out) as pipe:
        text = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(text)


def child_steps(lab: Lab, work: Callable[[], Any]) -> list[dict[str, Any]]:
    """Do something with the agent in a child; return the steps it published there."""
    fork.remember(lab.agent)

    def there() -> list[dict[str, Any]]:
        agent = lab.agent
        agent.connect = lambda: None  # type: ignore[method-assign] # nobody answers at this lab's Kafka
        agent.revive()
        agent.link.ready.set()
        agent.link.outbox.queue = queue = Queue()
        work()
        steps = [read_step(record.value) for record in queue if record.topic == "t.steps"]
        return [
            {"kind": s.kind, "run": s.run_id, "parent": s.parent_run_id, "seq": s.seq, "trace": s.trace_id}
            for s in steps
        ]

    found: list[dict[str, Any]] = in_child(there)
    return found


def test_a_run_that_is_forked_becomes_a_run_of_its_own(lab: Lab) -> None:
    """Two processes would count the same run, and every step of one be taken for a rewrite of the other's."""
    with lab.agent.run() as run:
        run.message("before")
        found = child_steps(lab, lambda: run.message("in the child"))
        run.message("after")
    (child,) = {step["run"] for step in found}
    assert child != run.run_id
    assert [(step["kind"], step["parent"], step["seq"]) for step in found] == [
        ("run_started", run.run_id, 1),
        ("message", run.run_id, 1),
    ]
    assert list(gaps(lab.steps())) == []
    assert [step.run_id for step in lab.steps()] == [run.run_id] * 4


def test_a_server_may_connect_before_it_forks_its_workers(lab: Lab) -> None:
    """Agents behind a prefork server would hang, or publish nothing."""

    def worker() -> None:
        with lab.agent.run() as run, run.tool("crm.read"):
            pass

    found = [child_steps(lab, worker) for _ in range(3)]
    assert len({step["run"] for steps in found for step in steps}) == 3
    kinds = ["run_started", "tool_call", "tool_result", "run_ended"]
    assert [[step["kind"] for step in steps] for steps in found] == [kinds] * 3
    assert {step["parent"] for steps in found for step in steps} == {""}


def test_a_call_that_the_parent_began_is_answered_by_the_parent_alone(lab: Lab) -> None:
    """A payment made once would stand twice in the history."""
    with lab.agent.run() as run:
        call = run.tool("crm.read")
        with call:
            found = child_steps(lab, lambda: call.__exit__(None, None, None))
    assert found == []
    assert [step.kind for step in lab.steps()] == ["run_started", "tool_call", "tool_result", "run_ended"]


def test_a_fork_while_another_thread_holds_every_lock_does_not_hang_the_child(lab: Lab) -> None:
    """A worker forked at the wrong moment would hang for ever."""
    with lab.agent.run() as run:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with run.recorder.lock, lab.agent.control._lock:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        found = child_steps(lab, lambda: run.message("in the child"))
        done.set()
        thread.join()
    assert [step["kind"] for step in found] == ["run_started", "message"]


def test_a_policy_and_orders_known_before_the_fork_hold_in_the_child(lab: Lab) -> None:
    """A worker could do, until it has reached Kafka, what its parent must not."""

    def worker() -> list[Any]:
        control = lab.agent.control
        policy = control.policy
        return [policy.policy.version if policy else None, control.epoch, control.knows_keys()]

    fork.remember(lab.agent)
    lab.hear(lab.stands(5))
    assert in_child(worker) == [lab.agent.control.policy.policy.version, 5, True]  # type: ignore[union-attr]
