"""One example of every message that is archived, with no field left at its default: table → key and message."""

from typing import Any, Final

from schemas import ids
from schemas.activity import Activity, Window
from schemas.approval import Approval
from schemas.audit import AuditHead
from schemas.command import Command, Target
from schemas.containment import Containment, Order
from schemas.correlation import Correlation
from schemas.dead_letter import DeadLetter, dead_letter_id, head_and_digest
from schemas.decision import Decision
from schemas.finding import Evidence, Finding
from schemas.incident import Incident
from schemas.inventory import Inventory
from schemas.liveness import Liveness
from schemas.match import Match
from schemas.message import Message
from schemas.receipt import Receipt
from schemas.sighting import Sighting
from schemas.step import Cut, DeclaredTool, Gate, Step, content
from schemas.taint import Taint
from schemas.verdict import Verdict

AGENT: Final = "exämple/agent '1'"
RUN: Final = "run-1"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
STEP_ID: Final = ids.step_id(AGENT, RUN, TRACE, 7)
NAMED: Final = {"agent_id": AGENT, "run_id": RUN, "trace_id": TRACE, "step_id": STEP_ID}
_EVIDENCE: Final = (Evidence(step_id=STEP_ID, seq=7, role='read "x"'),)
_HEAD, _DIGEST = head_and_digest(b"\xff not json")


def step() -> Step:
    """Return a step with every field set."""
    bare = Step(
        v=1,
        **NAMED,
        seq=7,
        kind="tool_call",
        time_us=1_767_225_600_123_456,
        version="1.4",
        principal="alice@example.com",
        workflow="month-end",
        conversation_id="c-1",
        parent_run_id="run-0",
        delegation=("planner", "clerk"),
        tool="mail.send",
        tool_call_id="call-1",
        arguments={"to": ["bob@example.org"], "amount": 1.5, "note": 'line\n"two" 漢', "deep": {"a": [1, None, True]}},
        gate=Gate("allow", "mail", 3, "grant", "enforce", 12),
        outcome="executed",
        text="tab\tand\\slash",
        origin="web",
        cut={"text": Cut(70_000, "ab" * 16)},
        error="TimeoutError: x",
        duration_us=42,
        model="m-1",
        provider="p",
        input_tokens=10,
        output_tokens=20,
        cost_usd=0.25,
        reasoning="because",
        to_agent="clerk",
        memory_id="note-1",
        labels=("pii",),
        environment="production",
        asked={"to": "eve@evil.example"},
        dropped=3,
        owner="finance@example.com",
        tools=(DeclaredTool("mail.send", "cd" * 16),),
        prompt_digest="ef" * 16,
        mcp_servers={"mail": "12" * 16},
        mode="enforce",
        reason="done",
        drill="token",
    )
    fields = {name: getattr(bare, name) for name in bare.__struct_fields__}
    return Step(**{**fields, "digest": ids.content_digest(content(bare))})


FIRED: Any = {
    "seq": 7, "judged_us": 8, "values": {"tool": ("pay",), "arguments.amount": (2.5,)}, "identity": "forged", "mode": "ask",
    "drill": True,
}  # fmt: skip
MESSAGES: Final[dict[str, Message]] = {
    "findings": Finding(
        finding_id=ids.finding_id("lictor.x", 2, "g", [STEP_ID]), rule_id="lictor.x", rule_version=2, detector="x",
        title="A title", severity="critical", confidence=0.75, impact=0.5, reason="why; and 'how'", **NAMED, seq=7,
        tool="mail.send", traits=("egress", "irreversible"), group="g", evidence=_EVIDENCE, identity="forged", mode="ask",
        tags=("owasp.asi01",), response="stop", step_time_us=-5, append_time_us=6, drill=True,
    ),
    "matches": Match(match_id="m", rule_id="r", rule_version=2, **NAMED, scope="hour", group=("a", "b"), amount=2.5,
                     append_time_us=6, **FIRED),
    "correlations": Correlation(match_id="m", rule_id="r", rule_version=2, **NAMED, scope="principal", group=("a",),
                                amount=2.5, append_time_us=6, scope_value="alice", **FIRED),
    "sightings": Sighting(agent_id=AGENT, run_id=RUN, kind="tool", name="mail.send", step_id=STEP_ID, append_time_us=6,
                          digest="ab", version="1.2", trace_id=TRACE, seq=3, identity="forged", partition=2,
                          uses=5),
    "activity": Activity(agent_id=AGENT, partition=3, offset=9, steps=4, by_kind={"message": 4}, input_tokens=1,
                         output_tokens=2, cost_usd=0.5, windows=(Window(start_us=10, steps=4),), uses={"tool": 2},
                         ungated=1, last_us=7, open_runs={RUN: 7}, ended_runs={"run-0": 6}),
    "incidents": Incident(
        incident_id="i", revision=2, agent_id=AGENT, run_id=RUN, trace_id=TRACE, title="t", severity="high", risk=47.5,
        status="contained", finding_ids=("f1", "f2"), findings_seen=3, verdict="benign", assignee="alice", opened_us=1,
        changed_us=2, drill=True,
    ),
    "decisions": Decision(
        decision_id="d", incident_id="i", finding_id="f", agent_id=AGENT, run_id=RUN, trace_id=TRACE, action="ask",
        wanted="stop", row="high", because="b", limited_by="rate", policy_version=2, rules_version=3, mode="enforce",
        command_id="c", approval_id="a", time_us=6,
    ),
    "approvals": Approval(
        approval_id="a", revision=2, status="approved", **NAMED, action_digest="ab" * 32, tool="mail.send",
        arguments={"to": "bob"}, question="q?", reason="r", evidence=_EVIDENCE, incident_id="i", finding_ids=("f",),
        irreversible=False, answered_by="alice", answer="yes", opened_us=1, expires_us=2,
    ),
    "commands": Command(
        command_id="c", action="stop", target=Target(agent_id=AGENT, run_id=RUN, step_id=STEP_ID, digest="ab"),
        arguments={"stop": "now"}, epoch=4, issued_us=1, expires_us=2, reason="r", incident_id="i", decision_id="d",
        finding_ids=("f",), person="alice",
    ),
    "receipts": Receipt(
        receipt_id="r", command_id="c", agent_id=AGENT, run_id=RUN, layer="supervisor", status="effective", reason="reaped",
        running=("mail.send",), last_seq={"": 2, TRACE: 7}, exit_status=-9, step_id=STEP_ID, since_step_us=1234, time_us=6,
    ),
    "containment": Containment(
        agent_id=AGENT, epoch=4, time_us=6,
        orders=(Order(command_id="c", action="quarantine", since_us=1, reason="r", arguments={"a": 1}),),
    ),
    "inventory": Inventory(
        agent_id=AGENT, owner="o", registered=True, mode="enforce", enforcement="process", first_seen_us=1, last_seen_us=2,
        runs=3, versions=("1",), models=("m",), tools=("t",), principals=("p",), delegates_to=("d",), called_by=("c",),
        resources=("db.example",), labels=("pii",), prompts=("ab",), definitions={"t": "cd"}, servers={"mcp": "ef"},
        grants=("g",), steps=9, calls=8, ungated=7, cost_usd=1.5, tokens=6, open_runs=(RUN,), settled=True,
    ),
    "verdicts": Verdict(
        verdict_id="v", kind="answer", agent_id=AGENT, run_id=RUN, incident_id="i", finding_id="f", approval_id="a",
        command_id="c", word="approved", reason="r", person="alice", time_us=6,
    ),
    "taints": Taint(kind="run", name=RUN, **NAMED, reason="r", tools={"t": "d"}, time_us=1, expires_us=2),
    "liveness": Liveness(
        component="detect", instance="host-1", generation=2, partitions=(0, 3), lag=5, behind_us=6, counters={"steps": 7},
        applied={"lictor.rules": 8}, policy_version=9, rules_version=10, time_us=11,
        bundle_version=12, rules_digest="d", rules_since={"3": 13}, rules_error="e",
    ),
    "audit": AuditHead(topic="lictor.steps", partition=3, first_offset=1, last_offset=2, records=2, chain="c",
                       merkle_root="m", time_us=6),
    "dead_letters": DeadLetter(
        dead_letter_id=dead_letter_id("lictor.steps", 3, 9), topic="lictor.steps", partition=3, offset=9, key="k",
        kind="not_json", reason="r", by="detect", agent_id=AGENT, length=10, digest=_DIGEST, head=_HEAD, append_time_us=6,
    ),
}  # fmt: skip
