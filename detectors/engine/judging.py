"""A rule's plan made into a function over a step's values: exact, whatever made the rule a candidate."""

import ipaddress
import operator
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import re2

from detectors.base import Seen
from detectors.engine.counting import number_of
from detectors.engine.fields import Context, value_of
from detectors.engine.firings import Value
from detectors.engine.plan import Both, Either, Neither, Node, Test
from detectors.engine.text import fold, views

Check = Callable[["Values"], bool]
PLAIN: Final = frozenset({"kind", "tool", "origin", "outcome", "traits", "event_type"})
"""Fields whose values are nearly always spelt as rules spell them."""
KEYWORD_FIELDS: Final = ("text", "argument", "error")


class Values:
    """The values of one step, each field read once, each text unveiled and folded once."""

    __slots__ = ("_folded", "_numbers", "_raw", "_seen", "_views", "context")

    def __init__(self, seen: Seen, context: Context) -> None:
        self._seen = seen
        self.context = context
        self._raw: dict[str, tuple[Value, ...]] = {}
        self._views: dict[str, tuple[str, ...]] = {}
        self._folded: dict[str, tuple[str, ...]] = {}
        self._numbers: dict[str, tuple[float, ...]] = {}

    def raw(self, field: str) -> tuple[Value, ...]:
        """Return a field's values as they are."""
        found = self._raw.get(field)
        if found is None:
            names = KEYWORD_FIELDS if field == "" else (field,)
            found = tuple(value for name in names for value in value_of(name, self._seen, self.context))
            self._raw[field] = found
        return found

    def numbers(self, field: str) -> tuple[float, ...]:
        """Return those of a field's values that are finite numbers: nothing else passes a threshold."""
        found = self._numbers.get(field)
        if found is None:
            read = map(number_of, self.raw(field))
            found = self._numbers[field] = tuple(number for number in read if number is not None)
        return found

    def views(self, field: str) -> tuple[str, ...]:
        """Return all that a field's values say."""
        found = self._views.get(field)
        if found is None:
            found = self._views[field] = tuple(view for value in self.raw(field) for view in views(shown(value)))
        return found

    def folded(self, field: str) -> tuple[str, ...]:
        """Return all that a field's values say, where case does not count."""
        found = self._folded.get(field)
        if found is None:
            found = self._folded[field] = tuple(map(fold, self.views(field)))
        return found


def shown(value: Value) -> str:
    """Return a value as text: a whole number without a fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - exact up to there
        return str(int(value))
    return str(value)


def check_of(node: Node) -> Check:
    """Return the function for a condition."""
    match node:
        case Both(items):
            return _all([check_of(item) for item in items])
        case Either(items):
            return _any([check_of(item) for item in items])
        case Neither(item):
            inner = check_of(item)
            return lambda values: not inner(values)
        case Test():
            return _test(node)


def residue(node: Node, fields: frozenset[str], values: Values) -> Node | bool:
    """Return what of a condition is left to ask where these fields are as in `values`; a bool where nothing is."""
    match node:
        case Test(field, op, text):
            known = field in fields and (op != "fieldref" or text in fields)
            return check_of(node)(values) if known else node
        case Neither(item):
            left = residue(item, fields, values)
            return not left if isinstance(left, bool) else Neither(left)
        case Both(items):
            return _left(items, fields, values, decided_by=False)
        case Either(items):
            return _left(items, fields, values, decided_by=True)


def _left(items: Sequence[Node], fields: frozenset[str], values: Values, *, decided_by: bool) -> Node | bool:
    left: list[Node] = []
    for item in items:
        found = residue(item, fields, values)
        if found is decided_by:
            return decided_by
        if not isinstance(found, bool):
            left.append(found)
    if not left:
        return not decided_by
    return left[0] if len(left) == 1 else (Either if decided_by else Both)(tuple(left))


def _all(checks: Sequence[Check]) -> Check:
    if len(checks) == 2:  # noqa: PLR2004 - the commonest, without a loop
        first, second = checks
        return lambda values: first(values) and second(values)
    return lambda values: all(check(values) for check in checks)


def _any(checks: Sequence[Check]) -> Check:
    return lambda values: any(check(values) for check in checks)


def _test(test: Test) -> Check:
    if test.op == "eq" and test.numeric:
        return _same_number(test)
    return _MAKERS.get(test.op, _text)(test)


def _exists(test: Test) -> Check:
    field, wanted = test.field, bool(test.number)
    return lambda values: bool(values.raw(field)) is wanted


def _null(test: Test) -> Check:
    field = test.field
    return lambda values: not values.raw(field)


def _same_number(test: Test) -> Check:
    field, number = test.field, test.number
    return lambda values: number in values.numbers(field)


def _text(test: Test) -> Check:
    field, text, cased = test.field, test.text, test.cased
    holds = TEXT_OPS[test.op]
    if test.op == "eq" and not cased and field in PLAIN:
        return lambda values: text in values.raw(field) or text in values.folded(field)

    def check(values: Values) -> bool:
        said = values.views(field) if cased else values.folded(field)
        return any(holds(each, text) for each in said)

    return check


TEXT_OPS: Final[dict[str, Callable[[str, str], bool]]] = {
    "eq": lambda said, text: said == text,
    "contains": lambda said, text: text in said,
    "startswith": lambda said, text: said.startswith(text),
    "endswith": lambda said, text: said.endswith(text),
}


def _number(test: Test) -> Check:
    field, bound = test.field, test.number
    match test.op:
        case "gt":
            return lambda values: bool(found := values.numbers(field)) and max(found) > bound
        case "gte":
            return lambda values: bool(found := values.numbers(field)) and max(found) >= bound
        case "lt":
            return lambda values: bool(found := values.numbers(field)) and min(found) < bound
        case _:
            return lambda values: bool(found := values.numbers(field)) and min(found) <= bound


def _network(test: Test) -> Check:
    field, network = test.field, ipaddress.ip_network(test.text, strict=False)

    def check(values: Values) -> bool:
        return any(_address_in(view, network) for view in values.views(field))

    return check


def _address_in(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(text.strip("[] ")) in network
    except ValueError:
        return False


def _time(test: Test) -> Check:
    field, part, number, holds = test.field, test.flags, test.number, _TIME_OPS[test.text or "eq"]

    def check(values: Values) -> bool:
        found = (_part(value, part) for value in values.raw(field))
        return any(each is not None and holds(each, number) for each in found)

    return check


_TIME_OPS: Final[dict[str, Callable[[float, float], bool]]] = {
    "eq": operator.eq,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def _part(value: Value, part: str) -> int | None:
    """Return a part of a time: of microseconds since 1970, or of ISO 8601, in UTC."""
    try:
        moment = (
            datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value / 1e6, tz=UTC)
        )
    except (ValueError, OverflowError, OSError):
        return None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.isocalendar().week if part == "week" else int(getattr(moment, part))


def _other_field(test: Test) -> Check:
    field, other, holds = test.field, test.text, TEXT_OPS[test.flags or "eq"]

    def check(values: Values) -> bool:
        return any(holds(said, text) for said in values.folded(field) for text in values.folded(other) if text)

    return check


def pattern_of(text: str, flags: str) -> Any:
    """Return the compiled RE2 pattern. Raises `re2.error` where it is none that RE2 takes."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    prefix = "".join(flag for flag in "ims" if flag in flags)
    return re2.compile(f"(?{prefix}){text}" if prefix else text, options)


def _pattern(test: Test) -> Check:
    field, text, flags = test.field, test.text, test.flags
    compiled: list[Any] = []

    def check(values: Values) -> bool:
        if not compiled:
            compiled.append(pattern_of(text, flags))
        return any(compiled[0].search(encodable(view)) is not None for view in values.views(field))

    return check


def encodable(text: str) -> str:
    """Return a text that RE2 can be given: lone surrogates as the replacement character."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def glob_pattern(text: str) -> str:
    """Return the regular expression of a value with wildcards: `*` and `?`, made plain by a backslash."""
    out: list[str] = []
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            out.append(re2.escape(next(letters, "\\")))
        else:
            out.append(".*" if letter == "*" else "." if letter == "?" else re2.escape(letter))
    return "(?s)^" + "".join(out) + r"\z"


def _glob(test: Test) -> Check:
    field, cased = test.field, test.cased
    pattern = pattern_of(glob_pattern(test.text), "")

    def check(values: Values) -> bool:
        said = values.views(field) if cased else values.folded(field)
        return any(pattern.search(encodable(each)) is not None for each in said)

    return check


_MAKERS: Final[dict[str, Callable[[Test], Check]]] = {
    "exists": _exists,
    "null": _null,
    "lt": _number,
    "lte": _number,
    "gt": _number,
    "gte": _number,
    "cidr": _network,
    "time": _time,
    "fieldref": _other_field,
    "re": _pattern,
    "glob": _glob,
}
