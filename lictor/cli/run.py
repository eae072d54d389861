"""Verbs that run things: `up`, and what containers run: `init`, `worker`."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from lictor import workers
from lictor.admin import ensure_topics
from lictor.interrupts import interruptible
from lictor.keys import Keys
from lictor.policy_file import load_policies
from lictor.publish import publish_policies
from lictor.settings import Settings
from lictor.stack import Stack
from lictor.status import heard_here
from schemas.errors import BadInput, BadSettings, KeysMissing

READ_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "detect": ("root.pub", "detect.key", "master.key"),
    "respond": ("root.pub", "respond.key"),
    "profile": ("root.pub", "profile.key"),
    "archive": ("root.pub",),
}
"""Role → the files of the keys folder that it reads. `archive` reads no private one: its process serves SQL."""


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

    with interruptible() as interrupt, Stack(settings, say=say) as stack:
        interrupt.then(stack.stopping.set)
        click.echo(f"Lictor is up; Ctrl-C stops everything. Agents need LICTOR_KAFKA={stack.settings.kafka}")
        stack.wait()
        click.echo("stopping …")


@click.command(hidden=True)
@click.option("--give", "given", multiple=True, metavar="ROLE=FOLDER", help="Copy the keys that a role reads there.")
def init(given: tuple[str, ...]) -> None:
    """Make topics, keys and policies where they are missing, and end: what `lictor up` does before any role starts.

    For a Kafka of your own, LICTOR_KAFKA. What is there already stays; policies are published if they are newer.
    """
    settings = Settings.read()
    if not settings.kafka:
        raise BadSettings("LICTOR_KAFKA is not set: `lictor init` prepares a broker that runs already")
    folders = [_role_and_folder(word) for word in given]
    keys = Keys(settings.keys_folder)
    if not keys.exist():
        keys.make()
        click.echo(f"keys made in {keys.folder}")
    for role, folder in folders:
        _give(keys, role, folder)
        click.echo(f"keys of {role} given into {folder}")
    version, count = asyncio.run(_prepare(settings, keys))
    click.echo(f"policy version {version} in force, {count} records published")


async def _prepare(settings: Settings, keys: Keys) -> tuple[int, int]:
    """Create the topics and publish the policies; return their version and how many records that took."""
    await ensure_topics(settings.kafka, settings.topics, settings.partitions, settings.kafka_client)
    policies = load_policies(settings.policy)
    return policies.rules.version, await publish_policies(settings.kafka, settings, keys, policies)


def _role_and_folder(word: str) -> tuple[str, Path]:
    role, _, folder = word.partition("=")
    if role not in READ_BY or not folder:
        raise BadInput(f"--give takes ROLE=FOLDER, with a role that reads keys ({', '.join(READ_BY)}), not {word!r}")
    return role, Path(folder)


def _give(keys: Keys, role: str, folder: Path) -> None:
    """Copy what one role reads, each file 0600, whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in READ_BY[role]:
            fresh = folder / f"{name}.new"
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write((keys.folder / name).read_bytes())
            fresh.replace(folder / name)
    except OSError as error:
        raise KeysMissing(f"cannot give {role} its keys: {error.strerror}", where=str(folder)) from None


@click.command(hidden=True)
@click.option(
    "--check", is_flag=True, help="Run nothing: exit status 0 if the role said lately, from here, that it lives."
)
@click.argument("role", type=click.Choice(workers.ROLES))
def worker(role: str, *, check: bool) -> None:
    """Run one role in this process, as `lictor up` and the containers do."""
    settings = Settings.read()
    if not check:
        workers.run(role, settings)
        return
    heard = asyncio.run(heard_here(settings, role))
    click.echo(f"{role}: {'alive' if heard else 'not heard of'}")
    sys.exit(0 if heard else 1)
