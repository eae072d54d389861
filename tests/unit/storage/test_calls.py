"""Every call has one of four outcomes in the history, whatever became of its run."""

from schemas import ids
from schemas.step import Gate, Step, encode_step
from storage.guard import Guard
from storage.store import Store
from storage.tables import rows_of
from tests.unit.storage._rows import APPENDED_MS, TRACE, origin

AGENT = "calls-agent"


def kept(store: Store, *steps: tuple[str, dict[str, object]]) -> None:
    """Archive the steps of one run."""
    places = []
    for at, (kind, fields) in enumerate(steps):
        name = {"step_id": ids.step_id(AGENT, "run-1", TRACE, at + 1), "agent_id": AGENT, "run_id": "run-1"}
        step = Step(v=1, trace_id=TRACE, seq=at + 1, kind=kind, time_us=APPENDED_MS, **name, **fields)  # type: ignore[arg-type]
        places.append((origin("steps", at, namespace="calls"), encode_step(step)))
    rows, refused = rows_of("steps", places)
    assert not refused
    store.insert("steps", rows, "calls:0")


def test_every_call_ends_in_one_of_four_ways(store: Store, guard: Guard) -> None:
    """An investigator could not tell what was done from what was only tried, or was cut off."""
    kept(
        store,
        ("tool_call", {"tool": "a", "tool_call_id": "1", "gate": Gate("allow")}),
        ("tool_result", {"tool": "a", "tool_call_id": "1", "outcome": "executed", "duration_us": 7}),
        ("tool_call", {"tool": "b", "tool_call_id": "2", "gate": Gate("deny", rule="no_grant")}),
        ("tool_call", {"tool": "c", "tool_call_id": "3", "gate": Gate("hold")}),
        ("tool_result", {"tool": "c", "tool_call_id": "3", "outcome": "denied"}),
        (
            "tool_call",
            {"tool": "d", "tool_call_id": "4", "gate": Gate("narrow"), "asked": {"n": 9}, "arguments": {"n": 1}},
        ),
        ("tool_result", {"tool": "d", "tool_call_id": "4", "outcome": "failed", "error": "ValueError: no"}),
        ("tool_call", {"tool": "e", "tool_call_id": "5", "gate": Gate("allow")}),
    )
    sql = f"SELECT tool, outcome, asked, duration_us, error FROM calls WHERE agent_id = '{AGENT}' ORDER BY seq"  # noqa: S608
    rows = [line.split("\t") for line in guard.run(sql, "TabSeparated")[0].decode().splitlines()]
    assert rows == [
        ["a", "executed", "", "7", ""],
        ["b", "denied", "", "0", ""],
        ["c", "denied", "", "0", ""],
        ["d", "failed", '{"n":9}', "0", "ValueError: no"],
        ["e", "unknown", "", "0", ""],
    ]
