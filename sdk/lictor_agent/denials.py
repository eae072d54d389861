"""How a refusal reads to the model: why, by which rule and policy version, and what is allowed instead. Made only then."""

from typing import Final

from lictor_agent.gate import Answer
from lictor_agent.globs import match_any
from lictor_agent.policy import Grant, Policy, Test

MOST: Final = 600
MOST_NAMED: Final = 8
_WORDS: Final = (
    ("eq", "is {}"), ("ne", "is not {}"), ("gt", "above {}"), ("gte", "at least {}"), ("lt", "below {}"),
    ("lte", "at most {}"), ("max_length", "at most {} characters"),
)  # fmt: skip
_LISTS: Final = (
    ("any_of", "is one of {}"), ("none_of", "is none of {}"), ("glob", "is like {}"), ("not_glob", "is not like {}"),
    ("domain", "names a host like {}"), ("not_domain", "names no host like {}"), ("within", "lies in {}"),
)  # fmt: skip


def text(answer: Answer, version: int, *, asks: bool, instead: str) -> str:
    """Return the refusal in one line."""
    hint = "A person has to agree first." if asks else "Do not try another way; say so instead."
    said = f"refused by Lictor ({answer.rule}, policy version {version}): {answer.reason}. {instead}"
    return f"{_line(said)[: MOST - len(hint) - 1].rstrip()} {hint}"


def instead_of(policy: Policy, answer: Answer, kind: str, name: str) -> str:
    """Return what is allowed in the place of a call: what the grant itself says, else what the policy grants."""
    if answer.instead:
        return f"Instead: {answer.instead.rstrip('.')}."
    if answer.rule not in ("grant", "no_grant"):
        return ""
    grants = [grant for layer in policy.layers for grant in layer.grants if grant.effect in ("allow", "narrow")]
    about = [grant for grant in grants if getattr(grant, kind)]
    same = [grant for grant in about if match_any(getattr(grant, kind), name) and grant.when]
    if same:
        return f"Allowed for {name}: {'; or '.join(conditions_of(grant) for grant in same[:3])}."
    names = list(dict.fromkeys(glob for grant in about for glob in getattr(grant, kind)))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"Allowed {kind}: {', '.join(names[:MOST_NAMED])}{more}." if names else ""


def conditions_of(grant: Grant) -> str:
    """Return a grant's conditions in words."""
    return " and ".join(f"{path} {in_words(test)}" for path, test in grant.when.items()) or "always"


def in_words(test: Test) -> str:
    """Return what a test asks, in words."""
    said = [words.format(_shown(value)) for name, words in _WORDS if (value := getattr(test, name)) is not None]
    said += [
        words.format(", ".join(map(_shown, values)))
        for name, words in _LISTS
        if (values := getattr(test, name)) is not None
    ]
    if test.exists is not None:
        said.append("is given" if test.exists else "is not given")
    return " and ".join(said) or "is given"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _line(said: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
