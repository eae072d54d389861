"""The plain, slow matcher that the compiled one is held against: straight from the plan, no Hyperscan, no witness, no cache.

It shares with the engine what a field's values are, the views of a text, and `fold`; nothing else.
"""

import datetime as dt
import ipaddress

import re2

from detectors.base import Seen
from detectors.engine.counting import number_of
from detectors.engine.fields import Context, value_of
from detectors.engine.firings import Value
from detectors.engine.plan import Both, Either, Neither, Node, RuleSet, Test
from detectors.engine.text import fold, views


def matches(rules: RuleSet, seen: Seen, context: Context) -> list[str]:
    """Return the ids of the rules that hold, each asked everything."""
    return [rule.id for rule in rules.rules if holds(rule.condition, seen, context)]


def holds(node: Node, seen: Seen, context: Context) -> bool:
    """Tell whether a condition holds."""
    if isinstance(node, Both):
        return all(holds(item, seen, context) for item in node.items)
    if isinstance(node, Either):
        return any(holds(item, seen, context) for item in node.items)
    if isinstance(node, Neither):
        return not holds(node.item, seen, context)
    return test_holds(node, seen, context)


def texts_of(field: str, seen: Seen, context: Context) -> list[str]:
    """Return a field's values as texts, and all their views."""
    return [whole(view) for value in values_of(field, seen, context) for view in views(spelt(value))]


def values_of(field: str, seen: Seen, context: Context) -> list[Value]:
    """Return a field's values; a keyword asks the step's text, its arguments and its error."""
    names = (field,) if field else ("text", "argument", "error")
    return [value for name in names for value in value_of(name, seen, context)]


def spelt(value: Value) -> str:
    """Return a value as a text: a whole number has no point."""
    return str(int(value)) if isinstance(value, float) and value == int(value) and abs(value) < 10**15 else str(value)


def whole(text: str) -> str:
    """Return a text that can be encoded."""
    return text.encode("utf-8", "replace").decode()


def test_holds(test: Test, seen: Seen, context: Context) -> bool:  # noqa: PLR0911 - one way for each kind of test
    """Tell whether one test holds."""
    values = values_of(test.field, seen, context)
    if test.op == "exists":
        return bool(values) == bool(test.number)
    if test.op == "null":
        return not values
    if test.op == "time":
        return any(compared(test.text or "eq", part(value, test.flags), test.number) for value in values)
    if test.op in ("lt", "lte", "gt", "gte") or test.numeric:
        numbers = [
            number_of(each) for value in values for each in (views(value) if isinstance(value, str) else (value,))
        ]
        return any(number is not None and compared(test.op, number, test.number) for number in numbers)
    texts = texts_of(test.field, seen, context)
    if test.op == "fieldref":
        others = [fold(text) for text in texts_of(test.text, seen, context)]
        return any(text_holds(test.flags, fold(text), other) for text in texts for other in others if other)
    if test.op == "re":
        return any(re2.search(f"(?{test.flags}){test.text}" if test.flags else test.text, text) for text in texts)
    if test.op == "cidr":
        return any(within(test.text, text) for text in texts)
    return any(text_holds(test.op, text if test.cased else fold(text), test.text) for text in texts)


def compared(op: str, number: float, bound: float) -> bool:
    """Compare two numbers."""
    below, equal = number < bound, number == bound
    return {"eq": equal, "lt": below, "lte": below or equal, "gt": not (below or equal), "gte": not below}[op]


def part(value: Value, name: str) -> int:
    """Return one part of a time in microseconds, UTC."""
    moment = dt.datetime.fromtimestamp(float(value) / 1e6, dt.UTC)
    return moment.isocalendar()[1] if name == "week" else int(getattr(moment, name))


def within(network: str, text: str) -> bool:
    """Tell whether a text is an address of a network."""
    net = ipaddress.ip_network(network)
    try:
        address = ipaddress.ip_address(text.strip("[] "))
    except ValueError:
        return False
    return address.version == net.version and address in net


def text_holds(op: str, text: str, wanted: str) -> bool:
    """Hold a text against one that a rule wants."""
    if op == "glob":
        return glob(wanted, text)
    return {"eq": text == wanted, "contains": wanted in text, "startswith": text.startswith(wanted),
            "endswith": text.endswith(wanted)}[op]  # fmt: skip


def glob(pattern: str, text: str) -> bool:
    """Tell whether a text fits a glob, one letter of the pattern after the other, over all places it may have come to."""
    places = {0}
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == "*":
            places = set(range(min(places), len(text) + 1)) if places else set()
        elif letter == "?":
            places = {place + 1 for place in places if place < len(text)}
        else:
            if letter == "\\" and pattern[at + 1 : at + 2] in ("*", "?", "\\"):
                at += 1
                letter = pattern[at]
            places = {place + 1 for place in places if text[place : place + 1] == letter}
        at += 1
    return len(text) in places
