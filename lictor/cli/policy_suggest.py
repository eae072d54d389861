"""`lictor policy suggest`: the narrowest grants that cover what an agent was seen to do."""

import json
import re
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from detectors.base import shown
from lictor.backtest import Backtest
from lictor.bundles import engine_of, folder
from lictor.demo.screen import print_table
from lictor.history import History
from lictor.policy_calls import Observed, recorded_calls
from lictor.policy_file import load_policies
from lictor.policy_history import calls_in, policies_in
from lictor.policy_proposed import Report, report
from lictor.policy_replay import Replayed
from lictor.policy_suggest import LEAST
from lictor.sessions import read_sessions
from lictor.settings import Settings
from schemas.policy import ANY_AGENT, AgentPolicy

_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_PATH: Final = click.Path(path_type=Path, dir_okay=False)


class Span(click.ParamType):
    """A span of time back from now, as `30m 24h 7d 4w`; in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds. Fails where it is no span."""
        found = _SPAN.fullmatch(str(value))
        if found is None:
            self.fail(f"{str(value)[:40]!r} is no span of time: write 30m, 24h, 7d or 4w", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.argument("agent")
@click.option("--since", "span_s", type=Span(), default="7d", show_default=True, help="How far back: 30m, 24h, 7d, 4w.")
@click.option("--sessions", type=_PATH, help="Recorded sessions instead of the history.")
@click.option("--file", type=_PATH, help="The policy in force; else what the history holds, else LICTOR_POLICY.")
@click.option(
    "--least", default=LEAST, show_default=True, type=click.IntRange(1), help="Calls that a tool must have had."
)
@click.option("--all", "everything", is_flag=True, help="Propose for tools that were called only once, too.")
@click.option(
    "--unmarked", is_flag=True, help="Rest on steps without a mark too: anyone who can write may have sent them."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: grants, left_out, unused, replays, policy.")
def suggest(
    agent: str,
    span_s: int,
    sessions: Path | None,
    file: Path | None,
    least: int,
    *,
    everything: bool,
    unmarked: bool,
    as_json: bool,
) -> None:
    """Propose the narrowest grants that cover what AGENT was seen to do, as a policy file on stdout.

    It rests on calls that were done and that no finding of high confidence speaks against, and carries a test for each
    condition. On stderr: what was left out, what is granted and unused, what the proposal would have refused.
    """
    observed, policies = _observed(agent, span_s, sessions, file, unmarked=unmarked)
    policy = (policies.get(agent) or policies[ANY_AGENT]).model_copy(update={"agent_id": agent})
    found = report(observed, policy, policies, least=1 if everything else least)
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return
    click.echo(found.text, nl=False)
    _tell(found)


def _observed(
    agent: str, span_s: int, sessions: Path | None, file: Path | None, *, unmarked: bool
) -> tuple[Observed, dict[str, AgentPolicy]]:
    settings = Settings.read()
    if sessions is not None:
        bench = Backtest(None, engine_of([folder(), *settings.rules]))
        return recorded_calls(read_sessions(sessions), agent, bench, str(sessions)), policies_of(file, settings, None)
    with History.of(settings) as history:
        observed = calls_in(history, agent, int((time.time() - span_s) * 1000), unmarked=unmarked)
        return observed, policies_of(file, settings, history)


def policies_of(file: Path | None, settings: Settings, history: History | None) -> dict[str, AgentPolicy]:
    """Return the policies by agent: of a file, else those in force by the history, else of LICTOR_POLICY or Lictor's own."""
    held = policies_in(history) if history is not None and file is None else {}
    if ANY_AGENT in held:
        return held
    return {policy.agent_id: policy for policy in load_policies(file or settings.policy).agents}


def _tell(found: Report) -> None:
    console = Console(stderr=True)
    left = [[one.what, one.calls, one.why] for one in found.proposal.left_out]
    _table(console, "left out of the proposal", ["call", "calls", "why"], left)
    idle = [
        [one.layer, one.grant, ", ".join(one.globs), "all of it" if one.whole else "in part"] for one in found.unused
    ]
    _table(console, "granted and not used", ["layer", "grant", "unused", "how far"], idle)
    _tell_replay("the proposal over all calls that were done and that nothing speaks against", found.done)
    _tell_replay("over calls that were refused, or that findings speak against", found.flagged)
    if found.held_back is None:
        click.echo("too few calls to hold any back: whether this fits too closely cannot be told", err=True)
    else:
        _tell_replay("a proposal from the older 80 % of the calls, over the newer 20 %", found.held_back)


def _table(console: Console, title: str, names: list[str], rows: list[list[Any]]) -> None:
    click.echo(f"{title}:{'' if rows else ' nothing'}", err=True)
    if rows:
        print_table(console, names, rows)


def _tell_replay(title: str, replayed: Replayed) -> None:
    waits = f", {replayed.waits} of the rest wait for clearance" if replayed.waits else ""
    click.echo(f"{title}: {replayed.denied} of {replayed.calls} would have been refused{waits}", err=True)
    for one in replayed.refused[:20]:
        click.echo(f"  {one.calls:>6}  {shown(one.what)}: {shown(one.reason, 300)}", err=True)
