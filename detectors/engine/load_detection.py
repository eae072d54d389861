"""A detection as pySigma has parsed it, turned into a plan; what cannot be judged exactly is refused."""

import ipaddress
import math
from collections.abc import Callable
from typing import Any, Final

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.rule import SigmaRule
from sigma.types import (
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from detectors.engine.fields import why_unknown
from detectors.engine.load_checks import never_met, possible, why_not
from detectors.engine.plan import Both, Either, Neither, Node, Op, Test
from detectors.engine.text import fold

MOST_DEPTH: Final = 64
MOST_TESTS: Final = 5000
Known = Callable[[str], bool]
_FLAGS: Final = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
_COMPARED: Final[dict[str, Op]] = {"LT": "lt", "LTE": "lte", "GT": "gt", "GTE": "gte"}


class Refusal(Exception):
    """Why a rule is not loaded, and the word in the file at which that shows."""

    def __init__(self, why: str, token: str = "") -> None:
        self.token = token
        super().__init__(why)


def condition_of(rule: SigmaRule, known: Known) -> Node:
    """Return the plan of a rule's detection: several conditions are alternatives. Raises `Refusal` and pySigma's errors."""
    count = [0]
    parsed = [_node(condition.parsed, known, count, 0) for condition in rule.detection.parsed_condition]
    found = parsed[0] if len(parsed) == 1 else Either(tuple(parsed))
    if not possible(found):
        never = never_met(found)
        raise Refusal(f"it would never fire: no step is ever {' or '.join(never)}", never[0].split("'")[1])
    return found


def _node(item: Any, known: Known, count: list[int], depth: int) -> Node:
    if depth > MOST_DEPTH:
        raise Refusal(f"the condition nests deeper than {MOST_DEPTH} levels", "condition")
    match item:
        case ConditionAND():
            return Both(tuple(_node(each, known, count, depth + 1) for each in item.args))
        case ConditionOR():
            return Either(tuple(_node(each, known, count, depth + 1) for each in item.args))
        case ConditionNOT():
            return Neither(_node(item.args[0], known, count, depth + 1))
        case ConditionFieldEqualsValueExpression():
            return _test(str(item.field), item.value, known, count)
        case ConditionValueExpression():
            return _test("", item.value, known, count)
        case _:
            raise Refusal("the condition has a part without a meaning", "condition")


def _test(field: str, value: Any, known: Known, count: list[int]) -> Node:
    count[0] += 1
    if count[0] > MOST_TESTS:
        raise Refusal(f"a rule asks for at most {MOST_TESTS} values; split it", "detection")
    if field and not known(field):
        raise Refusal(f"field {field!r} is nothing that steps can tell: {why_unknown(field)}", field)
    if isinstance(value, SigmaExpansion):
        return Either(tuple(_test(field, each, known, count) for each in value.values))
    made = _simple(field, value)
    if made is not None:
        return made
    match value:
        case SigmaRegularExpression():
            return _pattern(field, value)
        case SigmaCIDRExpression():
            return _network(field, value)
        case SigmaFieldReference():
            return _reference(field, value, known)
        case SigmaCompareExpression():
            return _compared(field, value)
        case _:
            raise Refusal(f"a value of kind {type(value).__name__} cannot be evaluated", field)


def _simple(field: str, value: Any) -> Node | None:
    found: Node | None = None
    match value:
        case SigmaNull():
            found = Test(field, "null")
        case SigmaExists():
            found = Test(field, "exists", number=float(value.exists))
        case SigmaTimestampPart():
            found = _time(field, value, "eq")
        case SigmaBool():
            found = Test(field, "eq", "true" if value.boolean else "false")
        case SigmaNumber():
            found = _number(field, value)
        case SigmaString():
            found = _text(field, value)
    return found


def _number(field: str, value: SigmaNumber) -> Node:
    if not math.isfinite(float(value.number)):
        raise Refusal(f"{field}: {value.number} is no finite number", field)
    if field == "":
        return Test("", "contains", str(value.number))
    return Test(field, "eq", number=float(value.number), numeric=True)


def _text(field: str, value: SigmaString) -> Node:
    """A text with wildcards only at its ends becomes the plain test it stands for."""
    cased = isinstance(value, SigmaCasedString)
    parts = list(value.s)
    if any(not isinstance(part, str | SpecialChars) for part in parts):
        raise Refusal(f"{field or 'a keyword'}: a placeholder has no value here", "expand")
    op, plain = _shape(parts)
    if field == "":
        op = {"eq": "contains", "startswith": "contains", "endswith": "contains"}.get(op, op)  # type: ignore[assignment]
        if op == "glob":
            plain = f"*{plain}*"
    made = Test(field, op, plain if cased else fold(plain), cased=cased)
    if op == "eq" and not plain and not field.startswith("argument"):
        return Either((made, Test(field, "null")))  # what a step leaves empty it leaves out
    return made


def _shape(parts: list[Any]) -> tuple[Op, str]:
    many = SpecialChars.WILDCARD_MULTI
    texts = [part for part in parts if isinstance(part, str)]
    match parts:
        case []:
            return "eq", ""
        case [str() as one]:
            return "eq", one
        case [str() as one, last] if last is many:
            return "startswith", one
        case [first, str() as one] if first is many:
            return "endswith", one
        case [first, str() as one, last] if first is many and last is many:
            return "contains", one
        case _:
            del texts
            return "glob", "".join(_as_glob(part) for part in parts)


def _as_glob(part: Any) -> str:
    if isinstance(part, str):
        return part.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
    return "*" if part is SpecialChars.WILDCARD_MULTI else "?"


def _pattern(field: str, value: SigmaRegularExpression) -> Node:
    text = str(value.regexp.to_plain() if hasattr(value.regexp, "to_plain") else value.regexp)
    flags = "".join(sorted(_FLAGS[flag.name] for flag in value.flags if flag.name in _FLAGS))
    why = why_not(text)
    if why:
        raise Refusal(f"{field}: {why}", text[:24])
    return Test(field, "re", text, flags=flags)


def _network(field: str, value: SigmaCIDRExpression) -> Node:
    try:
        ipaddress.ip_network(str(value.cidr), strict=False)
    except ValueError as error:
        raise Refusal(str(error), str(value.cidr)) from None
    return Test(field, "cidr", str(value.cidr))


def _reference(field: str, value: SigmaFieldReference, known: Known) -> Node:
    other = str(value.field)
    if not known(other):
        raise Refusal(f"field {other!r} is nothing that steps can tell", other)
    starts, ends = bool(getattr(value, "starts_with", False)), bool(getattr(value, "ends_with", False))
    how = "contains" if starts and ends else "startswith" if starts else "endswith" if ends else "eq"
    return Test(field, "fieldref", other, flags=how)


def _time(field: str, value: SigmaTimestampPart, op: Op) -> Node:
    """Return a test of a part of a time; `text` says how it is compared."""
    return Test(field, "time", op, float(value.number), flags=value.timestamp_part.name.lower())


def _compared(field: str, value: SigmaCompareExpression) -> Node:
    number = float(value.number.number)
    if not math.isfinite(number):
        raise Refusal(f"{field}: {number} is no finite number", field)
    name = value.op.name
    if name in ("NEQ", "NE"):
        return Neither(Test(field, "eq", number=number, numeric=True))
    if name not in _COMPARED:
        raise Refusal(f"comparison {name} has no meaning here", field)
    if isinstance(value.number, SigmaTimestampPart):
        return _time(field, value.number, _COMPARED[name])
    return Test(field, _COMPARED[name], number=number)
