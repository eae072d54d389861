"""Verbs that run things: `up`, `worker`."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import click

from lictor import workers
from lictor.settings import Settings
from lictor.stack import Stack


@click.command()
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="Policy file; default: LICTOR_POLICY, else the one that came with Lictor.",
)
@click.option("--detect", "detect_workers", type=click.IntRange(1, 64), help="How many detect workers.")
@click.option("--partitions", type=click.IntRange(1, 1024), help="Partitions of new topics; cannot be changed later.")
def up(policy: Path | None, detect_workers: int | None, partitions: int | None) -> None:
    """Run Lictor on this machine until Ctrl-C: Kafka, detect, respond, archive with its SQL endpoint.

    A part that dies is started again. Without LICTOR_KAFKA an embedded Kafka is used, without LICTOR_CLICKHOUSE an
    embedded ClickHouse; both keep their data in LICTOR_HOME.
    """
    read = Settings.read()
    settings = replace(
        read,
        policy=policy or read.policy,
        detect_workers=detect_workers or read.detect_workers,
        partitions=partitions or read.partitions,
    )
    began = time.monotonic()

    def say(name: str, what: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {name:<10} {what}")

    stack = Stack(settings, say=say)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: stack.stopping.set())
    with stack:
        if not stack.stopping.is_set():
            click.echo(f"Lictor is up. Agents need LICTOR_KAFKA={stack.settings.kafka}. Ctrl-C stops everything.")
        stack.wait()
        click.echo("stopping …")


@click.command(hidden=True)
@click.argument("role", type=click.Choice(workers.ROLES))
def worker(role: str) -> None:
    """Run one role in this process, as `lictor up` and the containers do."""
    workers.run(role, Settings.read())
