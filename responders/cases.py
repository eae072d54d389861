"""What `respond` remembers of one agent: its epoch, the orders standing against it, its open incidents."""

from typing import Any, Final

import msgspec

from schemas import ids
from schemas.command import Command
from schemas.containment import Containment, Order
from schemas.errors import BadRecord

KEPT_STOPS: Final = 64
KEPT_PAUSES: Final = 128
"""With the stops and the few orders against the whole agent, what fits into one containment."""
WORD_LIFE_US: Final = 300 * 1_000_000
"""How far a person's own time in a word may lie from the time at which Kafka took it: as long as a command lives."""
KEPT_WORDS: Final = 1024


class OpenIncident(msgspec.Struct):
    """An incident findings are still added to."""

    incident_id: str
    revision: int
    run_id: str
    trace_id: str
    title: str
    severity: str
    risk: float
    finding_ids: list[str]
    findings_seen: int
    opened_us: int
    changed_us: int
    status: str = "new"
    drill: bool = False


class Standing(msgspec.Struct):
    """An order that stands, and how far its proof has come."""

    command_id: str
    action: str
    run_id: str
    since_us: int
    expires_us: int
    reason: str
    incident_id: str
    arguments: dict[str, Any]
    step_id: str = ""
    proof: str = ""
    asked: bool = False
    """A person was asked because the order did not hold."""
    adopted: bool = False
    """Known from the containment alone: its command may not have gone out before the last owner died."""


class AgentCase(msgspec.Struct):
    """Everything of one agent. Bounded: old findings and closed incidents are forgotten, orders are not."""

    agent_id: str
    epoch: int = 0
    orders: dict[str, Standing] = {}
    incidents: dict[str, OpenIncident] = {}
    judged: dict[str, int] = {}
    """finding_id → append time, so that a repeat is judged once."""
    heard: dict[str, int] = {}
    """Digest of a word's id → append time: for as long as it would be believed, a word said again does nothing."""

    def standing(self, action: str, run_id: str) -> Standing | None:
        """Return the order of this kind against this run, if one stands."""
        return next((o for o in self.orders.values() if o.action == action and o.run_id == run_id), None)

    def hears(self, verdict_id: str, now_us: int) -> bool:
        """Note a person's word; tell whether it is new. One that is forgotten here is too old to be believed."""
        name = ids.named("lictor.word", verdict_id)
        for old in [key for key, at_us in self.heard.items() if at_us < now_us - 2 * WORD_LIFE_US]:
            del self.heard[old]
        if name in self.heard:
            return False
        if len(self.heard) >= KEPT_WORDS:
            del self.heard[next(iter(self.heard))]
        self.heard[name] = now_us
        return True

    def containment(self, now_us: int) -> Containment:
        """Return the whole set as it is published."""
        orders = tuple(
            Order(
                command_id=order.command_id,
                action=order.action,  # type: ignore[arg-type]  # written from a Command only
                run_id=order.run_id,
                arguments=order.arguments,
                since_us=order.since_us,
                expires_us=order.expires_us,
                reason=order.reason,
                incident_id=order.incident_id,
                step_id=order.step_id,
            )
            for order in self.orders.values()
        )
        return Containment(agent_id=self.agent_id, epoch=self.epoch, orders=orders, time_us=now_us)

    def adopt(self, known: Containment) -> None:
        """Take over orders that stand but are not in the checkpoint: the containment outlives everything else."""
        if known.epoch <= self.epoch:
            return
        self.epoch = known.epoch
        ids = {order.command_id for order in known.orders}
        self.orders = {key: order for key, order in self.orders.items() if key in ids}
        for order in known.orders:
            if order.command_id not in self.orders:
                fields = order.model_dump(exclude={"command_id"})
                self.orders[order.command_id] = Standing(command_id=order.command_id, adopted=True, **fields)

    def refuse(self, action: str) -> str:
        """Return why no more orders of this kind can stand; "" if they can. A pause is never forgotten for another."""
        pauses = sum(order.action == "pause" for order in self.orders.values())
        if action != "pause" or pauses < KEPT_PAUSES:
            return ""
        return f"{pauses} pause orders stand against this agent already; that is the bound"

    def prune(self) -> None:
        """Forget the oldest stops beyond the bound: they bind to runs, and old runs are gone."""
        stops = [key for key, order in self.orders.items() if order.action == "stop"]
        for key in stops[: max(0, len(stops) - KEPT_STOPS)]:
            del self.orders[key]

    def take(self, command: Command, until_us: int) -> None:
        """Let an order stand until it is lifted or, where `until_us` is not 0, expires."""
        self.orders[command.command_id] = Standing(
            command_id=command.command_id,
            action=command.action,
            run_id=command.target.run_id,
            since_us=command.issued_us,
            expires_us=until_us,
            reason=command.reason,
            incident_id=command.incident_id,
            arguments=dict(command.arguments),
            step_id=command.target.step_id,
        )
        self.prune()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AgentCase)


def encode_case(case: AgentCase) -> bytes:
    """Return the case as bytes for a checkpoint."""
    return _encoder.encode(case)


def decode_case(data: bytes) -> AgentCase:
    """Return the case from a checkpoint. Raises `BadRecord` if it is of another shape."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("checkpoint", str(error)) from None
