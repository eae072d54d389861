"""The topics, as values: name, what travels on it, key, partitions, retention, cleanup. The map of the system."""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 24 * 3600 * 1000
MAX_RECORD_BYTES: Final = 4 << 20
DEFAULT_NAMESPACE: Final = "lictor"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitions` of 0 means the common count, which all topics read together by key must share."""

    name: str
    carries: str
    """`Message.type` of what travels on it; several are separated by spaces."""
    key: str
    partitions: int = 0
    retention_ms: int = 7 * DAY_MS
    compacted: bool = False

    def config(self) -> dict[str, str]:
        """Return the topic's configuration for its creation. Kafka's clock stamps every record."""
        cleanup: dict[str, str] = (
            {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2"}
            if self.compacted
            else {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        )
        return {**cleanup, "message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MAX_RECORD_BYTES)}


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one Lictor. The namespace lets several share a Kafka; it is part of what signatures cover."""

    namespace: str = DEFAULT_NAMESPACE

    def _topic(self, name: str, carries: str, key: str, **rest: int | bool) -> Topic:
        return Topic(f"{self.namespace}.{name}", carries, key, **rest)  # type: ignore[arg-type]  # names checked below

    @property
    def steps(self) -> Topic:
        """Every step of every agent."""
        return self._topic("steps", "step", "trace_id, or run_id without one")

    @property
    def findings(self) -> Topic:
        """What detectors claim."""
        return self._topic("findings", "finding", "agent_id", retention_ms=90 * DAY_MS)

    @property
    def matches(self) -> Topic:
        """Building blocks of judgement that spans traces."""
        return self._topic("matches", "match", "agent_id")

    @property
    def sightings(self) -> Topic:
        """First uses, per worker and hour."""
        return self._topic("sightings", "sighting", "agent_id")

    @property
    def activity(self) -> Topic:
        """Running totals per agent and partition."""
        return self._topic("activity", "activity", "agent_id")

    @property
    def verdicts(self) -> Topic:
        """Whatever a person tells `respond`."""
        return self._topic("verdicts", "verdict", "agent_id", retention_ms=365 * DAY_MS)

    @property
    def receipts(self) -> Topic:
        """What became of commands."""
        return self._topic("receipts", "receipt", "agent_id", retention_ms=90 * DAY_MS)

    @property
    def commands(self) -> Topic:
        """The control topic."""
        return self._topic("commands", "command clearance", "agent_id", retention_ms=90 * DAY_MS)

    @property
    def containment(self) -> Topic:
        """The whole set of orders standing against each agent."""
        return self._topic("containment", "containment", "agent_id", compacted=True)

    @property
    def inventory(self) -> Topic:
        """What is known of each agent."""
        return self._topic("inventory", "inventory", "agent_id", compacted=True)

    @property
    def incidents(self) -> Topic:
        """Findings that belong together."""
        return self._topic("incidents", "incident", "agent_id", retention_ms=365 * DAY_MS)

    @property
    def decisions(self) -> Topic:
        """What the policy said to do."""
        return self._topic("decisions", "decision", "agent_id", retention_ms=365 * DAY_MS)

    @property
    def approvals(self) -> Topic:
        """Questions to people."""
        return self._topic("approvals", "approval", "agent_id", retention_ms=365 * DAY_MS)

    @property
    def correlations(self) -> Topic:
        """Matches re-keyed to scopes wider than an agent."""
        return self._topic("correlations", "correlation", "scope and its value")

    @property
    def policies(self) -> Topic:
        """What agents may know: grants, traits, budgets, the key list."""
        return self._topic("policies", "policy keys", "agent_id, or `keys`", partitions=1, compacted=True)

    @property
    def rules(self) -> Topic:
        """What workers alone may know."""
        return self._topic("rules", "rules rule_bundle", "`book`, or `bundle`", partitions=1, compacted=True)

    @property
    def taints(self) -> Topic:
        """Tainted records and runs' declared tools."""
        return self._topic("taints", "taint", "kind and name", partitions=1, compacted=True)

    @property
    def checkpoints(self) -> Topic:
        """Workers' state. Not archived."""
        return self._topic("checkpoints", "checkpoint", "stream, generation and entry", compacted=True)

    @property
    def liveness(self) -> Topic:
        """Each component's word that it is alive."""
        return self._topic("liveness", "liveness", "component and instance", partitions=1, retention_ms=DAY_MS)

    @property
    def audit(self) -> Topic:
        """Signed heads of the history."""
        return self._topic("audit", "audit_head", "topic and partition", partitions=1, retention_ms=365 * DAY_MS)

    @property
    def dead_letters(self) -> Topic:
        """What was refused, and why."""
        return self._topic("dead-letters", "dead_letter", "dead_letter_id", retention_ms=90 * DAY_MS)

    def all(self) -> tuple[Topic, ...]:
        """Return every topic, in the order of the diagram."""
        return (
            self.steps, self.findings, self.matches, self.sightings, self.activity, self.verdicts, self.receipts,
            self.commands, self.containment, self.inventory, self.incidents, self.decisions, self.approvals,
            self.correlations, self.policies, self.rules, self.taints, self.checkpoints, self.liveness, self.audit,
            self.dead_letters,
        )  # fmt: skip

    def archived(self) -> tuple[Topic, ...]:
        """Return what the history keeps: all but checkpoints."""
        return tuple(topic for topic in self.all() if topic.name != self.checkpoints.name)
