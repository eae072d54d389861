"""The rules and steps that benchmarks measure with: what the figures stand on."""

import random

import pytest

from benchmarks import detect, memory, rsigma, workload
from benchmarks.rule_mix import rules
from benchmarks.texts import MOST, RESULT, Texts
from detectors.engine.engine import Engine
from detectors.engine.load import load_rules
from detectors.engine.plan import RuleSet
from detectors.facts import Facts
from schemas.step import encode_step
from tests.reference.plain_matcher import matches

SEED = 11
STEPS = 12_000


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Return steps as they travel."""
    return [encode_step(step) for step in workload.steps(SEED, STEPS, 1)]


@pytest.fixture(scope="module")
def firing() -> RuleSet:
    """Return those of 3,000 rules that are to fire now and then."""
    return load_rules({path: text for path, text in rules(SEED, 3000).items() if "50.yml" in path}, untested=True).rules


@pytest.fixture(scope="module")
def found(lines: list[bytes], firing: RuleSet) -> set[rsigma.Match]:
    """Return which of them fires on which step."""
    return rsigma.fired(lines, firing)


def test_every_rule_is_loaded_and_has_a_witness() -> None:
    """A figure for 3,000 rules would be one for fewer, or for rules that nobody would write."""
    loaded = load_rules(rules(SEED, 400), untested=True)
    assert loaded.refused == []
    assert len(loaded.rules.rules) == 400
    assert Engine(loaded.rules).compiled.always == ()


def test_more_rules_are_the_same_rules_and_more() -> None:
    """The cost of many rules would be compared with that of other rules."""
    few = rules(SEED, 30)
    assert few.items() <= rules(SEED, 60).items()
    assert few != rules(SEED + 1, 30)


def test_findings_are_rare_and_of_every_kind(found: set[rsigma.Match]) -> None:
    """Equal sets of matches would say nothing if nothing matched, and the rate nothing if much did."""
    assert 0 < len({step for _, step in found}) < STEPS // 100
    assert len({int(rule[-12:]) // 100 % 7 for rule, _ in found}) >= 6, "of the seven ways in which a rule may look"


def test_the_plain_matcher_finds_the_same(lines: list[bytes], firing: RuleSet, found: set[rsigma.Match]) -> None:
    """The fast engine would be measured on answers that are wrong."""
    facts = Facts()
    some = [detect.seen_of(line, at, facts) for at, line in enumerate(lines[:4000])]
    held = {(rule, seen.step.step_id) for seen in some for rule in matches(firing, seen, rsigma.Nothing())}
    steps = {seen.step.step_id for seen in some}
    assert held == {(rule, step) for rule, step in found if step in steps} != set()


def test_rsigma_finds_the_same() -> None:
    """Two engines would be compared that do different work."""
    program = rsigma.find()
    if program is None:
        pytest.skip(f"no rsigma: {rsigma.HOW}")
    [row] = rsigma.measure(program, SEED, STEPS // 3, [800])
    assert row["differing"] == 0
    assert row["matches"] > 0


def test_no_rsigma_is_no_row() -> None:
    """A benchmark on a machine without it would fail, or invent a figure."""
    assert rsigma.find(given="/nowhere/rsigma") is None


def test_steps_look_like_recorded_ones() -> None:
    """A rate on short plain texts would promise what no agent's steps allow."""
    made = list(workload.steps(SEED, STEPS, 1))
    assert made == list(workload.steps(SEED, STEPS, 1))
    results = sorted(len(step.text) for step in made if step.kind == "tool_result" and step.text != "ok")
    assert 0.7 < results[len(results) // 2] / RESULT[0] < 1.4
    assert 0.7 < results[len(results) * 9 // 10] / RESULT[1] < 1.4
    assert results[-1] < 2 * MOST
    assert any(not step.text.isascii() for step in made)
    assert any(step.text.startswith("[{") for step in made)


def test_a_run_is_one_trace_without_a_gap() -> None:
    """State would be kept for traces that never were, and the sequence detector would speak on every step."""
    made = list(workload.run(random.Random(SEED), Texts(SEED), 7, 1))
    assert [step.seq for step in made] == list(range(1, len(made) + 1))
    assert len({(step.trace_id, step.run_id, step.agent_id) for step in made}) == 1


def test_memory_is_measured_and_the_bound_holds() -> None:
    """One agent's flood would cost the others their state, or the worker its memory."""
    figures = memory.run(runs=300)
    bound = figures["bound"]
    assert figures["runs"] == 300
    assert figures["checkpoint_bytes_per_run"] > 100
    assert bound["held_of_that_agent"] == bound["traces_per_agent"]
    assert bound["evicted"] == bound["opened_by_one_agent"] - bound["traces_per_agent"]
    assert bound["others_evicted"] == 0
