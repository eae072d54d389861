"""`lictor policy risk`, asked of a policy file and of a real history."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lictor.history import History
from lictor.policy_file import words
from lictor.policy_history import Edge
from lictor.policy_seen import edges_in, levels_in, tools_in
from lictor.sql_http import SqlEndpoint
from schemas.inventory import Inventory
from schemas.policy import ANY_AGENT, AgentPolicy, Grant, Layer
from schemas.step import DeclaredTool, Gate
from storage.store import Store
from tests.unit.lictor._observed import Life, archive, archive_messages, archive_policy, serve
from tests.unit.lictor._verbs import run

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLE = str(DOCS / "examples" / "policy.yml")
PAGE = DOCS / "how-to" / "least-privilege.md"
GIVER, TAKER = "risk-giver", "risk-taker"


@pytest.fixture(scope="module")
def endpoint(store: Store, history: Path) -> Iterator[SqlEndpoint]:
    """Yield the endpoint of a history in which one agent hands work to two others, and one of them hides it."""
    giver = Life(GIVER, namespace=3000)
    giver.step("run_started", tools=(DeclaredTool("notes.read"),))
    giver.call("web.get", url="https://a.example/")
    giver.step("tool_call", tool="db.drop", gate=Gate("deny"), arguments={})
    giver.step("handoff", to_agent=TAKER)
    giver.step("handoff", to_agent="risk-refused", gate=Gate("deny"))
    giver.run = 1
    giver.step("handoff", to_agent=TAKER)
    archive(store, giver.steps)
    taker = Life(TAKER, namespace=3000)
    taker.call("payments.create", amount=5)
    taker.run, taker.delegation = 1, (GIVER,)
    taker.call("payments.create", amount=5)
    archive(store, taker.steps)
    other = Life("risk-third", namespace=3500, delegation=(GIVER, TAKER))
    other.call("get_time")
    archive(store, other.steps)
    inventory = Inventory(agent_id=TAKER, enforcement="process", first_seen_us=1, last_seen_us=1)
    archive_messages(store, "inventory", [inventory], TAKER)
    policy = AgentPolicy(agent_id=TAKER, version=1, issued_us=1, mode="enforce", words=words())
    grants = (Grant(id="pay", effect="allow", tools=("payments.create",)),)
    archive_policy(store, policy.model_copy(update={"layers": (Layer(name=f"agent {TAKER}", grants=grants),)}))
    anybody = {"agent_id": ANY_AGENT, "registered": False, "mode": "observe"}
    archive_policy(store, policy.model_copy(update=anybody))
    served = SqlEndpoint(history, 0)
    served.start()
    yield served
    served.stop()


def test_hand_overs_are_seen_from_both_sides(endpoint: SqlEndpoint) -> None:
    """An agent that does not say for whom it acts would hide the chain by which it got its rights."""
    with History(endpoint.address) as history:
        edges = [edge for edge in edges_in(history, 0) if edge.giver.startswith("risk-")]
    assert edges == [Edge(GIVER, TAKER, 2, unnamed=1), Edge(TAKER, "risk-third", 1)]


def test_an_agent_has_the_tools_it_called_and_those_it_declared(endpoint: SqlEndpoint) -> None:
    """A tool that was only tried would count as reached, or one that is there and unused not at all."""
    with History(endpoint.address) as history:
        assert tools_in(history, 0)[GIVER] == ("notes.read", "web.get")
        assert levels_in(history)[TAKER] == "process"


def test_rights_gained_by_a_hand_over_that_was_seen_are_told(home: Path, endpoint: SqlEndpoint) -> None:
    """The chain by which any page makes an agent pay would be in the history and nowhere else."""
    serve(home, endpoint.address)
    said = json.loads(run("policy", "risk", "--json").out)
    gains = [one for one in said["risks"] if (one["kind"], one["agent"]) == ("gained", GIVER)]
    assert [(one["traits"], one["path"][0]["chain"]) for one in gains] == [
        (["irreversible", "mutates", "spends"], [GIVER, TAKER])
    ]
    ranked = {one["agent"]: one for one in said["agents"]}
    assert (ranked[GIVER]["enforcement"], ranked[TAKER]["enforcement"]) == ("none", "process")
    assert said["history"] is True


def test_a_file_alone_is_judged_by_its_grants_and_that_is_said(home: Path) -> None:
    """A policy could be judged only after it was in force; or silence about hand-overs be taken for there being none."""
    ran = run("policy", "risk", EXAMPLE)
    assert ran.code == 0
    assert "support reads untrusted content and sensitive data, and can send out" in ran.out
    assert "  support: tickets.read (reads_untrusted)" in ran.out
    assert "  the least that closes it: agent support: grant answer" in ran.out
    assert "not looked at: hand-overs and tools that were seen" in ran.err


def test_a_pipeline_can_refuse_a_risky_policy(home: Path, tmp_path: Path) -> None:
    """A combination could be merged because nobody looked, or a harmless policy be held up."""
    path = tmp_path / "policy.yml"
    grants = "[{id: a, effect: allow, tools: [get_time]}]"
    path.write_text(f"version: 1\ndefaults: {{mode: enforce}}\nagents:\n  a:\n    grants: {grants}\n", encoding="utf-8")
    assert run("policy", "risk", str(path), "--fail-on-risk").code == 0
    assert run("policy", "risk", EXAMPLE, "--fail-on-risk").code == 1


def test_of_very_many_risks_the_first_are_told_and_how_many_there_are(home: Path, tmp_path: Path) -> None:
    """The ones that matter most would scroll out of sight, or the rest go unmentioned."""
    grants = [{"id": "all", "effect": "allow", "tools": ["web.get", "shell.exec"]}]
    agents = {f"a{at:03}": {"grants": grants} for at in range(120)}
    said = {"version": 1, "defaults": {"mode": "enforce"}, "agents": agents}
    (tmp_path / "policy.yml").write_text(json.dumps(said), encoding="utf-8")
    ran = run("policy", "risk", str(tmp_path / "policy.yml"))
    assert ran.out.count("the least that closes it") == 100
    assert len(json.loads(run("policy", "risk", str(tmp_path / "policy.yml"), "--json").out)["risks"]) == 120
    assert "and 20 more: --json tells all" in ran.out


def test_the_grant_of_the_page_closes_what_the_page_says(home: Path, tmp_path: Path) -> None:
    """Who follows the page would be told that he has not."""
    said = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    found = []
    for text in (said.partition("      - id: no-mail")[0], said):
        (tmp_path / "policy.yml").write_text(text, encoding="utf-8")
        risks = json.loads(run("policy", "risk", str(tmp_path / "policy.yml"), "--json").out)["risks"]
        found.append([(one["kind"], one["waits"]) for one in risks])
    assert found == [[("exfiltration", True)], []]


def test_names_of_agents_cannot_move_the_cursor(home: Path, tmp_path: Path) -> None:
    """An agent could overwrite what is said about it on the screen."""
    grants: Any = [{"id": "a\u001b[2J", "effect": "allow", "tools": ["web.\u001b[2J", "crm.read", "mail.send"]}]
    said = {"version": 1, "defaults": {"mode": "enforce"}, "agents": {"a": {"grants": grants}}}
    (tmp_path / "policy.yml").write_text(json.dumps(said), encoding="utf-8")
    ran = run("policy", "risk", str(tmp_path / "policy.yml"))
    assert "a·[2J" in ran.out
    assert "\x1b" not in ran.out
