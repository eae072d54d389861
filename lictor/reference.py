"""The reference pages, written from the code: `make reference`. A test fails when a page is out of date."""

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from detectors.base import Detector
from detectors.inspect import ALL
from detectors.profiles import claims
from lictor import sdk_reference, settings, workers
from lictor.cli import add_verbs
from lictor.cli.app import Verbs
from lictor_agent import cli as agent_cli
from lictor_agent import link
from lictor_agent import settings as agent_settings
from schemas import export
from schemas.seal import SIGNERS, Keyring, Signer, public_bytes
from streams.detect import Detect
from streams.knowledge import Knowledge
from streams.profile import Profile
from streams.respond import Respond
from streams.topics import DAY_MS, Topic, Topics

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
MARKED: Final[Mapping[str, str]] = {"steps": "agents (marked)", "receipts": "agents (marked)"}
UNSIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "policies": ("the root key (the key list)",),
    "checkpoints": ("detect (unsigned)", "respond (unsigned)"),
    "liveness": ("archive (unsigned)",),
    "dead_letters": ("detect (unsigned)", "respond (unsigned)", "archive (unsigned)"),
}
"""Who writes without a role's signature: topic → writers."""
_HEAD: Final = "<!-- Written by `make reference` from the code; what is changed here is lost. -->\n"
_RULE: Final = re.compile(r"`(lictor\.[a-z_.]+)`: ")


def pages() -> dict[str, str]:
    """Return the name and text of every page."""
    made: dict[str, Callable[[], Iterable[str]]] = {
        "cli.md": _cli,
        "detectors.md": _detectors,
        "sdk.md": sdk_reference.lines,
        "settings.md": _settings,
        "topics.md": _topics,
    }
    return {name: _HEAD + "\n" + "\n".join(lines()).rstrip() + "\n" for name, lines in made.items()}


def write(folder: Path = FOLDER) -> None:
    """Write every page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, and an empty one behind it."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


# Topics


def _topics() -> Iterator[str]:
    topics = Topics()
    read = readers(topics)
    yield "# Topics"
    yield ""
    yield "Names begin with `LICTOR_NAMESPACE`, `lictor` by default. A topic of the common count has `LICTOR_PARTITIONS`"
    yield "partitions, fixed when it is made. Kafka's clock stamps every record; a record has at most 4 MiB. *May write* is who"
    yield "is believed: for signed messages the roles whose signature is accepted. What `archive` reads goes to the history."
    yield ""
    for topic in topics.all():
        name = short(topic)
        yield f"## `{topic.name}`"
        yield ""
        yield str(getattr(Topics, name).__doc__)
        yield ""
        yield from table(("", ""), _facts(topic, read[topic.name]))


def _facts(topic: Topic, read_by: Sequence[str]) -> list[tuple[str, str]]:
    days = topic.retention_ms // DAY_MS
    return [
        ("carries", ", ".join(_kind(kind) for kind in topic.carries.split())),
        ("key", topic.key),
        ("partitions", str(topic.partitions or "the common count")),
        ("kept", "the newest of each key (compacted)" if topic.compacted else f"{days} day{'s' * (days != 1)}"),
        ("may write", ", ".join(writers(topic)) or "nobody"),
        ("read by", ", ".join(read_by) or "nobody"),
    ]


def _kind(kind: str) -> str:
    file = f"{'command' if kind == 'clearance' else kind}.json"
    there = (export.FOLDER / file).exists()
    return f"[`{kind}`](../../schemas/json/{file})" if there else f"`{kind}`"


def short(topic: Topic) -> str:
    """Return a topic's name as `Topics` has it."""
    return topic.name.rpartition(".")[2].replace("-", "_")


def writers(topic: Topic) -> list[str]:
    """Return who is believed on a topic."""
    name = short(topic)
    found = [MARKED[name]] if name in MARKED else []
    for kind in topic.carries.split():
        for role, right in SIGNERS.get(kind, ()):
            found.append(f"{role} (right `{right}`)" if right else role)
    return list(dict.fromkeys([*found, *UNSIGNED.get(name, ())]))


def readers(topics: Topics) -> dict[str, list[str]]:
    """Return topic → who reads it, asked of the streams themselves."""
    private = Ed25519PrivateKey.generate()
    know, signer = Knowledge(topics, Keyring(public_bytes(private))), Signer("", private)
    streams = (Detect(know, signer, "", 1), Respond(know, signer, ""), Profile(know, signer, ""))
    read = {
        **{s.name: (*s.inputs, *workers.followed(s.name, topics), topics.checkpoints) for s in streams},
        "archive": topics.archived(),
        "agents": tuple(getattr(topics, name) for name in link.HEARD),
    }
    return {topic.name: [who for who, these in read.items() if topic in these] for topic in topics.all()}


# The command line


def _cli() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Every verb takes `--help`. Errors are one line on stderr. Addresses and folders come from [settings](settings.md)."
    yield ""
    app = Verbs("lictor")
    add_verbs(app)
    context = click.Context(app, info_name="lictor", help_option_names=["-h", "--help"])
    for name in app.list_commands(context):
        yield from _verb(app.commands[name], context, f"lictor {name}")
    yield from _agent_verbs(agent_cli.parser())


def _verb(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent)
    yield f"## `{name}`"
    yield ""
    yield "```text"
    yield " ".join((name, *command.collect_usage_pieces(context)))
    yield "```"
    yield ""
    if command.hidden:
        yield "Not listed by `lictor --help`: for containers, and for a Kafka of your own."
        yield ""
    yield from _text(command.help or "")
    records = [param.get_help_record(context) for param in command.get_params(context)]
    rows = [(f"`{said[0]}`", _line(said[1])) for said in records if said is not None and "--help" not in said[0]]
    if rows:
        yield from table(("option", "meaning"), rows)
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            yield from _verb(command.commands[verb], context, f"{name} {verb}")


def _agent_verbs(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what `lictor-agent` can do. argparse tells it differently in each Python, so its parts are read instead."""
    yield "# `lictor-agent`"
    yield ""
    yield from _text(str(parser.description))
    yield from _text(str(parser.epilog))
    for verbs in _subparsers(parser):
        told = {action.dest: str(action.help) for action in verbs._choices_actions}  # noqa: SLF001 - told nowhere else
        for name, verb in verbs.choices.items():
            yield f"## `{parser.prog} {name}`"
            yield ""
            yield from _text(told[name][0].upper() + told[name][1:] + ".")
            yield from table(("option", "meaning"), _arguments(verb))


def _subparsers(parser: argparse.ArgumentParser) -> "list[argparse._SubParsersAction[argparse.ArgumentParser]]":
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001


def _arguments(verb: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in verb._actions:  # noqa: SLF001 - told nowhere else
        if action.dest != "help":
            name = " ".join(filter(None, [", ".join(action.option_strings), str(action.metavar or "")]))
            default = "" if action.default is None else f"; default {action.default}"
            yield f"`{name or '-- CMD…'}`", f"{action.help}{default}"


# Detectors


def _detectors() -> Iterator[str]:
    yield "# Detectors"
    yield ""
    yield "In the order in which they judge a step. A finding's severity may differ from its detector's where the rule says so in"
    yield "its reason. What follows from a finding is the policy's to say."
    yield ""
    for detector in detectors():
        yield f"## {detector.name}"
        yield ""
        yield f"**{detector.title}.**"
        yield ""
        yield from _rules(detector)
        yield from table(("", ""), _claim(detector))
    yield "## profile"
    yield ""
    yield "What `profile` finds of agents as a whole, from what `detect` tells of all their steps."
    yield ""
    rows = [(f"`{c.rule_id}`", c.title, c.severity, ", ".join(c.tags), c.blind_spots) for c in claims.ALL]
    yield from table(("rule", "says", "severity, mostly", "tags", "does not see"), rows)


def detectors() -> list[type[Detector]]:
    """Return those that judge every step, then those that speak of Lictor's own trouble."""
    first = [type(detector) for detector in ALL]
    ours = {found for found in Detector.__subclasses__() if found.__module__.startswith("detectors.")}
    return first + sorted(ours - set(first), key=lambda found: found.name)


def rule_ids(detector: type[Detector]) -> dict[str, str]:
    """Return a detector's rule ids and what they say: from its docstring, else its own name and title."""
    parts = _RULE.split(inspect.cleandoc(detector.__doc__ or ""))
    said = {rule: text.partition("\n")[0].strip() for rule, text in zip(parts[1::2], parts[2::2], strict=True)}
    return said or {f"lictor.{detector.name}": f"{detector.title}."}


def _rules(detector: type[Detector]) -> Iterator[str]:
    parts = _RULE.split(inspect.cleandoc(detector.__doc__ or ""))
    yield from _text(parts[0])
    yield from table(("rule", "says"), [(f"`{rule}`", said) for rule, said in rule_ids(detector).items()])
    if len(parts) > 1:
        yield from _text(parts[-1].partition("\n")[2])


def _claim(detector: type[Detector]) -> list[tuple[str, str]]:
    return [
        ("severity", detector.severity),
        ("impact", str(detector.impact)),
        ("version", str(detector.version)),
        ("tags", ", ".join(f"`{tag}`" for tag in detector.tags) or "none"),
        ("does not see", detector.blind_spots),
    ]


# Settings


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Read once from the environment. Lictor refuses a name that begins with `LICTOR_` and is on neither list."
    yield ""
    for title, names in (
        ("Lictor", settings.MEANINGS),
        ("Agents and their supervisor", agent_settings.MEANINGS),
    ):
        yield f"## {title}"
        yield ""
        yield from table(("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in names.items()])


def _text(text: str) -> Iterator[str]:
    """Yield paragraphs, each with an empty line behind it."""
    for paragraph in inspect.cleandoc(text.replace("\b", "").partition("\f")[0]).split("\n\n"):
        if paragraph.strip():
            yield paragraph.strip()
            yield ""


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    write()
