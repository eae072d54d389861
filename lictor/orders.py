"""A person's orders: published under the person's own key, and what the layers and `respond` answer to them."""

import contextlib
import getpass
import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from lictor import topic_io
from lictor.settings import Settings
from lictor.signers import is_signed, keyring, keyring_if_any
from responders.casebook import COMMAND_LIFE_US
from responders.supervisor import Supervisor
from schemas import ids
from schemas.command import Command, CommandAction, Target
from schemas.containment import Containment, Order
from schemas.errors import BadInput, BadRecord
from schemas.receipt import Receipt
from schemas.seal import Keyring, Signer
from schemas.verdict import Verdict
from streams.records import Record, signed


async def give(
    settings: Settings,
    signer: Signer,
    action: CommandAction,
    agent_id: str,
    runs: list[str],
    reason: str,
    person: str,
    wait_s: float,
    *,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Publish a command for each run and, beside it, the word to `respond`; return what the layers answered.

    The order goes out first: that there are no keys here to check the answers with must not keep it back.
    """
    topics = settings.topics
    told: dict[str, dict[str, Any]] = {}
    outputs = []
    for run_id in runs:
        command = _command(action, agent_id, run_id, reason, person, force=force)
        outputs.append(signed(topics.commands, agent_id, command, signer))
        outputs.append(signed(topics.verdicts, agent_id, _verdict(action, command, person, reason), signer))
        told[command.command_id] = {"run_id": run_id, "command_id": command.command_id, "receipts": [], "proof": ""}
    async with topic_io.consumer(settings.kafka, [topics.receipts], settings.kafka_client, "end") as source:
        await topic_io.publish(settings.kafka, outputs, settings.kafka_client)
        ring = await keyring_if_any(settings)
        async with contextlib.aclosing(_until(source, wait_s)) as records:
            async for record in records:
                _note(told, record, ring)
                if all(_is_proven(entry, action) for entry in told.values()):
                    break
    for entry in told.values():
        entry["proof"] = _proof(entry)
    return list(told.values())


@dataclass(frozen=True, slots=True)
class Lifted:
    """What became of a lifting."""

    gone: tuple[Order, ...]
    left: tuple[Order, ...]
    """What stands against the agent now."""
    unanswered: bool
    """`respond` has not confirmed it: it is down, or the person has not the right."""


async def lift(
    settings: Settings, signer: Signer, agent_id: str, command_id: str, reason: str, person: str, wait_s: float
) -> Lifted:
    """Ask `respond` to lift the order named, or all that stand but stops; wait until it has. Raises `BadInput`.

    Each order is named in a word of its own: a copy of that word, published again later, lifts nothing that came since.
    """
    topics, ring = settings.topics, await keyring(settings)
    records = await topic_io.read_all(settings.kafka, [topics.containment], settings.kafka_client)
    known = [found for record in records if (found := _standing(record, agent_id, ring)) is not None]
    before = max(known, key=lambda one: one.epoch, default=Containment(agent_id=agent_id, epoch=0, time_us=0))
    meant = _meant(before, command_id)
    words = [_lift_word(agent_id, order.command_id, reason, person) for order in meant]
    after, pending = before, {order.command_id for order in meant}
    async with topic_io.consumer(settings.kafka, [topics.containment], settings.kafka_client, "end") as source:
        outputs = [signed(topics.verdicts, agent_id, word, signer) for word in words]
        await topic_io.publish(settings.kafka, outputs, settings.kafka_client)
        async with contextlib.aclosing(_until(source, wait_s if pending else 0.0)) as answers:
            async for record in answers:
                found = _standing(record, agent_id, ring)
                after = found if found is not None and found.epoch > after.epoch else after
                if not pending & {order.command_id for order in after.orders}:
                    break
    left = {order.command_id for order in after.orders}
    gone = tuple(order for order in before.orders if order.command_id not in left)
    return Lifted(gone, after.orders, unanswered=bool(pending & left))


def _meant(found: Containment, command_id: str) -> list[Order]:
    """Return the orders to lift. A stop is none: its run has ended, and another run is another run."""
    meant = [order for order in found.orders if order.action != "stop" and command_id in ("", order.command_id)]
    if command_id and not meant:
        raise BadInput(
            f"no order {command_id} stands against {found.agent_id} that can be lifted; a stop cannot, and needs not"
        )
    return meant


def _lift_word(agent_id: str, command_id: str, reason: str, person: str) -> Verdict:
    now_us = time.time_ns() // 1000
    return Verdict(
        verdict_id=ids.named("lictor.verdict", "lift", agent_id, command_id, str(now_us)),
        kind="lift",
        agent_id=agent_id,
        command_id=command_id,
        reason=reason,
        person=person,
        time_us=now_us,
    )


def _standing(record: Record, agent_id: str, ring: Keyring) -> Containment | None:
    """Return the containment a record holds, if it is this agent's and `respond` signed it."""
    if record.key != agent_id.encode() or record.value is None:
        return None
    if not is_signed(ring, record, Containment.type, "respond"):
        return None
    try:
        return Containment.read(record.value)
    except BadRecord:
        return None


async def _until(source: Any, wait_s: float) -> AsyncGenerator[Record, None]:
    """Yield records as they come, for so long."""
    ends = time.monotonic() + wait_s
    while time.monotonic() < ends:
        for records in (await source.getmany(timeout_ms=100)).values():
            for record in records:
                yield record


def _command(action: CommandAction, agent_id: str, run_id: str, reason: str, person: str, *, force: bool) -> Command:
    """Return a command of epoch 0: the epoch is `respond`'s; a person's command is told from its copies by its id."""
    now_us = int(time.time() * 1e6)
    arguments: dict[str, Any] = {"by": f"{getpass.getuser()}@{os.uname().nodename}"}
    if force:
        arguments["force"] = True
    return Command(
        command_id=ids.command_id(agent_id, run_id, 0, action, {**arguments, "at": now_us}),
        action=action,
        target=Target(agent_id=agent_id, run_id=run_id),
        arguments=arguments,
        epoch=0,
        issued_us=now_us,
        expires_us=now_us + COMMAND_LIFE_US,
        reason=reason[:500],
        person=person,
    )


def _verdict(action: CommandAction, command: Command, person: str, reason: str) -> Verdict:
    return Verdict(
        verdict_id=ids.named("lictor.verdict", command.command_id),
        kind={"stop": "kill", "pause": "pause"}.get(action, "resume"),  # type: ignore[arg-type]  # three of its words
        agent_id=command.target.agent_id,
        run_id=command.target.run_id,
        command_id=command.command_id,
        reason=reason,
        person=person,
        time_us=command.issued_us,
    )


def _note(told: dict[str, dict[str, Any]], record: Record, ring: Keyring | None) -> None:
    """Keep a receipt of one of these orders, with what it is worth: `agent`, `supervisor`, or `nobody` where unsigned."""
    try:
        receipt = Receipt.read(record.value)
    except BadRecord:
        return
    entry = told.get(receipt.command_id)
    if entry is None or receipt.agent_id.encode() != record.key or receipt.run_id != entry["run_id"]:
        return
    word = "agent" if receipt.layer == "sdk" else "nobody"
    if receipt.layer == "supervisor" and is_signed(ring, record, Receipt.type, "supervisor"):
        word = "supervisor"
    said = receipt.model_dump(include={"layer", "status", "reason", "exit_status", "time_us"})
    proves = word == "supervisor" and Supervisor().proof(receipt) == "proven"
    entry["receipts"].append({**said, "word_of": word, "proves": proves})


def _is_proven(entry: dict[str, Any], action: str) -> bool:
    """Tell whether there is nothing more to wait for: for a stop, the supervisor's proof; else the agent's word."""
    return any(receipt["proves"] for receipt in entry["receipts"]) if action == "stop" else _is_claimed(entry)


def _is_claimed(entry: dict[str, Any]) -> bool:
    return any(found["word_of"] == "agent" and found["status"] == "effective" for found in entry["receipts"])


def _proof(entry: dict[str, Any]) -> str:
    if any(receipt["proves"] for receipt in entry["receipts"]):
        return "proven: the process was reaped"
    if _is_claimed(entry):
        return "claimed: the agent says so itself; nothing outside its process has confirmed it"
    return "none yet: nobody has said that the order took effect"
