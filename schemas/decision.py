"""What the policy says to do about an incident, with the row that matched and the sentence that says why."""

from typing import ClassVar

from schemas.message import Action, Message, Micros, ShortText


class Decision(Message):
    """The account of one judgement. `wanted` differs from `action` where a safety limit turned it into a question."""

    type: ClassVar[str] = "decision"

    decision_id: str
    incident_id: str
    finding_id: str
    agent_id: str
    run_id: str = ""
    trace_id: str = ""
    action: Action
    wanted: Action
    row: ShortText
    because: ShortText
    limited_by: ShortText = ""
    policy_version: int = 0
    rules_version: int = 0
    mode: str = ""
    command_id: str = ""
    approval_id: str = ""
    time_us: Micros
