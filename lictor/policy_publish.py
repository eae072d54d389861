"""Putting a policy and rules in force: published, waited for until every worker judges by them, and taken back."""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from detectors.engine.engine import compile_sources, read_engine
from lictor import topic_io
from lictor.bundles import bundle_in_force, publish_bundle
from lictor.folders import make_folder
from lictor.kafka import cache_folder
from lictor.keys import Keys
from lictor.policy_file import Policies, load_policies
from lictor.publish import RULE_BOOK, believed, publish_policies
from lictor.settings import Settings
from schemas.errors import BadInput, BadRecord, BadSeal
from schemas.liveness import Liveness
from schemas.rule_bundle import bundle_digest
from schemas.rules import RuleBook
from streams.rule_loader import keep, place_of
from streams.topics import Topics

ALIVE_MS: Final = 5000
KEPT: Final = 32
JUDGING: Final = frozenset({"detect", "respond"})


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker judges by, as it says, signed."""

    name: str
    policy_applied: bool
    rules_version: int
    bundle_version: int
    error: str

    def judges_by(self, book: int, bundle: int) -> bool:
        """Tell whether this and nothing else is in force there."""
        return self.policy_applied and self.rules_version >= book and self.bundle_version >= bundle and not self.error


@dataclass(frozen=True, slots=True)
class InForce:
    """What is published, and who judges by it."""

    policy_version: int
    bundle_version: int
    bundle_files: int
    expires_us: int
    workers: tuple[Worker, ...]

    @property
    def everywhere(self) -> bool:
        """Whether every worker that lives judges by it."""
        return all(worker.judges_by(self.policy_version, self.bundle_version) for worker in self.workers)

    def as_json(self) -> dict[str, Any]:
        """Return one JSON object."""
        return {
            "policy_version": self.policy_version,
            "rules_version": self.bundle_version,
            "rule_files": self.bundle_files,
            "rules_expire_us": self.expires_us or None,
            "in_force_everywhere": self.everywhere,
            "workers": [
                {
                    "name": worker.name,
                    "in_force": worker.judges_by(self.policy_version, self.bundle_version),
                    "rules_version": worker.bundle_version,
                    "error": worker.error,
                }
                for worker in self.workers
            ],
        }


def check(sources: Mapping[str, str]) -> None:
    """Compile rules here first: what no worker could load is not published. Raises `BadInput`.

    What comes of it is kept, so that workers of this machine need not do it again.
    """
    place = place_of(cache_folder() / "rules", bundle_digest(sources))
    with contextlib.suppress(OSError, BadRecord):
        read_engine(place.read_bytes())
        return
    try:
        keep(place, compile_sources(sources))
    except BadRecord as error:
        raise BadInput(f"rules are not published: {error}") from None


async def publish(
    settings: Settings, keys: Keys, policy: Path | None, sources: Mapping[str, str], wait_s: float
) -> InForce:
    """Publish a policy file and rules, keep a copy, and wait until every worker judges by them, or the time is up."""
    await asyncio.to_thread(check, sources)
    policies = load_policies(policy)
    text = await asyncio.to_thread(policy.read_text, encoding="utf-8") if policy is not None else None
    await publish_policies(settings.kafka, settings, keys, policies)
    bundle = await publish_bundle(settings.kafka, settings, keys, sources) if sources else None
    _remember(settings.home, {"policy": text, "rules": dict(sources), "rules_version": bundle.version if bundle else 0})
    return await until_in_force(settings, keys, wait_s)


async def rollback(settings: Settings, keys: Keys, wait_s: float) -> InForce:
    """Publish what was in force before the last publication again, under higher versions. Raises `BadInput`."""
    kept = published(settings.home)
    if len(kept) < 2:  # noqa: PLR2004 - the one in force, and the one before it
        raise BadInput(
            "nothing was published from here before what is in force now", where=str(settings.home / "published")
        )
    said = json.loads(kept[-2].read_text(encoding="utf-8"))
    now = await in_force(settings, keys)
    policies = raised(_policies(said["policy"]), now.policy_version + 1)
    await publish_policies(settings.kafka, settings, keys, policies)
    if said["rules"]:
        await publish_bundle(settings.kafka, settings, keys, said["rules"])
    kept[-1].unlink()
    return await until_in_force(settings, keys, wait_s)


def _policies(text: str | None) -> Policies:
    if text is None:
        return load_policies(None)
    with tempfile.TemporaryDirectory(prefix="lictor-policy-") as folder:
        path = Path(folder) / "policy.yml"
        path.write_text(text, encoding="utf-8")
        return load_policies(path)


def raised(policies: Policies, version: int) -> Policies:
    """Return policies under a version no lower than this one."""
    number = max(version, policies.rules.version)
    agents = tuple(agent.model_copy(update={"version": number}) for agent in policies.agents)
    return Policies(agents, policies.rules.model_copy(update={"version": number}), policies.tests)


def published(home: Path) -> list[Path]:
    """Return what was published from here, oldest first."""
    return sorted((home / "published").glob("*.json"))


def _remember(home: Path, said: Mapping[str, Any]) -> None:
    folder = make_folder(home / "published")
    text = json.dumps(said, sort_keys=True)
    kept = published(home)
    if kept and kept[-1].read_text(encoding="utf-8") == text:
        return
    fresh = folder / f"{time.time_ns():020d}.new"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(fresh.with_suffix(".json"))
    for path in kept[: max(0, len(kept) + 1 - KEPT)]:
        path.unlink(missing_ok=True)


async def until_in_force(settings: Settings, keys: Keys, wait_s: float) -> InForce:
    """Wait until every worker that lives judges by what is published; return how it stands then."""
    ends = time.monotonic() + wait_s
    while True:
        found = await in_force(settings, keys)
        if (found.workers and found.everywhere) or time.monotonic() >= ends:
            return found
        await asyncio.sleep(0.3)


async def in_force(settings: Settings, keys: Keys) -> InForce:
    """Return what is published now, and what each worker that lives says it judges by."""
    topics = settings.topics
    records = await topic_io.read_all(settings.kafka, [topics.policies, topics.rules], settings.kafka_client)
    book = believed(records, keys, topics).get((topics.rules.name, RULE_BOOK))
    ends = {record.topic: record.offset + 1 for record in records}
    bundle = await bundle_in_force(settings.kafka, settings, keys)
    return InForce(
        policy_version=RuleBook.read(book.value).version if book is not None else 0,
        bundle_version=bundle.version if bundle is not None else 0,
        bundle_files=bundle.files if bundle is not None else 0,
        expires_us=bundle.expires_us if bundle is not None else 0,
        workers=await _workers(settings, keys, topics, ends),
    )


async def _workers(settings: Settings, keys: Keys, topics: Topics, ends: Mapping[str, int]) -> tuple[Worker, ...]:
    ring, listed = keys.keyring(), keys.signed_list(topics)
    ring.load(listed.topic, listed.key, listed.headers, listed.value or b"")
    since_ms = int(time.time() * 1000) - ALIVE_MS
    found: dict[str, Worker] = {}
    for record in await topic_io.read_since(settings.kafka, [topics.liveness], settings.kafka_client, since_ms):
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            word = Liveness.read(record.value)
            if word.component not in JUDGING:
                continue
            ring.check(record.topic, key, Liveness.type, record.headers, record.value or b"", record.timestamp * 1000)
        except (BadRecord, BadSeal):
            continue
        applied = all(word.applied.get(topic, 0) >= end for topic, end in ends.items() if topic == topics.policies.name)
        found[key] = Worker(key, applied, word.rules_version, word.bundle_version, word.rules_error)
    return tuple(found[key] for key in sorted(found))
