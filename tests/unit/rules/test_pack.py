"""The rules that come with Lictor: each loads, does what its own tests say, and tells a person what to do."""

import pytest

from detectors.engine.mutations import Recall
from detectors.engine.plan import Correlation, Rule
from lictor.rules_check import Rules, Tried

RISKS = {f"owasp.asi{number:02d}" for number in range(1, 11)}


@pytest.fixture(scope="module")
def pack() -> Rules:
    """The pack, loaded as `lictor up` loads it."""
    return Rules()


@pytest.fixture(scope="module")
def tried(pack: Rules) -> list[Tried]:
    """Every rule with its tests run."""
    return [pack.try_rule(rule, disguised=False) for rule in pack.all]


def test_no_rule_of_the_pack_is_refused_or_doubtful(pack: Rules) -> None:
    """`lictor up` would start without rules, or judge every step by one that cannot be looked up."""
    assert pack.problems() == []


def test_every_rule_of_the_pack_does_what_its_tests_say(tried: list[Tried]) -> None:
    """A rule would be silent when it is needed, or stop honest agents; and nobody would know."""
    failed = [(each.rule.about.title, result) for each in tried for result in each.results if not result.passed]
    assert failed == []
    assert sum(len(each.results) for each in tried) > 3 * 60


def test_every_finding_of_the_pack_says_what_it_means_and_what_to_do(pack: Rules) -> None:
    """An analyst who is woken by a rule needs to know why it matters, what else looks like it, and the next step."""
    spoken = [rule for rule in pack.all if isinstance(rule, Correlation) or rule.generate]
    lacking = [
        rule.about.title
        for rule in spoken
        if not (rule.about.description and rule.about.falsepositives and rule.about.runbook and rule.about.references)
    ]
    assert lacking == []
    assert len(spoken) >= 60


def test_the_pack_looks_at_every_risk_of_agentic_applications(pack: Rules) -> None:
    """A whole kind of attack would pass unseen."""
    seen = {tag for rule in pack.all for tag in rule.about.tags}
    assert seen >= RISKS
    assert any(tag.startswith("atlas.") for tag in seen)


def test_a_disguise_does_not_hide_most_attacks(pack: Rules) -> None:
    """Who writes his order with invisible letters would walk past rules that look for it in plain ones."""
    chosen: list[Rule | Correlation] = list(pack.all)[::6]
    total: dict[str, Recall] = {}
    for rule in chosen:
        for kind, found in pack.try_rule(rule).recall.items():
            known = total.get(kind)
            total[kind] = found if known is None else Recall(known.found + found.found, known.of + found.of)
    assert {"percent", "base64", "zero_width", "homoglyph"} <= set(total)
    weak = {
        kind: found for kind, found in total.items() if kind not in ("case", "split") and found.found < found.of / 2
    }
    assert weak == {}
