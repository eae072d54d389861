"""`lictor policy publish | status | rollback`: what is in force, and who judges by it."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from detectors.base import shown
from lictor.bundles import folder, rule_sources
from lictor.keys import Keys
from lictor.policy_publish import InForce, in_force
from lictor.policy_publish import publish as publish_both
from lictor.policy_publish import rollback as take_back
from lictor.settings import Settings
from schemas.errors import KafkaUnavailable

_WAIT = click.option("--wait", "wait_s", default=30.0, help="Seconds to wait until every worker judges by it.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--rules", "places", multiple=True, type=click.Path(path_type=Path), help="Folder or file of Sigma rules; several."
)
@click.option("--no-pack", is_flag=True, help="Leave out the rules that came with Lictor.")
@_WAIT
@_JSON
def publish(file: Path | None, places: tuple[Path, ...], wait_s: float, *, no_pack: bool, as_json: bool) -> None:
    """Put FILE (else LICTOR_POLICY, else the default policy) and rules in force; wait until every worker judges by them.

    Nothing is published that cannot be loaded. Exit status 1 if it is not in force everywhere in time.
    """
    settings = running()
    sources = rule_sources([*([] if no_pack else [folder()]), *places, *settings.rules])
    policy = file if file is not None else settings.policy
    _tell(asyncio.run(publish_both(settings, Keys(settings.keys_folder), policy, sources, wait_s)), as_json=as_json)


@click.command()
@_JSON
def status(*, as_json: bool) -> None:
    """Say which policy and rules are published, and which worker judges by them. Exit status 1 if one does not."""
    settings = running()
    _tell(asyncio.run(in_force(settings, Keys(settings.keys_folder))), as_json=as_json)


@click.command()
@_WAIT
@_JSON
def rollback(wait_s: float, *, as_json: bool) -> None:
    """Put in force again what was published from here before; versions go on rising."""
    settings = running()
    _tell(asyncio.run(take_back(settings, Keys(settings.keys_folder), wait_s)), as_json=as_json)


def running() -> Settings:
    """Return the settings of a Lictor that runs: the environment's, or this data folder's. Raises `KafkaUnavailable`."""
    settings = Settings.read()
    if settings.kafka:
        return settings
    said = settings.running()
    if not said:
        raise KafkaUnavailable("no `lictor up` is running here, and LICTOR_KAFKA is not set")
    return replace(settings, kafka=str(said["kafka"]))


def _tell(found: InForce, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found.as_json()))
    else:
        click.echo(
            f"policy version {found.policy_version}; rules version {found.bundle_version}, {found.bundle_files} files"
        )
        for worker in found.workers:
            judges = worker.judges_by(found.policy_version, found.bundle_version)
            why = f": {shown(worker.error, 400)}" if worker.error else ""
            click.echo(f"  {worker.name}: {'in force' if judges else 'NOT in force'}{why}")
        if not found.workers:
            click.echo("  no worker is alive: nothing is judged")
    sys.exit(0 if found.everywhere and found.workers else 1)
