"""The conditions that describe a tool's calls: which arguments they had, and the pattern of each.

An argument that only some calls have makes another form of the call, with a grant of its own: where it is missing, the
condition says so. Otherwise a copy to a stranger would pass for want of a condition on `cc`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from detectors.base import shown
from detectors.hidden import TOO_LONG, cut_paths, is_hidden
from lictor.policy_patterns import Pattern, pattern_of
from schemas.policy import Test
from schemas.step import Step

MOST_PATHS: Final = 64
MOST_FORMS: Final = 4
MOST_DEPTH: Final = 4
_NAME: Final = re.compile(r"[^\W\d][\w-]{0,63}")
_ABSENT: Final = Test(exists=False)


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a tool was called."""

    when: dict[str, Test]
    calls: int
    said: tuple[str, ...]
    """What each condition rests on, and which arguments have none, and why."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The arguments of one call as the gate was asked about them, or as they were after narrowing."""

    values: dict[str, Any]
    hidden: frozenset[str]


def forms_of(steps: Sequence[Step]) -> list[Form]:
    """Return the forms that cover these calls of one tool, the most used first. At least one step is given."""
    seen = [one for step in steps for one in _seen(step)]
    if not seen:
        return [Form({}, len(steps), ("arguments too long to be kept: no condition",))]
    patterns = _patterns(seen)
    split = _split(seen, patterns)
    counts = Counter(frozenset(path for path in split if path in one.values) for one in seen)
    always = {
        path: pattern.test
        for path, pattern in patterns.items()
        if pattern.test is not None and all(path in one.values for one in seen)
    }
    said = _said(patterns, {*always, *split})
    return [
        Form({**always, **{path: _held(patterns, path, present) for path in split}}, count, said)
        for present, count in sorted(counts.items(), key=lambda item: (-item[1], sorted(item[0])))
    ]


def _held(patterns: Mapping[str, Pattern], path: str, present: frozenset[str]) -> Test:
    return patterns[path].test or _ABSENT if path in present else _ABSENT


def _seen(step: Step) -> Iterator[_Seen]:
    """Yield what the gate judged: what was asked for, and what came out where that was narrowed."""
    cut = cut_paths(step)
    for arguments in (step.asked, step.arguments) if step.asked is not None else (step.arguments or {},):
        if arguments is not None and arguments != TOO_LONG:
            values = dict(_leaves("arguments", arguments, MOST_DEPTH))
            yield _Seen(values, frozenset(path for path, value in values.items() if is_hidden(path, value, cut)))


def _leaves(path: str, value: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what a path of a condition can reach. A name with a dot in it can be reached by none."""
    for name, inner in value.items():
        if _NAME.fullmatch(name) is None:
            continue
        yield f"{path}.{name}", inner
        if isinstance(inner, dict) and depth > 1:
            yield from _leaves(f"{path}.{name}", inner, depth - 1)


def _patterns(seen: Sequence[_Seen]) -> dict[str, Pattern]:
    counts = Counter(path for one in seen for path in one.values)
    paths = sorted(counts, key=lambda path: (-counts[path], path))[:MOST_PATHS]
    hidden = frozenset[str]().union(*(one.hidden for one in seen))
    return {
        path: Pattern(None, "hidden or cut in what was published")
        if path in hidden
        else pattern_of(path.rpartition(".")[2], [one.values[path] for one in seen if path in one.values])
        for path in paths
    }


def _split(seen: Sequence[_Seen], patterns: Mapping[str, Pattern]) -> tuple[str, ...]:
    """Return the arguments that some calls have and others have not, as many as make no more than `MOST_FORMS` forms."""
    counts = Counter(path for one in seen for path in one.values)
    some = [path for path, pattern in patterns.items() if pattern.test is not None and counts[path] < len(seen)]
    some.sort(key=lambda path: (-counts[path], path))
    while len({frozenset(path for path in some if path in one.values) for one in seen}) > MOST_FORMS:
        some.pop()
    return tuple(some)


def _said(patterns: Mapping[str, Pattern], held: set[str]) -> tuple[str, ...]:
    def line(path: str, pattern: Pattern) -> str:
        if path in held:
            return f"{shown(path)}: {pattern.said}"
        why = pattern.said if pattern.test is None else "in some calls only, of too many forms"
        return f"{shown(path)}: no condition ({why})"

    return tuple(line(path, pattern) for path, pattern in sorted(patterns.items()) if pattern.said)
