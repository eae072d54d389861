"""What a refused agent is told: why, by which rule and version of the policy, and what it may do instead."""

from collections.abc import Iterable
from typing import Final

from lictor_agent import globs
from lictor_agent.answers import Answer
from lictor_agent.policy import Grant, Policy, Test

LONGEST: Final = 600
"""Characters of a refusal."""
_REASON: Final = 250
_INSTEAD: Final = 220
_MOST_NAMED: Final = 8
_BY_GRANTS: Final = frozenset({"grant", "no_grant", "narrow"})

_WORDS: Final = (
    ("gt", "above"),
    ("gte", "at least"),
    ("lt", "below"),
    ("lte", "at most"),
    ("eq", "equal to"),
    ("ne", "other than"),
    ("any_of", "one of"),
    ("none_of", "none of"),
    ("glob", "like"),
    ("not_glob", "not like"),
    ("domain", "at"),
    ("not_domain", "not at"),
    ("within", "within"),
)


def message(answer: Answer, version: int, *, asks: bool) -> str:
    """Return the refusal as one line of at most `LONGEST` characters."""
    hint = "A person has to agree first." if asks else "Do not try another way; say so instead."
    instead = f" {_line(answer.instead, _INSTEAD)}." if answer.instead else ""
    reason = _line(answer.reason, _REASON)
    return f"refused by Lictor ({answer.rule}, policy version {version}): {reason}.{instead} {hint}"[:LONGEST]


def instead_of(policy: Policy, answer: Answer, kind: str, name: str) -> str:
    """Return what the policy allows in the place of a refused call; "" where it says nothing of it."""
    if answer.rule not in _BY_GRANTS:
        return ""
    grants = [grant for layer in policy.layers for grant in layer.grants]
    if said := next((grant.instead for grant in grants if grant.id == answer.grant and grant.instead), ""):
        return f"Instead: {said}"
    allowing = [grant for grant in grants if grant.effect == "allow" and getattr(grant, kind)]
    same = [grant for grant in allowing if grant.when and globs.match_any(getattr(grant, kind), name)]
    if same:
        return f"Allowed for {name}: {' or '.join(_conditions(grant) for grant in same[:_MOST_NAMED])}"
    names = list(dict.fromkeys(glob for grant in allowing for glob in getattr(grant, kind)))
    return f"Allowed {kind}: {', '.join(names[:_MOST_NAMED])}" if names else ""


def _conditions(grant: Grant) -> str:
    return ", ".join(f"{path} {_test(test)}" for path, test in grant.when.items())


def _test(test: Test) -> str:
    said = [f"{word} {_value(value)}" for name, word in _WORDS if (value := getattr(test, name)) is not None]
    if test.max_length is not None:
        said.append(f"of at most {test.max_length} characters")
    if test.exists is not None:
        said.append("given" if test.exists else "left out")
    return " and ".join(said) or "given"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return _listed(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "nothing"


def _line(text: str, most: int) -> str:
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()).rstrip(".")
    return line if len(line) <= most else f"{line[: most - 1]}…"
