"""Recorded sessions of real agents, as steps: what `ingest`, `backtest` and `evaluate` read.

A session is one run in one trace; each recorded step becomes one step. Labels (`injected`, `attacker_action`) are for
scoring and never reach a step.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from lictor.policy_file import words
from lictor_agent.wire import Cut as AgentCut
from lictor_agent.wire import name_of, plain_json, shorten
from schemas import ids
from schemas.errors import BadInput
from schemas.policy import AgentPolicy, Grant, Layer, Test
from schemas.step import STEP_VERSION, Cut, DeclaredTool, Gate, Step, content

_KINDS: Final = {
    "user_message": "message",
    "llm_message": "model_call",
    "tool_call": "tool_call",
    "tool_result": "tool_result",
    "error": "tool_result",
}
_BASE_US: Final = 1_750_000_000_000_000
"""Where no time was recorded, a session begins here and takes one second a step."""
_SECOND_US: Final = 1_000_000
_CUT_KEY: Final = b"recorded"
_MOST: Final = (1 << 53) - 1
"""Of anything that is counted in a step."""


@dataclass(frozen=True, slots=True)
class Session:
    """One recorded session: its steps, and for each the recorded `i` it came from (-1 for start and end)."""

    session_id: str
    agent_id: str
    run_id: str
    label: str
    suspect: bool
    steps: tuple[Step, ...]
    indexes: tuple[int, ...]


def read_sessions(path: Path, tools: Mapping[str, tuple[DeclaredTool, ...]] | None = None) -> Iterator[Session]:
    """Yield the sessions of a file, plain or gzip (told by its content). Raises `BadInput` with the line at fault."""
    for number, line in _lines(path):
        try:
            session = session_of(json.loads(line), tools or {})
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise BadInput(
                f"not a recorded session: {type(error).__name__}: {error}", where=f"{path}:{number}"
            ) from None
        yield session


def labelled_sessions(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the sessions of a file as they were recorded, labels and all. Raises `BadInput` with the line at fault."""
    for number, line in _lines(path):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"not JSON: {error}", where=f"{path}:{number}") from None
        if not isinstance(data, dict) or not {"dataset", "session_id", "steps"} <= data.keys():
            raise BadInput("not a recorded session: dataset, session_id or steps missing", where=f"{path}:{number}")
        yield data


def count_sessions(path: Path) -> int:
    """Return how many sessions a file holds, for a progress bar."""
    return sum(1 for _ in _lines(path))


def read_tools(path: Path) -> dict[str, tuple[DeclaredTool, ...]]:
    """Read declared tools: `dataset/suite` → the tools its agents are given. Raises `BadInput`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(agent_id): tuple(_declared(tool) for tool in (entry["tools"] if isinstance(entry, dict) else entry))
            for agent_id, entry in data.items()
        }
    except OSError as error:
        raise BadInput(f"cannot read the tools: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"not a file of declared tools: {type(error).__name__}: {error}", where=str(path)) from None


def recorded_policy(agent_id: str) -> AgentPolicy:
    """Return what a recorded agent counts as: registered, granted every tool, in mode `enforce`.

    Once it has read untrusted content its calls wait for clearance: the policy that the how-to recommends.
    """
    wary = Grant(id="after-untrusted", effect="clear", tools=("*",), when={"reads": Test(eq="untrusted")})
    everything = Grant(id="everything", effect="allow", tools=("*",))
    models = Grant(id="models", effect="allow", models=("*",))
    agents = Grant(id="agents", effect="allow", agents=("*",))
    layer = Layer(name="recorded", grants=(wary, everything, models, agents))
    return AgentPolicy(
        agent_id=agent_id, version=1, issued_us=1, owner="recorded", mode="enforce", layers=(layer,), words=words()
    )


def session_of(data: Mapping[str, Any], tools: Mapping[str, tuple[DeclaredTool, ...]]) -> Session:
    """Turn one recorded session into steps."""
    dataset, name = str(data["dataset"]), str(data["session_id"])
    agent_id = name_of(f"{dataset}/{data.get('suite/domain') or ''}")
    run_id = ids.named("lictor.session", dataset, name)
    trace_id = ids.named("lictor.trace", dataset, name)
    maker = _Maker(agent_id, run_id, trace_id, name_of(data.get("agent_model") or ""))
    recorded = list(data["steps"])
    first_us = _time_us(recorded[0], _BASE_US) if recorded else _BASE_US
    steps = [
        maker.make(
            "run_started", "", first_us, {"version": maker.model, "owner": "recorded", "tools": tools.get(agent_id, ())}
        )
    ]
    indexes = [-1]
    last_us = first_us
    for position, step in enumerate(recorded):
        last_us = max(last_us, _time_us(step, first_us + position * _SECOND_US))
        steps.append(maker.make(_KINDS[step["kind"]], trace_id, last_us, _fields(step, maker.model)))
        indexes.append(int(step["i"]))
    reason = "failed" if data.get("ended_abnormally") else "done"
    steps.append(maker.make("run_ended", "", last_us, {"reason": reason}))
    return Session(
        session_id=name,
        agent_id=agent_id,
        run_id=run_id,
        label=str(data.get("label") or ""),
        suspect=bool(data.get("label_suspect")),
        steps=tuple(steps),
        indexes=(*indexes, -1),
    )


class _Maker:
    """Counts the steps of one session."""

    def __init__(self, agent_id: str, run_id: str, trace_id: str, model: str) -> None:
        self.agent_id = agent_id
        self.run_id = run_id
        self.trace_id = trace_id
        self.model = model
        self.seq = {"": 0, trace_id: 0}

    def make(self, kind: str, trace_id: str, time_us: int, fields: dict[str, Any]) -> Step:
        """Return the next step of a trace."""
        self.seq[trace_id] += 1
        seq = self.seq[trace_id]
        step = Step(
            v=STEP_VERSION,
            step_id=ids.step_id(self.agent_id, self.run_id, trace_id, seq),
            agent_id=self.agent_id,
            run_id=self.run_id,
            trace_id=trace_id,
            seq=seq,
            kind=kind,  # type: ignore[arg-type]  # from the table above
            time_us=time_us,
            principal="recorded",
            **fields,
        )
        return _with(step, digest=ids.content_digest(content(step)))


def with_gate(step: Step, gate: Gate) -> Step:
    """Return the step with what the gate would have said of it."""
    return _with(step, gate=gate)


def at_time(step: Step, time_us: int) -> Step:
    """Return the step at another time."""
    return _with(step, time_us=time_us)


def _with(step: Step, **changes: Any) -> Step:
    fields = {name: getattr(step, name) for name in step.__struct_fields__}
    return Step(**{**fields, **changes})


def _fields(step: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what a recorded step says, cut like the SDK cuts it."""
    cuts: dict[str, AgentCut] = {}
    text = shorten(plain_json(str(step.get("text") or "")), "text", _CUT_KEY, cuts)
    tool = name_of(step.get("tool") or "")
    usage = step.get("usage") or {}
    fields: dict[str, Any] = {"text": text, **_tokens(usage)}
    kind = step["kind"]
    if kind == "user_message":
        fields["origin"] = "agent" if step.get("origin") else "user"
    elif kind == "llm_message":
        fields["model"] = model
    elif kind == "tool_call":
        arguments = plain_json(step.get("args") or {})
        arguments = arguments if isinstance(arguments, dict) else {"value": arguments}
        fields |= {"tool": tool, "arguments": shorten(arguments, "arguments", _CUT_KEY, cuts)}
    else:
        fields |= {"tool": tool, "origin": "tool", "outcome": "failed" if kind == "error" else "executed"}
        fields["duration_us"] = min(max(0, int(float(step.get("duration_s") or 0) * 1e6)), _MOST)
    if cuts:
        fields["cut"] = {path: Cut(cut.length, cut.digest) for path, cut in cuts.items()}
    return fields


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    found = {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")}
    return {name: min(max(0, int(count)), _MOST) for name, count in found.items() if isinstance(count, int | float)}


def _time_us(step: Mapping[str, Any], otherwise: int) -> int:
    recorded = step.get("ts")
    if isinstance(recorded, str):
        moment = datetime.fromisoformat(recorded)
        recorded = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isinstance(recorded, int | float):
        return otherwise
    if not abs(recorded) < _MOST / 1e6:
        raise ValueError(f"ts {recorded} is no time")
    return int(recorded * 1e6)


def _declared(tool: Any) -> DeclaredTool:
    if isinstance(tool, str):
        return DeclaredTool(tool[:128])
    return DeclaredTool(str(tool["name"])[:128], ids.named("lictor.tool", ids.canonical(tool).decode()))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, each with its number. Raises `BadInput` where a gzip file is damaged."""
    number = 0
    with _opened(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput(f"cannot be read on after line {number}: {error}", where=str(path)) from None


def _opened(path: Path) -> IO[bytes]:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BadInput("is no regular file: sessions are read twice, first to count them", where=str(path))
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]  # reads bytes either way
    except OSError as error:
        raise BadInput(f"cannot read the sessions: {error.strerror}", where=str(path)) from None
