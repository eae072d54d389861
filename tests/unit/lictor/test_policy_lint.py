"""`lictor policy lint`: what is allowed in a policy file and yet is hardly meant."""

import json
from pathlib import Path

import pytest

from tests.unit.lictor._verbs import Ran, run

READ = "{id: read, effect: allow, tools: [crm.read]}"
BUDGET = "budgets: {steps: 5}, "


def linted(tmp_path: Path, grants: str, *options: str, mode: str = "enforce", budgets: str = BUDGET) -> Ran:
    """Lint a policy with one agent of these grants."""
    path = tmp_path / "policy.yml"
    agent = f"agents: {{bot: {{mode: {mode}, {budgets}clearance: {{traits: []}}, grants: [{grants}]}}}}"
    path.write_text(f"version: 1\n{agent}\n", encoding="utf-8")
    return run("policy", "lint", str(path), *options)


def test_a_policy_that_is_meant_as_it_stands_is_told_nothing(tmp_path: Path) -> None:
    """Warnings that always come are warnings nobody reads."""
    assert linted(tmp_path, READ, "--strict") == Ran(0, "", "")


@pytest.mark.parametrize(
    ("grants", "told"),
    [
        (
            f"{READ}, {{id: never, effect: deny, tools: ['crm.*']}}",
            "grant read: never decides: grant never is stricter",
        ),
        (f"{READ}, {{id: a, effect: ask, tools: [crm.read]}}", "grant read: never decides: grant a is stricter"),
        ("{id: all, effect: allow, tools: ['*']}", "grant all: allows every tool"),
        ("{id: z, effect: deny, tools: [x.read], when: {arguments.n: {gt: 5, lt: 5}}}", "no value meets the condition"),
        ("{id: z, effect: allow, tools: [zzq.qqz]}", "tool zzq.qqz has no known word and no traits"),
    ],
)
def test_what_is_hardly_meant_is_told(tmp_path: Path, grants: str, told: str) -> None:
    """A grant that does nothing, or too much, would be found out in production."""
    ran = linted(tmp_path, grants)
    assert told in ran.out
    assert ran.code == 0
    assert linted(tmp_path, grants, "--strict").code == 1


@pytest.mark.parametrize("grant", ["tools: ['crm.rea?']", "tools: ['crm.*'], when: {arguments.n: {gt: 1}}"])
def test_a_refusal_that_may_not_hold_covers_nothing(tmp_path: Path, grant: str) -> None:
    """An author would drop a grant that was needed."""
    wide = READ.replace("crm.read", "'crm.*'") if "?" in grant else READ
    ran = linted(tmp_path, f"{wide}, {{id: never, effect: deny, {grant}}}")
    assert "never decides" not in ran.out
    assert ran.code == 0


def test_modes_and_budgets_that_protect_nobody_are_told(tmp_path: Path) -> None:
    """A team would believe itself protected by grants that hold nothing up."""
    assert "mode observe holds nothing up" in linted(tmp_path, READ, mode="observe").out
    assert "is enforced without any budget" in linted(tmp_path, READ, budgets="").out


def test_clearance_that_waits_for_nothing_is_told(tmp_path: Path) -> None:
    """A tool whose trait was forgotten would not wait."""
    budgets = f"{BUDGET}cold_start_deny: [], "
    assert "clearance waits" not in linted(tmp_path, READ, budgets=budgets).out
    path = tmp_path / "policy.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("{traits: []}", "{traits: [spends]}"), encoding="utf-8")
    assert "no granted tool has the trait spends" in run("policy", "lint", str(path)).out


def test_what_loading_refuses_is_an_error(tmp_path: Path) -> None:
    """A check before the merge would pass what Lictor then refuses."""
    ran = linted(tmp_path, READ.replace("tools", "tool"), "--json")
    said = json.loads(ran.out)
    assert said[0]["level"] == "error"
    assert "agents.bot.grants.0.tool" in said[0]["what"]
    assert ran.code == 1
