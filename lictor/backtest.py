"""Recorded sessions through the same gate, detectors and autonomy table as live, without a broker."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detectors.engine.engine import Engine
from detectors.engine.sums import Sums, scope_values
from detectors.facts import Facts
from detectors.inspect import inspect, see
from detectors.policy_view import PolicyView
from detectors.runaway import HOUR, hour_budgets
from detectors.state import Memory
from detectors.words import digest64
from lictor.agents_replay import AgentsReplay
from lictor.gate_replay import gated, reads_so_far
from lictor.policy_file import Policies, load_policies
from lictor.sessions import Session, recorded_policy
from responders.autonomy import decide
from responders.clearance import needs_clearance, word_of
from schemas.errors import BadInput
from schemas.finding import Finding
from schemas.match import Match
from schemas.policy import ANY_AGENT, AgentPolicy
from schemas.step import Step, encode_step, message_key


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding of a session: at which recorded step it was complete, and what was decided."""

    step: int
    finding: Finding
    decision: str
    held: bool = False
    """The call waits for this decision: by a clearance, or the gate itself has refused it."""


@dataclass(slots=True)
class Result:
    """What a session came to."""

    session: Session
    found: list[Judged] = field(default_factory=list)
    gated: list[int] = field(default_factory=list)
    """Steps at which the gate itself refused, asked or narrowed: a grant that only asks makes no finding."""

    @property
    def first_intervention(self) -> int | None:
        """The smallest step whose decision, by the gate or on a finding, is not `observe`."""
        decided = [judged.step for judged in self.found if judged.decision != "observe"]
        return min((*decided, *self.gated), default=None)

    def as_json(self) -> dict[str, Any]:
        """Return the line of the result file."""
        findings = [
            {
                "step": judged.step,
                "rule_id": judged.finding.rule_id,
                "severity": judged.finding.severity,
                "confidence": judged.finding.confidence,
                "reason": judged.finding.reason,
                "decision": judged.decision,
            }
            for judged in self.found
        ]
        return {
            "session_id": self.session.session_id,
            "findings": findings,
            "first_intervention": self.first_intervention,
        }


class Backtest:
    """Judges sessions one after the other. Without a policy, recorded agents count as registered and granted all."""

    def __init__(self, policies: Policies | None, engine: Engine | None = None) -> None:
        self.policies = policies
        self.engine = engine
        self.sums = Sums()
        rules = (policies or load_policies(None, issued_us=1)).rules
        self.facts = Facts(rules=rules, engine=engine)
        if policies is not None:
            self.facts.take_policy(policies.of(ANY_AGENT))
        self.memory = Memory(rules.bounds.traces_per_agent)
        self.agents = AgentsReplay()
        self.offset = 0

    def judge(self, session: Session) -> Result:
        """Judge one session; its trace is forgotten afterwards, what is learned about its agent is not."""
        if session.agent_id not in self.facts.policies:
            self.facts.take_policy(self._policy(session.agent_id))
        result = Result(session)
        for step, index in zip(session.steps, session.indexes, strict=True):
            self._judge_step(step, max(0, index), result)
        for key in {message_key(step) for step in session.steps}:
            if self.memory.get(key) is not None:
                self.memory.forget(key)
        return result

    def _policy(self, agent_id: str) -> AgentPolicy:
        if self.policies is None:
            return recorded_policy(agent_id)
        return self.policies.of(agent_id).model_copy(update={"agent_id": agent_id})

    def _judge_step(self, step: Step, index: int, result: Result) -> None:
        policy = self.facts.policy_of(step.agent_id)
        reads = reads_so_far(self.memory.get(message_key(step)))
        step = gated(step, policy, reads, self.facts.policies_of(step.delegation))
        if step.gate is not None and step.gate.verdict in ("deny", "ask", "narrow"):
            result.gated.append(index)
        self.offset += 1
        seen = see(step, digest64(encode_step(step)), self.offset, max(0, step.time_us), "marked", self.facts)
        findings = [*inspect(seen, self.memory, self.facts).findings, *self._over_traces()]
        findings += self.agents.feed(seen, self.facts)
        for finding in findings:
            decision, held = self._decision(step, policy, finding)
            result.found.append(Judged(index, finding, decision, held))

    def _over_traces(self) -> list[Finding]:
        """Put together what spans traces, as `respond` does live."""
        taken, self.facts.matches = self.facts.matches, []
        for taint in self.facts.tainted:
            self.facts.take_taint(taint)
        self.facts.tainted.clear()
        found: list[Finding] = []
        for match in taken:
            if match.rule_id == HOUR:
                budgets = self.facts.policy_of(match.agent_id).policy.budgets
                found += self.sums.feed(f"agent/{match.agent_id}", match, hour_budgets(budgets))
            elif self.engine is not None:
                found += self._by_scope(match, self.engine)
        return found

    def _by_scope(self, match: Match, engine: Engine) -> list[Finding]:
        found: list[Finding] = []
        if match.rule_id in engine.by_agent.by_rule:
            found += self.sums.feed(f"agent/{match.agent_id}", match, engine.by_agent)
        for scope, judge in engine.wide.items():
            for value in scope_values(match, scope) if match.rule_id in judge.by_rule else ():
                found += self.sums.feed(f"{scope}/{value}", match, judge)
        return found

    def _decision(self, step: Step, policy: PolicyView, finding: Finding) -> tuple[str, bool]:
        """Return the word for a finding: of a call that gate or clearance keeps from running, what kept it."""
        verdict = step.gate.verdict if step.gate else ""
        if verdict in ("deny", "ask"):
            return verdict, True
        ruling = decide(finding, self.facts.rules, criticality=policy.policy.criticality)
        if needs_clearance(step, policy.traits(step.tool), policy.policy):
            word = word_of(ruling)
            return "observe" if word == "allow" else word, True
        return ruling.action, False


def write_results(results: Iterable[Result], out: Path, progress: Callable[[], None]) -> int:
    """Write one line a session; return how many. Raises `BadInput` where the file cannot be written.

    The file is there when all of it is: what stood there before outlives an input that breaks off.
    """
    count = 0
    half = out if out.exists() and not out.is_file() else out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with half.open("w", encoding="utf-8") as file:
            for result in results:
                file.write(json.dumps(result.as_json()) + "\n")
                count += 1
                progress()
        if half != out:
            half.replace(out)
    except BaseException as error:
        if half != out:
            half.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise BadInput(f"cannot write the results: {error.strerror}", where=str(out)) from None
    return count
