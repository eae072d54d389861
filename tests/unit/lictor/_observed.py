"""What agents did: steps as their agents published them, calls made of them, and a history that holds them."""

import itertools
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lictor.policy_calls import Call
from schemas import ids
from schemas.finding import Evidence, Finding
from schemas.message import Message
from schemas.policy import AgentPolicy
from schemas.step import Outcome, Step, encode_step
from storage.store import Store
from storage.tables import Origin, rows_of

_PLACES: Final = itertools.count()
DAY_MS: Final = 86_400_000


def trace(number: int) -> str:
    """Return the id of a trace."""
    return f"{number + 1:032x}"


@dataclass
class Life:
    """Makes the steps of one agent, a run and a trace at a time."""

    agent_id: str
    steps: list[Step] = field(default_factory=list)
    run: int = 0
    delegation: tuple[str, ...] = ()
    principal: str = ""
    namespace: int = 0

    def step(self, kind: str, **fields: Any) -> Step:
        """Make the next step of the run."""
        trace_id = trace(self.namespace + self.run)
        seq = len(self.steps) + 1
        run_id = f"run-{self.run}"
        step_id = ids.step_id(self.agent_id, run_id, trace_id, seq)
        place = {"v": 1, "step_id": step_id, "agent_id": self.agent_id, "run_id": run_id, "trace_id": trace_id}
        said = {"time_us": seq, "principal": self.principal, "delegation": self.delegation, **fields}
        self.steps.append(Step(**place, seq=seq, kind=kind, **said))  # type: ignore[arg-type]
        return self.steps[-1]

    def call(self, tool: str, outcome: Outcome = "executed", **arguments: Any) -> Step:
        """Make a call and what it came to."""
        made = self.step("tool_call", tool=tool, tool_call_id=str(len(self.steps)), arguments=arguments)
        self.step("tool_result", tool=tool, tool_call_id=made.tool_call_id, outcome=outcome)
        return made


def calls(life: Life, rules: Iterable[str] = ()) -> list[Call]:
    """Return the calls of a life as done; `rules` speak against all of them."""
    asked = [step for step in life.steps if step.kind in ("tool_call", "model_call", "handoff")]
    return [Call(step, "executed", tuple(rules)) for step in asked]


def archive(store: Store, steps: Iterable[Step], at_ms: int | None = None) -> None:
    """Put steps into the history, as the archive does."""
    moment = int(time.time() * 1000) - DAY_MS if at_ms is None else at_ms
    _insert(store, "steps", [(encode_step(step), step.agent_id) for step in steps], moment)


def archive_messages(store: Store, table: str, messages: Iterable[Message], key: str) -> None:
    """Put findings, or what else there is, into the history."""
    _insert(store, table, [(message.value(), key) for message in messages], int(time.time() * 1000) - DAY_MS)


def _insert(store: Store, table: str, values: list[tuple[bytes, str]], at_ms: int) -> None:
    topic = f"observed-{os.getpid()}-{next(_PLACES)}.{table}"
    places = [(Origin(topic, 0, at, at_ms + at, key, ()), value) for at, (value, key) in enumerate(values)]
    rows, refused = rows_of(table, places)
    assert not refused
    store.insert(table, rows, topic)


def archive_policy(store: Store, policy: AgentPolicy, signed_by: str = "person") -> None:
    """Put a policy into the history as one that its signer may sign, or nobody signed."""
    row = {
        "kafka_topic": f"observed-{os.getpid()}-{next(_PLACES)}.policies", "kafka_partition": 0, "kafka_offset": 0,
        "kafka_time": time.time(), "kafka_key": policy.agent_id, "version": policy.version,
        "body": policy.value().decode(), "signed_by": signed_by,
    }  # fmt: skip
    store.insert("policies", [json.dumps(row).encode()], row["kafka_topic"])  # type: ignore[arg-type]


def a_finding(step: Step, rule_id: str, *, confidence: float = 0.9, severity: str = "high") -> Finding:
    """Return a finding at a step."""
    return Finding(
        finding_id=ids.finding_id(rule_id, 1, "", [step.step_id]),
        rule_id=rule_id,
        detector="d",
        title="t",
        severity=severity,  # type: ignore[arg-type]
        confidence=confidence,
        reason="r",
        agent_id=step.agent_id,
        run_id=step.run_id,
        trace_id=step.trace_id,
        step_id=step.step_id,
        seq=step.seq,
        evidence=(Evidence(step_id=step.step_id, role="r"),),
    )


def serve(home: Path, address: str) -> None:
    """Have the command line find this history, as that of a running `lictor up`."""
    home.mkdir(parents=True, exist_ok=True)
    running = {"pid": os.getpid(), "kafka": "127.0.0.1:1", "sql": address}
    (home / "run.json").write_text(json.dumps(running), encoding="utf-8")
