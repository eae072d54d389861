"""Rule files into plans: read by pySigma, then turned into what can be judged exactly, or refused with place and reason.

Nothing is narrowed in silence. A field that steps cannot answer for, a modifier without a meaning here, a regular expression
that is not linear: the whole rule is refused. So is one that was never shown to fire and to stay silent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import yaml
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detectors.engine.fields import is_known
from detectors.engine.load_about import about_of, lictor_of
from detectors.engine.load_checks import bad_expression, one_bound, renamed
from detectors.engine.load_correlation import correlation_of
from detectors.engine.load_detection import Refusal, condition_of
from detectors.engine.plan import Correlation, Rule, RuleSet

MOST_RULES: Final = 20_000
MOST_BYTES: Final = 1 << 20
PRODUCT: Final = "ai_agent"
CATEGORIES: Final = frozenset({"agent_events", "mcp_events", ""})


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule that is not loaded: where it stands, and why."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


@dataclass(slots=True)
class Loaded:
    """What rule files came to."""

    rules: RuleSet = field(default_factory=RuleSet)
    tests: dict[str, list[Any]] = field(default_factory=dict)
    """Rule id → the cases under `lictor.tests`, as they stand in the file."""
    refused: list[Refused] = field(default_factory=list)
    files: int = 0


@dataclass(slots=True)
class _Document:
    """One YAML document of a file."""

    file: str
    line: int
    data: dict[str, Any]
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def place_of(self, token: str) -> str:
        """Return the line in which a word of the rule stands, as near as can be told."""
        for number, line in enumerate(self.text.splitlines()):
            if token and token in line:
                return f"{self.file}:{self.line + number}"
        return self.place


def load_rules(sources: Mapping[str, str], *, untested: bool = False) -> Loaded:
    """Read rule files (path → text). What cannot be judged exactly is in `refused`; everything else is loaded.

    `untested`: also load rules of others that carry no tests; they can only observe.
    """
    found = Loaded(files=len(sources))
    documents = [document for path in sorted(sources) for document in _documents(path, sources[path], found)]
    kept: list[_Document] = []
    for document in documents:
        why = _refusal_of(document.data)
        if why:
            found.refused.append(Refused(document.place, why))
        else:
            kept.append(document)
    _plan(kept[:MOST_RULES], found, untested=untested)
    found.refused.sort(key=lambda each: each.place)
    return found


def _documents(path: str, text: str, found: Loaded) -> Iterator[_Document]:
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        found.refused.append(Refused(f"{path}:1", f"a rule file has at most {MOST_BYTES} bytes; split it"))
        return
    line = 1
    for part in _parts(text):
        try:
            data = yaml.safe_load(part)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            at = line + (mark.line if mark is not None else 0)
            found.refused.append(Refused(f"{path}:{at}", f"not YAML: {getattr(error, 'problem', None) or error}"))
            data = None
        if isinstance(data, dict):
            lead = len(part) - len(part.lstrip("\n"))
            yield _Document(path, line + lead, data, part.lstrip("\n"))
        elif data is not None:
            found.refused.append(Refused(f"{path}:{line}", "a rule is a mapping of keys"))
        line += part.count("\n") + 1


def _parts(text: str) -> Iterator[str]:
    """Yield the documents of a file, without the lines that part them."""
    part: list[str] = []
    for line in text.split("\n"):
        if line.rstrip() == "---":
            yield "\n".join(part)
            part = []
        else:
            part.append(line)
    yield "\n".join(part)


def _refusal_of(data: dict[str, Any]) -> str:
    if "correlation" in data:
        return ""
    source = data.get("logsource")
    if not isinstance(source, dict):
        return "logsource is missing; Lictor judges `product: ai_agent`"
    if source.get("product") != PRODUCT:
        return f"logsource.product is {source.get('product')!r}; Lictor judges `product: {PRODUCT}` alone"
    category = source.get("category", "")
    if category not in CATEGORIES:
        return f"logsource.category is {category!r}; known are agent_events and mcp_events"
    return ""


def _plan(documents: list[_Document], found: Loaded, *, untested: bool) -> None:
    read = [one for document in documents if (one := _read(document, found)) is not None]
    by_name: dict[str, tuple[_Document, Any]] = {}
    for document, rule in read:
        name = _name_of(document)
        if name in by_name:
            found.refused.append(Refused(document.place, f"{name} is the name or id of another rule too"))
            continue
        by_name[name] = (document, rule)
    filters = [rule for _, rule in by_name.values() if type(rule).__name__ == "SigmaFilter"]
    rules: dict[str, Rule] = {}
    correlations: dict[str, tuple[_Document, SigmaCorrelationRule]] = {}
    for name, (document, rule) in by_name.items():
        if isinstance(rule, SigmaCorrelationRule):
            correlations[name] = (document, rule)
        elif isinstance(rule, SigmaRule):
            made = _made(document, name, rule, filters, found, untested=untested)
            if made is not None:
                rules[name] = made
    known = {alias: name for name, (document, _) in by_name.items() for alias in _aliases(document)}
    planned = _correlations(correlations, rules, known, found, untested=untested)
    quiet = {rule for one in planned for rule in one.rules if not one.generate}
    final = [_muted(rule) if name in quiet else rule for name, rule in rules.items()]
    found.rules = RuleSet(tuple(final), tuple(planned))


def _muted(rule: Rule) -> Rule:
    fields = {name: getattr(rule, name) for name in rule.__struct_fields__}
    return Rule(**{**fields, "generate": False})


def _read(document: _Document, found: Loaded) -> tuple[_Document, Any] | None:
    """Have pySigma read one document; other keys than Sigma's are ours, and left out."""
    plain = {key: value for key, value in document.data.items() if key not in ("lictor", "runbook")}
    plain.setdefault("title", document.file)
    if "correlation" in plain:
        plain = plain | {"correlation": one_bound(plain["correlation"])}
    for key in ("detection", "filter"):
        plain = plain | {key: renamed(plain[key])} if key in plain else plain
        bad = bad_expression(plain.get(key))
        if bad is not None:
            found.refused.append(Refused(document.place_of(bad[1]), bad[0]))
            return None
    try:
        collection = SigmaCollection.from_dicts([plain], collect_errors=False, resolve_references=False)
    except (SigmaError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found.refused.append(Refused(document.place_of(_token(str(error))), f"not a Sigma rule: {error}"))
        return None
    things: list[Any] = [*collection.rules, *collection.filters]
    return (document, things[0]) if things else None


def _token(message: str) -> str:
    """Return what an error message quotes, if anything: where that stands is where the error is."""
    for quote in ("'", '"'):
        parts = message.split(quote)
        if len(parts) > 2:  # noqa: PLR2004 - something stands between two quotes
            return parts[1]
    return ""


def _name_of(document: _Document) -> str:
    data = document.data
    return str(data.get("name") or data.get("id") or document.place)


def _aliases(document: _Document) -> set[str]:
    return {str(each) for each in (document.data.get("name"), document.data.get("id"), _name_of(document)) if each}


def _made(
    document: _Document, name: str, rule: SigmaRule, filters: list[Any], found: Loaded, *, untested: bool
) -> Rule | None:
    try:
        for each in filters:
            rule = cast("SigmaRule", each.apply_on_rule(rule))
        condition = condition_of(rule, is_known)
        own, tests = lictor_of(document.data, untested=untested)
        made = Rule(id=name, name=name, about=about_of(document.data, document.place), lictor=own, condition=condition)
    except Refusal as error:
        found.refused.append(Refused(document.place_of(error.token), str(error)))
        return None
    except (SigmaError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found.refused.append(Refused(document.place_of(_token(str(error))), f"cannot be evaluated: {error}"))
        return None
    found.tests[name] = tests
    return made


def _correlations(
    given: dict[str, tuple[_Document, SigmaCorrelationRule]],
    rules: dict[str, Rule],
    known: dict[str, str],
    found: Loaded,
    *,
    untested: bool,
) -> list[Correlation]:
    """Return the correlations, each after all that it refers to; one that refers to what is not loaded is not either."""
    planned: dict[str, Correlation] = {}
    waiting = dict(given)
    while waiting:
        ready = [name for name, (_, one) in waiting.items() if _refers_to(one, known) <= {*rules, *planned}]
        for name in ready:
            document, one = waiting.pop(name)
            try:
                own, tests = lictor_of(document.data, untested=untested)
                about = about_of(document.data, document.place)
                planned[name] = correlation_of(one, name, about, own, known, is_known, document.data)
                found.tests[name] = tests
            except Refusal as error:
                found.refused.append(Refused(document.place_of(error.token), str(error)))
        if not ready:
            break
    for document, one in waiting.values():
        missing = sorted(_refers_to(one, known) - {*rules, *planned})
        found.refused.append(Refused(document.place, f"refers to {', '.join(missing)}, which is not loaded"))
    return list(planned.values())


def _refers_to(one: SigmaCorrelationRule, known: dict[str, str]) -> set[str]:
    named = {str(reference.reference) for reference in one.rules or ()}
    return {known.get(name, name) for name in named | {str(each.reference) for each in one.referenced_rules}}
