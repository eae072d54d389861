"""Verbs that look: `status`, `tail`, `sql`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import click
from rich.console import Console

from detectors.base import shown
from lictor import signers, topic_io
from lictor.demo.screen import print_table
from lictor.demo.timeline import line_of
from lictor.history import History
from lictor.settings import Settings
from lictor.status import Status, status_of
from schemas.errors import KafkaUnavailable
from schemas.seal import Keyring
from streams.records import Record

TAILED: Final = (
    "steps",
    "findings",
    "decisions",
    "commands",
    "receipts",
    "approvals",
    "incidents",
    "dead_letters",
    "liveness",
)


def located() -> Settings:
    """Return settings that know where Kafka is: from the environment, else from the `lictor up` of this data folder."""
    settings = Settings.read()
    if settings.kafka:
        return settings
    running = settings.running()
    if not running:
        raise KafkaUnavailable(
            "no Lictor is running here: start `lictor up`, or set LICTOR_KAFKA (and LICTOR_HOME, if it runs elsewhere)",
            where=str(settings.home),
        )
    return replace(settings, kafka=str(running["kafka"]))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def status(*, as_json: bool) -> None:
    """Show which parts are alive, how far behind they are, and whether anything was lost.

    Exit status 1 if a part is down or a figure does not add up.
    """
    found = asyncio.run(status_of(located()))
    if as_json:
        click.echo(json.dumps(found.as_json()))
    else:
        _show_status(found)
    sys.exit(0 if found.healthy() else 1)


def _show_status(found: Status) -> None:
    console = Console()
    rows = [
        [part.name, "alive" if part.alive else "DOWN", part.lag, part.said]
        for part in found.parts
    ]  # fmt: skip
    print_table(console, ["part", "state", "behind (records)", "says"], rows)
    ledger = [[row.partition, row.published, row.archived, row.dead_lettered, row.missing] for row in found.ledger]
    if ledger:
        names = ["steps partition", "published", "archived", "dead-lettered", "on the way or missing"]
        print_table(console, names, ledger)
    for name, count in sorted(found.counters.items()):
        if count:
            click.echo(f"  {shown(name)}: {count}")


@click.command()
@click.argument("topics", nargs=-1, type=click.Choice(TAILED))
@click.option("--from-start", is_flag=True, help="Begin with the oldest record, not with the next.")
@click.option("--limit", type=click.IntRange(1), help="End after this many lines.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line: topic, partition, offset, time_ms, key, value."
)
def tail(topics: tuple[str, ...], limit: int | None, *, from_start: bool, as_json: bool) -> None:
    """Follow what happens, line by line, until Ctrl-C. Without TOPICS: steps, findings, decisions, commands, receipts."""
    settings = located()
    asyncio.run(_tail(settings, topics or TAILED[:5], limit, from_start=from_start, as_json=as_json))


async def _tail(
    settings: Settings, names: Sequence[str], limit: int | None, *, from_start: bool, as_json: bool
) -> None:
    watched = [getattr(settings.topics, name) for name in names]
    count, ring = 0, None if as_json else await signers.keyring_if_any(settings)
    begin: Literal["beginning", "end"] = "beginning" if from_start else "end"
    async with topic_io.consumer(settings.kafka, watched, settings.kafka_client, begin) as source:
        while True:
            found = await source.getmany(timeout_ms=200)
            for record in sorted((r for records in found.values() for r in records), key=lambda r: r.timestamp):
                line = _json_line(record) if as_json else _plain_line(settings, record, ring)
                if line:
                    click.echo(line)
                    count += 1
                if limit is not None and count >= limit:
                    return


def _json_line(record: Record) -> str:
    try:
        value = json.loads(record.value or b"null")
    except (ValueError, RecursionError):
        value = None
    said = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time_ms": record.timestamp,
        "key": (record.key or b"").decode("utf-8", "replace"),
        "value": value,
    }
    return json.dumps(said)


def _plain_line(settings: Settings, record: Record, ring: Keyring | None) -> str:
    line = line_of(settings.topics, record, ring)
    if line is not None:
        return f"{record.timestamp / 1000:.3f}  {line.agent_id:<20} {line.kind:<8} {line.text}"
    if record.topic in (settings.topics.steps.name, settings.topics.decisions.name):
        return ""
    text = shown((record.value or b"")[:200].decode("utf-8", "replace"), 200)
    return f"{record.timestamp / 1000:.3f}  {record.topic} {text}"


@click.command()
@click.argument("query", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array of objects on stdout.")
def sql(query: str | None, *, as_json: bool) -> None:
    """Ask the history: one SELECT, given as an argument or on standard input.

    The tables are named as the topics: steps, findings, incidents, decisions, commands, receipts, dead_letters, …
    """
    text = query if query is not None else sys.stdin.read()
    if not text.strip():
        raise click.UsageError("no query: lictor sql 'SELECT count() FROM steps'")
    with History.of(Settings.read()) as history:
        names, rows = history.rows(text)
    show_rows(names, rows, as_json=as_json)


def show_rows(names: list[str], rows: list[tuple[Any, ...]], *, as_json: bool) -> None:
    """Show rows of the history as a table, or as JSON."""
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=_plain))
        return
    print_table(Console(), names, rows)
    click.echo(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", err=True)


def _plain(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
