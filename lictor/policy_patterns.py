"""Patterns over the values an argument had: what a condition may say so that all of them pass, and few others.

Hosts, folders, bounds, small lists, shapes of ids; where none of these describes the values, there is no condition, and
the reason is said. Values come from agents: what could be read as a pattern itself is never put into one.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from detectors.places import host_of, resolved
from lictor.policy_hosts import host_globs
from schemas.policy import Test

FEW: Final = 8
"""A list of values names at most so many."""
SHORT: Final = 64
"""Characters of a value that a list or a shape may hold."""
SETTLED: Final = 20
"""From so many values on it can be told whether new ones keep coming."""
OPEN_PLACES: Final = 0.25
OPEN_LIST: Final = 0.05
"""Share of values seen once, which estimates how often the next one is new (Good and Turing)."""
MOST_FOLDERS: Final = 4
MOST_NUMBER: Final = 1e15
_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)
_FINE: Final = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]")
_COARSE: Final = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
_ID_WORDS: Final = frozenset({"id", "ids", "no", "nr", "number", "key", "uid", "pid", "ref", "timestamp", "ts"})
_HOST_WORDS: Final = frozenset(
    {"url", "urls", "uri", "host", "hostname", "domain", "site", "website", "server", "link"}
)
"""In the name of an argument: a text with a dot in it is a host's name."""
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_MOST_SEGMENTS: Final = 12
_NOT_IN_IDS: Final = frozenset("*? /\\")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A condition on one argument; None where nothing describes its values, with the reason in `said` ("" for objects)."""

    test: Test | None
    said: str


def pattern_of(name: str, values: Sequence[Any]) -> Pattern:
    """Return what describes the values of an argument, members of lists each for themselves.

    >>> pattern_of("amount", [120, 480, 310]).test.lte
    500.0
    >>> pattern_of("url", ["https://a.example.com/x", "https://a.example.com/y"]).test.domain
    ('a.example.com',)
    """
    flat = [member for value in values for member in (value if isinstance(value, list) else [value])]
    if not flat:
        return Pattern(None, "never held a value")
    if all(isinstance(value, bool) for value in flat):
        return _flag(flat)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in flat):
        return _number(name, flat)
    if all(isinstance(value, str) for value in flat):
        return _text(name, flat)
    return Pattern(None, "" if all(isinstance(value, dict) for value in flat) else "values of several kinds")


def enumeration(values: Sequence[str]) -> Test | None:
    """Return the list of the values, where they are few, short, and new ones are not to be expected."""
    counts = Counter(values)
    if len(counts) > FEW or any(len(value) > SHORT or not value.isprintable() for value in counts):
        return None
    return Test(any_of=tuple(sorted(counts))) if _new_ones(values) <= OPEN_LIST else None


def rounded_up(bound: float) -> float:
    """Return the next round number: 1, 1.5, 2, 3, 5 or 7.5 times a power of ten, not below the bound.

    >>> rounded_up(480), rounded_up(500), rounded_up(0.12), rounded_up(0), rounded_up(-7)
    (500.0, 500.0, 0.15, 0.0, -5.0)
    """
    if bound == 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(abs(bound)))
    candidates = [float(f"{step * power:.6g}") for step in (*_STEPS, *(step / 10 for step in _STEPS))]
    signed = [math.copysign(candidate, bound) for candidate in candidates]
    return min((candidate for candidate in signed if candidate >= bound), default=bound)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _new_ones(values: Sequence[Any]) -> float:
    return sum(1 for count in Counter(values).values() if count == 1) / len(values)


def _open(values: Sequence[Any]) -> bool:
    return len(values) >= SETTLED and _new_ones(values) > OPEN_PLACES


def _flag(values: Sequence[bool]) -> Pattern:
    if len(set(values)) == 1 and len(values) > 1:
        return Pattern(Test(eq=values[0]), f"always {str(values[0]).lower()}")
    return Pattern(None, "either flag" if len(values) > 1 else "seen once")


def _number(name: str, values: Sequence[float]) -> Pattern:
    if not all(abs(value) <= MOST_NUMBER for value in values):
        return Pattern(None, "numbers without a sensible bound")
    if not _words(name).isdisjoint(_ID_WORDS):
        return Pattern(None, "numbers that name something")
    low, high = float(min(values)), float(max(values))
    floor = {"gt": 0.0} if low > 0 else {"gte": 0.0} if low == 0 else {"gte": -rounded_up(-low)}
    said = f"from {low:g} to {high:g}, rounded outwards"
    return Pattern(Test.model_validate({**floor, "lte": rounded_up(high)}), said)


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name.replace("_", " "))}


def _text(name: str, values: Sequence[str]) -> Pattern:
    bare = not _words(name).isdisjoint(_HOST_WORDS)
    hosts = [host_of(value) for value in values if "://" in value or "@" in value or (bare and "." in value)]
    if len(hosts) == len(values) and None not in hosts:
        return _hosts([host for host in hosts if host is not None])
    if found := enumeration(values):
        return Pattern(found, f"{_many(len(set(values)), 'value')}, and new ones are not to be expected")
    if folders := _folders(values):
        return folders
    if shape := _shape(set(values)) or _length(set(values)):
        return Pattern(Test(glob=(shape,)), f"{_many(len(set(values)), 'value')} of one shape")
    if len(set(values)) <= FEW and len(values) < SETTLED:
        return Pattern(None, "too few values to tell which others are meant")
    return Pattern(None, "free text")


def _hosts(hosts: Sequence[str]) -> Pattern:
    if _open(hosts):
        return Pattern(None, f"{len(set(hosts))} hosts, and new ones keep coming")
    found = host_globs(set(hosts))
    if not found:
        return Pattern(None, f"{len(set(hosts))} hosts that have no domain in common")
    return Pattern(Test(domain=found), _many(len(set(hosts)), "host"))


def _folders(values: Sequence[str]) -> Pattern | None:
    """Return the folders that hold all paths: the deepest of which there are few."""
    if not all("/" in value and len(value.split()) == 1 for value in values):
        return None
    paths = [resolved(value) for value in values]
    known = [path for path in paths if path is not None and not path.startswith("..")]
    if len(known) < len(values):
        return None
    parents = [path.rpartition("/")[0] or ("/" if path.startswith("/") else ".") for path in known]
    for depth in range(max(parent.count("/") for parent in parents) + 1, 0, -1):
        folders = [_upper(parent, depth) for parent in parents]
        if len(set(folders)) <= MOST_FOLDERS and "/" not in folders and not _open(folders):
            return Pattern(Test(within=tuple(sorted(set(folders)))), f"paths in {_many(len(set(folders)), 'folder')}")
    return Pattern(None, "paths that have no folder in common")


def _upper(folder: str, depth: int) -> str:
    """Return the folder, or the one above it that is `depth` levels deep."""
    parts = folder.split("/")
    return "/".join(parts[: depth + 1 if folder.startswith("/") else depth]) or "/"


def _shape(values: set[str]) -> str:
    """Return the glob of ids that are made alike; "" where they are not. What differs or counts stays open."""
    if any(not value or len(value) > SHORT or not value.isprintable() or set(value) & _NOT_IN_IDS for value in values):
        return ""
    for cut in (_FINE, _COARSE):
        rows = [cut.findall(value) for value in values]
        if len({len(row) for row in rows}) == 1 and len(rows[0]) <= _MOST_SEGMENTS and (glob := _glob(rows)):
            return glob
    return ""


def _length(values: set[str]) -> str:
    """Return the glob of codes that are alike in nothing but their length, where there are enough of them to be sure."""
    alike = len({len(value) for value in values}) == 1 and all(value.isascii() and value.isalnum() for value in values)
    first = next(iter(values))
    return "?" * len(first) if alike and len(values) > FEW and len(first) <= SHORT else ""


def _glob(rows: Sequence[Sequence[str]]) -> str:
    parts: list[str] = []
    letters = marks = 0
    for column in zip(*rows, strict=True):
        same, first = len(set(column)) == 1, column[0]
        if not first.isalnum() or not first.isascii():
            if not same:
                return ""
            marks += 1
        elif same and first.isalpha():
            letters += len(first)
        else:
            first = "?" * len(first) if len({len(part) for part in column}) == 1 else "*"
        parts.append(first)
    glob = "".join(parts)
    told = letters > 1 or marks > 1 or (letters == 1 and "*" not in glob)
    return glob if told and ("?" in glob or "*" in glob) else ""
