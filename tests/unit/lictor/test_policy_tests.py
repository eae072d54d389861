"""Tests inside a policy file: they ask the agents' own gate, and every change of a grant must break one of them."""

import json
from pathlib import Path

import pytest

from lictor.policy_file import folder, load_policies
from tests.unit.lictor._verbs import Ran, run

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "policy.yml"
HEAD = """version: 1
defaults: {mode: enforce, clearance: {traits: [spends]}}
agents:
  bot:
    grants:
      - {id: pay, effect: allow, tools: [pay], when: {arguments.eur: {lte: 100}}}
      - {id: read, effect: allow, tools: [crm.read]}
      - {id: tell, effect: ask, tools: [mail.send]}
tests:
"""
PAYS = "  - {say: small, agent: bot, tool: pay, arguments: {eur: 100}, expect: hold, grant: pay}\n"
TESTS = f"""{HEAD}{PAYS}
  - {{say: large, agent: bot, tool: pay, arguments: {{eur: 101}}, expect: deny}}
  - {{say: reads, agent: bot, tool: crm.read, expect: allow}}
  - {{say: asks, agent: bot, tool: mail.send, expect: ask}}
  - {{say: no more, agent: bot, tool: crm.drop, arguments: {{eur: 1}}, expect: deny, grant: ""}}
"""


def tried(tmp_path: Path, text: str, *options: str) -> Ran:
    """Run the tests of a policy of this text."""
    path = tmp_path / "policy.yml"
    path.write_text(text, encoding="utf-8")
    return run("policy", "test", str(path), *options)


def test_tests_that_pass_and_notice_every_change_are_a_success(tmp_path: Path) -> None:
    """A team could never make its policy's check green."""
    ran = tried(tmp_path, TESTS)
    assert ran.out.splitlines()[-1] == "5 tests, 0 failed, 0 changes of grants unnoticed"
    assert ran.code == 0


def test_a_failure_says_what_was_said_instead_and_by_which_grant(tmp_path: Path) -> None:
    """An author would know that a test fails, and not why."""
    ran = tried(tmp_path, TESTS.replace("expect: ask}", "expect: allow}"))
    line = next(line for line in ran.out.splitlines() if line.startswith("FAILED"))
    assert line.startswith("FAILED    asks: expected allow, but the gate says ask by grant tell")
    assert ran.code == 1


def test_the_right_answer_by_another_grant_fails(tmp_path: Path) -> None:
    """A test would go on passing by accident when the grant it is about is gone."""
    ran = tried(tmp_path, TESTS.replace("grant: pay}", "grant: read}"))
    assert "expected hold by read, but the gate says hold by grant pay" in ran.out
    assert ran.code == 1


@pytest.mark.parametrize(
    ("left_out", "unnoticed"),
    [
        ("say: large", "pay: no test notices arguments.eur: lte moved outwards"),
        ("say: reads", "read: no test notices the grant dropped"),
        ("say: no more", "pay: no test notices tools: pay widened to *"),
        ("say: asks", "tell: no test notices effect allow"),
    ],
)
def test_a_change_that_no_test_notices_is_told(tmp_path: Path, left_out: str, unnoticed: str) -> None:
    """Whoever loosens a grant would see every test pass."""
    text = "\n".join(line for line in TESTS.splitlines() if left_out not in line)
    ran = tried(tmp_path, text)
    assert f"untested  agent bot: {unnoticed}" in ran.out.splitlines()
    assert ran.code == 1
    assert tried(tmp_path, text, "--allow-untested").code == 0


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("{say: s, agent: bot, tool: pay, expects: deny}", "tests.0.expect"),
        ("{say: s, agent: bot, tool: pay, expect: deny, time: {our: 3}}", "tests.0.time.our"),
        ("{say: s, agent: bot, tool: pay, expect: refuse}", "tests.0.expect"),
        ("{say: s, agent: bto, tool: pay, expect: deny}", "tests.0.agent: no agent is called 'bto'"),
        ("{say: s, agent: bot, tool: pay, model: m, expect: deny}", "only one of these"),
        ("{say: s, agent: bot, expect: deny}", "only one of these"),
    ],
)
def test_a_misspelt_test_is_refused_at_its_place(tmp_path: Path, case: str, told: str) -> None:
    """A test that says nothing would count as one that passes."""
    ran = tried(tmp_path, f"{HEAD}  - {case}\n")
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1
    assert ran.code == 2


def test_json_says_the_same(tmp_path: Path) -> None:
    """A pipeline would have to parse sentences."""
    ran = tried(tmp_path, f"{HEAD}{PAYS}", "--json")
    said = json.loads(ran.out)
    assert said["tests"][0]["said"]["verdict"] == "hold"
    assert {"layer": "agent bot", "grant": "read", "change": "the grant dropped"} in said["untested"]


@pytest.mark.parametrize("path", [EXAMPLE, folder() / "default.yml"], ids=["example", "default"])
def test_the_policies_that_come_with_lictor_are_tested(path: Path) -> None:
    """The example that everybody copies would be one whose grants nobody checked."""
    ran = run("policy", "test", str(path))
    assert ran.code == 0, ran.out


def test_what_a_file_name_smuggles_in_is_escaped(tmp_path: Path) -> None:
    """A test's sentence could rewrite the reviewer's terminal."""
    ran = tried(tmp_path, TESTS.replace("say: reads", 'say: "re\\e[2Jads"'))
    assert "\x1b" not in ran.out
    assert "re·[2Jads" in ran.out


def test_show_gives_an_agent_what_it_would_be_sent() -> None:
    """A developer's own tests would run against another policy than production's."""
    sent = json.loads(run("policy", "show", str(EXAMPLE), "invoices", "--json").out)
    published = load_policies(EXAMPLE, issued_us=sent["issued_us"]).of("invoices")
    assert sent == published.model_dump(mode="json")
    assert "tests" not in sent


def test_show_names_layers_grants_and_conditions() -> None:
    """A reader would have to put the layers together by hand."""
    out = run("policy", "show", str(EXAMPLE), "invoices").out.splitlines()
    assert out[0] == "invoices: mode enforce, policy version 1, owner finance@example.com"
    assert out[-1] == "  agent invoices: pay-small: allow payments.create under conditions"


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "huge"])
def test_what_is_no_policy_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    """A wrong path would end in a stack trace, or in a machine without memory."""
    path = tmp_path / "policy.yml"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    ran = run("policy", "test", str(path))
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert str(path) in ran.err
