"""What a step uses: tools, models, resources, labels, principals, other agents, versions, definitions."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from detectors.words import strings_in
from schemas.sighting import SightingKind
from schemas.step import Step

MOST_RESOURCES: Final = 8
"""Of one call."""
LONGEST: Final = 512
"""Characters of an argument that can name a resource; what is longer is content."""
NAME_CHARS: Final = 256
_NAMED: Final = frozenset(
    {"bucket", "table", "database", "index", "collection", "dataset", "topic", "queue", "project", "repo", "repository"}
)
"""Arguments whose value is a resource's name, whatever it looks like."""
_BUCKETS: Final = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "wasbs", "az"})
_DEEP: Final = 2
"""Folders of a path that make its prefix."""


class Use(NamedTuple):
    """One thing that was used."""

    kind: SightingKind
    name: str
    digest: str = ""


def uses_of(step: Step) -> Iterator[Use]:
    """Yield what a step itself uses; a call that the gate refused has used nothing."""
    if step.kind == "tool_call":
        if step.gate is None or step.gate.verdict not in ("deny", "ask"):
            yield Use("tool", step.tool)
            for name in resources_of(step.arguments):
                yield Use("resource", name)
    elif step.kind == "model_call":
        yield Use("model", step.model)
    elif step.kind == "handoff":
        yield Use("peer", step.to_agent)
    elif step.kind == "run_started":
        yield from _declared(step)


def whoever(step: Step) -> Iterator[Use]:
    """Yield who acts in a step, for whom and with what: the same all through a run, or nearly."""
    yield Use("agent", step.agent_id)
    if step.version:
        yield Use("version", step.version)
    if step.principal:
        yield Use("principal", step.principal)
    if step.delegation:
        yield Use("caller", step.delegation[-1])
    for label in step.labels:
        yield Use("label", label)


def _declared(step: Step) -> Iterator[Use]:
    if step.owner:
        yield Use("owner", step.owner)
    if step.prompt_digest:
        yield Use("prompt", step.prompt_digest)
    for tool in step.tools:
        yield Use("definition", tool.name, tool.digest)
    for name, digest in (step.mcp_servers or {}).items():
        yield Use("server", name[:NAME_CHARS], str(digest)[:128])


def resources_of(arguments: dict[str, Any] | None) -> list[str]:
    """Return the resources that a call names: hosts, mail domains, buckets, path prefixes, tables and the like.

    >>> resources_of({"url": "https://api.example.com/v1?x=1", "to": "bob@example.org", "path": "/srv/data/2026/a.csv"})
    ['api.example.com', '@example.org', '/srv/data/']
    >>> resources_of({"table": "customers", "body": "see you at /srv/data"})
    ['table:customers']
    """
    found: dict[str, None] = {}
    for path, text in strings_in(arguments or {}):
        if not text or len(text) > LONGEST:
            continue
        name = _resource(path.rpartition(".")[2], text)
        if name:
            found[name[:NAME_CHARS]] = None
            if len(found) >= MOST_RESOURCES:
                break
    return list(found)


def _resource(key: str, text: str) -> str:
    if key in _NAMED:
        return f"{key}:{text}"
    if any(letter.isspace() for letter in text):
        return ""
    if "://" in text:
        return _of_link(text)
    if "@" in text and "." in text:
        return "@" + text.rpartition("@")[2].casefold()
    if text.startswith(("/", "~/")):
        return _prefix(text)
    return ""


def _of_link(text: str) -> str:
    try:
        link = urlsplit(text)
        host = (link.hostname or "").removeprefix("www.")
    except ValueError:
        return ""
    if link.scheme == "file":
        return _prefix(link.path)
    return f"{link.scheme}://{host}" if link.scheme in _BUCKETS else host


def _prefix(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[: _DEEP + 1]) + "/" if len(parts) > _DEEP + 1 else path


def kinds() -> tuple[SightingKind, ...]:
    """Return every kind of thing that is seen to be used."""
    return cast("tuple[SightingKind, ...]", SightingKind.__args__)  # type: ignore[attr-defined]
