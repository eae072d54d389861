"""`lictor bench`."""

import importlib
import json
from typing import Any, Final

import click
from rich.console import Console

from lictor.demo.screen import print_table

NAMES: Final = ("response", "detect", "forensics", "gate", "memory")


@click.command()
@click.argument("name", type=click.Choice([*NAMES, "all"]))
@click.option("--steps", type=click.IntRange(1000), help="forensics: how many steps.")
@click.option("--stops", type=click.IntRange(1), help="response: how many stops.")
@click.option("--runs", type=click.IntRange(100), help="memory: how many live runs.")
@click.option(
    "--quick", is_flag=True, help="detect: few steps and rules, to see that it works; the figures mean nothing."
)
@click.option("--rsigma", type=click.Path(exists=True), help="detect: where RSigma is, if not on the PATH.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def bench(name: str, steps: int | None, stops: int | None, *, as_json: bool, **more: Any) -> None:
    """Measure: response (bad step to stop), detect (steps/s), forensics (archive rows/s), gate (µs a call), memory, or all.

    Runs alone, on parts of its own; keeps the result, with commit and machine, in benchmarks/results/.
    """
    report = importlib.import_module("benchmarks.report")
    given = {
        key: value for key, value in {"steps": steps, "stops": stops, **more}.items() if value not in (None, False)
    }
    results: dict[str, Any] = {}
    for each in NAMES if name == "all" else (name,):
        click.echo(f"measuring {each} …", err=True)
        results[each] = importlib.import_module(f"benchmarks.{each}").run(**given)
        if more["quick"]:
            continue
        kept = report.keep(each, results[each])
        click.echo(f"  kept in {kept}" if str(kept) != "." else "  not kept: results cannot be written here", err=True)
    if as_json:
        click.echo(json.dumps(results if name == "all" else results[name]))
        return
    for each, figures in results.items():
        Console().print(f"\n[bold]{each}[/]")
        print_table(Console(), ["figure", "value"], [[key, json.dumps(value)] for key, value in figures.items()])
