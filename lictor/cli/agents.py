"""`lictor agents`: who is there, what each uses, who hands work to whom, what has changed."""

import json
import sys
import time
from collections.abc import Iterable
from typing import Final, Literal

import click
from rich.console import Console

from detectors.base import shown
from lictor import agents as known
from lictor import interrupts
from lictor.cli.look import show_rows
from lictor.demo.screen import print_table
from lictor.history import History
from lictor.settings import Settings
from lictor.shadows import witnesses
from lictor.spans import span_ms
from schemas.inventory import Inventory


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
@click.pass_context
def agents(context: click.Context, *, as_json: bool) -> None:
    """List the agents that were seen: owner, runs, findings, standing orders, tools, share of calls a gate has judged.

    More with a verb: `show`, `graph`, `diff`, `shadows`.
    """
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@agents.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def list_(*, as_json: bool) -> None:
    """List the agents that were seen."""
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    with History.of(Settings.read()) as history:
        names, rows = known.listed(history)
    show_rows(names, rows, as_json=as_json)


@agents.command()
@click.argument("agent")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(agent: str, *, as_json: bool) -> None:
    """Show what one agent is, uses and may, and who it works with."""
    with History.of(Settings.read()) as history:
        found = known.one(history, agent)
    if as_json:
        click.echo(found.model_dump_json())
    else:
        _show(found)


_SHOWN: Final = (
    "versions",
    "models",
    "tools",
    "resources",
    "labels",
    "principals",
    "delegates_to",
    "called_by",
    "grants",
)


def _names(names: Iterable[str]) -> str:
    return ", ".join(shown(each, 80) for each in names) or "-"


def _show(found: Inventory) -> None:
    registered = "registered" if found.registered else "NOT registered: no policy names it"
    gated = (
        f"{1 - found.ungated / found.calls:.1%} of {found.calls} calls judged by a gate" if found.calls else "no calls"
    )
    rows: list[list[object]] = [
        ["owner", f"{found.owner or 'nobody says'} · {registered}"],
        ["mode", f"{found.mode} · enforcement {found.enforcement} · {gated}"],
        ["seen", f"{known.time_of(found.first_seen_us)} to {known.time_of(found.last_seen_us)} UTC, {found.runs} runs"],
        ["work", f"{found.steps} steps, {found.tokens} tokens, {found.cost_usd:.2f} USD"],
        ["settled", "yes" if found.settled else "not yet: what is new about it tells little"],
    ]
    rows.extend([name.replace("_", " "), _names(getattr(found, name))] for name in _SHOWN)
    unused = sorted(set(found.definitions) - set(found.tools))
    rows.append(["declared, unused", _names(unused)])
    rows.append(["prompts", _names(found.prompts)])
    rows.append(["MCP servers", ", ".join(f"{shown(n, 60)} {shown(d, 20)}" for n, d in found.servers.items()) or "-"])
    rows.append(["runs under way", _names(found.open_runs)])
    print_table(Console(), [shown(found.agent_id), ""], rows)


@agents.command()
@click.option(
    "--format", "form", type=click.Choice(["mermaid", "dot"]), default="mermaid", help="For Mermaid or Graphviz."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: agents, edges.")
def graph(*, form: Literal["mermaid", "dot"], as_json: bool) -> None:
    """Draw who hands work to whom. Dashed: named, and never seen itself."""
    with History.of(Settings.read()) as history:
        found = known.graph_of(known.inventories(history))
    if as_json:
        click.echo(json.dumps({"agents": found.agents, "edges": sorted(found.edges)}))
    else:
        click.echo(known.mermaid(found) if form == "mermaid" else known.graphviz(found))


@agents.command()
@click.option("--since", default="24h", show_default=True, help="How far back to look at findings: 30m, 24h, 7d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def shadows(since: str, *, as_json: bool) -> None:
    """Look for agents and calls that go past Lictor: what was found, what is clean, and what was not looked at.

    Exit status 1 if anything was found.
    """
    settings = Settings.read()
    kafka = settings.kafka or str(settings.running().get("kafka", ""))
    with History.of(settings) as history:
        looked = interrupts.run(
            witnesses(
                history,
                known.inventories(history),
                kafka,
                settings.namespace,
                seconds=span_ms(since) // 1000,
                client=settings.kafka_client,
            )
        )
    if as_json:
        click.echo(json.dumps([{"where": one.name, "state": one.state, "what": one.what} for one in looked]))
    else:
        table: list[list[object]] = [[one.name, one.state, "\n".join(one.what[:12])] for one in looked]
        print_table(Console(), ["where", "state", "what"], table)
    sys.exit(1 if any(one.state == "found" for one in looked) else 0)


@agents.command()
@click.option("--since", default="24h", show_default=True, help="How far back: 30m, 24h, 7d.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def diff(since: str, *, as_json: bool) -> None:
    """Show what has changed about agents: new ones, and what each uses and may that it did not then."""
    then_ms = int(time.time() * 1000) - span_ms(since)
    with History.of(Settings.read()) as history:
        found = known.changes(known.inventories(history, then_ms), known.inventories(history))
    if as_json:
        rows = [{"agent": c.agent_id, "kind": c.kind, "added": c.added, "removed": c.removed} for c in found]
        click.echo(json.dumps(rows))
        return
    table: list[list[object]] = [
        [shown(c.agent_id, 60), c.kind.replace("_", " "), _few(c.added), _few(c.removed)] for c in found
    ]
    print_table(Console(), ["agent", "what", "now", "no longer"], table)


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""  # noqa: PLR2004 - as many as fit a line
    return ", ".join(shown(name, 60) for name in names[:6]) + more
