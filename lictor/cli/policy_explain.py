"""`lictor policy explain`: what an agent may do, in sentences; what the gate says to one call, and why."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detectors.base import shown
from lictor.policy_case import Case
from lictor.policy_file import load_policies
from lictor.policy_gate import ask, compiled
from lictor.policy_words import circumstances, sections
from lictor.settings import Settings
from lictor_agent.gate import Compiled
from lictor_agent.traits import words_of
from schemas.globs import glob_match
from schemas.policy import AgentPolicy


@click.command()
@click.argument("agent")
@click.argument("tool", required=False)
@click.argument("arguments", default="{}")
@click.option("--file", type=click.Path(path_type=Path), help="The policy file; else LICTOR_POLICY, else Lictor's own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: agent, tool, mode, traits, said.")
def explain(agent: str, tool: str | None, arguments: str, file: Path | None, *, as_json: bool) -> None:
    """Say what AGENT does alone, what waits or is asked, and what it never may.

    With TOOL, and ARGUMENTS as a JSON object: what the gate answers to that call in a trace that has read nothing, and what
    the model is told.
    """
    found = load_policies(file if file is not None else Settings.read().policy).of(agent)
    ready = compiled(found)
    if tool is None:
        _explain_agent(agent, found, ready, as_json=as_json)
        return
    case = Case(say="explain", agent=agent, tool=tool, arguments=_object(arguments), expect="allow")
    said, traits = ask(ready, case), sorted(ready.traits(tool))
    if as_json:
        about = {"agent": agent, "tool": tool, "mode": found.mode, "version": found.version}
        click.echo(json.dumps({**about, "traits": traits, "said": asdict(said)}))
        return
    by = f"grant {shown(said.grant)}" if said.grant else f"rule {shown(said.rule)}"
    click.echo(f"{said.verdict}: {shown(said.reason)} ({by}, mode {found.mode}, policy version {found.version})")
    click.echo(f"traits of {shown(tool)}: {', '.join(map(shown, traits)) or 'none'} ({_whence(found, tool)})")
    if said.told:
        click.echo(f"the model is told: {shown(said.told, 1000)}")


def _explain_agent(agent: str, found: AgentPolicy, ready: Compiled, *, as_json: bool) -> None:
    said, facts = sections(found, ready), list(circumstances(found))
    if as_json:
        click.echo(
            json.dumps({"agent": agent, "mode": found.mode, "version": found.version, "does": said, "facts": facts})
        )
        return
    click.echo(f"{shown(agent)}")
    for title, lines in said.items():
        click.echo(f"{title}:")
        for line in lines:
            click.echo(f"  {shown(line, 1000)}")
    if not said:
        click.echo(
            "no grant speaks of it: every tool is refused" if found.mode == "enforce" else "no grant speaks of it"
        )
    for fact in facts:
        click.echo(shown(fact, 1000))


def _whence(policy: AgentPolicy, tool: str) -> str:
    globs = [glob for glob in policy.traits if glob_match(glob, tool)]
    if globs:
        return f"by {max(globs, key=lambda glob: (len(glob), glob))!r} under `traits`"
    known = [word for word in words_of(tool) if word in policy.words]
    return f"by the words of its name: {', '.join(known)}" if known else "no word of its name is known: all of them"


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise click.UsageError("ARGUMENTS must be a JSON object, as '{\"amount\": 5}'")
    return found
