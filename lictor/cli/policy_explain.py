"""`lictor policy explain`: what the gate says to one call, and why."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detectors.base import shown
from lictor.policy_case import Case
from lictor.policy_file import load_policies
from lictor.policy_gate import ask, compiled
from lictor.settings import Settings


@click.command()
@click.argument("agent")
@click.argument("tool")
@click.argument("arguments", default="{}")
@click.option("--file", type=click.Path(path_type=Path), help="The policy file; else LICTOR_POLICY, else Lictor's own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: agent, tool, mode, traits, said.")
def explain(agent: str, tool: str, arguments: str, file: Path | None, *, as_json: bool) -> None:
    """Say what the gate answers when AGENT calls TOOL with ARGUMENTS (a JSON object) in a trace that has read nothing."""
    found = load_policies(file if file is not None else Settings.read().policy).of(agent)
    ready = compiled(found)
    case = Case(say="explain", agent=agent, tool=tool, arguments=_object(arguments), expect="allow")
    said, traits = ask(ready, case), sorted(ready.traits(tool))
    if as_json:
        about = {"agent": agent, "tool": tool, "mode": found.mode, "version": found.version}
        click.echo(json.dumps({**about, "traits": traits, "said": asdict(said)}))
        return
    by = f"grant {shown(said.grant)}" if said.grant else f"rule {shown(said.rule)}"
    click.echo(f"{said.verdict}: {shown(said.reason)} ({by}, mode {found.mode}, policy version {found.version})")
    click.echo(f"traits of {shown(tool)}: {', '.join(map(shown, traits)) or 'none'}")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise click.UsageError("ARGUMENTS must be a JSON object, as '{\"amount\": 5}'")
    return found
