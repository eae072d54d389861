"""What lets an agent do more is seen at a glance, and nothing that does is missed."""

import json
from pathlib import Path
from typing import Any

import pytest

from lictor.policy_diff import differences
from lictor.policy_file import load_policies
from tests.unit.lictor._verbs import run

OLD: dict[str, Any] = {
    "version": 1,
    "defaults": {
        "mode": "enforce",
        "clearance": {"traits": ["spends"]},
        "content": {"fields": {"reasoning": "digest"}},
    },
    "org": {"budgets": {"steps": 100}, "traits": {"pay": ["spends"]}},
    "agents": {
        "bot": {
            "grants": [
                {"id": "pay", "effect": "allow", "tools": ["pay"], "when": {"arguments.eur": {"gt": 0, "lte": 500}}},
                {"id": "no", "effect": "deny", "tools": ["drop", "wipe"], "when": {"arguments.all": {"eq": True}}},
                {"id": "cap", "effect": "narrow", "tools": ["search"], "narrow": {"arguments.limit": 10}},
            ]
        }
    },
}


def changed(tmp_path: Path, change: Any) -> tuple[Path, Path]:
    """Return the files of the old policy and of one that was changed."""
    new = json.loads(json.dumps(OLD))
    change(new)
    for name, said in (("old.yml", OLD), ("new.yml", new)):
        (tmp_path / name).write_text(json.dumps(said), encoding="utf-8")
    return tmp_path / "old.yml", tmp_path / "new.yml"


def grant(new: dict[str, Any], at: int) -> dict[str, Any]:
    """Return one grant of the bot."""
    found: dict[str, Any] = new["agents"]["bot"]["grants"][at]
    return found


WIDER = {
    "a bound is raised": lambda new: grant(new, 0)["when"]["arguments.eur"].update(lte=900),
    "a bound is dropped": lambda new: grant(new, 0)["when"]["arguments.eur"].pop("gt"),
    "a condition is dropped": lambda new: grant(new, 0).update(when={}),
    "another tool is allowed": lambda new: grant(new, 0).update(tools=["pay", "refund"]),
    "an allow is new": lambda new: new["agents"]["bot"]["grants"].append(
        {"id": "x", "effect": "allow", "tools": ["x"]}
    ),
    "a refusal is gone": lambda new: new["agents"]["bot"]["grants"].pop(1),
    "a refusal names fewer tools": lambda new: grant(new, 1).update(tools=["drop"]),
    "a refusal has one more condition": lambda new: grant(new, 1)["when"].update({"arguments.x": {"eq": 1}}),
    "a refusal becomes a question": lambda new: grant(new, 1).update(effect="ask"),
    "a cap is raised": lambda new: grant(new, 2).update(narrow={"arguments.limit": 99}),
    "a cap becomes an allow": lambda new: grant(new, 2).update(effect="allow", narrow={}),
    "the mode is softer": lambda new: new["defaults"].update(mode="ask"),
    "a budget is raised": lambda new: new["org"]["budgets"].update(steps=200),
    "a budget is gone": lambda new: new["org"].pop("budgets"),
    "fewer calls wait": lambda new: new["defaults"]["clearance"].update(traits=[]),
    "no answer means yes": lambda new: new["defaults"]["clearance"].update(on_timeout="allow"),
    "a tool loses a trait": lambda new: new["org"].update(traits={"pay": []}),
    "a tool is trusted": lambda new: new["org"].update(trusted_tools=["web.get"]),
    "less is kept secret": lambda new: new["defaults"]["content"].update(fields={}),
    "less is denied at a cold start": lambda new: new["defaults"].update(cold_start_deny=[]),
}
NARROWER = {
    "a bound is lowered": lambda new: grant(new, 0)["when"]["arguments.eur"].update(lte=100),
    "a condition is added": lambda new: grant(new, 0)["when"].update({"arguments.x": {"eq": 1}}),
    "an allow is gone": lambda new: new["agents"]["bot"]["grants"].pop(0),
    "a refusal is new": lambda new: new["agents"]["bot"]["grants"].append(
        {"id": "x", "effect": "deny", "tools": ["x"]}
    ),
    "a refusal names more tools": lambda new: grant(new, 1).update(tools=["drop", "wipe", "shred"]),
    "a refusal has no condition": lambda new: grant(new, 1).update(when={}),
    "an allow becomes a question": lambda new: grant(new, 0).update(effect="ask"),
    "a budget is lowered": lambda new: new["org"]["budgets"].update(steps=50),
    "more calls wait": lambda new: new["defaults"]["clearance"].update(traits=["spends", "egress"]),
}


@pytest.mark.parametrize("change", WIDER.values(), ids=WIDER.keys())
def test_what_lets_an_agent_do_more_is_marked(tmp_path: Path, change: Any) -> None:
    """A reviewer would put a wider policy in force and not see it."""
    old, new = changed(tmp_path, change)
    found = differences(load_policies(old), load_policies(new))
    assert found[0].widens
    assert {"bot"} <= {each.agent for each in found}


@pytest.mark.parametrize("change", NARROWER.values(), ids=NARROWER.keys())
def test_what_lets_an_agent_do_less_is_told_and_not_marked(tmp_path: Path, change: Any) -> None:
    """A reviewer would stop looking at marks, because everything has one."""
    old, new = changed(tmp_path, change)
    found = differences(load_policies(old), load_policies(new))
    assert found
    assert not any(each.widens for each in found)


def test_the_verb_says_it_in_lines_and_by_its_exit_status(tmp_path: Path) -> None:
    """A pipeline could not refuse a wider policy."""
    old, new = map(str, changed(tmp_path, WIDER["a bound is raised"]))
    ran = run("policy", "diff", old, new, "--fail-on-widening")
    assert ran.code == 1
    assert ran.out.startswith("WIDER bot: allow tools pay where arguments.eur above 0 and at most 500 → ")
    assert run("policy", "diff", old, new).code == 0
    same = run("policy", "diff", old, old, "--fail-on-widening")
    assert (same.code, same.out) == (0, "")
    assert json.loads(run("policy", "diff", new, old, "--json").out)[0]["widens"] is False
