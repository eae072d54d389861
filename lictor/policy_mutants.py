"""Every way in which a grant could be a little wrong: a test must notice each."""

from collections.abc import Iterator
from typing import Any, Final

from schemas.policy import Grant, Test

OTHERS: Final = {
    "allow": ("deny", "ask"),
    "deny": ("allow",),
    "ask": ("allow", "deny"),
    "clear": ("allow", "deny"),
    "narrow": ("deny",),
}
_NEGATED: Final = {
    "eq": "ne", "ne": "eq", "any_of": "none_of", "none_of": "any_of", "glob": "not_glob", "not_glob": "glob",
    "domain": "not_domain", "not_domain": "domain", "lt": "gte", "gte": "lt", "gt": "lte", "lte": "gt",
}  # fmt: skip
_OUTWARDS: Final = {"lt": 1, "lte": 1, "gt": -1, "gte": -1, "max_length": 1}


def mutants(grant: Grant) -> Iterator[tuple[str, Grant | None]]:
    """Yield what was changed, in words, and the changed grant; None where it was dropped."""
    yield "the grant dropped", None
    for effect in OTHERS[grant.effect]:
        yield f"effect {effect}", _with(grant, effect=effect, narrow={})
    for kind in ("tools", "models", "agents"):
        yield from _widened(grant, kind)
    for path, test in grant.when.items():
        rest = {other: held for other, held in grant.when.items() if other != path}
        yield f"condition {path} dropped", _with(grant, when=rest)
        for what, changed in _tests(test):
            yield f"{path}: {what}", _with(grant, when={**rest, path: changed})
    for argument in grant.narrow if len(grant.narrow) > 1 else ():
        rest_of = {other: how for other, how in grant.narrow.items() if other != argument}
        yield f"{argument} not rewritten", _with(grant, narrow=rest_of)


def _with(grant: Grant, **changed: Any) -> Grant:
    return grant.model_copy(update=changed)


def _widened(grant: Grant, kind: str) -> Iterator[tuple[str, Grant]]:
    globs: tuple[str, ...] = getattr(grant, kind)
    for at, glob in enumerate(globs):
        if "*" not in globs:
            yield f"{kind}: {glob} widened to *", _with(grant, **{kind: (*globs[:at], "*", *globs[at + 1 :])})


def _tests(test: Test) -> Iterator[tuple[str, Test]]:
    said = test.model_dump(exclude_none=True)
    for name, bound in said.items():
        rest = {other: held for other, held in said.items() if other != name}
        if rest:
            yield f"{name} dropped", Test.model_validate(rest)
        if name in _NEGATED and _NEGATED[name] not in rest:
            yield f"{name} negated", Test.model_validate({**rest, _NEGATED[name]: bound})
        if name == "exists":
            yield "exists negated", Test.model_validate({**rest, name: not bound})
        if name in _OUTWARDS:
            yield f"{name} moved outwards", Test.model_validate({**rest, name: _moved(name, bound)})


def _moved(name: str, bound: float) -> float:
    """Return a bound that lets more through, by a tenth and at least by 1."""
    step = max(1, int(abs(bound) / 10)) if name == "max_length" else max(1.0, abs(bound) / 10)
    return bound + _OUTWARDS[name] * step
