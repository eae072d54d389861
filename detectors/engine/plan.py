"""What a rule says, once read: plain structs with nothing left to parse, so that a compiled set can be cached and sent."""

from typing import Final, Literal

import msgspec

from schemas.finding import Mode
from schemas.message import Severity
from schemas.rule_file import CorrelationType as Of
from schemas.rule_file import Scope

PLAN_FORMAT: Final = 1
"""A cache of another format is compiled anew, never misread."""
Op = Literal[
    "eq",
    "contains",
    "startswith",
    "endswith",
    "glob",
    "re",
    "cidr",
    "lt",
    "lte",
    "gt",
    "gte",
    "exists",
    "null",
    "fieldref",
    "time",
]


class Test(msgspec.Struct, frozen=True, tag="test", gc=False):
    """One thing asked of one field. A field with several values passes if one of them does."""

    field: str
    """As `fields` names it, after mapping; "" asks every text of the step (a keyword)."""
    op: Op
    text: str = ""
    """What it is compared with: folded unless `cased`. For `glob`, `*` and `?` are wildcards, and `\\` makes them plain."""
    number: float = 0.0
    """For `lt lte gt gte`, for `eq` against a number, and for `time`."""
    numeric: bool = False
    cased: bool = False
    flags: str = ""
    """For `re`: some of `ims`. For `time`: `minute hour day week month year`. For `fieldref`: an `Op` on texts."""


class Both(msgspec.Struct, frozen=True, tag="and", gc=False):
    """All must hold."""

    items: tuple["Node", ...]


class Either(msgspec.Struct, frozen=True, tag="or", gc=False):
    """One must hold."""

    items: tuple["Node", ...]


class Neither(msgspec.Struct, frozen=True, tag="not", gc=False):
    """It must not hold."""

    item: "Node"


Node = Test | Both | Either | Neither


class Lictor(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a rule says under `lictor:`, beside its tests."""

    confidence: float = 0.7
    impact: float = 0.5
    mode: Mode = "observe"
    scope: Scope = "trace"
    suppress_s: int = 0
    """How long the same rule stays silent about the same group after it fired, by append time."""
    response: str = ""
    version: int = 1


class About(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What people want to know of a rule, and where it stands."""

    title: str
    level: Severity = "medium"
    description: str = ""
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    status: str = ""
    author: str = ""
    place: str = ""
    """`family/rule.yml:1`: file and line."""
    runbook: str = ""


class Rule(msgspec.Struct, frozen=True, tag="rule", kw_only=True):
    """A rule over one step."""

    id: str
    name: str = ""
    """What correlations call it by, beside its id."""
    about: About
    lictor: Lictor = Lictor()
    condition: Node
    generate: bool = True
    """Whether a firing is a finding of its own; false for a rule that only feeds correlations."""


class When(msgspec.Struct, frozen=True, tag="when", gc=False):
    """That one referenced rule fired within the span: a leaf of an extended condition."""

    rule: str


class AllOf(msgspec.Struct, frozen=True, tag="all", gc=False):
    """All of them."""

    items: tuple["Occurs", ...]


class AnyOf(msgspec.Struct, frozen=True, tag="any", gc=False):
    """One of them."""

    items: tuple["Occurs", ...]


class Absent(msgspec.Struct, frozen=True, tag="absent", gc=False):
    """Not within the span."""

    item: "Occurs"


Occurs = When | AllOf | AnyOf | Absent


class Bound(msgspec.Struct, frozen=True, gc=False):
    """One side of a threshold."""

    op: Literal["gt", "gte", "lt", "lte", "eq", "neq"]
    number: float


class Correlation(msgspec.Struct, frozen=True, tag="correlation", kw_only=True):
    """A rule over what other rules fired."""

    id: str
    name: str = ""
    about: About
    lictor: Lictor = Lictor()
    of: Of
    rules: tuple[str, ...]
    """Ids of rules or correlations, in the order the file names them."""
    group_by: tuple[str, ...] = ()
    aliases: dict[str, dict[str, str]] = {}
    """Alias → rule id → field."""
    timespan_us: int
    bounds: tuple[Bound, ...] = ()
    """All must hold. For the temporal types without a condition: as many different rules as are referenced."""
    value_fields: tuple[str, ...] = ()
    percentile: float = 0.0
    occurs: Occurs | None = None
    """The extended, boolean condition of a temporal type."""
    generate: bool = True


Planned = Rule | Correlation


class RuleSet(msgspec.Struct, frozen=True):
    """All rules in force together, in a fixed order."""

    rules: tuple[Rule, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    """Each after all that it refers to."""
    format: int = PLAN_FORMAT


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RuleSet)


def encode_rules(rules: RuleSet) -> bytes:
    """Return the set as bytes."""
    return _encoder.encode(rules)


def decode_rules(data: bytes) -> RuleSet:
    """Return the set from bytes. Raises `msgspec.MsgspecError` where they are of another shape."""
    return _decoder.decode(data)
