"""Whatever a person tells `respond`: verdicts, answers to approvals, ack, kill, pause, resume."""

from typing import ClassVar, Literal

from schemas.message import LongText, Message, Micros, ShortText


class Verdict(Message):
    """Signed by the person's own key; every word carries person and reason."""

    type: ClassVar[str] = "verdict"

    verdict_id: str
    kind: Literal["verdict", "answer", "ack", "kill", "pause", "resume", "lift"]
    agent_id: str
    run_id: str = ""
    incident_id: str = ""
    finding_id: str = ""
    approval_id: str = ""
    command_id: str = ""
    """For kill and pause: the command that the person's own key has already published. For lift: the order."""
    word: ShortText = ""
    """`true_positive false_positive benign` for a verdict; `approved denied` for an answer."""
    reason: LongText
    person: ShortText
    time_us: Micros
