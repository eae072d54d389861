"""Several rules within one span: in any order, in their order, or one without the other."""

import bisect
from collections.abc import Collection, Sequence
from typing import Final

from detectors.engine.firings import Firing, Group, Hit, Pending
from detectors.engine.plan import Absent, AllOf, AnyOf, Correlation, Occurs, When

MOST_HITS: Final = 128
MOST_PENDING: Final = 16


def take(correlation: Correlation, group: Group, hit: Hit) -> bool:
    """Put a hit in its place; return whether an older one had to go that still counted.

    Of hits of one rule in a row only the first and the last matter, so no flood of one rule pushes out the others.
    """
    hits = group.hits
    at = bisect.bisect_right(hits, (hit.judged_us, hit.order), key=_when)
    hits.insert(at, hit)
    same = [i for i in (at - 1, at + 1) if 0 <= i < len(hits) and hits[i].rule == hit.rule]
    if len(same) == 2:  # noqa: PLR2004 - one on either side: it is in the middle of a row
        del hits[at]
    elif same and _is_inside(hits, same[0]):
        del hits[same[0]]
    oldest_us = hits[-1].judged_us - 2 * correlation.timespan_us
    gone = bisect.bisect_left(hits, (oldest_us, 0), key=_when)
    pushed = max(0, len(hits) - gone - MOST_HITS)
    del hits[: gone + pushed]
    return pushed > 0


def _when(hit: Hit) -> tuple[int, int]:
    return hit.judged_us, hit.order


def _is_inside(hits: Sequence[Hit], at: int) -> bool:
    return 0 < at < len(hits) - 1 and hits[at - 1].rule == hits[at].rule == hits[at + 1].rule


def completed(correlation: Correlation, group: Group, hit: Hit) -> tuple[Hit, ...]:
    """Return the hits of a match that this hit belongs to, oldest first; () where it completes none."""
    if correlation.of == "temporal_ordered":
        return _in_order(positive(correlation), group.hits, hit, correlation.timespan_us)
    return _in_any_order(correlation, group.hits, hit)


def positive(correlation: Correlation) -> tuple[str, ...]:
    """Return the rules that must fire, in the order the file names them."""
    if correlation.occurs is None:
        return correlation.rules
    unwanted = absent(correlation.occurs)
    return tuple(rule for rule in correlation.rules if rule not in unwanted)


def absent(occurs: Occurs) -> frozenset[str]:
    """Return the rules that must not fire."""
    match occurs:
        case When():
            return frozenset()
        case Absent(item):
            return _named(item)
        case AllOf(items) | AnyOf(items):
            return frozenset(rule for item in items for rule in absent(item))


def _named(occurs: Occurs) -> frozenset[str]:
    match occurs:
        case When(rule):
            return frozenset((rule,))
        case Absent(item):
            return _named(item)
        case AllOf(items) | AnyOf(items):
            return frozenset(rule for item in items for rule in _named(item))


def _in_order(rules: Sequence[str], hits: Sequence[Hit], hit: Hit, span_us: int) -> tuple[Hit, ...]:
    """Return the tightest match in which this hit stands at a place of its rule."""
    at = next((i for i, each in enumerate(hits) if each is hit), -1)
    for place in range(len(rules) - 1, -1, -1):
        if rules[place] != hit.rule or at < 0:
            continue
        before = _chain(hits[at - 1 :: -1] if at else (), tuple(reversed(rules[:place])))
        after = _chain(hits[at + 1 :], rules[place + 1 :])
        if before is None or after is None:
            continue
        found = (*reversed(before), hit, *after)
        if found[-1].judged_us - found[0].judged_us <= span_us:
            return found
    return ()


def _chain(hits: Sequence[Hit], rules: Sequence[str]) -> list[Hit] | None:
    """Return the first hit of each rule, one after the other; None where one is missing."""
    found: list[Hit] = []
    for each in hits:
        if len(found) == len(rules):
            break
        if each.rule == rules[len(found)]:
            found.append(each)
    return found if len(found) == len(rules) else None


def _in_any_order(correlation: Correlation, hits: Sequence[Hit], hit: Hit) -> tuple[Hit, ...]:
    """Return the hits of the first window around this hit in which the condition holds."""
    span_us = correlation.timespan_us
    starts = [each for each in hits if hit.judged_us - span_us <= each.judged_us <= hit.judged_us]
    for start in starts:
        window = [each for each in hits if start.judged_us <= each.judged_us <= start.judged_us + span_us]
        last = {each.rule: each for each in window}
        if _holds(correlation, last.keys()):
            wanted = set(positive(correlation))
            return tuple(each for each in last.values() if each.rule in wanted)
    return ()


def _holds(correlation: Correlation, rules: Collection[str]) -> bool:
    if correlation.occurs is None:
        return len(rules) >= len(set(correlation.rules))
    return _true(correlation.occurs, rules)


def _true(occurs: Occurs, rules: Collection[str]) -> bool:
    """Tell whether the condition holds for what has fired; what must not fire counts as not fired until its time is up."""
    match occurs:
        case When(rule):
            return rule in rules
        case Absent(_):
            return True
        case AllOf(items):
            return all(_true(item, rules) for item in items)
        case AnyOf(items):
            return any(_true(item, rules) for item in items)


def wait(correlation: Correlation, group: Group, hits: tuple[Hit, ...], at: Firing) -> bool:
    """Begin to wait for what must not follow; return whether another had to be given up for it.

    In any order, what fired shortly before counts as well; in order, only what comes after.
    """
    unwanted = absent(correlation.occurs) if correlation.occurs is not None else frozenset()
    first_us, last_us = hits[0].judged_us, hits[-1].judged_us
    begin_us = last_us - correlation.timespan_us if correlation.of == "temporal" else last_us
    until_us = (first_us if correlation.of == "temporal" else last_us) + correlation.timespan_us
    if any(each.rule in unwanted and begin_us <= each.judged_us <= until_us for each in group.hits):
        return False
    group.pending.append(Pending(until_us, begin_us, hits, at))
    if len(group.pending) <= MOST_PENDING:
        return False
    del group.pending[0]
    return True


def cancel(group: Group, hit: Hit) -> None:
    """What must not follow did: those that waited for it to stay away have waited in vain."""
    group.pending = [each for each in group.pending if not each.first_us <= hit.judged_us <= each.until_us]
