"""What the history says of agents, for proposals and risks: calls, findings, policies in force, hand-overs, tools."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
from pydantic import ValidationError

from lictor.history import History
from lictor.policy_calls import SEVERE, SURE, Flag, Flags, Observed, calls_of, outcomes
from schemas.errors import BadRecord
from schemas.keys import KEY_LIST
from schemas.policy import AgentPolicy
from schemas.step import Cut, Gate, Outcome, Step

MOST_CALLS: Final = 100_000
MOST_BYTES: Final = 256 << 20
"""Of arguments, together. What is older than the newest that fit is left out, and said so."""
PAGE: Final = 20_000
LONGEST: Final = 128 << 10
"""Bytes of a call's arguments; the SDK cuts each text at 64 KiB, so that a call with more is no honest one."""
MOST_AGENTS: Final = 10_000
MOST_EDGES: Final = 20_000
_COLUMNS: Final = (
    "step_id, agent_id, run_id, trace_id, seq, kind, time_us, version, principal, workflow, environment, delegation, "
    "tool, tool_call_id, model, to_agent, drill, gate.verdict AS verdict, gate.grant AS gate_grant, gate.rule AS rule, "
    "gate.mode AS gate_mode, gate.policy_version AS policy_version, arguments, asked, cut"
)
_PLACE: Final = "toUnixTimestamp64Milli(kafka_time) AS at_ms, kafka_partition, kafka_offset"
SINCE: Final = "kafka_time >= fromUnixTimestamp64Milli({since:Int64})"
_CALLS: Final = (
    f"SELECT {_PLACE}, {_COLUMNS} FROM steps WHERE agent_id = {{agent:String}} AND {SINCE} "  # noqa: S608 - names of ours
    "AND kind IN ('tool_call', 'model_call', 'handoff') AND length(arguments) <= {longest:UInt64} "
    "AND (kafka_time, kafka_partition, kafka_offset) < "
    "(fromUnixTimestamp64Milli({at:Int64}), {partition:UInt32}, {offset:UInt64}) "
    "ORDER BY kafka_time DESC, kafka_partition DESC, kafka_offset DESC LIMIT {page:UInt32}"
)
_RESULTS: Final = (
    "SELECT step_id, run_id, trace_id, seq, kind, tool, tool_call_id, outcome FROM steps "  # noqa: S608 - names of ours
    f"WHERE agent_id = {{agent:String}} AND {SINCE} AND kind IN ('tool_call', 'tool_result') "
    "ORDER BY run_id, trace_id, seq LIMIT 1000000"
)
_FLAGS: Final = (
    "SELECT step_id, run_id, trace_id, seq, rule_id, severity FROM findings "  # noqa: S608 - names of ours
    f"WHERE agent_id = {{agent:String}} AND {SINCE} AND NOT drill AND rule_id != {{skip:String}} "
    "AND (confidence >= {sure:Float64} OR startsWith(rule_id, {identity:String})) "
    "AND finding_id NOT IN (SELECT finding_id FROM verdicts WHERE signed_by != '' "
    "AND word IN ('false_positive', 'benign') AND finding_id != '') "
    "AND finding_id NOT IN (SELECT arrayJoin(finding_ids) FROM incidents WHERE incident_id IN (SELECT incident_id "
    "FROM verdicts WHERE signed_by != '' AND word IN ('false_positive', 'benign') AND incident_id != '')) LIMIT 100000"
)
_POLICIES: Final = (
    "SELECT kafka_key, argMax(body, version) FROM policies WHERE signed_by != '' AND kafka_key != {keys:String} "
    "GROUP BY kafka_key LIMIT {most:UInt32}"
)
_IDENTITY: Final = "lictor.identity."
"""Claimed once of a run in a trace, and true of all that follows: somebody else may have sent it."""
UNMARKED: Final = f"{_IDENTITY}unmarked"
_LATER: Final = 1 << 42
"""Milliseconds; later than anything that was archived."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Hand-overs from one agent to another that were seen."""

    giver: str
    taker: str
    traces: int
    unnamed: int = 0
    """Traces in which the taker acted afterwards without naming the giver as the one for whom it acts."""


def calls_in(history: History, agent_id: str, since_ms: int, *, unmarked: bool = False) -> Observed:
    """Return the calls of an agent since a moment (milliseconds since 1970), the newest where there are too many.

    `unmarked`: that steps carry no mark speaks against none of them.
    """
    named = {"agent": agent_id, "since": since_ms}
    asked = {**named, "sure": SURE, "identity": _IDENTITY, "skip": UNMARKED if unmarked else ""}
    steps, more = _steps(history, named)
    results = outcomes(_pairs(history.rows(_RESULTS, named)[1]))
    flags = Flags(
        Flag(_text(row[0]), row[1], row[2], int(row[3]), row[4], row[5] in SEVERE or row[4].startswith(_IDENTITY))
        for row in history.rows(_FLAGS, asked)[1]
    )
    return Observed(calls_of(reversed(steps), results, flags), "the history", more)


def _steps(history: History, named: Mapping[str, Any]) -> tuple[list[Step], bool]:
    """Return calls, the newest first, and whether there are more than may be looked at."""
    found: list[Step] = []
    at, total = (_LATER, 0, 0), 0
    while True:
        place = {"at": at[0], "partition": at[1], "offset": at[2], "page": PAGE, "longest": LONGEST}
        names, rows = history.rows(_CALLS, {**named, **place})
        for row in rows:
            one = dict(zip(names, row, strict=True))
            total += len(one["arguments"]) + len(one["asked"])
            if len(found) >= MOST_CALLS or total > MOST_BYTES:
                return found, True
            found.append(_step(one))
            at = (one["at_ms"], one["kafka_partition"], one["kafka_offset"])
        if len(rows) < PAGE:
            return found, False


def _step(row: Mapping[str, Any]) -> Step:
    cut = _object(row["cut"]) or {}
    verdict = row["verdict"]
    gate = Gate(verdict, row["gate_grant"], row["policy_version"], row["rule"], row["gate_mode"]) if verdict else None
    plain = ("agent_id", "run_id", "trace_id", "seq", "kind", "time_us", "version", "principal", "workflow", "tool",
             "environment", "tool_call_id", "model", "to_agent", "drill")  # fmt: skip
    return Step(
        v=1,
        step_id=_text(row["step_id"]),
        delegation=tuple(row["delegation"]),
        gate=gate,
        arguments=_object(row["arguments"]),
        asked=_object(row["asked"]),
        cut={path: msgspec.convert(one, Cut) for path, one in cut.items()} or None,
        **{name: row[name] for name in plain},
    )


def _pairs(rows: Iterable[tuple[Any, ...]]) -> Iterator[Step]:
    for step_id, run_id, trace_id, seq, kind, tool, call_id, outcome in rows:
        yield Step(
            v=1, step_id=_text(step_id), agent_id="-", run_id=run_id, trace_id=trace_id, seq=seq, kind=kind, time_us=0,
            tool=tool, tool_call_id=call_id, outcome=cast("Outcome", outcome),
        )  # fmt: skip


def policies_in(history: History) -> dict[str, AgentPolicy]:
    """Return the newest signed policy of each agent, as far as it can be read."""
    rows = history.rows(_POLICIES, {"keys": KEY_LIST, "most": MOST_AGENTS})[1]
    found: dict[str, AgentPolicy] = {}
    for key, body in rows:
        try:
            found[key] = AgentPolicy.read(body.encode())
        except (BadRecord, ValidationError):
            continue
    return found


def _object(text: str) -> dict[str, Any] | None:
    found = json.loads(text) if text else None
    return found if isinstance(found, dict) else None


def _text(value: str | bytes) -> str:
    """Ids are kept in columns of fixed width, which drivers give back as bytes."""
    return value.decode() if isinstance(value, bytes) else value
