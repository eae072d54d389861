"""A rule in words: what it fires on, what must be seen first, where it is blind."""

from collections.abc import Iterator
from typing import Final

from detectors.base import shown
from detectors.engine.compiled import Exactly, Literal, Witness, witnesses
from detectors.engine.plan import (
    Absent,
    AllOf,
    AnyOf,
    Both,
    Correlation,
    Either,
    Neither,
    Node,
    Occurs,
    Rule,
    Test,
    When,
)

_SAYS: Final = {
    "eq": "is",
    "contains": "contains",
    "startswith": "begins with",
    "endswith": "ends with",
    "glob": "is like",
    "re": "matches",
    "cidr": "is an address in",
    "lt": "is below",
    "lte": "is at most",
    "gt": "is over",
    "gte": "is at least",
}
_MOST: Final = 8
"""Of a list of values that are said; the others are counted."""


def condition(node: Node) -> Iterator[str]:
    """Yield the lines that say what a step must be, deeper ones indented."""
    match node:
        case Both(items):
            yield from _list("all of this", items)
        case Either(items):
            yield from _alternatives(items)
        case Neither(Test() as test):
            yield f"not: {said(test)}"
        case Neither(item):
            yield "not:"
            yield from _indented(condition(item))
        case Test():
            yield said(node)


def _list(title: str, items: tuple[Node, ...]) -> Iterator[str]:
    yield f"{title}:"
    for item in items:
        yield from _indented(condition(item))


def _alternatives(items: tuple[Node, ...]) -> Iterator[str]:
    """Say values of one field in one line."""
    tests = [item for item in items if isinstance(item, Test)]
    if len(tests) == len(items) and len({(test.field, test.op, test.cased) for test in tests}) == 1:
        values = [_value(test) for test in tests]
        more = f", or one of {len(values) - _MOST} more" if len(values) > _MOST else ""
        yield f"{_field(tests[0].field)} {_SAYS.get(tests[0].op, tests[0].op)} {' or '.join(values[:_MOST])}{more}"
        return
    yield from _list("one of this", items)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def said(test: Test) -> str:
    """Say one test.

    >>> said(Test("tool", "startswith", "send")), said(Test("error", "null"))
    ('tool begins with "send"', 'error is not there')
    """
    field = _field(test.field)
    match test.op:
        case "null":
            return f"{field} is not there"
        case "exists":
            return f"{field} is {'' if test.number else 'not '}there"
        case "time":
            return f"the {test.flags} of {field} is {test.number:g}"
        case "fieldref":
            return f"{field} {_SAYS.get(test.flags or 'eq', 'is')} what {_field(test.text)} says"
        case _:
            return f"{field} {_SAYS[test.op]} {_value(test)}{' (case counts)' if test.cased else ''}"


def _field(name: str) -> str:
    return name or "any text"


def _value(test: Test) -> str:
    if test.numeric or test.op in ("lt", "lte", "gt", "gte"):
        return f"{test.number:g}"
    return f"/{shown(test.text, 200)}/{test.flags}" if test.op == "re" else f'"{shown(test.text, 200)}"'


def correlation(rule: Correlation) -> Iterator[str]:
    """Yield the lines that say when a correlation completes."""
    by = f", separately for each {' and '.join(rule.group_by)}" if rule.group_by else ""
    bounds = " and ".join(f"{_SAYS.get(bound.op, bound.op)} {bound.number:g}" for bound in rule.bounds)
    fields = f" of {', '.join(rule.value_fields)}" if rule.value_fields else ""
    yield f"{rule.of}{fields} {bounds}, within {rule.timespan_us / 1e6:g} s, in the same {rule.lictor.scope}{by}"
    if rule.occurs is not None:
        yield f"where {occurs(rule.occurs)}"
    yield f"over the rules {', '.join(rule.rules)}"


def occurs(found: Occurs) -> str:
    """Say which rules must fire and which must not."""
    match found:
        case When(rule):
            return rule
        case Absent(item):
            return f"not {occurs(item)}"
        case AllOf(items):
            return f"({' and '.join(map(occurs, items))})"
        case AnyOf(items):
            return f"({' or '.join(map(occurs, items))})"


def witness(rule: Rule) -> str:
    """Say what must be seen on a step before the rule is judged there."""
    found = witnesses(rule.condition)
    if found is None:
        return "nothing: it is judged on every step"
    said_of = sorted(map(_seen, found))
    more = f", or one of {len(said_of) - _MOST} more" if len(said_of) > _MOST else ""
    return " or ".join(shown(each, 200) for each in said_of[:_MOST]) + more


def _seen(found: Witness) -> str:
    match found:
        case Literal(text):
            return f'"{text}"'
        case Exactly(field, value):
            return f"{field} {value}"
        case _:
            return f"/{found.text}/"


def blind_spots(rule: Rule | Correlation) -> list[str]:
    """Return what follows from how a rule is built; what it misses for other reasons only its author knows."""
    if isinstance(rule, Correlation):
        return [
            f"what is spread over more than {rule.timespan_us / 1e6:g} s",
            f"what no single {rule.lictor.scope} shows",
        ]
    tests = list(_tests(rule.condition))
    found = []
    if any(test.op in ("contains", "glob", "re", "startswith", "endswith") for test in tests):
        found.append("the same in other words, in another language, or split over several steps")
    if any(test.op == "re" and "i" not in test.flags and "(?i" not in test.text for test in tests):
        found.append("another spelling of capitals in what its expressions look for")
    if any(test.field.startswith("arguments.") or test.field in ("command", "file_path", "url") for test in tests):
        found.append("tools that call these arguments otherwise")
    if any(test.field == "tool" for test in tests):
        found.append("tools of other names that do the same")
    return found


def _tests(node: Node) -> Iterator[Test]:
    match node:
        case Both(items) | Either(items):
            for item in items:
                yield from _tests(item)
        case Neither(item):
            yield from _tests(item)
        case Test():
            yield node
