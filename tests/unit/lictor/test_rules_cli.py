"""`lictor rules`: what is wrong with rules, what they find, what they say in words."""

import json
from pathlib import Path

import pytest

from lictor.rules_coverage import RISKS
from tests.unit.detectors.engine.engine_builders import HEAD, rule_of
from tests.unit.lictor._verbs import run

TESTED = """lictor:
  tests:
    - {say: hit, fires: true, steps: [{kind: message, text: the secret formula}]}
    - {say: miss, fires: false, near_miss: true, steps: [{kind: message, text: the secret}]}
"""
GOOD = rule_of("a:\n  kind: message\n  text|contains: secret formula\ncondition: a", HEAD + TESTED)
LOOKALIKES = {
    "command.yml": "a:\n  event_type: tool_call\n  command|contains: curl\ncondition: a",
    "session.yml": "a:\n  session.alert_count|gte: 3\ncondition: a",
    "window.yml": "a:\n  tool_name: bash\n  time_window: 60s\ncondition: a",
    "look.yml": "a:\n  content|re: '(?!x)y'\ncondition: a",
    "install.yml": "a:\n  event_type: plugin_installation\ncondition: a",
}
"""Rules as others publish them, written for this test."""


def written(folder: Path, **texts: str) -> str:
    """Write rule files, `.yml` left out; return their folder."""
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
    return str(folder)


def test_the_rules_that_come_with_lictor_load_and_pass_their_tests() -> None:
    """Lictor would be shipped with rules that do not hold what they promise."""
    ran = run("rules", "test", "--json")
    said = json.loads(ran.out)
    assert said["refused"] == []
    assert [rule["rule"] for rule in said["rules"] if not rule["passed"]] == []
    assert ran.code == 0


def test_lint_says_how_many_rules_of_others_load_and_why_each_other_does_not(tmp_path: Path) -> None:
    """A team would not learn which of the rules it brought along are blind here."""
    for number, (name, text) in enumerate(LOOKALIKES.items()):
        (tmp_path / name).write_text(rule_of(text, HEAD.replace("t\n", f"t{number}\n")), encoding="utf-8")
    ran = run("rules", "lint", "--untested", str(tmp_path), "--json")
    said = json.loads(ran.out)
    assert (said["rules"], said["loaded"], ran.code) == (5, 1, 1)
    errors = {each["place"]: each["what"] for each in said["problems"] if each["level"] == "error"}
    assert errors.keys() == {"session.yml:6", "window.yml:7", "look.yml:6", "install.yml:6"}
    assert run("rules", "lint", "--untested", str(tmp_path)).out.endswith("1 of 5 rules load\n")


def test_lint_tells_of_tests_that_are_none(tmp_path: Path) -> None:
    """A misspelt test would count as tested."""
    ran = run("rules", "lint", written(tmp_path, bad=GOOD.replace("text: the secret}", "txt: the secret}")))
    assert ran.code == 1
    assert "lictor.tests.1.steps.0.txt" in ran.out


def test_lint_warns_of_what_nobody_can_know(tmp_path: Path) -> None:
    """Rules without a word on what they mean would go into force unseen."""
    folder = written(tmp_path, good=GOOD)
    assert run("rules", "lint", folder).code == 0
    ran = run("rules", "lint", folder, "--strict")
    assert ran.code == 1
    assert "falsepositives" in ran.out


def test_a_test_that_fails_is_named_and_fails_the_run(tmp_path: Path) -> None:
    """A change that breaks a rule would pass the check."""
    ran = run("rules", "test", written(tmp_path, bad=GOOD.replace("the secret formula}", "the secret}")))
    assert ran.code == 1
    assert "FAILED   t: hit: should fire  (bad.yml:1)" in ran.out
    assert "1 failed" in ran.out


def test_disguises_that_hide_an_attack_are_told_and_fail_nothing(tmp_path: Path) -> None:
    """Nobody would learn how a rule is got around, or a rule of words could never pass."""
    ran = run("rules", "test", written(tmp_path, good=GOOD), "--json")
    (rule,) = json.loads(ran.out)["rules"]
    assert (rule["passed"], ran.code) == (True, 0)
    assert rule["recall"]["homoglyph"] == {"found": 1, "of": 1}
    assert rule["recall"]["split"] == {"found": 0, "of": 1}


@pytest.mark.parametrize("name", ["t", "T", "sigma.t"])
def test_explain_says_in_words_what_a_rule_fires_on(tmp_path: Path, name: str) -> None:
    """Whoever is asked to approve could not tell what the rule is about."""
    ran = run("rules", "explain", name, "--rules", written(tmp_path, good=GOOD))
    assert 'text contains "secret formula"' in ran.out
    assert 'judged once this is seen: "secret formula"' in ran.out
    assert "split over several steps" in ran.out
    assert "ok: miss (silent)" in ran.out


def test_explain_of_no_rule_says_so(tmp_path: Path) -> None:
    """A misspelt name would end in a stack trace."""
    ran = run("rules", "explain", "nobody", "--rules", written(tmp_path, good=GOOD))
    assert ran.code == 2
    assert "nobody" in ran.err


def test_explain_says_what_a_correlation_waits_for(tmp_path: Path) -> None:
    """A sequence could not be understood without reading its YAML."""
    steps = "steps: [{kind: message, text: the secret formula}]"
    tests = f"lictor:\n  tests:\n    - {{say: a, fires: true, {steps}}}\n    - {{say: b, fires: false, {steps}}}\n"
    body = "correlation:\n  type: event_count\n  rules: [t]\n  group-by: [agent_id]\n  timespan: 5m\n  condition: {gte: 3}\n"
    folder = written(tmp_path, good=GOOD, more=f"title: C\nname: c\n{body}{tests}")
    assert (
        "event_count is at least 3, within 300 s, in the same trace, separately for each agent_id"
        in run("rules", "explain", "c", "--rules", folder).out
    )


def test_coverage_is_of_what_names_each_risk(tmp_path: Path) -> None:
    """A risk that nothing looks for would seem covered."""
    tagged = GOOD.replace("logsource", "tags: [owasp.asi09]\nlogsource")
    said = {
        each["tag"]: each for each in json.loads(run("rules", "coverage", written(tmp_path, good=tagged), "--json").out)
    }
    assert said.keys() == RISKS.keys()
    assert (said["owasp.asi09"]["rules"], said["owasp.asi09"]["how"]) == (["t"], "partly")
    assert said["atlas.aml.t0070"]["how"] == "not"
    assert "lictor.grants" in said["owasp.asi02"]["detectors"]


def test_a_new_rule_loads_and_passes(tmp_path: Path) -> None:
    """The first step of whoever writes a rule would be an error."""
    assert run("rules", "new", "family/my-rule", "--folder", str(tmp_path)).code == 0
    assert run("rules", "lint", "--strict", str(tmp_path)).code == 0
    assert run("rules", "test", str(tmp_path)).code == 0
    again = run("rules", "new", "family/my-rule", "--folder", str(tmp_path))
    assert (again.code, "already" in again.err) == (2, True)


@pytest.mark.parametrize("name", ["../x", "a b", "", "x/$y"])
def test_a_rule_cannot_be_written_outside_its_folder(tmp_path: Path, name: str) -> None:
    """A slip would overwrite some other file."""
    assert run("rules", "new", name, "--folder", str(tmp_path)).code == 2
    assert list(tmp_path.iterdir()) == []


def test_list_and_fields_name_what_there_is(tmp_path: Path) -> None:
    """Nobody would know what is in force, nor what a rule can ask."""
    (row,) = json.loads(run("rules", "list", written(tmp_path, good=GOOD), "--json").out)
    assert (row["id"], row["tests"], row["place"]) == ("t", 2, "good.yml:1")
    assert "value.origin" in json.loads(run("rules", "fields", "--json").out)
