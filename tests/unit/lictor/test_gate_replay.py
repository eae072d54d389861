"""What the gate would have said of a recorded call is what the SDK's gate says of it live."""

import pytest

from detectors.policy_view import PolicyView
from detectors.state import FlowState, Reading, TraceEntry, TraceState
from lictor.gate_replay import gated, reads_so_far
from lictor_agent import gate as live
from lictor_agent.policy import read_policy
from schemas.ids import content_digest
from schemas.policy import AgentMode, AgentPolicy, Clearance, Grant, Layer, Test
from schemas.step import Step, content, read_step
from schemas.step import encode_step as encoded
from tests.unit.streams._builders import step

GRANTS = (
    Grant(id="read", effect="allow", tools=("crm.read",)),
    Grant(id="send", effect="allow", tools=("mail.send",), when={"arguments.to": Test(glob=("*@example.org",))}),
    Grant(id="never", effect="deny", tools=("db.drop",), reason="never"),
    Grant(id="ask", effect="ask", tools=("pay",)),
    Grant(id="wait", effect="clear", tools=("deploy",)),
    Grant(id="less", effect="narrow", tools=("search",), narrow={"arguments.limit": 10}),
    Grant(id="clean", effect="allow", tools=("post",), when={"reads": Test(none_of=("untrusted",))}),
    Grant(id="model", effect="allow", models=("good",)),
    Grant(id="peer", effect="allow", agents=("clerk",)),
)
CALLS = [
    step(1, "tool_call", tool="crm.read", arguments={}),
    step(1, "tool_call", tool="mail.send", arguments={"to": "bob@example.org"}),
    step(1, "tool_call", tool="mail.send", arguments={"to": "eve@evil.example"}),
    step(1, "tool_call", tool="mail.send", arguments={"to": ["bob@example.org", "eve@evil.example"]}),
    step(1, "tool_call", tool="db.drop"),
    step(1, "tool_call", tool="pay", arguments={"amount": 5}),
    step(1, "tool_call", tool="deploy"),
    step(1, "tool_call", tool="search", arguments={"limit": 100}),
    step(1, "tool_call", tool="post"),
    step(1, "tool_call", tool="unheard.of"),
    step(1, "model_call", model="good"),
    step(1, "model_call", model="bad"),
    step(1, "handoff", to_agent="clerk"),
    step(1, "handoff", to_agent="stranger"),
]
MODES: tuple[AgentMode, ...] = ("observe", "ask", "enforce")


def policy(mode: AgentMode) -> AgentPolicy:
    """Return a policy with a grant of every kind."""
    return AgentPolicy(
        agent_id="a", version=7, issued_us=1, mode=mode, layers=(Layer(name="org", grants=GRANTS),),
        traits={"mail.send": ("egress", "irreversible")}, clearance=Clearance(traits=("irreversible",)),
        words={"read": (), "search": ()},
    )  # fmt: skip


def live_verdict(mode: AgentMode, call: Step, reads: tuple[str, ...]) -> tuple[str, str]:
    """Return what the SDK's gate says of a call, and by which grant."""
    compiled = live.Compiled(read_policy(policy(mode).value()))
    kind = {"model_call": "models", "handoff": "agents"}.get(call.kind, "tools")
    values = {"arguments": call.arguments or {}, "reads": list(reads)}
    answer = compiled.judge(live.Call(kind, call.tool or call.model or call.to_agent, values))
    verdict = live.verdict_in(mode, answer)
    waits = kind == "tools" and not compiled.traits(call.tool).isdisjoint(compiled.policy.clearance.traits)
    return ("hold" if verdict in ("allow", "narrow") and mode != "observe" and waits else verdict), answer.grant


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reads", [(), ("untrusted",), ("untrusted", "sensitive")])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.tool or call.model or call.to_agent}")
def test_the_replayed_gate_says_what_the_live_gate_says(mode: AgentMode, reads: tuple[str, ...], call: Step) -> None:
    """Figures of a backtest would tell of a gate that no agent has."""
    found = gated(call, PolicyView(policy(mode)), reads)
    assert found.gate is not None
    assert (found.gate.verdict, found.gate.grant) == live_verdict(mode, call, reads)
    assert (found.gate.policy_version, found.gate.mode) == (7, mode)


def test_every_verdict_is_replayed() -> None:
    """A kind of answer would be missing from every figure."""
    verdicts = {gate.verdict for call in CALLS if (gate := gated(call, PolicyView(policy("enforce"))).gate) is not None}
    assert verdicts == {"allow", "narrow", "deny", "ask", "hold"}


@pytest.mark.parametrize("kind", ["message", "tool_result", "run_started", "run_ended", "heartbeat", "memory_read"])
def test_what_asks_no_gate_is_left_as_it_is(kind: str) -> None:
    """A message would look as if a gate had let it through."""
    one = step(1, kind)
    assert gated(one, PolicyView(policy("enforce"))) is one


def test_a_replayed_step_is_one_that_detect_believes() -> None:
    """What is ingested would go to dead letters."""
    for call in CALLS:
        found = gated(call, PolicyView(policy("enforce")))
        assert read_step(encoded(found)) == found
        assert found.digest == (call.digest if found.asked is None else content_digest(content(found)))


@pytest.mark.parametrize("mode", MODES)
def test_a_narrowed_call_is_replayed_with_what_its_tool_would_have_got(mode: AgentMode) -> None:
    """A backtest would judge arguments that no tool ever gets."""
    found = gated(step(1, "tool_call", tool="search", arguments={"limit": 100}), PolicyView(policy(mode)))
    narrowed = ({"limit": 10}, {"limit": 100})
    assert (found.arguments, found.asked) == (({"limit": 100}, None) if mode == "observe" else narrowed)


def test_what_a_trace_has_read_is_what_the_gate_in_the_process_would_know() -> None:
    """A grant that ends once something untrusted was read would never end in a backtest."""
    reading = Reading("0" * 32, 1, "read")
    both = TraceEntry("a", marked=TraceState(FlowState(untrusted=[reading], sensitive=[reading])))
    one = TraceEntry("a", marked=TraceState(FlowState(sensitive=[reading])))
    assert [reads_so_far(state) for state in (None, TraceEntry("a"), one, both)] == [
        (),
        (),
        ("sensitive",),
        ("untrusted", "sensitive"),
    ]
