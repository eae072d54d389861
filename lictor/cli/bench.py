"""`lictor bench`."""

import importlib
import json
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from lictor.demo.screen import print_table

NAMES: Final = ("response", "detect", "forensics", "gate", "memory", "fleet", "profile")


@click.command()
@click.argument("name", type=click.Choice([*NAMES, "anomalies", "all"]))
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="anomalies: where the scores are written.")
@click.option("--steps", type=click.IntRange(1000), help="forensics: how many steps.")
@click.option("--stops", type=click.IntRange(1), help="response: how many stops.")
@click.option("--runs", type=click.IntRange(100), help="memory: how many live runs.")
@click.option(
    "--quick", is_flag=True, help="detect, fleet: a small size, to see that it works; the figures mean nothing."
)
@click.option("--rsigma", type=click.Path(exists=True), help="detect: where RSigma is, if not on the PATH.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def bench(name: str, folder: Path | None, steps: int | None, stops: int | None, *, as_json: bool, **more: Any) -> None:
    """Measure: response (bad step to stop), detect (steps/s), forensics (rows/s), gate (µs a call), memory, profile, fleet.

    profile: how soon a new agent, tool or silence is told of, and what an agent costs. fleet: false alarms and finds over
    a simulated month of agents. anomalies: scores the series in DIR, which is laid out as the Numenta Anomaly Benchmark is,
    and keeps nothing but the scores. all: every one but anomalies.

    Runs alone, on parts of its own; keeps the result, with commit and machine, in benchmarks/results/.
    """
    report = importlib.import_module("benchmarks.report")
    given = {
        key: value
        for key, value in {"folder": folder, "steps": steps, "stops": stops, **more}.items()
        if value not in (None, False)
    }
    results: dict[str, Any] = {}
    for each in NAMES if name == "all" else (name,):
        click.echo(f"measuring {each} …", err=True)
        results[each] = importlib.import_module(f"benchmarks.{each}").run(**given)
        if more["quick"] or each == "anomalies":
            continue
        kept = report.keep(each, results[each])
        click.echo(f"  kept in {kept}" if str(kept) != "." else "  not kept: results cannot be written here", err=True)
    if as_json:
        click.echo(json.dumps(results if name == "all" else results[name]))
        return
    for each, figures in results.items():
        Console().print(f"\n[bold]{each}[/]")
        _show(figures)


def _show(figures: dict[str, Any]) -> None:
    """Print the figures; results that are alike as a table of their own."""
    alike = figures.get("results")
    rows = alike if isinstance(alike, list) and alike and all(row.keys() == alike[0].keys() for row in alike) else []
    single = [[key, json.dumps(value)] for key, value in figures.items() if key != "results" or not rows]
    print_table(Console(), ["figure", "value"], single)
    if rows:
        click.echo()
        print_table(Console(), list(rows[0]), [list(row.values()) for row in rows])
