"""What the agent is told, and what it answers. A later major version (`v`) is refused, never misread."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom a command is for."""

    agent_id: str
    run_id: str = ""
    step_id: str = ""
    digest: str = ""


class Command(msgspec.Struct, frozen=True):
    """An order, or the answer to a waiting call."""

    command_id: str
    action: str
    target: Target
    epoch: int
    issued_us: int
    expires_us: int
    reason: str
    v: Literal[1] = 1
    arguments: dict[str, Any] = {}
    person: str = ""


class Order(msgspec.Struct, frozen=True):
    """One standing order."""

    command_id: str
    action: str
    since_us: int
    run_id: str = ""
    expires_us: int = 0
    reason: str = ""
    step_id: str = ""
    arguments: dict[str, Any] = {}


class Containment(msgspec.Struct, frozen=True):
    """Everything standing against the agent."""

    agent_id: str
    epoch: int
    v: Literal[1] = 1
    orders: tuple[Order, ...] = ()


class Liveness(msgspec.Struct, frozen=True):
    """A component's word that it is alive."""

    component: str
    instance: str
    v: Literal[1] = 1
    behind_us: int = 0


class Ordered(NamedTuple):
    """What a run is told to do, whether a command or the containment said so."""

    action: str
    command_id: str
    reason: str = ""
    step_id: str = ""
    arguments: Mapping[str, Any] = MappingProxyType({})


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of a command here."""

    v: int = 1
    receipt_id: str
    command_id: str
    agent_id: str
    run_id: str = ""
    layer: str
    status: str
    reason: str = ""
    running: tuple[str, ...] = ()
    last_seq: dict[str, int] = {}
    exit_status: int | None = None
    step_id: str = ""
    since_step_us: int | None = None
    time_us: int


read_command = msgspec.json.Decoder(Command).decode
read_containment = msgspec.json.Decoder(Containment).decode
read_liveness = msgspec.json.Decoder(Liveness).decode
encode_receipt = msgspec.json.Encoder().encode
