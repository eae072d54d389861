"""Sigma rules over steps: what fires on this one, and the sequences and sums of its trace that it completes."""

from collections.abc import Sequence
from typing import ClassVar, Final

from detectors.base import Detector, Seen, shown
from detectors.engine.engine import Engine
from detectors.engine.fields import value_of
from detectors.engine.firings import Completed, CorrelationState, Firing, Value
from detectors.engine.plan import Correlation, Rule
from detectors.engine.sums import finding_of
from detectors.facts import Facts
from detectors.flow import DECISIVE, was_brought, was_said
from detectors.instructions import CHANGE, PAY, RUN, SEND, VISIT
from detectors.state import RunState, TraceState
from detectors.words import strings_in, words
from schemas import ids
from schemas.finding import Evidence, Finding, Identity, Mode
from schemas.match import Match
from schemas.message import Severity
from schemas.step import message_key

MOST_SILENCES: Final = 256
MOST_MATCH_VALUES: Final = 16
_KINDS: Final = ((VISIT, "visit"), (SEND, "send"), (PAY, "pay"), (RUN, "run"), (CHANGE, "change"))
_STRICT: Final[tuple[Mode, ...]] = ("observe", "ask", "enforce")


class StepContext:
    """What rules can ask beyond the step: of its trace, its run, its agent."""

    __slots__ = ("facts", "run", "seen", "trace")

    def __init__(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> None:
        self.seen = seen
        self.trace = trace
        self.run = run
        self.facts = facts

    def value(self, name: str) -> tuple[Value, ...]:
        """Return the values of a field of `fields.CONTEXT`."""
        if name.startswith("value.origin"):
            return self._origins(name[13:])
        if name.startswith("run."):
            return self._of_run(name[4:])
        return self._other(name)

    def _of_run(self, name: str) -> tuple[Value, ...]:
        state = self.run.runaway
        if name == "seconds":
            return ((self.seen.append_us - state.began_us) / 1e6,) if state.began_us else (0.0,)
        return (float(getattr(state, name)),)

    def _other(self, name: str) -> tuple[Value, ...]:
        flow, policy, step = self.trace.flow, self.seen.policy.policy, self.seen.step
        match name:
            case "flow.read":
                return (("untrusted",) if flow.untrusted else ()) + (("sensitive",) if flow.sensitive else ())
            case "flow.ordered":
                kinds = 0
                for order in flow.directives:
                    kinds |= order.kinds
                return tuple(word for bit, word in _KINDS if kinds & bit)
            case "tool.first_use":
                return ("true" if step.tool and step.tool not in self.run.tools else "false",)
            case "trace.agents":
                return (float(len(self.trace.runs)),)
            case "agent.registered":
                return ("true" if policy.registered else "false",)
            case _:
                value = getattr(policy, name.removeprefix("agent."), "")
                return (value,) if value else ()

    def _origins(self, argument: str) -> tuple[Value, ...]:
        """Return where values of the call's short arguments were first seen: `person`, `untrusted`, `unknown`."""
        found: dict[Value, None] = {}
        flow, values = self.trace.flow, self.facts.values
        for path, text in strings_in(self.seen.step.arguments or {}):
            if len(text) > DECISIVE or (argument and path.rpartition(".")[2] != argument):
                continue
            for word in words(text):
                said = was_said(word, flow, values)
                found[
                    "person" if said else "untrusted" if was_brought(word, flow, values) or flow.full else "unknown"
                ] = None
        return tuple(found)


class SigmaRules(Detector):
    """Judge each step by the Sigma rules in force; their ids begin with `sigma.`.

    A rule in mode `observe` tells what it would have done, and does nothing.
    `lictor.sigma.failed`: a rule could not be judged on this step; the others were.
    """

    name: ClassVar[str] = "sigma"
    title: ClassVar[str] = "A Sigma rule fired"
    severity: ClassVar[Severity] = "medium"
    impact: ClassVar[float] = 0.5
    tags: ClassVar[tuple[str, ...]] = ("owasp.asi01", "owasp.asi10")
    blind_spots: ClassVar[str] = "What each rule says of itself: `lictor rules explain`."

    def judge(self, seen: Seen, trace: TraceState, run: RunState, facts: Facts) -> Sequence[Finding]:
        """Return the findings of rules and near correlations; matches for others go to `facts.matches`."""
        engine = facts.engine
        if engine is None:
            return ()
        outcome = engine.compiled.match(seen, StepContext(seen, trace, run, facts))
        found: list[Finding] = []
        for rule in outcome.fired:
            if rule.generate and not _is_silent(trace, rule, seen):
                found.append(self.claim(seen, rule))
            if rule.id in engine.needed:
                found.extend(self._put_together(engine, rule, seen, trace, run, facts))
        for failed, error in outcome.failed:
            reason = f"rule {shown(failed.id)} failed on this step ({type(error).__name__}); the others judged it"
            found.append(self.finding(seen, reason, confidence=0.9, severity="high", aspect="failed", group=failed.id))
        return found

    def _put_together(
        self, engine: Engine, rule: Rule, seen: Seen, trace: TraceState, run: RunState, facts: Facts
    ) -> list[Finding]:
        context = StepContext(seen, trace, run, facts)
        firing = firing_of(rule.id, seen, {name: value_of(name, seen, context) for name in engine.needed[rule.id]})
        found: list[Finding] = []
        if rule.id in engine.near.by_rule:
            if trace.sums is None:
                trace.sums = CorrelationState()
            key = message_key(seen.step)
            for done in engine.near.feed(trace.sums, firing):
                found.extend(self.completed(engine, done, seen))
                if done.correlation in engine.far_rules:
                    facts.matches.append(match_of(engine.near.as_firing(done), engine.by_id[done.correlation], seen))
            until_us = trace.sums.earliest()
            if until_us:
                facts.deadlines.append((until_us, key))
        if rule.id in engine.far_rules:
            facts.matches.append(match_of(firing, rule, seen))
        return found

    def completed(self, engine: Engine, done: Completed, seen: Seen) -> list[Finding]:
        """Return the finding of a completed correlation, if it is one of its own."""
        rule = engine.by_id[done.correlation]
        if not isinstance(rule, Correlation) or not (rule.generate or done.correlation not in engine.near.by_rule):
            return []
        return [finding_of(rule, done, match_of(engine.near.as_firing(done), rule, seen))]

    def claim(self, seen: Seen, rule: Rule) -> Finding:
        """Return the finding of a rule at this step."""
        reason, group = rule.about.title, seen.step.run_id
        step = seen.step
        rule_id = f"sigma.{shown(rule.id, 200)}"
        last = Evidence(
            step_id=step.step_id, seq=step.seq, role=shown(f"{step.kind} {step.tool or step.model}".strip(), 200)
        )
        said = rule.about.description.strip().split("\n\n")[0]
        return Finding(
            finding_id=ids.finding_id(rule_id, rule.lictor.version, group, [step.step_id]),
            rule_id=rule_id,
            rule_version=rule.lictor.version,
            detector=self.name,
            title=shown(rule.about.title, 256) or rule_id,
            severity=rule.about.level,
            confidence=rule.lictor.confidence,
            impact=rule.lictor.impact,
            reason=shown(" ".join(f"{reason}: {said}".split()) if said and said != reason else reason, 1000),
            agent_id=step.agent_id,
            run_id=step.run_id,
            trace_id=step.trace_id,
            step_id=step.step_id,
            seq=step.seq,
            tool=step.tool,
            traits=tuple(sorted(seen.traits)),
            group=shown(group, 400),
            evidence=(last,),
            identity=seen.identity,
            mode=min(rule.lictor.mode, seen.policy.policy.mode, key=_STRICT.index),
            tags=rule.about.tags,
            response=rule.lictor.response,
            step_time_us=step.time_us,
            append_time_us=max(0, seen.append_us),
            drill=bool(step.drill),
        )


def absences(trace: TraceState, append_us: int, facts: Facts) -> list[Finding]:
    """Return the findings for what has not followed in a trace although its time is up, by Kafka's clock."""
    engine = facts.engine
    if engine is None or trace.sums is None:
        return []
    found: list[Finding] = []
    for done in engine.near.advance(trace.sums, append_us):
        rule, at = engine.by_id[done.correlation], engine.near.as_firing(done)
        if isinstance(rule, Correlation) and (rule.generate or done.correlation not in engine.near.by_rule):
            found.append(
                finding_of(
                    rule, done, _match(at, rule, "marked", facts.policy_of(at.agent_id).policy.mode, drill=False)
                )
            )
    return found


def _is_silent(trace: TraceState, rule: Rule, seen: Seen) -> bool:
    """Tell whether a rule has spoken of this trace and asked for silence; note it where it has not."""
    if not rule.lictor.suppress_s:
        return False
    if trace.silent.get(rule.id, 0) > seen.append_us:
        return True
    if len(trace.silent) >= MOST_SILENCES:
        del trace.silent[next(iter(trace.silent))]
    trace.silent[rule.id] = seen.append_us + rule.lictor.suppress_s * 1_000_000
    return False


def firing_of(rule_id: str, seen: Seen, values: dict[str, tuple[Value, ...]]) -> Firing:
    """Return the firing of a rule at a step."""
    step = seen.step
    return Firing(
        rule_id,
        step.step_id,
        step.seq,
        step.run_id,
        step.agent_id,
        step.trace_id,
        seen.judged_us,
        seen.append_us,
        values,
    )


def match_of(firing: Firing, rule: Rule | Correlation, seen: Seen) -> Match:
    """Return a firing as it travels to `respond`."""
    return _match(firing, rule, seen.identity, seen.policy.policy.mode, drill=bool(seen.step.drill))


def _match(firing: Firing, rule: Rule | Correlation, identity: Identity, mode: Mode, *, drill: bool) -> Match:
    return Match(
        match_id=ids.named("lictor.match", firing.rule, str(rule.lictor.version), firing.step_id),
        rule_id=firing.rule,
        rule_version=rule.lictor.version,
        agent_id=firing.agent_id,
        run_id=firing.run_id,
        trace_id=firing.trace_id,
        step_id=firing.step_id,
        scope=rule.lictor.scope,
        append_time_us=max(0, firing.append_us),
        seq=firing.seq,
        judged_us=firing.judged_us,
        values={name: values[:MOST_MATCH_VALUES] for name, values in firing.values.items()},
        identity=identity,
        mode=mode,
        drill=drill,
    )
