"""A signed order on the control topic (after OpenC2)."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.message import Frozen, Message, Micros, ShortText

CommandAction = Literal[
    "deny", "throttle", "read_only", "pause", "resume", "stop", "revoke", "quarantine", "allow", "clearance"
]
RUN_BOUND: frozenset[str] = frozenset({"stop", "pause", "resume"})
"""Orders that bind to one run, never to a later one; the others bind to the agent until lifted or expired."""


class Target(Frozen):
    """Whom the order is for. A `clearance` names the step it answers and the digest of what that step says."""

    agent_id: str
    run_id: str = ""
    step_id: str = ""
    digest: str = ""


class Command(Message):
    """Signed by `respond` (orders), `detect` (clearances) or a person with role responder (stop, pause).

    Believed only when the signature, the signer's role, the expiry and the epoch hold, at the place where it is carried
    out. A receiver acts once per `command_id`.
    """

    type: ClassVar[str] = "command"

    command_id: str
    action: CommandAction
    target: Target
    arguments: dict[str, Any] = Field(default_factory=dict)
    epoch: int = Field(ge=0)
    issued_us: Micros
    expires_us: Micros
    reason: ShortText
    incident_id: str = ""
    decision_id: str = ""
    finding_ids: tuple[str, ...] = ()
    person: str = ""
