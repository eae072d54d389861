"""`lictor policy risk`: which dangerous combinations of rights are within reach, and what closes them."""

import contextlib
import json
import sys
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from detectors.base import shown
from lictor.cli.policy_suggest import Span, policies_of
from lictor.demo.screen import print_table
from lictor.history import History
from lictor.policy_chains import Graph
from lictor.policy_reach import emptied, reaches
from lictor.policy_risk import Exposure, Risk, exposures, risks
from lictor.policy_seen import edges_in, levels_in, tools_in
from lictor.settings import Settings
from schemas.errors import StoreUnavailable
from schemas.inventory import EnforcementLevel
from schemas.policy import ANY_AGENT

_TOLD: Final = 100
_TITLES: Final = {
    "exfiltration": "reads untrusted content and sensitive data, and can send out",
    "untrusted_code": "runs code after reading untrusted content",
    "gained": "gains rights by handing work over",
}


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was looked at, and what was found."""

    graph: Graph
    ranked: list[Exposure]
    found: list[Risk]
    history: bool

    def emptied(self, members: Collection[str]) -> tuple[str, ...]:
        """Return the layers that must go on refusing once these are taken away."""
        return emptied(self.graph.agents.values(), members)


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--since", "span_s", type=Span(), default="7d", show_default=True, help="How far back hand-overs and tools."
)
@click.option(
    "--fail-on-risk", is_flag=True, help="Exit with 1 if any combination is open and does not wait for clearance."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: agents, risks, history.")
def risk(file: Path | None, span_s: int, *, fail_on_risk: bool, as_json: bool) -> None:
    """Show which dangerous combinations of rights agents can reach, by which path, and the least that closes each.

    FILE: a policy file; else the policies in force by the history, else LICTOR_POLICY. Hand-overs and tools that were
    seen come from the history; without one, what grants name is looked at alone, and that is said.
    """
    looked = _look(file, span_s)
    if as_json:
        click.echo(json.dumps(_as_json(looked)))
    else:
        _tell(looked)
    sys.exit(1 if fail_on_risk and any(not one.waits for one in looked.found) else 0)


def _look(file: Path | None, span_s: int) -> _Looked:
    settings = Settings.read()
    with contextlib.ExitStack() as stack:
        history = _history(settings, stack)
        policies = policies_of(file, settings, history)
        since_ms = int((time.time() - span_s) * 1000)
        known = tools_in(history, since_ms) if history else {}
        seen = edges_in(history, since_ms) if history else []
        levels: dict[str, EnforcementLevel] = levels_in(history) if history else {}
    graph = Graph(reaches(policies, known, policies[ANY_AGENT]), seen)
    found = risks(graph)
    return _Looked(graph, exposures(graph, found, levels), found, history is not None)


def _history(settings: Settings, stack: contextlib.ExitStack) -> History | None:
    """Return the history where one is served; one that was named and does not answer is an error."""
    if not settings.clickhouse and not settings.running():
        return None
    try:
        return stack.enter_context(History.of(settings))
    except StoreUnavailable:
        if settings.clickhouse:
            raise
        return None


def _as_json(looked: _Looked) -> dict[str, Any]:
    return {
        "agents": [asdict(one) for one in looked.ranked],
        "risks": [_risk_as_json(looked, one) for one in looked.found],
        "history": looked.history,
    }


def _risk_as_json(looked: _Looked, one: Risk) -> dict[str, Any]:
    refuse = looked.emptied(one.closing.members if one.closing else ())
    return {**asdict(one), "says": _TITLES[one.kind], "then_refuse_in": refuse}


def _tell(looked: _Looked) -> None:
    console = Console()
    rows = [
        [one.agent, one.open, one.waiting, one.enforcement, one.mode, ", ".join(one.traits),
         "to anyone" if one.free_hand_overs else "as granted"]
        for one in looked.ranked
    ]  # fmt: skip
    names = ["agent", "open risks", "wait for clearance", "enforcement", "mode", "traits within reach", "hand-overs"]
    print_table(console, names, rows)
    for one in looked.found[:_TOLD]:
        _tell_risk(looked, one)
    if len(looked.found) > _TOLD:
        click.echo(f"\nand {len(looked.found) - _TOLD} more: --json tells all")
    if not looked.found:
        click.echo("no dangerous combination is within reach")
    if not looked.history:
        click.echo("not looked at: hand-overs and tools that were seen, since no history is being served", err=True)


def _tell_risk(looked: _Looked, one: Risk) -> None:
    gained = f": {', '.join(one.traits)}" if one.traits else ""
    waits = " (its last call waits for clearance)" if one.waits else ""
    click.echo(f"\n{shown(one.agent)} {_TITLES[one.kind]}{gained}{waits}")
    for hop in one.path:
        click.echo(f"  {' → '.join(map(shown, hop.chain))}: {shown(hop.tool)} ({hop.trait})")
    if one.closing is None:
        click.echo("  nothing that is known of closes it")
        return
    how = "the least that closes it" if one.closing.exact else "closes it, and less may"
    for says, members in ((how, one.closing.members), *(("or", members) for members in one.or_else)):
        click.echo(f"  {says}: {'; '.join(shown(member, 200) for member in members)}{_then(looked.emptied(members))}")


def _then(layers: tuple[str, ...]) -> str:
    """A layer that grants nothing says nothing: the layers beside it would decide alone."""
    return f" (and then refuse '*' in {', '.join(map(shown, layers))})" if layers else ""
