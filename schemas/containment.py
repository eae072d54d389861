"""The whole set of orders now standing against one agent."""

from typing import Any, ClassVar

from pydantic import Field

from schemas.command import CommandAction
from schemas.message import Frozen, Message, Micros, ShortText


class Order(Frozen):
    """One order that stands until it is lifted or expires."""

    command_id: str
    action: CommandAction
    run_id: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    since_us: Micros
    expires_us: Micros = 0
    """0: does not expire by itself."""
    reason: ShortText = ""
    incident_id: str = ""
    step_id: str = ""
    """The step that the order is about."""


class Containment(Message):
    """Signed by `respond`, its only writer. Lifting writes an empty set; tombstones are ignored.

    `epoch` is raised by every change, so that an old set or a copy of an old command is told from the present one.
    """

    type: ClassVar[str] = "containment"

    agent_id: str
    epoch: int = Field(ge=0)
    orders: tuple[Order, ...] = Field(default=(), max_length=256)
    time_us: Micros
