"""Findings that belong together, and the risk they add up to (OCSF 2005 Incident Finding)."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros, Severity, ShortText


class Incident(Message):
    """Every change is a new version of the whole, so that the history keeps each."""

    type: ClassVar[str] = "incident"

    incident_id: str
    revision: int = Field(default=1, ge=1)
    agent_id: str
    run_id: str = ""
    trace_id: str = ""
    title: ShortText
    severity: Severity
    risk: float = Field(ge=0, allow_inf_nan=False)
    status: Literal["new", "in_progress", "contained", "resolved", "closed"] = "new"
    finding_ids: tuple[str, ...] = Field(max_length=256)
    findings_seen: int = 0
    """All that were counted, also those beyond the list."""
    verdict: Literal["", "true_positive", "false_positive", "benign"] = ""
    assignee: ShortText = ""
    opened_us: Micros
    changed_us: Micros
    drill: bool = False
