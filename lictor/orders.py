"""A person's orders: published under the person's own key, and what the layers and `respond` answer to them."""

import contextlib
import getpass
import os
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from lictor import topic_io
from lictor.keys import Keys
from lictor.settings import Settings
from responders.casebook import COMMAND_LIFE_US
from schemas import ids
from schemas.command import Command, CommandAction, Target
from schemas.containment import Containment, Order
from schemas.errors import BadRecord, BadSeal
from schemas.keys import KEY_LIST
from schemas.message import Message
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
) -> list[dict[str, Any]]:
    """Publish a command for each run and, beside it, the word to `respond`; return what the layers answered."""
    topics, ring = settings.topics, await _keyring(settings)
    told: dict[str, dict[str, Any]] = {}
    outputs = []
    for run_id in runs:
        command = _command(action, agent_id, run_id, reason, person)
        outputs.append(signed(topics.commands, agent_id, command, signer))
        outputs.append(signed(topics.verdicts, agent_id, _verdict(action, command, person, reason), signer))
        told[command.command_id] = {"run_id": run_id, "command_id": command.command_id, "receipts": [], "proof": ""}
    async with topic_io.consumer(settings.kafka, [topics.receipts], settings.kafka_client, "end") as source:
        await topic_io.publish(settings.kafka, outputs, settings.kafka_client)
        async with contextlib.aclosing(_until(source, wait_s)) as records:
            async for record in records:
                _note(told, record, ring)
                if all(_is_proven(entry, action) for entry in told.values()):
                    break
    for entry in told.values():
        entry["proof"] = _proof(entry)
    return list(told.values())


async def lift(
    settings: Settings, signer: Signer, agent_id: str, command_id: str, reason: str, person: str, wait_s: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Ask `respond` to lift orders; return those that are gone, and those that stand, once it has answered."""
    topics, ring = settings.topics, await _keyring(settings)
    known = await topic_io.read_all(settings.kafka, [topics.containment], settings.kafka_client)
    before = _last([found for record in known if (found := _standing(record, agent_id, ring)) is not None])
    word = Verdict(
        verdict_id=ids.named("lictor.verdict", "lift", agent_id, command_id, str(time.time_ns())),
        kind="lift",
        agent_id=agent_id,
        command_id=command_id,
        reason=reason,
        person=person,
        time_us=time.time_ns() // 1000,
    )
    after = before
    async with topic_io.consumer(settings.kafka, [topics.containment], settings.kafka_client, "end") as source:
        await topic_io.publish(settings.kafka, [signed(topics.verdicts, agent_id, word, signer)], settings.kafka_client)
        async with contextlib.aclosing(
            _until(source, wait_s if _can_be_lifted(before, command_id) else 0.0)
        ) as records:
            async for record in records:
                after = _standing(record, agent_id, ring) or after
                if after.epoch > before.epoch:
                    break
    left = {order.command_id for order in after.orders}
    return _said(order for order in before.orders if order.command_id not in left), _said(after.orders)


def _can_be_lifted(found: Containment, command_id: str) -> bool:
    return any(order.command_id == command_id if command_id else order.action != "stop" for order in found.orders)


def _said(orders: Iterable[Order]) -> list[dict[str, Any]]:
    return [order.model_dump(include={"command_id", "action", "run_id", "reason"}) for order in orders]


def _last(found: list[Containment]) -> Containment:
    return max(found, key=lambda one: one.epoch, default=Containment(agent_id="", epoch=0, time_us=0))


def _standing(record: Record, agent_id: str, ring: Keyring) -> Containment | None:
    """Return the containment a record holds, if it is this agent's and `respond` signed it."""
    if record.key != agent_id.encode() or record.value is None or not _is_signed(record, Containment, ring):
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


async def _keyring(settings: Settings) -> Keyring:
    """Return the keys in force, from the list that the root key signed and Kafka holds."""
    ring = Keys(settings.keys_folder).keyring()
    for record in await topic_io.read_all(settings.kafka, [settings.topics.policies], settings.kafka_client):
        if record.key == KEY_LIST.encode() and record.value is not None:
            with contextlib.suppress(BadSeal, BadRecord):
                ring.load(record.topic, KEY_LIST, record.headers, record.value)
    return ring


def _is_signed(record: Record, kind: type[Message], ring: Keyring) -> bool:
    key = (record.key or b"").decode("utf-8", "replace")
    try:
        ring.check(record.topic, key, kind.type, record.headers, record.value or b"", record.timestamp * 1000)
    except BadSeal:
        return False
    return True


def _command(action: CommandAction, agent_id: str, run_id: str, reason: str, person: str) -> Command:
    """Return a command of epoch 0: the epoch is `respond`'s; a person's command is told from its copies by its id."""
    now_us = int(time.time() * 1e6)
    arguments: dict[str, Any] = {"by": f"{getpass.getuser()}@{os.uname().nodename}"}
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


def _note(told: dict[str, dict[str, Any]], record: Record, ring: Keyring) -> None:
    try:
        receipt = Receipt.read(record.value)
    except BadRecord:
        return
    entry = told.get(receipt.command_id)
    if entry is not None and receipt.agent_id.encode() == record.key and receipt.run_id == entry["run_id"]:
        said = receipt.model_dump(include={"layer", "status", "reason", "exit_status", "time_us"})
        entry["receipts"].append({**said, "signed": _is_signed(record, Receipt, ring)})


def _effective(entry: dict[str, Any]) -> set[str]:
    """Return the layers that say the order took effect: the supervisor's word counts only signed."""
    return {
        receipt["layer"]
        for receipt in entry["receipts"]
        if receipt["status"] == "effective" and (receipt["signed"] or receipt["layer"] == "sdk")
    }


def _is_proven(entry: dict[str, Any], action: str) -> bool:
    """Tell whether there is nothing more to wait for: for a stop, the supervisor's word; else the SDK's."""
    return ("supervisor" if action == "stop" else "sdk") in _effective(entry)


def _proof(entry: dict[str, Any]) -> str:
    effective = _effective(entry)
    if "supervisor" in effective:
        return "proven: the process was reaped"
    if "sdk" in effective:
        return "claimed: the agent says so itself; nothing outside its process has confirmed it"
    return "none yet: nobody has said that the order took effect"
