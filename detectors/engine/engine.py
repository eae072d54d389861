"""A set of rules ready to judge: what fires on one step, and the correlations of what has fired."""

import functools
import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import hyperscan
import msgspec

from detectors.engine.compiled import Compiled
from detectors.engine.correlate import Correlator
from detectors.engine.load import load_rules
from detectors.engine.plan import PLAN_FORMAT, Correlation, Rule, RuleSet, decode_rules, encode_rules
from detectors.engine.sums import SCOPE_FIELDS
from schemas.errors import BadRecord
from schemas.rule_file import Scope

NEAR: Final = frozenset({"trace"})
"""Scopes that one `detect` worker sees whole, beside those of the run in its trace."""
BY_AGENT: Final = frozenset({"run", "agent"})


_VERSION: Final = version("hyperscan")


_SEAL: Final = 16


class _Kept(msgspec.Struct, frozen=True):
    """What is cached of an engine."""

    format: int
    hyperscan: str
    """Its version, and the features of the processor that the database is made for."""
    rules: bytes
    database: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class Engine:
    """Rules and correlations, by the scope in which they are put together."""

    def __init__(self, rules: RuleSet, database: Any = None) -> None:
        self.rules = rules
        self.compiled = Compiled(rules, database)
        self.by_id: dict[str, Rule | Correlation] = {
            **{rule.id: rule for rule in rules.rules},
            **{each.id: each for each in rules.correlations},
        }
        self.near = Correlator(_of(rules, NEAR))
        self.by_agent = Correlator(_of(rules, BY_AGENT))
        self.wide: dict[Scope, Correlator] = {
            scope: Correlator(_of(rules, {scope}))
            for scope in sorted({each.lictor.scope for each in rules.correlations} - NEAR - BY_AGENT)
        }
        far = (self.by_agent, *self.wide.values())
        scoped = [
            {rule: frozenset({SCOPE_FIELDS[scope]}) for rule in judge.by_rule}
            for scope, judge in self.wide.items()
            if scope in SCOPE_FIELDS
        ]
        self.needed = _joined([*(judge.needed_fields() for judge in (self.near, *far)), *scoped])
        """Rule → the fields that a firing of it must carry."""
        self.far_rules = frozenset(rule for judge in far for rule in judge.by_rule)
        """Rules whose firings are judged elsewhere too."""


def _of(rules: RuleSet, scopes: frozenset[str] | set[Any]) -> Sequence[Correlation]:
    return [each for each in rules.correlations if each.lictor.scope in scopes]


def _joined(parts: Sequence[Mapping[str, frozenset[str]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for part in parts:
        for rule, fields in part.items():
            found.setdefault(rule, set()).update(fields)
    return {rule: tuple(sorted(fields)) for rule, fields in found.items()}


def compile_sources(sources: Mapping[str, str], *, untested: bool = True) -> bytes:
    """Return an engine's bytes, made from rule files. Raises `BadRecord` with every refusal where one is refused."""
    loaded = load_rules(sources, untested=untested)
    if loaded.refused:
        raise BadRecord("rules", "; ".join(map(str, loaded.refused[:20])))
    engine = Engine(loaded.rules)
    kept = _Kept(PLAN_FORMAT, _platform(), encode_rules(loaded.rules), engine.compiled.dump())
    data = _encode(kept)
    return _seal(data) + data


def _seal(data: bytes) -> bytes:
    """Return a digest that tells damage: Hyperscan must never be given a database that is not as it was written."""
    return hashlib.blake2b(data, digest_size=_SEAL, person=b"lictor.engine").digest()


@functools.cache
def _platform() -> str:
    """Return what a database depends on: Hyperscan's version, and the processor that it is made for."""
    database = hyperscan.Database()
    database.compile(expressions=[b"x"], ids=[0], elements=1, flags=[0])
    return f"{_VERSION} {database.info()!s} {platform.machine()}"


def read_engine(data: bytes) -> Engine:
    """Return the engine of these bytes. Raises `BadRecord` where they are damaged, or of another format or Hyperscan."""
    try:
        if data[:_SEAL] != _seal(data[_SEAL:]):
            raise BadRecord("rules", "compiled rules are damaged: their digest is another")
        kept = _decode(data[_SEAL:])
        if (kept.format, kept.hyperscan) != (PLAN_FORMAT, _platform()):
            raise BadRecord("rules", "compiled by another version, or for another processor")
        return Engine(decode_rules(kept.rules), hyperscan.loadb(kept.database, hyperscan.HS_MODE_BLOCK))
    except (msgspec.MsgspecError, hyperscan.error, hyperscan.HyperscanError, ValueError, TypeError) as error:
        raise BadRecord("rules", f"compiled rules are damaged: {error}") from None
