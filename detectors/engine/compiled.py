"""All rules at once: one scan and a few look-ups tell which rules a step could fire; only those are judged.

Every rule gets a witness: something that is certainly there when it fires. A literal or a regular expression goes into one
Hyperscan database, the values of exact fields into a look-up; what has none is judged on every step, and `lint` says so. A
witness may be there without its rule firing, never the other way round.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import hyperscan

from detectors.base import Seen
from detectors.engine import text as texts
from detectors.engine.fields import TEXTS, Context, kinds_of_event
from detectors.engine.firings import Value
from detectors.engine.judging import Check, Values, check_of, residue, shown
from detectors.engine.plan import Both, Either, Neither, Node, Rule, RuleSet, Test
from detectors.engine.regexes import wider
from detectors.words import strings_in
from schemas.step import MAX_DEPTH

log = logging.getLogger(__name__)

SHORTEST: Final = 3
EXACT: Final = frozenset({"kind", "tool", "origin", "outcome", "model", "to_agent", "traits"})
"""Fields with few values, looked up together."""
SCANNED: Final = frozenset(
    {*TEXTS, "command", "file_path", "url", "source_url", "query", "target", "destination.host", "destination.domain"}
)
"""Fields that are made of the step's text and its arguments, which is what is scanned."""
MOST_REMEMBERED: Final = 1 << 14
_PERCENT, _BASE64 = 0, 1
_TRIGGERS: Final = (texts.PERCENT, texts.BASE64)


@dataclass(frozen=True, slots=True)
class Literal:
    """A folded text that must stand somewhere."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that must match somewhere."""

    text: str
    flags: str


@dataclass(frozen=True, slots=True)
class Exactly:
    """An exact field that must have this folded value."""

    field: str
    value: str


Witness = Literal | Pattern | Exactly


def witnesses(node: Node) -> frozenset[Witness] | None:
    """Return things one of which is there whenever the condition holds; None where nothing is sure to be."""
    match node:
        case Both(items):
            found = [each for item in items if (each := witnesses(item)) is not None]
            return min(found, key=_cost, default=None)
        case Either(items):
            parts = [witnesses(item) for item in items]
            whole = [part for part in parts if part is not None]
            return frozenset().union(*whole) if whole and len(whole) == len(parts) else None
        case Neither():
            return None
        case Test():
            if node.op == "eq" and node.field == "event_type" and not node.cased:
                return frozenset(Exactly("kind", kind) for kind in kinds_of_event(node.text)) or None
            one = _witness(node)
            return None if one is None else frozenset((one,))


def _cost(found: frozenset[Witness]) -> tuple[int, int]:
    """The rarest first: a long literal, a pattern, a short literal, a tool, any other exact value."""
    return max(map(_rank, found)), len(found)


def _rank(witness: Witness) -> int:
    match witness:
        case Literal(text):
            return 0 if len(text) > 4 else 2  # noqa: PLR2004 - short ones are common
        case Pattern():
            return 1
        case Exactly("tool" | "to_agent" | "model"):
            return 3
        case Exactly("traits" | "outcome" | "origin"):
            return 5
        case _:
            return 9


def _witness(test: Test) -> Witness | None:
    if test.op == "eq" and test.field in EXACT and not test.numeric and not test.cased:
        return Exactly(test.field, test.text)
    inside = test.field == "" or test.field in SCANNED or test.field.startswith("arguments.")
    if not inside or test.numeric:
        return None
    if test.op in ("eq", "contains", "startswith", "endswith", "glob"):
        literal = texts.fold(max(_plain_parts(test), key=len, default=""))
        telling = len(literal) >= SHORTEST and any(letter.isalpha() for letter in literal)
        return Literal(literal) if telling else None
    if test.op == "re" and (form := wider(test.text, test.flags)) is not None:
        return Pattern(form, test.flags)
    return None


def _plain_parts(test: Test) -> Iterator[str]:
    if test.op != "glob":
        yield test.text
        return
    part, letters = "", iter(test.text)
    for letter in letters:
        if letter in "*?":
            yield part
            part = ""
        else:
            part += next(letters, "") if letter == "\\" else letter
    yield part


def pattern_flags(flags: str) -> int:
    """Return the flags under which a pattern matches at least where RE2 does: over lines, and whatever stands between."""
    found = (
        hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_UTF8
    )
    return int(found | (hyperscan.HS_FLAG_CASELESS if "i" in flags else 0))


def _database(patterns: Sequence[tuple[int, bytes, int]]) -> Any:
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern for _, pattern, _ in patterns],
        ids=[number for number, _, _ in patterns],
        elements=len(patterns),
        flags=[flags for _, _, flags in patterns],
    )
    return database


def patterns_of(
    rules: RuleSet,
) -> tuple[list[tuple[int, bytes, int]], dict[int, list[int]], dict[Exactly, list[int]], list[int]]:
    """Return what is scanned for, which rules each number and each exact value makes candidates, and which always are.

    What is scanned for: (number, expression, flags) each.
    """
    numbers: dict[Witness, int] = {}
    scanned: dict[int, list[int]] = {}
    exact: dict[Exactly, list[int]] = {}
    always: list[int] = []
    patterns = [
        (number, trigger.encode(), int(hyperscan.HS_FLAG_SINGLEMATCH)) for number, trigger in enumerate(_TRIGGERS)
    ]
    for at, rule in enumerate(rules.rules):
        found = witnesses(rule.condition)
        if found is None:
            always.append(at)
        for witness in found or ():
            if isinstance(witness, Exactly):
                exact.setdefault(witness, []).append(at)
                continue
            number = numbers.get(witness)
            if number is None:
                number = numbers[witness] = len(patterns)
                patterns.append((number, *_expression(witness)))
            scanned.setdefault(number, []).append(at)
    return patterns, scanned, exact, always


def _expression(witness: Literal | Pattern) -> tuple[bytes, int]:
    if isinstance(witness, Pattern):
        return witness.text.encode("utf-8", "replace"), pattern_flags(witness.flags)
    quoted = b"".join(b"\\x%02x" % byte for byte in witness.text.encode("utf-8", "replace"))
    return quoted, int(hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_CASELESS)


def texts_in(arguments: dict[str, Any]) -> list[str]:
    """Return all texts of a call's arguments, and its numbers and truth values in every spelling that tests see."""
    found: list[str] = []
    for value in arguments.values():
        kind = type(value)
        if kind is str:
            found.append(value)
        elif kind is int:
            found.append(str(value))
        elif value is not None:
            _spell(value, found, 0)
    return found


def _spell(value: Any, found: list[str], depth: int) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, bool):
        found.append("true" if value else "false")
    elif isinstance(value, int | float):
        found += (str(value), shown(value))
    elif value is not None and depth < MAX_DEPTH:
        for item in value.values() if isinstance(value, dict) else value:
            _spell(item, found, depth + 1)


@dataclass(slots=True)
class Outcome:
    """What rules said of one step."""

    fired: list[Rule] = field(default_factory=list)
    failed: list[tuple[Rule, Exception]] = field(default_factory=list)


QUIET: Final = Outcome()


class Compiled:
    """A set of rules, ready to judge."""

    def __init__(self, rules: RuleSet, database: Any) -> None:
        self.rules = rules
        self._patterns, self._by_number, self._exact, always = patterns_of(rules)
        self._always = tuple(always)
        self._database = database if database is not None else _database(self._patterns)
        self._scratch = hyperscan.Scratch(self._database)
        self._remembered: dict[tuple[Any, ...], _Known] = {}
        self._hits: set[int] = set()
        hits = self._hits

        def note(number: int, _from: int, _to: int, _flags: int, _context: object) -> None:
            hits.add(number)

        self._note = note

    @property
    def always(self) -> tuple[Rule, ...]:
        """The rules that are judged on every step."""
        return tuple(self.rules.rules[at] for at in self._always)

    def dump(self) -> bytes:
        """Return the database, to be kept."""
        return bytes(hyperscan.dumpb(self._database))

    def match(self, seen: Seen, context: Context) -> Outcome:
        """Return the rules that hold, in the order of the set, and those that failed."""
        numbers = self._scanned(seen)
        known = self._looked_up(seen)
        if not numbers:
            return self._judged(known.checks, Values(seen, context)) if known.checks else QUIET
        chosen = {at for number in numbers for at in self._by_number.get(number, ())}
        checks = [*known.checks, *(known.check_of(at, self.rules.rules[at], seen) for at in chosen - known.held)]
        checks.sort(key=_place)
        return self._judged(checks, Values(seen, context)) if checks else QUIET

    def candidates(self, seen: Seen) -> frozenset[str]:
        """Return the ids of the rules that this step could fire: for tests and for explaining."""
        found = set(self._looked_up(seen).held)
        for number in self._scanned(seen):
            found.update(self._by_number.get(number, ()))
        return frozenset(self.rules.rules[at].id for at in found)

    def _judged(self, checks: Sequence[tuple[int, Check | None]], values: Values) -> Outcome:
        outcome = QUIET
        for at, check in checks:
            try:
                if check is None or not check(values):
                    continue
                outcome = Outcome() if outcome is QUIET else outcome
                outcome.fired.append(self.rules.rules[at])
            except Exception as error:
                log.exception("rule %s failed", self.rules.rules[at].id)
                outcome = Outcome() if outcome is QUIET else outcome
                outcome.failed.append((self.rules.rules[at], error))
        return outcome

    def _scanned(self, seen: Seen) -> set[int]:
        """Return the numbers of the patterns that the step's texts have, unveiled where something suggests a veil."""
        step = seen.step
        data = step.text
        if step.arguments:
            data = "\n".join((data, *texts_in(step.arguments)))
        if step.error:
            data = f"{data}\n{step.error}"
        hits = self._hits
        hits.clear()
        if not data:
            return hits
        data += "\n"  # at the very end of a text `^` means nothing to Hyperscan
        self._database.scan(data.encode("utf-8", "replace"), match_event_handler=self._note, scratch=self._scratch)
        if _PERCENT in hits or _BASE64 in hits or not data.isascii():
            self._scan_unveiled(seen)
        hits.discard(_PERCENT)
        hits.discard(_BASE64)
        return hits

    def _scan_unveiled(self, seen: Seen) -> None:
        step = seen.step
        said = [step.text, step.error, *[text for _, text in strings_in(step.arguments or {})]]
        for value in said:
            found = texts.views(value)
            if len(found) > 1 or not value.isascii():
                data = "\n".join((*found, *map(texts.fold, found), "")).encode("utf-8", "replace")
                self._database.scan(data, match_event_handler=self._note, scratch=self._scratch)

    def _looked_up(self, seen: Seen) -> "_Known":
        step = seen.step
        key = (step.kind, step.tool, step.origin, step.outcome, step.model, step.to_agent, seen.traits)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = _Known()
            for at in self._find(key):
                found.hold(at, self.rules.rules[at], seen)
        return found

    def _find(self, key: tuple[Any, ...]) -> tuple[int, ...]:
        kind, tool, origin, outcome, model, to_agent, traits = key
        single: Mapping[str, str] = {
            "kind": kind, "tool": tool, "origin": origin, "outcome": outcome, "model": model, "to_agent": to_agent
        }  # fmt: skip
        found = set(self._always)
        for name, value in [*single.items(), *(("traits", trait) for trait in traits)]:
            for view in texts.views(value):
                found.update(self._exact.get(Exactly(name, texts.fold(view)), ()))
        return tuple(sorted(found))


class _Known:
    """What is decided once for all steps of one kind, tool and so on: which rules can still fire, and what is left to ask."""

    __slots__ = ("_made", "checks", "held")

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.checks: list[tuple[int, Check | None]] = []
        self._made: dict[int, tuple[int, Check | None]] = {}

    def hold(self, at: int, rule: Rule, seen: Seen) -> None:
        """Keep a rule that such a step makes a candidate."""
        self.held.add(at)
        made = self.check_of(at, rule, seen)
        if made[1] is not None:
            self.checks.append(made)

    def check_of(self, at: int, rule: Rule, seen: Seen) -> tuple[int, Check | None]:
        """Return what is left to ask of a rule; None where it cannot fire on such a step."""
        found = self._made.get(at)
        if found is None:
            try:
                left = residue(rule.condition, EXACT, Values(seen, _NO_CONTEXT))
                check = (_always if left else None) if isinstance(left, bool) else check_of(left)
            except Exception:  # noqa: BLE001 - it fails again where it is judged, and is told of there
                check = check_of(rule.condition)
            found = self._made[at] = at, check
        return found


class _NoContext:
    """Nothing is known beside the step: exact fields do not ask."""

    def value(self, name: str) -> tuple[Value, ...]:
        """Return nothing."""
        return ()


_NO_CONTEXT: Final = _NoContext()


def _always(_: Values) -> bool:
    """Return that nothing is left to ask."""
    return True


def _place(check: tuple[int, Check | None]) -> int:
    return check[0]
