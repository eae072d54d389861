"""Rule files looked at as a whole: what is refused, what each rule's tests say, what a person should know."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detectors.engine.compiled import witnesses
from detectors.engine.engine import Engine
from detectors.engine.load import Loaded, load_rules
from detectors.engine.load_checks import never_met
from detectors.engine.mutations import Recall, recall
from detectors.engine.plan import Correlation, Rule
from detectors.engine.ruletests import Result, cases_of, run_case
from lictor.bundles import folder, rule_sources
from lictor.policy_file import words
from schemas.errors import BadRule
from schemas.rule_file import Case

FALLBACK = 0.5
"""A rule that finds fewer of its own attacks once they are disguised in one way is told of."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a rule, or worth knowing, and where it stands."""

    level: str
    """`error` or `warning`."""
    place: str
    what: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule with the results of its tests, and with how many of its attacks it finds in disguise."""

    rule: Rule | Correlation
    results: tuple[Result, ...]
    recall: dict[str, Recall] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every test came as it says."""
        return all(result.passed for result in self.results)


class Rules:
    """Rules of files and folders, loaded as far as they can be."""

    def __init__(self, places: Iterable[Path] = (), *, untested: bool = False) -> None:
        chosen = list(places) or [folder()]
        self.loaded: Loaded = load_rules(rule_sources(chosen), untested=untested)
        self.engine = Engine(self.loaded.rules)
        self.bad: list[Problem] = [Problem("error", each.place, each.why) for each in self.loaded.refused]
        self.cases: dict[str, tuple[Case, ...]] = {}
        for rule in self.all:
            try:
                self.cases[rule.id] = cases_of(self.loaded.tests.get(rule.id, ()), rule.id)
            except BadRule as error:
                self.bad.append(Problem("error", rule.about.place, str(error)))

    @property
    def all(self) -> tuple[Rule | Correlation, ...]:
        """Return every rule and correlation that is loaded, in order."""
        return (*self.loaded.rules.rules, *self.loaded.rules.correlations)

    @property
    def documents(self) -> int:
        """How many rules there are, refused ones among them."""
        return len(self.all) + len({each.place for each in self.loaded.refused})

    def find(self, name: str) -> Rule | Correlation:
        """Return a rule by its id, its name or its title. Raises `BadRule`."""
        for rule in self.all:
            if name in (rule.id, rule.name, rule.about.title, f"sigma.{rule.id}"):
                return rule
        raise BadRule(f"no rule is called {name!r}; `lictor rules list` names them")

    def try_rule(self, rule: Rule | Correlation, *, disguised: bool = True) -> Tried:
        """Run a rule's tests, and its firing ones in every disguise. Raises `BadRule` where a test has no steps to run."""
        cases, known = self.cases.get(rule.id, ()), words()
        results = tuple(run_case(self.engine, rule.id, case, known) for case in cases)
        sound = disguised and all(result.passed for result in results)
        return Tried(rule, results, recall(self.engine, rule.id, cases, known) if sound else {})

    def problems(self) -> list[Problem]:
        """Return all that is wrong, then all that is worth knowing."""
        found = list(self.bad)
        for rule in self.all:
            found.extend(Problem("warning", rule.about.place, f"{rule.about.title}: {what}") for what in _doubts(rule))
        return sorted(found, key=lambda each: (each.level, each.place))


def _doubts(rule: Rule | Correlation) -> Sequence[str]:
    found = []
    speaks = isinstance(rule, Correlation) or rule.generate
    if speaks and not rule.about.description:
        found.append("no description: nobody can tell what a finding means")
    if speaks and not rule.about.falsepositives:
        found.append("no falsepositives: nobody can tell what harmless thing looks the same")
    if isinstance(rule, Rule) and witnesses(rule.condition) is None:
        found.append("it has no witness and is judged on every step: ask a text, a tool or a kind of it")
    if isinstance(rule, Rule):
        found.extend(f"no step is ever {what}" for what in never_met(rule.condition))
    return found
