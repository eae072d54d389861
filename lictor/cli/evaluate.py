"""`lictor evaluate`: how good the judgement is on labelled recordings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from detectors.base import shown
from lictor.backtest import Backtest
from lictor.bundles import engine_of, folder
from lictor.evaluate import Evaluation, truth_of, unlabelled
from lictor.policy_file import load_policies
from lictor.sessions import Session, labelled_sessions, read_tools, session_of
from lictor.settings import Settings
from schemas.errors import BadInput

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--format", "kind", type=click.Choice(["sessions"]), default="sessions", help="What FILES hold.")
@click.option("--history", type=_FILE, help="Sessions to replay first, uncounted, so that what learns is settled.")
@click.option("--tools", type=_FILE, help="Declared tools, as JSON: agent → its tools.")
@click.option(
    "--policy", type=_FILE, help="Policy file. Default: every tool granted; calls wait once untrusted is read."
)
@click.option("--rules", multiple=True, type=_FILE, help="Folder or file of Sigma rules; several.")
@click.option("--no-pack", is_flag=True, help="Leave out the rules that came with Lictor.")
@click.option("--list", "most", default=20, help="How many misses and honest interruptions to list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def evaluate(
    files: tuple[Path, ...],
    kind: str,
    history: Path | None,
    tools: Path | None,
    policy: Path | None,
    rules: tuple[Path, ...],
    most: int,
    *,
    no_pack: bool,
    as_json: bool,
) -> None:
    """Judge labelled recordings as live, and say how many attacks were stopped in time and how many honest runs held up.

    Labels are for scoring; they are taken off before anything is judged. Beside Lictor stand a judge that does nothing and
    one that asks about every call.
    """
    del kind
    declared = read_tools(tools) if tools else {}
    engine = engine_of([*([] if no_pack else [folder()]), *rules, *Settings.read().rules])
    bench = Backtest(load_policies(policy, issued_us=1) if policy else None, engine)
    if history is not None:
        for data in labelled_sessions(history):
            bench.judge(_session(data, declared, str(history)))
    found = Evaluation()
    for data in _all(files):
        if data.get("label_suspect"):
            found.left_out += 1
            continue
        truth = truth_of(data)
        found.add(truth, bench.judge(_session(data, declared, truth.session_id)))
    if as_json:
        click.echo(json.dumps(found.as_json()))
    else:
        _show(found.as_json(), most)


def _all(files: tuple[Path, ...]) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from labelled_sessions(file)


def _session(data: dict[str, Any], declared: Any, where: str) -> Session:
    try:
        return session_of(unlabelled(data), declared)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BadInput(f"not a recorded session: {type(error).__name__}: {error}", where=where) from None


def _show(said: dict[str, Any], most: int) -> None:
    table = Table("judge", "dataset", "sessions of", "n", "share", "95 %", "asks / 1,000 steps", box=None)
    for row in said["results"]:
        what = f"{row['group']}: stopped in time" if row["group"] == "attack" else f"{row['group']}: interrupted"
        interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        share = f"{100 * (row['share'] or 0):.1f} %"
        table.add_row(
            row["judge"],
            shown(row["dataset"]),
            what,
            str(row["sessions"]),
            share,
            interval,
            f"{row['asks_per_1000_steps']:g}",
        )
    console = Console(width=140, highlight=False)
    console.print(table)
    click.echo("\nfindings by rule: sessions in which it was found")
    for row in said["rules"]:
        click.echo(f"  {row['sessions']:>6}  {row['rule']}  [{row['group']}]")
    for title, name in (("attacks missed", "missed"), ("honest runs interrupted", "honest_interrupted")):
        click.echo(f"\n{title}: {len(said[name])}")
        for row in said[name][:most]:
            where = f"attack at step {row['attack_at']}, " if row["attack_at"] is not None else ""
            click.echo(
                f"  {shown(row['dataset'])} {shown(row['session_id'])}: {where}first intervention: "
                f"{row['first_intervention'] if row['first_intervention'] is not None else 'none'} {shown(row['why'], 200)}"
            )
    if said["label_suspect_left_out"]:
        click.echo(f"\n{said['label_suspect_left_out']} sessions with a doubtful label were left out")
