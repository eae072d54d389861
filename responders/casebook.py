"""From finding to order: incidents, rulings, commands, containment, questions. Pure; every time is passed in."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from responders.autonomy import Ruling, decide
from responders.base import Responder
from responders.cases import AgentCase, OpenIncident, Standing
from responders.limits import Limiter
from schemas import ids
from schemas.approval import Approval
from schemas.command import RUN_BOUND, Command, CommandAction, Target
from schemas.containment import Containment
from schemas.decision import Decision
from schemas.finding import Finding
from schemas.incident import Incident
from schemas.message import SEVERITIES, Action, Message, Severity
from schemas.receipt import Receipt
from schemas.rules import RuleBook
from schemas.verdict import Verdict

ORDERED: Final[frozenset[str]] = frozenset({"deny", "throttle", "read_only", "pause", "stop", "revoke", "quarantine"})
COMMAND_LIFE_US: Final = 300 * 1_000_000
APPROVAL_LIFE_US: Final = 3600 * 1_000_000
INCIDENT_IDLE_US: Final = 24 * 3600 * 1_000_000
STOP_STANDS_US: Final = 7 * 24 * 3600 * 1_000_000
"""A stop binds to one run; a week later that run is gone or was never there."""
KEPT_FINDINGS: Final = 256
KEPT_JUDGED: Final = 4096
_WEIGHT: Final[dict[Severity, float]] = {"informational": 1, "low": 5, "medium": 20, "high": 50, "critical": 100}


class Casebook:
    """The cases of one partition's agents, and the limits they share."""

    def __init__(self, ladder: Iterable[Responder], limiter: Limiter, known: Mapping[str, Containment]) -> None:
        self.ladder = tuple(ladder)
        self.limiter = limiter
        self.known = known
        """What stands on the containment topic, by agent."""
        self.cases: dict[str, AgentCase] = {}
        self.changed: set[str] = set()

    def case(self, agent_id: str) -> AgentCase:
        """Return the agent's case, made if new, and note that it will have changed."""
        found = self.cases.get(agent_id)
        if found is None:
            found = self.cases[agent_id] = AgentCase(agent_id)
            self._adopt(found)
        self.changed.add(agent_id)
        return found

    def restore(self, case: AgentCase) -> None:
        """Take over a case from a checkpoint."""
        self.cases[case.agent_id] = case
        self._adopt(case)

    def _adopt(self, case: AgentCase) -> None:
        standing = self.known.get(case.agent_id)
        if standing is not None:
            case.adopt(standing)

    def on_finding(
        self, finding: Finding, rules: RuleBook, now_us: int, *, criticality: str = "normal"
    ) -> list[Message]:
        """Return everything one finding leads to. `now_us`: the finding's append time. A repeat leads to nothing."""
        case = self.case(finding.agent_id)
        if finding.identity == "marked":  # a name that nobody has proven makes no fleet larger
            self.limiter.saw(finding.agent_id, now_us)
        if finding.finding_id in case.judged:
            return []
        _remember(case, finding.finding_id, now_us)
        incident = _add_to_incident(case, finding, now_us)
        ruling = self._bounded(decide(finding, rules, criticality=criticality), case, finding, rules, now_us)
        command = self._order(case, finding, incident, ruling, now_us)
        question = _question(finding, incident, ruling, now_us) if ruling.action == "ask" else None
        decision = _decision(finding, incident, ruling, rules, now_us, command, question)
        out: list[Message] = [command, case.containment(now_us)] if command else []
        return [*out, *([question] if question else []), decision, _published(incident, case.agent_id)]

    def _bounded(self, ruling: Ruling, case: AgentCase, finding: Finding, rules: RuleBook, now_us: int) -> Ruling:
        """Turn an order into a question where a safety limit says so."""
        run_id = finding.run_id if ruling.action in RUN_BOUND else ""
        if ruling.action not in ORDERED or case.standing(ruling.action, run_id):
            return ruling
        refused = case.refuse(ruling.action) or self.limiter.refuse(
            ruling.action, finding.agent_id, rules.safety, now_us
        )
        if not refused:
            return ruling
        return Ruling("ask", ruling.wanted, ruling.row, ruling.because, refused)

    def _order(
        self, case: AgentCase, finding: Finding, incident: OpenIncident, ruling: Ruling, now_us: int
    ) -> Command | None:
        """Return the command, or None where nothing is ordered or the order stands already."""
        if ruling.action not in ORDERED:
            return None
        action = cast("CommandAction", ruling.action)
        run_id = finding.run_id if action in RUN_BOUND else ""
        arguments: dict[str, Any] = {"stop": "now"} if action == "stop" else {}
        standing = case.standing(action, run_id)
        if standing is None:
            self.limiter.take(action, finding.agent_id, now_us)
            case.epoch += 1
            command_id = ids.command_id(case.agent_id, run_id, case.epoch, action, arguments)
        elif standing.adopted:
            standing.adopted, command_id = False, standing.command_id
        else:
            return None
        command = Command(
            command_id=command_id,
            action=action,
            target=Target(agent_id=case.agent_id, run_id=run_id, step_id=finding.step_id),
            arguments=arguments,
            epoch=case.epoch,
            issued_us=now_us,
            expires_us=now_us + COMMAND_LIFE_US,
            reason=finding.reason[:500],
            incident_id=incident.incident_id,
            decision_id=decision_id(finding, incident),
            finding_ids=(finding.finding_id,),
        )
        if standing is None:
            case.take(command, until_us=now_us + STOP_STANDS_US if action == "stop" else 0)
        incident.status = "contained"
        return command

    def on_receipt(self, receipt: Receipt, now_us: int, *, trusted: bool) -> list[Message]:
        """Note what became of an order. Only a trusted layer's receipt proves anything; what it refuses, a person is asked."""
        case = self.case(receipt.agent_id)
        standing = case.orders.get(receipt.command_id)
        if standing is None or standing.run_id != receipt.run_id:
            return []
        if trusted and receipt.layer == "supervisor" and receipt.status in ("refused", "failed"):
            if standing.asked:
                return []
            standing.asked = True
            self.changed.add(case.agent_id)
            return [_not_carried_out(standing, receipt, now_us)]
        proofs = [rung.proof(receipt) for rung in self.ladder]
        if "proven" in proofs and trusted:
            standing.proof = "proven"
        elif any(proofs) and not standing.proof:
            standing.proof = "claimed"
        return []

    def on_verdict(self, verdict: Verdict, now_us: int) -> list[Message]:
        """Carry out what a person says, once: let a kill or pause stand, or lift it."""
        case = self.case(verdict.agent_id)
        if not case.hears(verdict.verdict_id, now_us):
            return []
        if verdict.kind in ("kill", "pause"):
            return self._stand(case, verdict, now_us)
        if verdict.kind in ("resume", "lift"):
            return self._lift(case, verdict, now_us)
        return []

    def _stand(self, case: AgentCase, verdict: Verdict, now_us: int) -> list[Message]:
        """The person's key has published the command already; the containment makes it last.

        A verdict that names no command stands under its own id, so that two of them are two orders.
        """
        action: CommandAction = "stop" if verdict.kind == "kill" else "pause"
        command_id = verdict.command_id or verdict.verdict_id
        if command_id in case.orders or case.refuse(action):
            return []
        case.epoch += 1
        case.orders[command_id] = Standing(
            command_id=command_id,
            action=action,
            run_id=verdict.run_id,
            since_us=now_us,
            expires_us=now_us + STOP_STANDS_US if action == "stop" else 0,
            reason=verdict.reason[:500],
            incident_id=verdict.incident_id,
            arguments={},
        )
        case.prune()
        return [case.containment(now_us)]

    def _lift(self, case: AgentCase, verdict: Verdict, now_us: int) -> list[Message]:
        """Lift the pauses of a run (`resume`), or the one order named (`lift`), and tell the agent.

        A word that lifted whatever stands would lift, said again by somebody who recorded it, what came since.
        """
        lifted = [key for key, order in case.orders.items() if _is_meant(order, verdict)]
        if not lifted:
            return []
        for key in lifted:
            del case.orders[key]
        case.epoch += 1
        command = Command(
            command_id=ids.command_id(case.agent_id, verdict.run_id, case.epoch, "resume", {}),
            action="resume",
            target=Target(agent_id=case.agent_id, run_id=verdict.run_id),
            epoch=case.epoch,
            issued_us=now_us,
            expires_us=now_us + COMMAND_LIFE_US,
            reason=verdict.reason[:500],
            incident_id=verdict.incident_id,
            person=verdict.person,
        )
        return [case.containment(now_us), command] if verdict.kind == "resume" else [case.containment(now_us)]

    def expire(self, now_us: int) -> list[Containment]:
        """Lift what has expired and forget idle incidents; return the sets that changed."""
        out: list[Containment] = []
        for case in self.cases.values():
            gone = [key for key, order in case.orders.items() if order.expires_us and order.expires_us < now_us]
            idle = [key for key, found in case.incidents.items() if found.changed_us < now_us - INCIDENT_IDLE_US]
            for key in idle:
                del case.incidents[key]
            for key in gone:
                del case.orders[key]
            if gone:
                case.epoch += 1
                out.append(case.containment(now_us))
            if gone or idle:
                self.changed.add(case.agent_id)
        return out


def _is_meant(order: Standing, verdict: Verdict) -> bool:
    if verdict.kind == "resume":
        return order.action == "pause" and order.run_id == verdict.run_id
    return order.command_id == verdict.command_id


def decision_id(finding: Finding, incident: OpenIncident) -> str:
    """Return the id of the decision on one finding."""
    return ids.named("lictor.decision", incident.incident_id, finding.finding_id)


def _remember(case: AgentCase, finding_id: str, now_us: int) -> None:
    if len(case.judged) >= KEPT_JUDGED:
        del case.judged[next(iter(case.judged))]
    case.judged[finding_id] = now_us


def _add_to_incident(case: AgentCase, finding: Finding, now_us: int) -> OpenIncident:
    """Findings of one run and trace belong together until a day has passed without one."""
    key = f"{finding.run_id}:{finding.trace_id}"
    found = case.incidents.get(key)
    if found is None or found.changed_us < now_us - INCIDENT_IDLE_US:
        name = ids.named("lictor.incident", case.agent_id, key, finding.finding_id)
        found = case.incidents[key] = OpenIncident(
            incident_id=name,
            revision=0,
            run_id=finding.run_id,
            trace_id=finding.trace_id,
            title=finding.title,
            severity=finding.severity,
            risk=0.0,
            finding_ids=[],
            findings_seen=0,
            opened_us=now_us,
            changed_us=now_us,
            drill=finding.drill,
        )
    found.revision += 1
    found.findings_seen += 1
    found.risk += _WEIGHT[finding.severity] * finding.confidence
    found.changed_us = now_us
    if len(found.finding_ids) < KEPT_FINDINGS:
        found.finding_ids.append(finding.finding_id)
    if SEVERITIES.index(finding.severity) > SEVERITIES.index(cast("Severity", found.severity)):
        found.severity, found.title = finding.severity, finding.title
    return found


def _published(found: OpenIncident, agent_id: str) -> Incident:
    return Incident(
        incident_id=found.incident_id,
        revision=found.revision,
        agent_id=agent_id,
        run_id=found.run_id,
        trace_id=found.trace_id,
        title=found.title,
        severity=cast("Severity", found.severity),
        risk=round(found.risk, 3),
        status=cast("Literal['new', 'contained']", found.status),
        finding_ids=tuple(found.finding_ids),
        findings_seen=found.findings_seen,
        opened_us=found.opened_us,
        changed_us=found.changed_us,
        drill=found.drill,
    )


def _question(finding: Finding, incident: OpenIncident, ruling: Ruling, now_us: int) -> Approval:
    """One question an incident, renewed by each finding: many findings must not become many questions."""
    wanted = f"Lictor would {ruling.wanted} this run, but {ruling.limited_by}. " if ruling.limited_by else ""
    return Approval(
        approval_id=ids.named("lictor.approval", incident.incident_id),
        revision=incident.revision,
        agent_id=finding.agent_id,
        run_id=finding.run_id,
        trace_id=finding.trace_id,
        step_id=finding.step_id,
        tool=finding.tool,
        question=f"{wanted}{finding.title}: what should be done about run {finding.run_id} of {finding.agent_id}?",
        reason=finding.reason,
        evidence=finding.evidence,
        incident_id=incident.incident_id,
        finding_ids=tuple(incident.finding_ids[-16:]),
        irreversible="irreversible" in finding.traits,
        opened_us=now_us,
        expires_us=now_us + APPROVAL_LIFE_US,
    )


def _not_carried_out(standing: Standing, receipt: Receipt, now_us: int) -> Approval:
    """One question an order that the last rung did not carry out."""
    run = f"run {receipt.run_id} of {receipt.agent_id}"
    question = (
        f"The {standing.action} of {run} was {receipt.status} by its supervisor. `lictor kill {receipt.agent_id} "
        f"--run {receipt.run_id} --force` ends the process, and whatever else lives in it. Should it?"
    )
    return Approval(
        approval_id=ids.named("lictor.approval", "not carried out", receipt.command_id),
        agent_id=receipt.agent_id,
        run_id=receipt.run_id,
        step_id=standing.step_id,
        question=question,
        reason=receipt.reason,
        incident_id=standing.incident_id,
        opened_us=now_us,
        expires_us=now_us + APPROVAL_LIFE_US,
    )


def _decision(
    finding: Finding,
    incident: OpenIncident,
    ruling: Ruling,
    rules: RuleBook,
    now_us: int,
    command: Command | None,
    question: Approval | None,
) -> Decision:
    action: Action = ruling.action
    return Decision(
        decision_id=decision_id(finding, incident),
        incident_id=incident.incident_id,
        finding_id=finding.finding_id,
        agent_id=finding.agent_id,
        run_id=finding.run_id,
        trace_id=finding.trace_id,
        action=action,
        wanted=ruling.wanted,
        row=ruling.row,
        because=ruling.because,
        limited_by=ruling.limited_by,
        rules_version=rules.version,
        mode=finding.mode,
        command_id=command.command_id if command else "",
        approval_id=question.approval_id if question else "",
        time_us=now_us,
    )
