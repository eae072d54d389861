"""A proposal lets everything through that the agent did and nothing speaks against, and little else."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.policy_view import PolicyView, facts_of
from lictor.policy_calls import Call
from lictor.policy_file import load_policies, words
from lictor.policy_gate import compiled
from lictor.policy_lint import warnings
from lictor.policy_suggest import Proposal, suggest
from lictor.policy_suggest_cases import cases_of
from lictor.policy_suggest_file import text_of
from lictor.policy_tests import run_cases, survivors
from lictor_agent.gate import Call as Asked
from schemas.policy import AgentPolicy, Grant, Layer, Test
from schemas.step import Step
from tests.unit.lictor._observed import Life, calls
from tests.unit.strategies import arguments, examples, texts, tool_names

BARE = AgentPolicy(agent_id="bot", version=3, issued_us=1, owner="you@example.com", words=words())


def worker() -> Life:
    """Return an agent that pays, writes, reads and searches."""
    life = Life("bot", principal="al@acme.example")
    for at in range(40):
        life.call("payments.create", amount_eur=at * 11, invoice=f"INV-2026-{at:04}", currency="EUR")
        more = {"cc": "boss@acme.example"} if at % 4 == 0 else {}
        life.call("mail.send", to=[f"p{at}@{'abc'[at % 3]}.customer.example"], body=f"Dear {at}, hello", **more)
        life.call("files.read", path=f"/srv/data/{at}/x.txt", how={"follow": False})
        life.step("model_call", model="small-1")
    return life


def file_of(proposal: Proposal, policy: AgentPolicy, folder: Path) -> Path:
    """Write the proposal as a file."""
    path = folder / "proposed.yml"
    cases = cases_of(proposal, proposal.applied_to(policy))
    path.write_text(text_of(proposal, policy, cases, ["proposed"]), encoding="utf-8")
    return path


def grants(proposal: Proposal) -> dict[str, Grant]:
    """Return the proposed grants by id."""
    return {one.grant.id: one.grant for one in proposal.grants}


def judged(proposal: Proposal, policy: AgentPolicy, step: Step) -> str:
    """Return what the policy with the proposal in it says of a step."""
    return PolicyView(proposal.applied_to(policy)).judge(step).effect


def test_the_file_passes_its_own_tests_and_each_of_them_matters(tmp_path: Path) -> None:
    """Whoever takes the proposal over would begin with grants that nothing holds in place."""
    loaded = load_policies(file_of(suggest(calls(worker()), BARE), BARE, tmp_path))
    assert warnings(loaded) == []
    assert [outcome.case.say for outcome in run_cases(loaded) if not outcome.passed] == []
    assert survivors(loaded) == []
    assert {case.expect for case in loaded.tests} == {"allow", "deny", "hold"}
    assert (loaded.of("bot").owner, loaded.of("bot").version) == ("you@example.com", 4)


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("payments.create", {"amount_eur": 700, "invoice": "INV-2026-0001", "currency": "EUR"}),
        ("payments.create", {"amount_eur": 100, "invoice": "INV-2026-0001", "currency": "RUB"}),
        ("mail.send", {"to": ["p1@a.customer.example", "eve@evil.example"], "body": "x"}),
        ("mail.send", {"to": ["p1@a.customer.example"], "body": "x", "cc": "eve@evil.example"}),
        ("files.read", {"path": "/srv/data/../../etc/passwd", "how": {"follow": False}}),
        ("files.read", {"path": "/srv/data/1", "how": {"follow": True}}),
        ("files.delete", {"path": "/srv/data/1", "how": {"follow": False}}),
    ],
)
def test_a_call_beside_what_was_seen_is_refused(tool: str, said: dict[str, Any]) -> None:
    """The proposal would be as wide as no policy at all."""
    assert judged(suggest(calls(worker()), BARE), BARE, Life("bot").call(tool, **said)) == "deny"


@pytest.mark.parametrize(
    "who", [{"delegation": ("stranger",)}, {"principal": "eve@evil.example"}, {"principal": ""}], ids=str
)
def test_nobody_else_may_act_through_the_agent(who: dict[str, Any]) -> None:
    """A stranger could use the agent's rights by handing work to it."""
    said = {"amount_eur": 5, "invoice": "INV-2026-0001", "currency": "EUR"}
    proposal = suggest(calls(worker()), BARE)
    life = Life("bot", principal="al@acme.example")
    assert judged(proposal, BARE, life.call("payments.create", **said)) == "allow"
    step = life.step("tool_call", tool="payments.create", arguments=said, **who)
    assert judged(proposal, BARE, step) == "deny"


def test_models_are_granted_and_hand_overs_that_never_were_are_refused() -> None:
    """Work could leave the agent for others whom it never knew."""
    proposal, life = suggest(calls(worker()), BARE), Life("bot")
    assert judged(proposal, BARE, life.step("model_call", model="small-1")) == "allow"
    assert judged(proposal, BARE, life.step("model_call", model="large-9")) == "deny"
    assert judged(proposal, BARE, life.step("handoff", to_agent="anyone")) == "deny"


@pytest.mark.parametrize("speaks_against", ["flagged", "denied", "failed", "unknown"])
def test_what_was_refused_or_flagged_earns_no_right(speaks_against: str) -> None:
    """An attacker who tries often enough would be granted what he tries."""
    bad = Life("bot", run=7)
    for _ in range(30):
        bad.call("shell.run", cmd="id")
    rules = ("lictor.injected.value",) if speaks_against == "flagged" else ()
    outcome: Any = "executed" if rules else speaks_against
    told = [Call(step, outcome, rules) for step in bad.steps if step.kind == "tool_call"]
    proposal = suggest([*calls(worker()), *told], BARE)
    assert not any("shell.run" in grant.tools for grant in grants(proposal).values())
    assert [(one.what, one.calls) for one in proposal.left_out] == [("shell.run", 30)]
    assert not rules or "lictor.injected.value" in proposal.left_out[0].why


def test_what_was_hardly_seen_is_proposed_only_on_demand() -> None:
    """One accident would become a right."""
    life = worker()
    life.call("crm.export", table="customers")
    seldom = suggest(calls(life), BARE)
    assert [(one.what, one.calls, one.why) for one in seldom.left_out] == [("crm.export", 1, "fewer than 5 calls")]
    assert "crm-export" in grants(suggest(calls(life), BARE, least=1))


@pytest.mark.parametrize("name", ["*", "mail.*", "mail.sen?"])
def test_a_tool_whose_name_is_a_pattern_is_never_granted(name: str) -> None:
    """An agent that calls a tool `*` would have every tool granted."""
    life = worker()
    for _ in range(9):
        life.call(name)
    proposal = suggest(calls(life), BARE, least=1)
    assert not any(name in grant.tools for grant in grants(proposal).values() if grant.effect == "allow")
    assert (name, 9) in [(one.what, one.calls) for one in proposal.left_out]


def test_what_restricts_the_agent_already_stays() -> None:
    """The proposal would take a refusal away and call itself narrower."""
    own = (
        Grant(id="no-pay", effect="deny", tools=("payments.*",), when={"reads": Test(eq="untrusted")}),
        Grant(id="cleared", effect="clear", tools=("*",), when={"reads": Test(eq="untrusted")}),
        Grant(id="all", effect="allow", tools=("*",)),
    )
    policy = BARE.model_copy(update={"layers": (Layer(name="agent bot", grants=own),), "mode": "enforce"})
    found = grants(suggest(calls(worker()), policy))
    assert found["no-pay"] == own[0]
    assert set(found["cleared"].tools) == {"payments.create", "mail.send", "files.read"}
    assert "all" not in found


def test_values_that_were_hidden_make_no_condition() -> None:
    """The gate sees the real value: a condition on what hides it would refuse every call."""
    life = Life("bot")
    for at in range(20):
        life.call("mail.send", to=f"[redacted:email:{at % 2}]", folder="out")
    found = grants(suggest(calls(life), BARE))["mail-send"]
    assert set(found.when) == {"arguments.folder"}


def test_more_forms_than_can_be_told_apart_are_put_together() -> None:
    """Optional arguments would multiply into grants that nobody reads."""
    life = Life("bot")
    for at in range(64):
        life.call("search", q="x", **{f"o{bit}": 1 for bit in range(6) if at >> bit & 1})
    found = [one for one in suggest(calls(life), BARE).grants if one.grant.tools == ("search",)]
    assert len(found) == 4
    assert any("too many forms" in line for line in found[0].said)


CALLS = st.lists(
    st.builds(
        lambda tool, said, who, chain: (tool, said, who, chain),
        st.sampled_from(["mail.send", "get"]) | tool_names(),
        arguments(),
        st.sampled_from(["", "al@acme.example"]) | texts(20),
        st.lists(texts(12).filter(bool), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=8,
)


@given(CALLS)
@examples(80)
def test_every_observed_done_unflagged_call_is_let_through(seen: list[tuple[str, Any, str, tuple[str, ...]]]) -> None:
    """The day the proposal is put in force the agent would stop doing its work."""
    life = Life("bot")
    for tool, said, who, chain in seen:
        life.step("tool_call", tool=tool[:128], arguments=said, principal=who, delegation=chain)
    proposal = suggest(calls(life), BARE, least=1)
    ours = [step for step in life.steps if not set(step.tool) & {"*", "?"}]
    assert all(judged(proposal, BARE, step) == "allow" for step in ours)
    gate = compiled(proposal.applied_to(BARE))
    assert all(gate.judge(Asked("tools", step.tool, facts_of(step, ()).values, {})).effect == "allow" for step in ours)


@given(CALLS, texts(30).filter(lambda text: text.isprintable()))
@examples(40)
def test_the_file_says_what_was_proposed_whatever_agents_call_things(
    tmp_path_factory: pytest.TempPathFactory, seen: list[tuple[str, Any, str, tuple[str, ...]]], name: str
) -> None:
    """A tool's name could end its comment or its string, and write a grant of its own into the policy."""
    agent = "a" + name[:100]
    life = Life(agent)
    for tool, said, who, chain in seen:
        life.step("tool_call", tool=tool[:128], arguments=said, principal=who, delegation=chain)
    policy = BARE.model_copy(update={"agent_id": agent})
    proposal = suggest(calls(life), policy, least=1)
    loaded = load_policies(file_of(proposal, policy, tmp_path_factory.mktemp("proposed")))
    assert loaded.of(agent).layers == proposal.applied_to(policy).layers
    assert [outcome.case for outcome in run_cases(loaded) if not outcome.passed] == []
