"""A question to a person, with context and a deadline, bound to the exact action it is about."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.finding import Evidence
from schemas.message import LongText, Message, Micros, ShortText

ApprovalStatus = Literal["open", "approved", "denied", "timeout", "expired", "withdrawn"]


class Approval(Message):
    """One version of a question. `action_digest` is the SHA-256 of the canonical action; an answer fits only that."""

    type: ClassVar[str] = "approval"

    approval_id: str
    revision: int = Field(default=1, ge=1)
    status: ApprovalStatus = "open"
    agent_id: str
    run_id: str = ""
    trace_id: str = ""
    step_id: str = ""
    action_digest: str = ""
    tool: str = ""
    arguments: dict[str, Any] | None = None
    question: LongText
    reason: LongText
    evidence: tuple[Evidence, ...] = ()
    incident_id: str = ""
    finding_ids: tuple[str, ...] = ()
    irreversible: bool = True
    answered_by: ShortText = ""
    answer: LongText = ""
    opened_us: Micros
    expires_us: Micros
