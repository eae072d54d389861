"""Rule files of folders, as the one bundle that workers judge by; and what was published before, to go back to."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from detectors.engine.engine import Engine, compile_sources, read_engine
from lictor import topic_io
from lictor.keys import OPERATOR, Keys
from lictor.publish import believed
from lictor.settings import Settings
from schemas.errors import BadInput, BadRecord
from schemas.rule_bundle import BUNDLE_KEY, RuleBundle, bundle_digest
from streams.records import signed

RULES: Final = Path(__file__).resolve().parents[1] / "rules"
_IN_WHEEL: Final = Path(__file__).resolve().parent / "_app" / "rules"
MAX_FILES: Final = 20_000
MAX_FILE_BYTES: Final = 1 << 20


def folder() -> Path:
    """Return the folder of the rules that came with Lictor."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else RULES


def rule_sources(places: Iterable[Path]) -> dict[str, str]:
    """Return the rule files of folders and files: path below its folder → text. Raises `BadInput`.

    Two files of one name are one too many: the second would hide the first.
    """
    found: dict[str, str] = {}
    for place in places:
        for path in _files(place):
            name = path.relative_to(place).as_posix() if place.is_dir() else path.name
            if name in found:
                raise BadInput(f"rule file {name} stands in two folders; rename one", where=str(path))
            found[name] = _text(path)
            if len(found) > MAX_FILES:
                raise BadInput(f"more than {MAX_FILES} rule files; put rules together into fewer", where=str(place))
    return found


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(path for path in place.rglob("*.y*ml") if path.suffix in (".yml", ".yaml") and path.is_file())
    if not place.is_file():
        raise BadInput("there is no such rule file or folder", where=str(place))
    return [place]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadInput("a rule file has at most 1 MiB; split it", where=str(path))
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot read the rule file: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise BadInput("a rule file must be UTF-8", where=str(path)) from None


def engine_of(places: Iterable[Path]) -> Engine | None:
    """Return the engine of rule files, for judging without a broker; None where there are none. Raises `BadInput`."""
    sources = rule_sources(places)
    if not sources:
        return None
    try:
        return read_engine(compile_sources(sources))
    except BadRecord as error:
        raise BadInput(str(error)) from None


async def bundle_in_force(bootstrap: str, settings: Settings, keys: Keys) -> RuleBundle | None:
    """Return the bundle that workers judge by, if one was published by who may."""
    topics = settings.topics
    records = await topic_io.read_all(bootstrap, [topics.policies, topics.rules], settings.kafka_client)
    known = believed(records, keys, topics).get((topics.rules.name, BUNDLE_KEY))
    return RuleBundle.read(known.value) if known is not None else None


async def publish_bundle(
    bootstrap: str, settings: Settings, keys: Keys, sources: Mapping[str, str], *, expires_us: int = 0
) -> RuleBundle:
    """Publish rules if they differ from those in force; return the bundle that is in force then. Raises `BadInput`."""
    known = await bundle_in_force(bootstrap, settings, keys)
    if known is not None and known.digest == bundle_digest(sources) and known.expires_us == expires_us:
        return known
    version = known.version + 1 if known is not None else 1
    try:
        fresh = RuleBundle.of(sources, version, int(time.time() * 1e6), expires_us)
    except BadRecord as error:
        raise BadInput(str(error)) from None
    topic, signer = settings.topics.rules, keys.signer(f"people/{OPERATOR}")
    await topic_io.publish(bootstrap, [signed(topic, BUNDLE_KEY, fresh, signer)], settings.kafka_client)
    return fresh
