"""Recorded sessions are judged as they would be live: one line each, in the design's own words, the same every time."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lictor.backtest import Backtest, Result, write_results
from lictor.policy_file import load_policies
from lictor.sessions import read_sessions
from schemas.errors import BadInput
from tests.unit.lictor._recorded import DECISIONS, answered, attack, called, honest, said, session, write
from tests.unit.lictor._verbs import run

GRANTS = "org: {grants: [{id: all, effect: allow, tools: ['*']}]}"


def bench(tmp_path: Path, policy: str = "") -> Backtest:
    """Return a backtest, by a policy if one is given."""
    if not policy:
        return Backtest(None)
    path = tmp_path / "policy.yml"
    path.write_text(f"version: 1\n{policy}\n", encoding="utf-8")
    return Backtest(load_policies(path, issued_us=1))


def results(tmp_path: Path, *sessions: dict[str, Any], policy: str = "") -> list[Result]:
    """Return what sessions come to."""
    judging = bench(tmp_path, policy)
    return [judging.judge(found) for found in read_sessions(write(tmp_path / "s.jsonl", sessions))]


def decisions(tmp_path: Path, recorded: dict[str, Any], policy: str) -> dict[str, str]:
    """Return what was decided in one session: rule → decision."""
    (result,) = results(tmp_path, recorded, policy=policy)
    return {found.finding.rule_id: found.decision for found in result.found}


def table(action: str, *, clearance: str = "", traits: str = "[egress, irreversible]") -> str:
    """Return a policy whose one row does this about tainted egress."""
    told = f", clearance: {clearance}" if clearance else ""
    row = f"autonomy: [{{id: r, rules: [lictor.tainted_egress], action: {action}{told}}}]"
    tools = f"traits: {{send_email: {traits}, get_webpage: [reads_untrusted], get_emails: [reads_sensitive]}}"
    grants = GRANTS.replace("org: {", f"org: {{{tools}, ")
    return f"defaults: {{mode: enforce}}\n{grants}\n{row}"


def test_every_session_is_one_line_also_where_nothing_was_found(tmp_path: Path) -> None:
    """Honest runs would be missing from the count that says how many were disturbed."""
    out, ticks = tmp_path / "out.jsonl", []
    recorded = [honest("a"), attack("b"), session("empty"), honest("é\n\ud800")]
    count = write_results(results(tmp_path, *recorded), out, lambda: ticks.append(1))
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert count == len(lines) == len(ticks) == 4
    assert [line["session_id"] for line in lines] == ["a", "b", "empty", "é\n\ud800"]
    assert lines[0] == {"session_id": "a", "findings": [], "first_intervention": None}


def test_an_attack_is_found_at_the_recorded_step(tmp_path: Path) -> None:
    """Scoring would hold the finding against another step than the one that did it."""
    line = results(tmp_path, attack())[0].as_json()
    found = line["findings"][0]
    assert found["rule_id"] == "lictor.injected.unasked"
    assert set(found) == {"step", "rule_id", "severity", "confidence", "reason", "decision"}
    assert (found["step"], found["rule_id"], found["decision"]) == (5, "lictor.injected.unasked", "ask")
    assert line["first_intervention"] == 5


def test_what_is_found_at_the_start_of_a_run_counts_for_its_first_step(tmp_path: Path) -> None:
    """A finding would point at step -1, which no recording has."""
    (result,) = results(tmp_path, honest(), policy="defaults: {mode: observe}")
    assert {found.finding.rule_id: found.step for found in result.found} == {
        "lictor.grants.unregistered": 0,
        "lictor.shadow.agent": 0,
    }


@pytest.mark.parametrize(
    "policy", ["", "defaults: {mode: observe}", f"defaults: {{mode: ask}}\n{GRANTS}", "defaults: {mode: enforce}"]
)
def test_decisions_are_words_of_the_design(tmp_path: Path, policy: str) -> None:
    """A scorer would count an unknown word as no intervention."""
    for result in results(tmp_path, attack(), honest(), policy=policy):
        assert {found.decision for found in result.found} <= DECISIONS


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        (table("stop"), "deny"),
        (table("stop", clearance="hold"), "hold"),
        (table("stop", clearance="ask"), "ask"),
        (table("quarantine"), "deny"),
        (table("pause"), "deny"),
        (table("ask"), "ask"),
        (table("hold"), "hold"),
        (table("observe"), "observe"),
    ],
)
def test_a_call_that_clearance_keeps_from_running_says_so_whatever_follows(
    tmp_path: Path, policy: str, word: str
) -> None:
    """A call that never ran would count as stopped too late."""
    assert decisions(tmp_path, attack(), policy)["lictor.tainted_egress"] == word


@pytest.mark.parametrize("action", ["stop", "pause", "quarantine", "ask", "observe"])
def test_a_call_that_does_not_wait_is_told_by_its_order(tmp_path: Path, action: str) -> None:
    """An order that races with the call would count as if it had kept the call from running."""
    assert decisions(tmp_path, attack(), table(action, traits="[egress]"))["lictor.tainted_egress"] == action


def test_a_call_that_the_gate_refuses_says_deny(tmp_path: Path) -> None:
    """What the policy alone prevents would look as if nothing had been done."""
    policy = "defaults: {mode: enforce}\norg: {grants: [{id: read, effect: allow, tools: ['get_*']}]}"
    found = decisions(tmp_path, attack(), policy)
    assert found["lictor.grants.denied"] == found["lictor.tainted_egress"] == "deny"


def test_a_call_without_a_grant_asks_in_mode_ask(tmp_path: Path) -> None:
    """Questions to people would not be counted, and "ask about everything" would look harmless."""
    policy = "defaults: {mode: ask}\norg: {grants: [{id: read, effect: allow, tools: ['get_*']}]}"
    found = decisions(tmp_path, attack(), policy)
    assert found["lictor.grants.denied"] == found["lictor.tainted_egress"] == "ask"


@pytest.mark.parametrize("effect", ["ask", "deny"])
def test_what_the_gate_does_alone_is_an_intervention(tmp_path: Path, effect: str) -> None:
    """Asking about everything makes no finding, and would look as if it disturbed nobody."""
    policy = f"defaults: {{mode: enforce}}\norg: {{grants: [{{id: all, effect: {effect}, tools: ['*']}}]}}"
    (result,) = results(tmp_path, honest(), policy=policy)
    assert result.first_intervention == result.as_json()["first_intervention"] == 1


def test_waiting_for_a_clearance_that_is_given_is_no_intervention(tmp_path: Path) -> None:
    """Every honest run with one irreversible call would count as disturbed."""
    sent = session("sent", said("Write to bob@example.org"), called("send_email", to="bob@example.org"))
    (result,) = results(tmp_path, sent, policy=table("stop"))
    assert result.first_intervention is None


def test_in_mode_observe_nothing_is_an_intervention(tmp_path: Path) -> None:
    """Watching would be counted as disturbing."""
    (result,) = results(tmp_path, attack(), policy=f"defaults: {{mode: observe}}\n{GRANTS}")
    assert result.found
    assert result.first_intervention is None


def test_the_first_intervention_is_the_earliest_step_that_was_not_only_watched(tmp_path: Path) -> None:
    """An intervention after the damage would count as one before it."""
    loop = [called("get_time", zone="utc"), answered("get_time", "noon")] * 12
    policy = f"defaults: {{mode: enforce}}\n{GRANTS}\nautonomy: [{{id: r, rules: [lictor.runaway.loop], action: stop}}]"
    (result,) = results(tmp_path, session("loop", said("go"), *loop), policy=policy)
    assert {(found.step, found.decision) for found in result.found} == {(0, "observe"), (17, "stop")}
    assert result.first_intervention == 17


def test_the_same_input_twice_gives_the_same_output(tmp_path: Path) -> None:
    """Nobody could tell a better rule from chance."""
    recorded = [attack("a"), honest("b"), attack("c")]
    outputs = []
    for name in ("one", "two"):
        write_results(results(tmp_path, *recorded), tmp_path / name, lambda: None)
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"", mtime=0)])
def test_a_file_without_a_session_is_told_and_gives_an_empty_result(home: Path, tmp_path: Path, content: bytes) -> None:
    """A recording that was never written would pass for one in which nothing was found."""
    (tmp_path / "s.jsonl").write_bytes(content)
    done = run("backtest", str(tmp_path / "s.jsonl"), "--out", str(tmp_path / "out"))
    assert (done.code, (tmp_path / "out").read_bytes()) == (0, b"")
    assert done.err == f"lictor: there is no session in {tmp_path / 's.jsonl'}: nothing is done with it\n"


def test_one_session_does_not_change_what_is_found_in_another(tmp_path: Path) -> None:
    """The order of a file would decide what is an attack."""
    alone = results(tmp_path, attack("b"))[0].as_json()
    after = results(tmp_path, attack("a"), honest("h"), attack("b"))[2].as_json()
    assert after == alone


def test_a_judged_trace_is_forgotten(tmp_path: Path) -> None:
    """A large recording would fill the memory, or evict its own sessions."""
    judging = bench(tmp_path)
    for found in read_sessions(write(tmp_path / "s.jsonl", [attack(str(number)) for number in range(20)])):
        judging.judge(found)
    assert len(judging.memory) == 0


def test_history_adds_no_line(tmp_path: Path, home: Path) -> None:
    """Honest sessions of the past would be counted among those under test."""
    file, past = write(tmp_path / "s.jsonl", [attack("a")]), write(tmp_path / "h.jsonl", [honest("h"), attack("p")])
    plain, settled = tmp_path / "plain", tmp_path / "settled"
    assert run("backtest", str(file), "--out", str(plain)).code == 0
    done = run("backtest", str(file), "--out", str(settled), "--history", str(past), "--json")
    assert json.loads(done.out) == {"sessions": 1, "decisions": {"ask": 1, "observe": 1}}
    assert settled.read_bytes() == plain.read_bytes()


def test_declared_tools_reach_the_start_of_the_run(tmp_path: Path, home: Path) -> None:
    """A recording could not be judged by the tools its agent was given."""
    file, tools = write(tmp_path / "s.jsonl", [honest()]), tmp_path / "tools.json"
    tools.write_text('{"lab/office": ["get_time"]}', encoding="utf-8")
    done = run("backtest", str(file), "--out", str(tmp_path / "out"), "--tools", str(tools))
    assert (done.code, done.out) == (0, f"1 sessions judged into {tmp_path / 'out'}; decisions on findings: none\n")


def test_an_input_that_breaks_off_leaves_the_results_of_before(tmp_path: Path) -> None:
    """Half a file of results would look like a whole one, and the last good one be gone."""
    out = tmp_path / "out.jsonl"
    out.write_text("before\n", encoding="utf-8")

    def breaks() -> Iterator[Result]:
        yield from results(tmp_path, honest())
        raise BadInput("line 2 is no session", where="here")

    with pytest.raises(BadInput, match="line 2"):
        write_results(breaks(), out, lambda: None)
    assert out.read_text(encoding="utf-8") == "before\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_the_file_that_is_read_is_not_written_over(tmp_path: Path) -> None:
    """A slip of the hand would empty the recording, and report success."""
    file = tmp_path / "sessions.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    ran = run("backtest", str(file), "--out", str(file))
    assert (ran.code, file.read_text(encoding="utf-8")) == (2, "{}\n")
    assert "--out names the file that is read" in ran.err
