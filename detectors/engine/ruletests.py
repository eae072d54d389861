"""The tests inside rules: steps written short, judged by all of Lictor's own judgement, and which rules fired on them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from detectors.base import Seen
from detectors.engine.engine import Engine
from detectors.engine.firings import Completed
from detectors.engine.sums import Sums, scope_values
from detectors.facts import Facts
from detectors.inspect import ALL, inspect, see
from detectors.policy_view import PolicyView
from detectors.rules import SigmaRules, StepContext, absences
from detectors.state import Memory, RunState, TraceState
from schemas import ids
from schemas.errors import BadRule
from schemas.finding import Finding
from schemas.policy import AgentPolicy, Grant, Layer, Trait
from schemas.rule_file import Case, CaseStep
from schemas.step import Gate, Step

BEGIN_US: Final = 1_800_000_000_000_000
BETWEEN_US: Final = 1_000_000
"""From one step to the next, where a test does not say."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OWN: Final = ("agent", "run", "trace", "after", "traits", "gate", "kind")
_GATE: Final = Gate("allow", "test", 1, "grant", "enforce")

Words = Mapping[str, tuple[Trait, ...]]


class Result(msgspec.Struct, frozen=True):
    """What came of one test."""

    rule: str
    case: Case
    fired: bool

    @property
    def passed(self) -> bool:
        """Whether it came as the test says."""
        return self.fired == self.case.fires


def cases_of(raw: Sequence[Any], rule: str) -> tuple[Case, ...]:
    """Return a rule's tests as they stand in its file. Raises `BadRule` with the first thing that is wrong."""
    found: list[Case] = []
    for number, each in enumerate(raw):
        try:
            found.append(Case.model_validate(each))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, ("lictor.tests", number, *first["loc"])))
            what = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"]
            raise BadRule(f"{where}: {what}", where=rule) from None
    return tuple(found)


class Recorder(SigmaRules):
    """Judges as ever, and notes what fired: rules that are silent, or only feed others, as well."""

    def __init__(self) -> None:
        self.fired: set[str] = set()

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Return the findings; note every rule that holds."""
        if facts.engine is not None:
            outcome = facts.engine.compiled.match(seen, StepContext(seen, trace, run, facts))
            self.fired.update(rule.id for rule in outcome.fired)
        found = super().judge(seen, trace, run, facts)
        self.note(found)
        return found

    def completed(self, engine: Engine, done: Completed, seen: Seen) -> list[Finding]:
        """Note a correlation that came to hold, also one that only feeds others."""
        self.fired.add(done.correlation)
        return super().completed(engine, done, seen)

    def note(self, found: Sequence[Finding]) -> None:
        """Note what findings of correlations say."""
        self.fired.update(each.rule_id.removeprefix("sigma.") for each in found)


class Replay:
    """Steps of one test, judged one after the other by the rules, the flow of data and the counts of Lictor itself."""

    def __init__(self, engine: Engine, words: Words) -> None:
        self.engine = engine
        self.recorder = Recorder()
        self.facts = Facts(engine=engine)
        self._words = dict(words)
        self._traits: dict[str, tuple[Trait, ...]] = {}
        self._memory = Memory(64)
        self._sums = Sums()
        self._numbers: dict[tuple[str, str], itertools.count[int]] = {}
        self._now_us = BEGIN_US
        self._watch = tuple(self.recorder if isinstance(each, SigmaRules) else each for each in ALL)

    def judge(self, steps: Sequence[CaseStep], then: str | None = None) -> frozenset[str]:
        """Return the ids of all rules and correlations that fired, the time after the last step included."""
        for number, short in enumerate(steps):
            self._now_us += _microseconds(short.after) if short.after else BETWEEN_US if number else 0
            self._judge(short)
        if then is not None:
            self._pass_time(_microseconds(then))
        return frozenset(self.recorder.fired)

    def _judge(self, short: CaseStep) -> None:
        step = self._step(short)
        self.facts.policies.setdefault(step.agent_id, self._policy(step.agent_id))
        if short.traits is not None:
            self._traits[step.tool] = short.traits  # type: ignore[assignment]  # the policy refuses what is no trait
            self.facts.policies[step.agent_id] = self._policy(step.agent_id)
        number = len(self._memory) + step.seq
        inspect(see(step, number, number, self._now_us, "marked", self.facts), self._memory, self.facts, self._watch)
        self._put_together()

    def _step(self, short: CaseStep) -> Step:
        agent, run = short.agent or "agent", short.run or f"run-of-{short.agent or 'agent'}"
        trace = ids.named("lictor.rule_test", short.trace or "trace")[:32]
        said = {name: value for name, value in short.model_dump(exclude_defaults=True).items() if name not in _OWN}
        number = next(self._numbers.setdefault((run, trace), itertools.count(1)))
        gate = msgspec.convert({"verdict": "allow", **short.gate}, Gate) if short.gate else None
        return Step(
            v=1,
            step_id=ids.step_id(agent, run, trace, number),
            agent_id=agent,
            run_id=run,
            trace_id=trace,
            seq=number,
            kind=short.kind,
            time_us=self._now_us,
            gate=gate or (_GATE if short.kind == "tool_call" else None),
            **said,
        )

    def _policy(self, agent_id: str) -> PolicyView:
        everything = Layer(name="test", grants=(Grant(id="test", effect="allow", tools=("*",)),))
        return PolicyView(
            AgentPolicy(
                agent_id=agent_id,
                version=1,
                issued_us=1,
                mode="enforce",
                layers=(everything,),
                words=self._words,
                traits=dict(self._traits),
            )
        )

    def _put_together(self) -> None:
        """Feed what fired to the correlations that span traces, as `respond` does."""
        taken, self.facts.matches = self.facts.matches, []
        for match in taken:
            self.recorder.note(self._sums.feed(f"agent/{match.agent_id}", match, self.engine.by_agent))
            for scope, judge in self.engine.wide.items():
                if match.rule_id in judge.by_rule:
                    for value in scope_values(match, scope):
                        self.recorder.note(self._sums.feed(f"{scope}/{value}", match, judge))

    def _pass_time(self, span_us: int) -> None:
        self._now_us += span_us
        for trace in [entry.marked for _, entry in self._memory.traces()]:
            self.recorder.note(absences(trace, self._now_us, self.facts))
        for found in self._sums.by_key.values():
            for judge in (self.engine.by_agent, *self.engine.wide.values()):
                for done in judge.advance(found.state, self._now_us) if _is_of(judge.by_id, found.state.groups) else ():
                    self.recorder.fired.add(done.correlation)


def _is_of(known: Mapping[str, object], groups: Mapping[str, object]) -> bool:
    return bool(groups) and groups.keys() <= known.keys()


def _microseconds(span: str) -> int:
    return int(span[:-1]) * _UNITS[span[-1]] * 1_000_000


def run_case(engine: Engine, rule: str, case: Case, words: Words) -> Result:
    """Judge one test. Raises `BadRule` where its steps cannot be steps."""
    try:
        fired = Replay(engine, words).judge(case.steps, case.then)
    except (ValidationError, msgspec.ValidationError, TypeError, ValueError) as error:
        raise BadRule(f"test `{case.say}`: {error}", where=rule) from None
    return Result(rule, case, rule in fired)
