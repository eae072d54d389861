"""Firings put together over time: counts, sums, sequences and absences, by group, on the steps' own clock.

A correlation completes when the firing arrives by which it comes to hold, whatever is still on its way; only an absence
waits, and append time ends the wait. The same firings in the same order complete the same, live and in replay. It completes
when it comes to hold, and again only after it has ceased to, or, with `suppress`, once that silence is over.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from detectors.engine import counting, sequences
from detectors.engine.firings import MOST_GROUPS, Completed, CorrelationState, Firing, Group, Hit, Pending, Value
from detectors.engine.plan import Correlation

MOST_GROUPS_OF_A_FIRING: Final = 16
"""A firing whose group field has many values belongs to many groups, and to no more than these."""
MOST_LEVELS: Final = 8
TEMPORAL: Final = frozenset({"temporal", "temporal_ordered"})


class Correlator:
    """Judges firings by a fixed set of correlations; what it remembers is in the state it is given."""

    def __init__(self, correlations: Sequence[Correlation]) -> None:
        self.correlations = tuple(correlations)
        self.by_rule: dict[str, list[Correlation]] = {}
        self.by_id = {correlation.id: correlation for correlation in self.correlations}
        for correlation in self.correlations:
            for rule in dict.fromkeys(correlation.rules):
                self.by_rule.setdefault(rule, []).append(correlation)

    def needed_fields(self) -> dict[str, frozenset[str]]:
        """Return, for each rule, the fields whose values its firings must carry."""
        needed: dict[str, set[str]] = {}
        for correlation in self.correlations:
            for rule in correlation.rules:
                fields = needed.setdefault(rule, set())
                fields.update(field_of(correlation, rule, name) for name in correlation.group_by)
                fields.update(correlation.value_fields)
        return {rule: frozenset(fields) for rule, fields in needed.items()}

    def feed(self, state: CorrelationState, firing: Firing) -> list[Completed]:
        """Return what this firing completes, those that build on others after them."""
        done: list[Completed] = []
        self._feed(state, firing, done, MOST_LEVELS)
        return done

    def _feed(self, state: CorrelationState, firing: Firing, done: list[Completed], levels: int) -> None:
        for correlation in self.by_rule.get(firing.rule, ()):
            for group in self._groups(state, correlation, firing):
                found = _judge(state, correlation, group, firing)
                if found is not None:
                    self._complete(state, found, done, levels)

    def _complete(self, state: CorrelationState, found: Completed, done: list[Completed], levels: int) -> None:
        done.append(found)
        if levels and found.correlation in self.by_rule:
            self._feed(state, self.as_firing(found), done, levels - 1)

    def as_firing(self, found: Completed) -> Firing:
        """Return a completed correlation as a firing of its own: it carries what it was grouped by, and nothing else."""
        names = self.by_id[found.correlation].group_by
        at, last = found.at, found.hits[-1]
        return Firing(
            rule=found.correlation,
            step_id=at.step_id,
            seq=at.seq,
            run_id=at.run_id,
            agent_id=at.agent_id,
            trace_id=at.trace_id,
            judged_us=max(at.judged_us, last.judged_us),
            append_us=at.append_us,
            values={name: (value,) for name, value in zip(names, found.group, strict=True)},
        )

    def advance(self, state: CorrelationState, append_us: int) -> list[Completed]:
        """Return the absences whose time is up by Kafka's clock."""
        done: list[Completed] = []
        for name, groups in list(state.groups.items()):
            correlation = self.by_id.get(name)
            if correlation is None:
                del state.groups[name]  # its rule is no longer in force
                continue
            for group in list(groups.values()):
                for waited in _due(group, append_us):
                    found = _announced(correlation, group, waited.hits, waited.at, len(waited.hits))
                    if found is not None:
                        self._complete(state, found, done, MOST_LEVELS)
        return done

    @staticmethod
    def _groups(state: CorrelationState, correlation: Correlation, firing: Firing) -> Iterator[Group]:
        """Yield the groups that a firing belongs to, made where they are new."""
        groups = state.groups.setdefault(correlation.id, {})
        for values in _group_values(correlation, firing):
            key = "".join(f"{type(value).__name__[0]}{len(str(value))}:{value}" for value in values)
            found = groups.get(key)
            if found is None:
                if len(groups) >= MOST_GROUPS:
                    state.evicted += _make_room(correlation, groups, firing.append_us)
                found = groups[key] = Group(values=values)
            yield found


def _make_room(correlation: Correlation, groups: dict[str, Group], append_us: int) -> bool:
    """Forget the groups that can complete nothing more, else the one longest without a firing; return whether that was lost."""
    before_us = append_us - 2 * correlation.timespan_us
    idle = [name for name, group in groups.items() if group.last_us < before_us and not group.pending]
    for name in idle:
        del groups[name]
    if not idle:
        del groups[min(groups, key=lambda name: groups[name].last_us)]
    return not idle


def field_of(correlation: Correlation, rule: str, name: str) -> str:
    """Return the field that a group's name stands for in the firings of a rule."""
    return correlation.aliases.get(name, {}).get(rule, name)


def _group_values(correlation: Correlation, firing: Firing) -> Iterator[tuple[Value, ...]]:
    fields = (field_of(correlation, firing.rule, name) for name in correlation.group_by)
    values = [tuple(dict.fromkeys(firing.values.get(field, ()))) for field in fields]
    return itertools.islice(itertools.product(*values), MOST_GROUPS_OF_A_FIRING)


def _hits(correlation: Correlation, group: Group, firing: Firing) -> list[Hit]:
    """Return the firing as its group remembers it: once for each value that is counted."""
    values: list[Value | None] = [None]
    if correlation.value_fields:
        values = [value for field in correlation.value_fields for value in firing.values.get(field, ())]
    hits: list[Hit] = []
    for value in values:
        group.arrived += 1
        hits.append(Hit(firing.judged_us, group.arrived, firing.rule, firing.step_id, firing.seq, value))
    return hits


def _judge(state: CorrelationState, correlation: Correlation, group: Group, firing: Firing) -> Completed | None:
    group.last_us = max(group.last_us, firing.append_us)
    if correlation.of in TEMPORAL:
        return _judge_sequence(state, correlation, group, firing)
    found: Completed | None = None
    for hit in _hits(correlation, group, firing):
        state.evicted += counting.take(correlation, group, hit)
        amount, hits = counting.amounts(correlation, group, hit)
        if counting.within(correlation.bounds, amount):
            found = _announced(correlation, group, tuple(hits), firing, amount) or found
        else:
            group.holds = False
    return found


def _judge_sequence(
    state: CorrelationState, correlation: Correlation, group: Group, firing: Firing
) -> Completed | None:
    (hit,) = _hits(correlation, group, firing)
    unwanted = sequences.absent(correlation.occurs) if correlation.occurs is not None else frozenset()
    state.evicted += sequences.take(correlation, group, hit)
    if firing.rule in unwanted:
        sequences.cancel(group, hit)
        return None
    hits = sequences.completed(correlation, group, hit)
    if unwanted and hits:
        state.evicted += sequences.wait(correlation, group, hits, firing)
        return None
    if not hits or not counting.within(correlation.bounds, len({each.rule for each in hits})):
        group.holds = False
        return None
    return _announced(correlation, group, hits, firing, len(hits))


def _announced(
    correlation: Correlation, group: Group, hits: tuple[Hit, ...], at: Firing, amount: float
) -> Completed | None:
    """Return the completion, unless it is only still so, or the rule is silent about this group."""
    silence_us = correlation.lictor.suppress_s * 1_000_000
    silent = at.append_us < group.silent_until_us
    still = group.holds and not (silence_us and not silent)
    group.holds = correlation.of not in TEMPORAL or not _waits(correlation)
    if still or silent:
        return None
    group.silent_until_us = at.append_us + silence_us
    return Completed(correlation.id, group.values, hits, at, float(amount))


def _waits(correlation: Correlation) -> bool:
    return correlation.occurs is not None and bool(sequences.absent(correlation.occurs))


def _due(group: Group, append_us: int) -> list[Pending]:
    due = [each for each in group.pending if each.until_us < append_us]
    if due:
        group.pending = [each for each in group.pending if each.until_us >= append_us]
    return due
