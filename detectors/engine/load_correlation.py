"""A correlation as pySigma has parsed it, turned into a plan."""

import math
from collections.abc import Callable
from typing import Any, Final, get_args

from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)

from detectors.engine.firings import MOST_KEPT
from detectors.engine.load_detection import Refusal
from detectors.engine.plan import About, Absent, AllOf, AnyOf, Bound, Correlation, Lictor, Occurs, When
from schemas.rule_file import CorrelationType as Of

MOST_TIMESPAN_S: Final = 30 * 86400
MOST_RULES: Final = 16
_OPS: Final = ("gt", "gte", "lt", "lte", "eq", "neq")


def correlation_of(
    one: SigmaCorrelationRule,
    name: str,
    about: About,
    own: Lictor,
    known: dict[str, str],
    is_known: Callable[[str], bool],
    data: dict[str, Any],
) -> Correlation:
    """Return the plan of a correlation. `known`: name or id → the name a rule is planned under. Raises `Refusal`."""
    of, extended = _kind(one)
    occurs = (
        _occurs(one.condition.parsed, known) if isinstance(one.condition, SigmaExtendedCorrelationCondition) else None
    )
    rules = tuple(_planned(reference, known) for reference in (one.rules or one.referenced_rules))
    if not rules or len(rules) > MOST_RULES:
        raise Refusal(f"a correlation refers to 1 to {MOST_RULES} rules", "rules")
    seconds = int(one.timespan.seconds)
    if not 0 < seconds <= MOST_TIMESPAN_S:
        raise Refusal("timespan is from 1s to 30d", "timespan")
    condition = one.condition if isinstance(one.condition, SigmaCorrelationCondition) else None
    bounds = _bounds(condition, data) if not extended else ()
    fields = _value_fields(condition)
    for field in (*fields, *_group_fields(one)):
        if not is_known(field):
            raise Refusal(f"field {field!r} is nothing that steps can tell", field)
    if of.startswith("value_") and not fields:
        raise Refusal(f"{of} needs condition.field", "condition")
    if of in ("event_count", "value_count") and any(bound.number > MOST_KEPT for bound in bounds):
        raise Refusal(
            f"a count above {MOST_KEPT} cannot be asked for: no more firings of a group are remembered", "condition"
        )
    return Correlation(
        id=name,
        name=name,
        about=about,
        lictor=own,
        of=of,
        rules=rules,
        group_by=tuple(map(str, one.group_by or ())),
        aliases=_aliases(one, known),
        timespan_us=seconds * 1_000_000,
        bounds=bounds,
        value_fields=fields,
        percentile=float(condition.percentile or 0) if condition is not None else 0.0,
        occurs=occurs,
        generate=bool(one.generate),
    )


def _kind(one: SigmaCorrelationRule) -> tuple[Of, bool]:
    name = one.type.name.lower()
    plain = name.removesuffix("_extended")
    if plain not in get_args(Of):
        raise Refusal(f"correlation type {name} is unknown", "type")
    return next(each for each in get_args(Of) if each == plain), isinstance(
        one.condition, SigmaExtendedCorrelationCondition
    )


def _planned(reference: SigmaRuleReference, known: dict[str, str]) -> str:
    name = str(reference.reference)
    return known.get(name, name)


def _occurs(parsed: Any, known: dict[str, str]) -> Occurs:
    match parsed:
        case SigmaRuleReference():
            return When(_planned(parsed, known))
        case CorrelationConditionAND():
            return AllOf(tuple(_occurs(each, known) for each in parsed.args))
        case CorrelationConditionOR():
            return AnyOf(tuple(_occurs(each, known) for each in parsed.args))
        case CorrelationConditionNOT():
            return Absent(_occurs(parsed.args[0], known))
        case _:
            raise Refusal("the condition has a part without a meaning", "condition")


def _bounds(condition: SigmaCorrelationCondition | None, data: dict[str, Any]) -> tuple[Bound, ...]:
    """Return all bounds of the file's condition: pySigma reads one, the specification allows a range of two."""
    said = (data.get("correlation") or {}).get("condition")
    if not isinstance(said, dict):
        return ()
    bounds = []
    for op in _OPS:
        if op in said:
            number = float(said[op])
            if not math.isfinite(number):
                raise Refusal(f"condition.{op} is no finite number", op)
            bounds.append(Bound(op, number))
    if not bounds and condition is not None:
        bounds.append(Bound(condition.op.name.lower(), float(condition.count)))  # type: ignore[arg-type]  # one of the six
    return tuple(bounds)


def _value_fields(condition: SigmaCorrelationCondition | None) -> tuple[str, ...]:
    field = condition.fieldref if condition is not None else None
    return () if not field else (field,) if isinstance(field, str) else tuple(map(str, field))


def _group_fields(one: SigmaCorrelationRule) -> list[str]:
    aliased = {alias.alias for alias in one.aliases}
    fields = [str(name) for name in one.group_by or () if str(name) not in aliased]
    return fields + [str(field) for alias in one.aliases for field in alias.mapping.values()]


def _aliases(one: SigmaCorrelationRule, known: dict[str, str]) -> dict[str, dict[str, str]]:
    return {
        str(alias.alias): {_planned(reference, known): str(field) for reference, field in alias.mapping.items()}
        for alias in one.aliases
    }
