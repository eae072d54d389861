"""One detector's claim about steps (OCSF 2004 Detection Finding)."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Frozen, LongText, Message, Micros, Severity, Share, ShortText

Mode = Literal["observe", "ask", "enforce"]
Identity = Literal["marked", "unmarked", "forged"]


class Evidence(Frozen):
    """One step that the claim rests on, and what it contributed."""

    step_id: str
    seq: int = 0
    role: ShortText
    """In a few words: `read untrusted content from web.get`."""


class Finding(Message):
    """What a detector claims, how sure it is, and why, in a sentence a person can check against the evidence.

    Signed by `detect`. `step_id` is the step at which the claim became complete, never earlier evidence. `identity` says
    whether that step carried a good mark: an order against the named agent needs `marked`.
    """

    type: ClassVar[str] = "finding"

    finding_id: str
    rule_id: str
    rule_version: int = 1
    detector: str
    title: ShortText
    severity: Severity
    confidence: Share
    impact: Share = 0.5
    reason: LongText
    agent_id: str
    run_id: str
    trace_id: str = ""
    step_id: str
    seq: int = 0
    tool: str = ""
    traits: tuple[str, ...] = ()
    group: str = ""
    """What the rule groups by, so that repeats under another order of arrival can be told to be the same."""
    evidence: tuple[Evidence, ...] = Field(max_length=64)
    identity: Identity = "marked"
    mode: Mode = "enforce"
    tags: tuple[str, ...] = ()
    response: ShortText = ""
    """The rule's hint at what should be done; the autonomy table decides."""
    step_time_us: int = 0
    append_time_us: Micros = 0
    drill: bool = False
