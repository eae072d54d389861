"""Firings of many traces put together: by run and agent, and by whatever many agents share."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from detectors.base import shown
from detectors.engine.correlate import Correlator
from detectors.engine.firings import Completed, CorrelationState, Firing
from detectors.engine.plan import Correlation
from schemas import ids
from schemas.errors import BadRecord
from schemas.finding import Evidence, Finding, Mode
from schemas.match import Match
from schemas.rule_file import Scope

MOST_REMEMBERED: Final = 2048
"""Matches of one key that are known by their id, so that one that comes twice counts once."""
MOST_KEYS: Final = 50_000
SCOPE_FIELDS: Final[Mapping[Scope, str]] = {
    "conversation": "conversation_id",
    "principal": "principal",
    "owner": "agent.owner",
    "tool": "tool",
    "resource": "destination.host",
    "workflow": "workflow",
}
"""Scope wider than an agent → the field whose value it is; `fleet` is everybody."""
FLEET: Final = "*"
_STRICT: Final[tuple[Mode, ...]] = ("observe", "ask", "enforce")


class Sum(msgspec.Struct):
    """What is remembered under one key."""

    state: CorrelationState = msgspec.field(default_factory=CorrelationState)
    known: dict[str, None] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Sum).decode


class Sums:
    """The sums of one partition, bounded: the key longest without a match is forgotten, and that is counted."""

    def __init__(self) -> None:
        self.by_key: OrderedDict[str, Sum] = OrderedDict()
        self.changed: set[str] = set()
        self.evicted = 0

    def feed(self, key: str, match: Match, judge: Correlator) -> list[Finding]:
        """Return the findings that a match completes under this key; one that was counted before completes nothing."""
        found = self._open(key)
        if match.match_id in found.known:
            return []
        if len(found.known) >= MOST_REMEMBERED:
            del found.known[next(iter(found.known))]
        found.known[match.match_id] = None
        before = found.state.evicted
        done = [*judge.advance(found.state, match.append_time_us), *judge.feed(found.state, _firing(match))]
        self.evicted += found.state.evicted - before
        return [finding_of(judge.by_id[each.correlation], each, match) for each in done if _speaks(judge, each)]

    def _open(self, key: str) -> Sum:
        found = self.by_key.get(key)
        if found is None:
            if len(self.by_key) >= MOST_KEYS:
                self.by_key.popitem(last=False)
                self.evicted += 1
            found = self.by_key[key] = Sum()
        self.by_key.move_to_end(key)
        self.changed.add(key)
        return found

    def dump(self, key: str) -> bytes | None:
        """Return what is kept under a key, for a checkpoint."""
        found = self.by_key.get(key)
        return None if found is None else _encode(found)

    def restore(self, key: str, data: bytes) -> None:
        """Take over what was kept. Raises `BadRecord` where it is of another shape."""
        try:
            self.by_key[key] = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadRecord("checkpoint", str(error)) from None


def _speaks(judge: Correlator, done: Completed) -> bool:
    return judge.by_id[done.correlation].generate or done.correlation not in judge.by_rule


def _firing(match: Match) -> Firing:
    return Firing(
        match.rule_id,
        match.step_id,
        match.seq,
        match.run_id,
        match.agent_id,
        match.trace_id,
        match.judged_us,
        match.append_time_us,
        {**match.values, "run_id": (match.run_id,), "agent_id": (match.agent_id,), "trace_id": (match.trace_id,)},
    )


def scope_values(match: Match, scope: Scope) -> Iterator[str]:
    """Yield the values under which a match counts in a scope wider than its agent."""
    if scope == "fleet":
        yield FLEET
        return
    for value in match.values.get(SCOPE_FIELDS[scope], ()):
        yield str(value)[:400]


def finding_of(rule: Correlation, done: Completed, match: Match) -> Finding:
    """Return the finding of a completed correlation, at the step whose match completed it."""
    rule_id = rule.id if rule.id.startswith("lictor.") else f"sigma.{shown(rule.id, 200)}"
    group = ":".join(map(str, done.group))
    evidence = [Evidence(step_id=hit.step_id, seq=hit.seq, role=shown(hit.rule, 200)) for hit in done.hits[-32:]]
    return Finding(
        finding_id=ids.finding_id(rule_id, rule.lictor.version, group, sorted({each.step_id for each in evidence})),
        rule_id=rule_id,
        rule_version=rule.lictor.version,
        detector="sigma",
        title=shown(rule.about.title, 256) or rule_id,
        severity=rule.about.level,
        confidence=rule.lictor.confidence,
        impact=rule.lictor.impact,
        reason=shown(reason_of(rule, done), 1000),
        agent_id=match.agent_id,
        run_id=match.run_id,
        trace_id=match.trace_id,
        step_id=match.step_id,
        seq=match.seq,
        group=shown(group, 400),
        evidence=tuple(evidence),
        identity=match.identity,
        mode=min(rule.lictor.mode, match.mode, key=_STRICT.index),
        tags=rule.about.tags,
        response=rule.lictor.response,
        step_time_us=match.judged_us,
        append_time_us=match.append_time_us,
        drill=match.drill,
    )


def reason_of(rule: Correlation, done: Completed) -> str:
    """Say in words what a correlation rests on."""
    by = ", ".join(f"{name} {shown(str(value), 60)!r}" for name, value in zip(rule.group_by, done.group, strict=True))
    span = f"within {rule.timespan_us / 1e6:g} s" + (f", by {by}" if by else "")
    what = f"{rule.of} is {done.amount:g}"
    if rule.of in ("temporal", "temporal_ordered"):
        what = " → ".join(dict.fromkeys(shown(hit.rule, 80) for hit in done.hits))
    said = " ".join(rule.about.description.strip().split("\n\n")[0].split())
    return f"{rule.about.title} ({what} {span})" + (f": {said}" if said else "")
