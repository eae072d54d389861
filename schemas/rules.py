"""What workers alone may know: the autonomy table, the safety limits, the clocks. Travels on `lictor.rules`."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Action, Frozen, Message, Micros, Severity, ShortText
from schemas.policy import Trait


class Row(Frozen):
    """One row of the autonomy table. All that is set must hold; the first row that holds decides."""

    id: ShortText
    rules: tuple[str, ...] = ()
    """Globs of rule ids."""
    agents: tuple[str, ...] = ()
    severity_at_least: Severity | None = None
    confidence_at_least: float | None = Field(default=None, ge=0, le=1)
    impact_at_least: float | None = Field(default=None, ge=0, le=1)
    traits_any: tuple[Trait, ...] = ()
    criticality: tuple[str, ...] = ()
    action: Action
    clearance: Literal["", "deny", "hold", "ask"] = ""
    """What a call that waits for clearance is told; empty follows from `action`."""
    because: ShortText = ""


class ActionLimit(Frozen):
    """How often, and on how much of the fleet, one action may be taken alone. Over the limit Lictor asks."""

    per_minute: int = Field(default=20, ge=0)
    fleet_share: float = Field(default=0.5, gt=0, le=1)
    """Of the agents seen in the last hour; at least `fleet_floor` are always allowed."""
    fleet_floor: int = Field(default=5, ge=1)
    cooldown_s: int = Field(default=0, ge=0)
    """Per agent, between two of these."""


class Safety(Frozen):
    """Bounds on the cure."""

    actions: dict[str, ActionLimit] = Field(default_factory=dict)
    default: ActionLimit = ActionLimit()
    protected: tuple[str, ...] = ()
    """Globs of agents that are never stopped, revoked or quarantined without a person."""
    dry_run: bool = False
    """Decide and record everything, order nothing."""


class Clocks(Frozen):
    """How far a step's own time may lie from Kafka's append time before it is clamped."""

    lateness_s: int = Field(default=3600, ge=0)
    skew_s: int = Field(default=300, ge=0)
    clamps_before_finding: int = Field(default=3, ge=1)


class Bounds(Frozen):
    """How much state one agent may hold, and how often one may be alarmed of; agents that no policy names share one pool."""

    traces_per_agent: int = Field(default=4096, ge=1)
    alarms_per_day: float = Field(default=0.02, gt=0, le=100)
    """False alarms about odd behaviour that are affordable, per agent and day: thresholds follow from it."""


class RuleBook(Message):
    """Signed by a person who may publish policy. `version` only rises."""

    type: ClassVar[str] = "rules"

    version: int = Field(ge=1)
    issued_us: Micros
    identity: Literal["observe", "require"] = "observe"
    autonomy: tuple[Row, ...] = ()
    safety: Safety = Safety()
    clocks: Clocks = Clocks()
    bounds: Bounds = Bounds()
    stop_grace_ms: int = Field(default=2000, ge=0)
    """Steps appended later than a stop plus this, without a trusted receipt, count as steps after the stop."""
