"""`lictor keys`."""

import asyncio
import json
import re
from typing import Final

import click

from lictor import topic_io
from lictor.keys import OPERATOR_MAY, Keys
from lictor.settings import Settings
from schemas.errors import BadInput

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@click.group()
def keys() -> None:
    """Make, list and revoke keys. Everything is in LICTOR_KEYS, default LICTOR_HOME/keys; files are 0600."""


@keys.command()
def init() -> None:
    """Make the root key, the roles' keys, the operator's key and the marks' master key."""
    found = _keys()
    found.make()
    click.echo(f"made in {found.folder}; agents pin {found.folder / 'root.pub'}")


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def list_keys(*, as_json: bool) -> None:
    """List the public keys: who may sign what."""
    entries = _keys().key_list().keys
    if as_json:
        click.echo(json.dumps([entry.model_dump() for entry in entries]))
        return
    for entry in entries:
        state = "REVOKED" if entry.revoked else "good"
        click.echo(f"{entry.key_id}  {entry.role:<10} {entry.name:<16} {state:<8} {' '.join(entry.may)}".rstrip())


@keys.command()
@click.argument("agent_id")
def agent(agent_id: str) -> None:
    """Derive an agent's key; print the file to give to the agent as LICTOR_AGENT_KEY."""
    if not agent_id.isprintable() or not 0 < len(agent_id) <= 128 or agent_id.startswith("~"):  # noqa: PLR2004 - as in the SDK
        raise BadInput("an agent id is 1 to 128 printable characters and does not start with `~`")
    click.echo(_keys().agent_key_file(agent_id))


@keys.command()
@click.argument("name")
@click.option("--may", multiple=True, type=click.Choice(OPERATOR_MAY), required=True, help="What the person may do.")
def person(name: str, may: tuple[str, ...]) -> None:
    """Make a person's own key and put it on the list."""
    if not _NAME.fullmatch(name):
        raise BadInput("a person's name is lower-case letters, digits, dots, dashes and underscores")
    found = _keys()
    entry = found.add_person(name, may)
    click.echo(f"{entry.key_id}  {name} may {', '.join(may)}")
    _publish(found)


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key: what it signs is refused from then on, everywhere."""
    found = _keys()
    found.revoke(key_id)
    click.echo(f"{key_id} is revoked")
    _publish(found)


def _keys() -> Keys:
    return Keys(Settings.read().keys_folder)


def _publish(found: Keys) -> None:
    """Put the new list in force at once where a Lictor runs; else the next `lictor up` does."""
    settings = Settings.read()
    bootstrap = settings.kafka or str(settings.running().get("kafka", ""))
    if not bootstrap:
        click.echo("no Lictor is running: the list is published at the next `lictor up`")
        return
    asyncio.run(topic_io.publish(bootstrap, [found.signed_list(settings.topics)], settings.kafka_client))
    click.echo(f"list version {found.key_list().version} is published")
