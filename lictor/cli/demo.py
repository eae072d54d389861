"""`lictor demo`."""

import json
import sys

import click
from rich.console import Console

from lictor.demo.run import demo as run_demo
from lictor.demo.screen import Screen
from lictor.interrupts import interruptible


@click.command()
@click.option("--no-detect", is_flag=True, help="The same attack with nobody watching: it succeeds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout; the timeline goes to stderr.")
def demo(*, no_detect: bool, as_json: bool) -> None:
    """See an agent caught and stopped: real Kafka, real ClickHouse, real processes, in about half a minute.

    Three agents work; a web page turns one of them. Exit status 0 only if everything is as it should be.
    """
    screen = Screen(Console(stderr=as_json, soft_wrap=True))
    with interruptible():
        outcome = run_demo(detect=not no_detect, say=screen.component, show=screen.line)
    screen.proof(outcome)
    if as_json:
        click.echo(json.dumps(outcome.as_json()))
    sys.exit(0 if outcome.as_it_should_be() else 1)
