"""Records as the archive would write them: three steps of one agent and a finding about the last."""

from typing import Final

from schemas import ids
from schemas.finding import Evidence, Finding
from schemas.step import Gate, Step, encode_step
from storage.tables import Origin

AGENT: Final = "analyst-agent"
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
APPENDED_MS: Final = 1_767_225_600_123


def origin(table: str, offset: int, *, namespace: str = "guard", key: str = TRACE) -> Origin:
    """Return a place in Kafka."""
    return Origin(f"{namespace}.{table}", 0, offset, APPENDED_MS + offset, key, ())


def stored_steps(agent_id: str = AGENT) -> list[bytes]:
    """Return a message and two calls. The store is shared: each module of tests has an agent of its own."""
    return [
        _step(agent_id, 1, "message", text="Send the reminder", origin="user"),
        _step(
            agent_id, 2, "tool_call", tool="mail.send", arguments={"to": "bob@example.org"}, gate=Gate("allow", "mail")
        ),
        _step(agent_id, 3, "tool_call", tool="mail.send", arguments={"to": "eve@example.net"}, gate=Gate("deny")),
    ]


def _step(agent_id: str, seq: int, kind: str, **fields: object) -> bytes:
    step_id = ids.step_id(agent_id, "run-1", TRACE, seq)
    place = {"v": 1, "step_id": step_id, "agent_id": agent_id, "run_id": "run-1", "trace_id": TRACE, "seq": seq}
    return encode_step(Step(**place, kind=kind, time_us=APPENDED_MS * 1000, **fields))  # type: ignore[arg-type]


def stored_finding() -> bytes:
    """Return a finding about the last step."""
    step_id = ids.step_id(AGENT, "run-1", TRACE, 3)
    return Finding(
        finding_id=ids.finding_id("lictor.grants.denied", 1, "", [step_id]),
        rule_id="lictor.grants.denied",
        detector="grants",
        title="Call outside policy",
        severity="high",
        confidence=0.9,
        reason="mail.send is outside the policy",
        agent_id=AGENT,
        run_id="run-1",
        trace_id=TRACE,
        step_id=step_id,
        seq=3,
        evidence=(Evidence(step_id=step_id, seq=3, role="tool_call mail.send"),),
    ).value()
