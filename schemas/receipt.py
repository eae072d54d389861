"""What became of a command, from which layer."""

from typing import ClassVar, Literal

from pydantic import Field

from schemas.message import Message, Micros, ShortText

Layer = Literal["sdk", "supervisor", "container", "credentials", "gateway", "broker", "people"]
Status = Literal["received", "effective", "refused", "failed", "expired"]


class Receipt(Message):
    """One layer's word on one command. An agent's own receipt is a claim; it never closes a kill."""

    type: ClassVar[str] = "receipt"

    receipt_id: str
    command_id: str
    agent_id: str
    run_id: str = ""
    layer: Layer
    status: Status
    reason: ShortText = ""
    running: tuple[str, ...] = Field(default=(), max_length=256)
    """Tool calls still executing, on `received`."""
    last_seq: dict[str, int] = Field(default_factory=dict)
    """Per open trace ("" for steps without one), the last `seq` the run had taken."""
    exit_status: int | None = None
    """The process's exit status as the supervisor reaped it; negative is a signal."""
    step_id: str = ""
    """The last step published before the order took effect."""
    since_step_us: int | None = None
    """From that step being handed to the producer to this receipt, on the agent's monotonic clock."""
    time_us: Micros
