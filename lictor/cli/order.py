"""Verbs by which a person gives orders: `kill`, `pause`, `resume`, `lift`."""

import asyncio
import json
import sys
from typing import Any, Final

import click

from detectors.base import shown
from lictor import orders
from lictor.cli.look import located
from lictor.history import History
from lictor.keys import OPERATOR, Keys
from lictor.settings import Settings
from schemas.command import CommandAction
from schemas.containment import Order
from schemas.errors import BadInput

_RUN = click.option("--run", "run_id", help="The run; default: all runs of the agent that have not ended.")
_REASON = click.option("--reason", required=True, help="Why; kept with the order for good.")
_PERSON = click.option("--as", "person", default=OPERATOR, show_default=True, help="Whose key signs.")
_WORDS: Final = {
    "agent": "the agent's own word",
    "supervisor": "signed by the supervisor",
    "nobody": "not signed by who may: it proves nothing",
}
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
@click.option("--force", is_flag=True, help="End the process even if other runs live in it: they end too.")
@_JSON
def kill(
    agent_id: str, run_id: str | None, reason: str, person: str, wait_s: float, *, force: bool, as_json: bool
) -> None:
    """Stop an agent's runs, by your own key: it works with `respond` down. Shows, layer by layer, what took effect.

    Exit status 1 where nobody has said that it took effect.
    """
    _order("stop", agent_id, run_id, reason, person, wait_s, force=force, as_json=as_json)


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


@click.command()
@click.argument("agent_id")
@click.option("--command", "command_id", default="", help="The order to lift; default: all but stops.")
@_REASON
@_PERSON
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=5.0,
    show_default=True,
    help="Seconds to wait for `respond`.",
)
@_JSON
def lift(agent_id: str, command_id: str, reason: str, person: str, wait_s: float, *, as_json: bool) -> None:
    """Lift the orders that stand against an agent, quarantine, denied tools, pauses, so that it may go on.

    Stops stay: they bind to runs that have ended. `respond` must be running; exit status 1 if it does not confirm.
    """
    settings = located()
    signer = Keys(settings.keys_folder).signer(f"people/{person}")
    done = asyncio.run(orders.lift(settings, signer, agent_id, command_id, reason, person, wait_s))
    if as_json:
        gone, left = ([_shown_order(order) for order in found] for found in (done.gone, done.left))
        click.echo(
            json.dumps({"agent_id": agent_id, "lifted": gone, "standing": left, "answered": not done.unanswered})
        )
    else:
        _show_lifted(agent_id, done)
    sys.exit(1 if done.unanswered else 0)


def _shown_order(order: Order) -> dict[str, Any]:
    return order.model_dump(include={"command_id", "action", "run_id", "reason"})


def _show_lifted(agent_id: str, done: orders.Lifted) -> None:
    click.echo(f"lifted {len(done.gone)} orders against {agent_id}; {len(done.left)} stand")
    for word, found in (("lifted", done.gone), ("stands", done.left)):
        for order in found:
            click.echo(f"  {word}  {order.action:<11} {shown(order.command_id)}  {shown(order.reason)}")
    if done.unanswered:
        click.echo("  `respond` has not answered: is it running (`lictor status`), and may this key `stop`?")


def _order(
    action: CommandAction,
    agent_id: str,
    run_id: str | None,
    reason: str,
    person: str,
    wait_s: float,
    *,
    as_json: bool,
    force: bool = False,
) -> None:
    settings = located()
    signer = Keys(settings.keys_folder).signer(f"people/{person}")
    runs = [run_id] if run_id else _live_runs(settings, agent_id)
    if not runs:
        raise BadInput(f"no run of {agent_id} is known to be live; `lictor agents` lists agents, --run names a run")
    told = asyncio.run(orders.give(settings, signer, action, agent_id, runs, reason, person, wait_s, force=force))
    _show(action, agent_id, told, as_json=as_json)
    if any(entry["proof"].startswith("none") for entry in told):
        sys.exit(1)


def _show(action: CommandAction, agent_id: str, told: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"agent_id": agent_id, "action": action, "runs": told}))
        return
    for entry in told:
        click.echo(f"{action} of run {shown(entry['run_id'])} of {agent_id}, command {entry['command_id']}")
        for receipt in entry["receipts"]:
            status = f", exit status {receipt['exit_status']}" if receipt["exit_status"] is not None else ""
            why = f"  {shown(receipt['reason'])}" if receipt["reason"] else ""
            click.echo(f"  {receipt['layer']:<11} {receipt['status']}{status}{why}  ({_WORDS[receipt['word_of']]})")
        click.echo(f"  proof       {entry['proof']}")


def _live_runs(settings: Settings, agent_id: str) -> list[str]:
    with History.of(settings) as history:
        rows = history.rows(
            "SELECT run_id FROM runs WHERE agent_id = {a:String} AND NOT ended AND last_seen > now() - INTERVAL 1 DAY",
            {"a": agent_id},
        )[1]
    return [str(row[0]) for row in rows]
