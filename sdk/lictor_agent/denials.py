"""What a refused agent is told: why, by which rule and version of the policy, and what it may do instead."""

import itertools
from collections.abc import Iterable
from typing import Final

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


class Instead:
    """What a policy allows, made ready to be told to a refused agent: a refusal costs no walk through all grants."""

    def __init__(self, policy: Policy) -> None:
        grants = [grant for layer in policy.layers for grant in layer.grants]
        self._told = {grant.id: grant.instead for grant in reversed(grants) if grant.instead}
        self._allowed = {kind: _first_allowed(grants, kind) for kind in ("tools", "models", "agents")}

    def of(self, answer: Answer, kind: str, name: str, about: Iterable[Grant]) -> str:
        """Return what is allowed in the place of a refused call, given the grants about its name; "" for nothing."""
        if answer.rule not in _BY_GRANTS:
            return ""
        if said := self._told.get(answer.grant):
            return f"Instead: {said}"
        within = [conditions(grant) for grant in about if grant.effect == "allow" and grant.when][:_MOST_NAMED]
        if within:
            return f"Allowed for {name}: {' or '.join(within)}"
        names = self._allowed[kind]
        return f"Allowed {kind}: {', '.join(names)}" if names else ""


def _first_allowed(grants: list[Grant], kind: str) -> list[str]:
    globs = (glob for grant in grants if grant.effect == "allow" for glob in getattr(grant, kind))
    return list(itertools.islice(dict.fromkeys(globs), _MOST_NAMED))


def conditions(grant: Grant) -> str:
    """Return a grant's conditions in words."""
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
