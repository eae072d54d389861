"""`lictor policy suggest`, asked of a real history and of recorded sessions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lictor import policy_history
from lictor.history import History
from lictor.policy_file import load_policies, words
from lictor.policy_history import calls_in, policies_in
from lictor.sql_http import SqlEndpoint
from schemas.policy import ANY_AGENT, AgentPolicy, Grant, Layer
from schemas.step import Gate
from schemas.verdict import Verdict
from storage.store import Store
from tests.unit.lictor._observed import (
    DAY_MS,
    Life,
    a_finding,
    archive,
    archive_messages,
    archive_policy,
    serve,
)
from tests.unit.lictor._recorded import answered, called, said, session, write
from tests.unit.lictor._verbs import Ran, run

AGENT = "suggest-bot"


@pytest.fixture(scope="module")
def endpoint(store: Store, history: Path) -> Iterator[SqlEndpoint]:
    """Yield the endpoint of a history that holds a month of one agent, and its policy in force."""
    life = Life(AGENT, principal="al@acme.example", namespace=1000)
    for at in range(30):
        life.run = at // 5
        life.call("payments.create", amount_eur=at * 10)
        life.call("mail.send", to=f"p{at}@customer.example")
    life.run = 50
    for at in range(9):
        life.call("shell.run", "executed", cmd=f"id {at}")
    flagged = [step for step in life.steps if step.tool == "shell.run" and step.kind == "tool_call"]
    life.run = 51
    for _ in range(9):
        life.call("files.list", path="/srv/a/x.txt")
    cleared = [step for step in life.steps if step.tool == "files.list" and step.kind == "tool_call"]
    life.run = 52
    life.step("tool_call", tool="crm.export", tool_call_id="no", gate=Gate("deny"), arguments={})
    for _ in range(9):
        life.step("tool_call", tool="drill.tool", tool_call_id="", arguments={}, drill="d")
    life.run = 53
    for _ in range(9):
        life.call("strange.tool")
    strange = [step for step in life.steps if step.tool == "strange.tool"]
    archive(store, life.steps)
    old = Life(AGENT, namespace=2000, run=60)
    for _ in range(9):
        old.call("old.tool")
    archive(store, old.steps, life_ago())
    findings = [a_finding(flagged[0], "lictor.injected.value"), a_finding(cleared[0], "lictor.novelty.tool")]
    unmarked = a_finding(strange[0], "lictor.identity.unmarked", confidence=0.6, severity="medium")
    archive_messages(store, "findings", [*findings, unmarked], AGENT)
    verdict = {
        "verdict_id": "v", "kind": "verdict", "agent_id": AGENT, "finding_id": findings[1].finding_id, "word": "benign",
        "reason": "known", "person": "al", "time_us": 1,
    }  # fmt: skip
    archive_verdict(store, Verdict.model_validate(verdict))
    grants = (Grant(id="all", effect="allow", tools=("payments.*", "crm.*")),)
    policy = AgentPolicy(agent_id=AGENT, version=4, issued_us=1, owner="al@acme.example", words=words())
    archive_policy(store, policy.model_copy(update={"layers": (Layer(name=f"agent {AGENT}", grants=grants),)}))
    archive_policy(store, policy.model_copy(update={"version": 9}), signed_by="")
    archive_policy(store, policy.model_copy(update={"agent_id": ANY_AGENT, "registered": False}))
    served = SqlEndpoint(history, 0)
    served.start()
    yield served
    served.stop()


def life_ago() -> int:
    """Return a moment 30 days ago, in milliseconds."""
    import time  # noqa: PLC0415

    return int(time.time() * 1000) - 30 * DAY_MS


def archive_verdict(store: Store, verdict: Verdict) -> None:
    """Put a verdict into the history as one that its signer may sign."""
    row: dict[str, Any] = {
        "kafka_topic": "suggest.verdicts", "kafka_partition": 0, "kafka_offset": 0, "kafka_time": 1.0,
        "signed_by": "al", **json.loads(verdict.value()),
    }  # fmt: skip
    store.insert("verdicts", [json.dumps(row).encode()], "suggest.verdicts")


@pytest.fixture
def ask(home: Path, endpoint: SqlEndpoint) -> Any:
    """Return what asks the command line about this history."""
    serve(home, endpoint.address)

    def asked(*words: str) -> Ran:
        return run("policy", "suggest", *words)

    return asked


def test_the_history_becomes_a_file_that_lint_and_test_accept(ask: Any, tmp_path: Path) -> None:
    """Whoever asks for a proposal could not put it in force."""
    ran = ask(AGENT)
    assert ran.code == 0, ran.err
    path = tmp_path / "proposed.yml"
    path.write_text(ran.out, encoding="utf-8")
    assert run("policy", "lint", str(path), "--strict").code == 0
    assert run("policy", "test", str(path)).code == 0
    policy = load_policies(path).of(AGENT)
    assert (policy.version, policy.owner, policy.mode) == (5, "al@acme.example", "enforce")
    tools = {tool for grant in policy.layers[0].grants for tool in grant.tools if grant.effect == "allow"}
    assert tools == {"payments.create", "mail.send", "files.list"}


def test_what_was_left_out_and_what_is_unused_is_told(ask: Any) -> None:
    """A flagged call would vanish from sight, and a grant that nobody needs would stay for an attacker."""
    told = json.loads(ask(AGENT, "--json").out)
    left = {(one["what"], one["why"]): one["calls"] for one in told["left_out"]}
    assert left == {
        ("shell.run", "flagged by lictor.injected.value"): 9,
        ("strange.tool", "flagged by lictor.identity.unmarked"): 9,
        ("crm.export", "refused"): 1,
    }
    assert told["unused"] == [{"layer": f"agent {AGENT}", "grant": "all", "globs": ["crm.*"], "whole": False}]
    assert (told["done"]["calls"], told["done"]["denied"]) == (69, 0)
    assert (told["flagged"]["calls"], told["flagged"]["denied"]) == (19, 19)
    ran = ask(AGENT)
    assert "shell.run\t9\tflagged by lictor.injected.value" in ran.err
    assert "over the newer 20 %" in ran.err


def test_a_proposal_that_fits_too_closely_shows_on_the_calls_held_back(ask: Any) -> None:
    """Nobody would know before production how much of tomorrow's work it refuses."""
    held = json.loads(ask(AGENT, "--json").out)["held_back"]
    assert held["calls"] == 14
    assert [(one["what"], one["calls"]) for one in held["refused"]] == [("files.list", 9)]


def test_what_anybody_could_have_sent_earns_no_right_unless_asked_for(ask: Any) -> None:
    """Whoever can write to the topic would have his own calls granted in the agent's name."""
    assert "- id: strange-tool" not in ask(AGENT).out
    assert "- id: strange-tool" in ask(AGENT, "--unmarked").out


def test_only_the_span_asked_for_is_looked_at(ask: Any) -> None:
    """A right that was needed long ago would be proposed again."""
    assert "old.tool" not in ask(AGENT).out
    assert "old.tool" in ask(AGENT, "--since", "6w").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nobody-knows-me",), "no call of 'nobody-knows-me' is there"),
        ((AGENT, "--least", "99"), "nothing to propose from"),
        ((AGENT, "--since", "soon"), "is no span of time: write 30m, 24h, 7d or 4w"),
    ],
)
def test_nothing_to_propose_is_told_with_what_to_do(ask: Any, arguments: tuple[str, ...], told: str) -> None:
    """An empty policy would be taken for a proposal, and refuse everything."""
    ran = ask(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_the_policies_in_force_are_those_that_were_signed(endpoint: SqlEndpoint, ask: Any) -> None:
    """Whoever writes to the topic could have his own grants taken for those in force."""
    with History(endpoint.address) as history:
        assert policies_in(history)[AGENT].version == 4


def test_more_than_can_be_looked_at_is_read_in_pages_newest_first(
    endpoint: SqlEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy agent's week would fill the memory, or its latest calls be the ones that are missing."""
    with History(endpoint.address) as history:
        whole = calls_in(history, AGENT, 0)
        monkeypatch.setattr(policy_history, "PAGE", 7)
        assert calls_in(history, AGENT, 0) == whole
        monkeypatch.setattr(policy_history, "MOST_CALLS", 20)
        newest = calls_in(history, AGENT, 0)
    assert (whole.more, newest.more) == (False, True)
    drills = 9  # among the newest, read and left out
    assert newest.calls == whole.calls[drills - 20 :]


def test_recorded_sessions_can_be_asked_instead(home: Path, tmp_path: Path) -> None:
    """Without a Lictor that has run for a week nobody could try it."""
    steps = [
        part for at in range(9) for part in (called("get_time", zone=f"UTC+{at % 2}"), answered("get_time", "noon"))
    ]
    file = write(tmp_path / "s.jsonl", [session("one", said("When?"), *steps)])
    ran = run("policy", "suggest", "lab/office", "--sessions", str(file))
    assert ran.code == 0, ran.err
    (tmp_path / "proposed.yml").write_text(ran.out, encoding="utf-8")
    policy = load_policies(tmp_path / "proposed.yml").of("lab/office")
    assert "get_time" in {tool for grant in policy.layers[0].grants for tool in grant.tools}
    assert "too few calls to hold any back" in ran.err
