"""What a rule's file may say: Sigma's keys, and Lictor's own under `lictor:`. Editors complete and check by its JSON Schema.

Sigma's part is checked by pySigma, so that it is only as strict here as an editor needs; Lictor's part is checked by this,
and an unknown key in it is refused.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.finding import Mode
from schemas.message import Severity, Share
from schemas.step import Kind, Origin, Outcome

Span = Annotated[str, Field(pattern=r"^[0-9]{1,6}[smhd]$")]
"""A time: `30s`, `5m`, `2h`, `1d`."""
Scope = Literal["run", "trace", "conversation", "agent", "principal", "owner", "tool", "resource", "workflow", "fleet"]
CorrelationType = Literal[
    "event_count",
    "value_count",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
    "temporal",
    "temporal_ordered",
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class CaseStep(_Strict):
    """A step of a test, written short: ids, numbers and times are filled in."""

    kind: Kind
    text: str = ""
    origin: Origin | Literal[""] = ""
    tool: str = ""
    arguments: dict[str, Any] | None = None
    traits: tuple[str, ...] | None = None
    """Of its tool; without it, those that the default policy gives to tools of such a name."""
    model: str = ""
    provider: str = ""
    outcome: Outcome | Literal[""] = ""
    error: str = ""
    to_agent: str = ""
    memory_id: str = ""
    labels: tuple[str, ...] = ()
    delegation: tuple[str, ...] = ()
    principal: str = ""
    workflow: str = ""
    conversation_id: str = ""
    environment: str = ""
    owner: str = ""
    version: str = ""
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    duration_us: int = 0
    gate: dict[str, Any] | None = None
    agent: str = ""
    """Names another agent, run or trace than the test's own."""
    run: str = ""
    trace: str = ""
    after: Span | None = None
    """How long after the step before."""


class Case(_Strict):
    """One test: steps, and whether the rule fires on any of them."""

    say: str = Field(min_length=1)
    fires: bool
    near_miss: bool = False
    """It stays silent, and only just: one thing that the rule asks for is missing."""
    steps: tuple[CaseStep, ...] = Field(min_length=1, max_length=500)
    then: Span | None = None
    """How long nothing happens after the last step: what must follow has not."""


class LictorKeys(_Strict):
    """What a rule says under `lictor:`."""

    confidence: Share = 0.7
    impact: Share = 0.5
    mode: Mode = "observe"
    scope: Scope = "trace"
    suppress: Span | Annotated[int, Field(ge=0)] | None = None
    """How long the rule stays silent about the same group after it fired."""
    response: str = Field(default="", max_length=512)
    version: int = Field(default=1, ge=1)
    runbook: str = ""
    references: list[str] = []
    tests: tuple[Case, ...] = ()


class _LogSource(BaseModel):
    model_config = ConfigDict(extra="forbid")

    product: Literal["ai_agent"]
    category: Literal["agent_events", "mcp_events"] | None = None
    definition: str = ""


class _Correlation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: CorrelationType
    rules: list[str] | str | None = None
    group_by: list[str] | str | None = Field(default=None, alias="group-by")
    timespan: str
    condition: dict[str, Any] | str | None = None
    aliases: dict[str, dict[str, str]] | None = None
    generate: bool = False


class RuleFile(BaseModel):
    """One document of a rule's file: a rule, a correlation, or a filter."""

    model_config = ConfigDict(title="Lictor rule", extra="allow")

    title: str = Field(min_length=1, max_length=256)
    id: str | None = None
    name: str | None = None
    status: Literal["stable", "test", "experimental", "deprecated", "unsupported"] | None = None
    description: str = ""
    references: list[str] = []
    author: str = ""
    tags: list[str] = []
    falsepositives: list[str] = []
    level: Severity | None = None
    logsource: _LogSource | None = None
    detection: dict[str, Any] | None = None
    correlation: _Correlation | None = None
    filter: dict[str, Any] | None = None
    generate: bool | None = None
    lictor: LictorKeys | None = None
