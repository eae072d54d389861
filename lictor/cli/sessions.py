"""Verbs that read recorded sessions: `ingest`, `backtest`."""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lictor import interrupts
from lictor.backtest import Backtest, Result, write_results
from lictor.bundles import engine_of, folder
from lictor.history import History
from lictor.ingest import Ingest, Ingested
from lictor.interrupts import interruptible
from lictor.policy_file import load_policies
from lictor.sessions import count_sessions, read_sessions, read_tools
from lictor.settings import Settings
from lictor.stack import Stack
from schemas.errors import BadInput

_FILE = click.Path(path_type=Path, dir_okay=False)
_FORMAT = click.option(
    "--format",
    "kind",
    type=click.Choice(["sessions"]),
    default="sessions",
    show_default=True,
    help="How the file is laid out.",
)
_POLICY = click.option("--policy", type=_FILE, help="Judge by this policy; default: every tool granted, mode enforce.")
_TOOLS = click.option("--tools", type=_FILE, help="JSON: dataset/suite → the tools its agents are given.")


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr, on a terminal only; yields what advances it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _count(file: Path) -> int:
    """Return how many sessions a file holds, and say it where there are none: more often a mistake than meant."""
    total = count_sessions(file)
    if not total:
        click.echo(f"lictor: there is no session in {file}: nothing is done with it", err=True)
    return total


@click.command()
@click.argument("file", type=_FILE)
@_FORMAT
@_POLICY
@_TOOLS
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def ingest(file: Path, kind: str, policy: Path | None, tools: Path | None, *, as_json: bool) -> None:
    """Publish recorded sessions as steps and wait until all of them are judged and archived.

    Uses the running `lictor up` of this data folder; without one, runs one for as long as it takes. Exit status 0 only
    if every step published is archived or dead-lettered.
    """
    del kind
    settings = Settings.read()
    total = _count(file)
    policies = load_policies(policy) if policy else None
    declared = read_tools(tools) if tools else {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(interruptible())
        settings, sql = _running(settings, stack)
        advance = stack.enter_context(progress("publishing", total))
        job = Ingest(settings, policies=policies, tools=declared, advance=advance)
        history = stack.enter_context(History(sql) if sql else History.of(settings))
        done = interrupts.run(job.run(file, history))
    if as_json:
        click.echo(json.dumps(done.as_json()))
    else:
        _show_ingested(done)
    sys.exit(0 if done.complete() else 1)


def _running(settings: Settings, stack: contextlib.ExitStack) -> tuple[Settings, str]:
    """Return the settings of a Lictor that runs: this data folder's, the environment's, or one started for the purpose."""
    running = settings.running()
    if settings.kafka:
        return settings, str(running.get("sql", ""))
    if running:
        return replace(settings, kafka=str(running["kafka"])), str(running["sql"])
    click.echo("no `lictor up` is running here; starting one for this command …", err=True)
    lictor = stack.enter_context(Stack(settings, say=lambda name, what: click.echo(f"  {name:<9} {what}", err=True)))
    return lictor.settings, lictor.sql_address


def _show_ingested(done: Ingested) -> None:
    click.echo(
        f"{done.sessions} sessions: {done.published} steps published = {done.archived} archived + "
        f"{done.dead_lettered} dead-lettered{'' if done.complete() else '  INCOMPLETE'}"
    )
    _show_counts("findings by rule and label", done.findings)
    _show_counts("decisions by action and label", done.decisions)


def _show_counts(title: str, counts: Counter[tuple[str, str]]) -> None:
    click.echo(f"\n{title}:")
    for (name, label), count in sorted(counts.items()):
        click.echo(f"  {count:>7}  {name}  [{label or 'no label'}]")


@click.command()
@click.argument("file", type=_FILE)
@_FORMAT
@click.option("--out", type=_FILE, required=True, help="Where to write one JSON line a session.")
@_POLICY
@_TOOLS
@click.option(
    "--history", type=_FILE, help="Honest sessions to replay first, uncounted, so that what learns is settled."
)
@click.option("--json", "as_json", is_flag=True, help="A summary as one JSON object on stdout.")
def backtest(
    file: Path, kind: str, out: Path, policy: Path | None, tools: Path | None, history: Path | None, *, as_json: bool
) -> None:
    """Judge recorded sessions by the same gate, detectors and autonomy table as live, without a broker.

    Clearance is judged as it would be live. Without --policy the recorded agents count as registered, marked, granted
    every tool, in mode enforce.
    """
    del kind
    if any(found is not None and out.exists() and found.exists() and out.samefile(found) for found in (file, history)):
        raise BadInput("--out names the file that is read; name another", where=str(out))
    engine = engine_of([folder(), *Settings.read().rules])
    bench = Backtest(load_policies(policy, issued_us=1) if policy else None, engine)
    declared = read_tools(tools) if tools else {}
    if history is not None:
        with progress("history", _count(history)) as advance:
            for session in read_sessions(history, declared):
                bench.judge(session)
                advance()
    decisions: Counter[str] = Counter()

    def judged() -> Iterator[Result]:
        for session in read_sessions(file, declared):
            result = bench.judge(session)
            decisions.update(found.decision for found in result.found)
            yield result

    with progress("judging", _count(file)) as advance:
        count = write_results(judged(), out, advance)
    if as_json:
        click.echo(json.dumps({"sessions": count, "decisions": dict(decisions)}))
    else:
        shown = ", ".join(f"{name} {number}" for name, number in sorted(decisions.items())) or "none"
        click.echo(f"{count} sessions judged into {out}; decisions on findings: {shown}")
