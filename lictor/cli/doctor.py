"""`lictor doctor`."""

import json
import sys
from dataclasses import asdict

import click

from lictor.doctor import examine
from lictor.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def doctor(*, as_json: bool) -> None:
    """Say what is missing on this machine, and how to get it. Exit status 1 if something is."""
    found = examine(Settings.read())
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found]))
    else:
        for entry in found:
            click.echo(f"{entry.state:<8} {entry.name:<18} {entry.what}")
            if entry.remedy:
                click.echo(f"{'':<8} {'':<18} → {entry.remedy}")
    sys.exit(1 if any(entry.state == "missing" for entry in found) else 0)
