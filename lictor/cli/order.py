"""Verbs by which a person gives orders: `kill`, `pause`, `resume`."""

import asyncio
import getpass
import json
import os
import time
from typing import Any

import click

from lictor import topic_io
from lictor.cli.look import located
from lictor.history import History
from lictor.keys import OPERATOR, Keys
from lictor.settings import Settings
from responders.casebook import COMMAND_LIFE_US
from schemas import ids
from schemas.command import Command, CommandAction, Target
from schemas.containment import Containment
from schemas.errors import BadInput, BadRecord
from schemas.receipt import Receipt
from schemas.seal import Signer
from schemas.verdict import Verdict
from streams.records import signed

_RUN = click.option("--run", "run_id", help="The run; default: all runs of the agent that have not ended.")
_REASON = click.option("--reason", required=True, help="Why; kept with the order for good.")
_PERSON = click.option("--as", "person", default=OPERATOR, show_default=True, help="Whose key signs.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.command()
@click.argument("agent_id")
@_RUN
@_REASON
@_PERSON
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=10.0,
    show_default=True,
    help="Seconds to wait for proof.",
)
@_JSON
def kill(agent_id: str, run_id: str | None, reason: str, person: str, wait_s: float, *, as_json: bool) -> None:
    """Stop an agent's runs, by your own key: it works with `respond` down. Shows, layer by layer, what took effect."""
    _order("stop", agent_id, run_id, reason, person, wait_s, as_json=as_json)


@click.command()
@click.argument("agent_id")
@_RUN
@_REASON
@_PERSON
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=5.0,
    show_default=True,
    help="Seconds to wait for receipts.",
)
@_JSON
def pause(agent_id: str, run_id: str | None, reason: str, person: str, wait_s: float, *, as_json: bool) -> None:
    """Hold an agent's runs before their next call, until `lictor resume`."""
    _order("pause", agent_id, run_id, reason, person, wait_s, as_json=as_json)


@click.command()
@click.argument("agent_id")
@_RUN
@_REASON
@_PERSON
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=5.0,
    show_default=True,
    help="Seconds to wait for receipts.",
)
@_JSON
def resume(agent_id: str, run_id: str | None, reason: str, person: str, wait_s: float, *, as_json: bool) -> None:
    """Let paused runs go on. A stopped run cannot be resumed; start the agent again."""
    _order("resume", agent_id, run_id, reason, person, wait_s, as_json=as_json)


def _order(
    action: CommandAction, agent_id: str, run_id: str | None, reason: str, person: str, wait_s: float, *, as_json: bool
) -> None:
    settings = located()
    signer = Keys(settings.keys_folder).signer(f"people/{person}")
    runs = [run_id] if run_id else _live_runs(settings, agent_id)
    if not runs:
        raise BadInput(f"no run of {agent_id} is known to be live; `lictor agents` lists agents, --run names a run")
    told = asyncio.run(_give(settings, signer, action, agent_id, runs, reason, person, wait_s))
    if as_json:
        click.echo(json.dumps({"agent_id": agent_id, "action": action, "runs": told}))
        return
    for entry in told:
        click.echo(f"{action} of run {entry['run_id']} of {agent_id}, command {entry['command_id']}")
        for receipt in entry["receipts"]:
            status = f", exit status {receipt['exit_status']}" if receipt["exit_status"] is not None else ""
            click.echo(f"  {receipt['layer']:<11} {receipt['status']}{status}  {receipt['reason']}".rstrip())
        click.echo(f"  proof       {entry['proof']}")


def _live_runs(settings: Settings, agent_id: str) -> list[str]:
    with History.of(settings) as history:
        rows = history.rows(
            "SELECT run_id FROM runs WHERE agent_id = {a:String} AND NOT ended AND last_seen > now() - INTERVAL 1 DAY",
            {"a": agent_id},
        )[1]
    return [str(row[0]) for row in rows]


async def _give(
    settings: Settings,
    signer: Signer,
    action: CommandAction,
    agent_id: str,
    runs: list[str],
    reason: str,
    person: str,
    wait_s: float,
) -> list[dict[str, Any]]:
    """Publish the commands and, beside them, the word to `respond`; collect what the layers answer."""
    epoch = await _epoch(settings, agent_id)
    topics = settings.topics
    told: dict[str, dict[str, Any]] = {}
    outputs = []
    for number, run_id in enumerate(runs):
        command = _command(action, agent_id, run_id, epoch + 1 + number, reason, person)
        outputs.append(signed(topics.commands, agent_id, command, signer))
        outputs.append(signed(topics.verdicts, agent_id, _verdict(action, command, person, reason), signer))
        told[command.command_id] = {"run_id": run_id, "command_id": command.command_id, "receipts": [], "proof": ""}
    async with topic_io.consumer(settings.kafka, [topics.receipts], settings.kafka_client, "end") as source:
        await topic_io.publish(settings.kafka, outputs, settings.kafka_client)
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends and not all(_is_proven(entry, action) for entry in told.values()):
            for records in (await source.getmany(timeout_ms=100)).values():
                for record in records:
                    _note(told, record.value)
    for entry in told.values():
        entry["proof"] = _proof(entry)
    return list(told.values())


async def _epoch(settings: Settings, agent_id: str) -> int:
    """Return the epoch of the agent's containment, as it stands now."""
    records = await topic_io.read_all(settings.kafka, [settings.topics.containment], settings.kafka_client)
    epochs = [
        Containment.read(record.value).epoch for record in records if record.key == agent_id.encode() and record.value
    ]
    return max(epochs, default=0)


def _command(action: CommandAction, agent_id: str, run_id: str, epoch: int, reason: str, person: str) -> Command:
    now_us = int(time.time() * 1e6)
    arguments: dict[str, Any] = {"by": f"{getpass.getuser()}@{os.uname().nodename}"}
    return Command(
        command_id=ids.command_id(agent_id, run_id, epoch, action, {**arguments, "at": now_us}),
        action=action,
        target=Target(agent_id=agent_id, run_id=run_id),
        arguments=arguments,
        epoch=epoch,
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


def _note(told: dict[str, dict[str, Any]], value: bytes | None) -> None:
    try:
        receipt = Receipt.read(value)
    except BadRecord:
        return
    entry = told.get(receipt.command_id)
    if entry is not None:
        shown = receipt.model_dump(include={"layer", "status", "reason", "exit_status", "time_us"})
        entry["receipts"].append(shown)


def _is_proven(entry: dict[str, Any], action: str) -> bool:
    """Tell whether there is nothing more to wait for: for a stop, the supervisor's word; else the SDK's."""
    wanted = "supervisor" if action == "stop" else "sdk"
    return any(receipt["layer"] == wanted and receipt["status"] == "effective" for receipt in entry["receipts"])


def _proof(entry: dict[str, Any]) -> str:
    effective = {receipt["layer"] for receipt in entry["receipts"] if receipt["status"] == "effective"}
    if "supervisor" in effective:
        return "proven: the process was reaped"
    if "sdk" in effective:
        return "claimed: the agent says so itself; nothing outside its process has confirmed it"
    return "none yet: nobody has said that the order took effect"
