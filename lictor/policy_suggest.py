"""The narrowest grants that cover what an agent was seen to do, and what was left out of them.

A proposal rests on calls that were done and that nothing speaks against: never on refused ones, so that whoever tries
often enough does not earn the right. What restricts the agent already is carried over; only permissions are made anew.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.base import shown
from detectors.policy_view import called_by
from lictor.policy_calls import Call
from lictor.policy_forms import forms_of
from lictor.policy_patterns import pattern_of, rounded_up
from schemas.globs import glob_any
from schemas.policy import AgentPolicy, Budgets, Grant, Layer, Test
from schemas.step import Step

LEAST: Final = 5
"""Calls that a tool, model or hand-over must have had."""
MOST_NAMES: Final = 512
_ONE_TIME_IN: Final = 1.5
"""A budget leaves room for half as much again as the run that used most."""
_TARGETS: Final = (("tools", "tool"), ("models", "model"), ("agents", "agent"))


@dataclass(frozen=True, slots=True)
class Proposed:
    """A grant, on how many calls it rests (0 where it was carried over, or refuses), and what is said about it."""

    grant: Grant
    calls: int
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Calls that the proposal does not rest on."""

    what: str
    calls: int
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one agent."""

    agent_id: str
    grants: tuple[Proposed, ...]
    budgets: Budgets
    left_out: tuple[LeftOut, ...]

    def applied_to(self, policy: AgentPolicy) -> AgentPolicy:
        """Return the agent's policy with this in the place of its own layer, enforced; the layers above stay."""
        own = f"agent {self.agent_id}"
        above = tuple(layer for layer in policy.layers if layer.name != own)
        grants = tuple(proposed.grant for proposed in self.grants)
        new = {"agent_id": self.agent_id, "mode": "enforce", "budgets": self.budgets, "registered": True}
        return policy.model_copy(update={**new, "layers": (*above, Layer(name=own, grants=grants))})


def suggest(calls: Sequence[Call], policy: AgentPolicy, *, least: int = LEAST) -> Proposal:
    """Return what covers the usable calls. `policy`: what is in force. `least`: calls below which a name is left out."""
    usable = [call.step for call in calls if call.usable]
    named: dict[tuple[str, str], list[Step]] = {}
    for step in usable:
        named.setdefault(called_by(step), []).append(step)
    kept = {key: steps for key, steps in named.items() if _sayable(key[1]) and len(steps) >= least}
    kept = dict(sorted(kept.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_NAMES])
    own = next((layer for layer in policy.layers if layer.name == f"agent {policy.agent_id}"), None)
    carried = tuple(_carried(own.grants if own else (), kept))
    ids = _Ids({proposed.grant.id for proposed in carried})
    grants = (*carried, *_who(usable, ids), *_tools(kept, ids), *_others(kept, usable, ids))
    return Proposal(
        policy.agent_id, grants, _budgets(usable, policy.budgets), tuple(_left_out(calls, named, kept, least))
    )


def _sayable(name: str) -> bool:
    """A name that would be read as a pattern cannot be granted: a tool called `*` would be every tool."""
    return bool(name) and not set(name) & {"*", "?"}


class _Ids:
    """Ids of grants, each once."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken

    def make(self, prefix: str, name: str) -> str:
        """Return an id like the name."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:60]
        base = "-".join(part for part in (prefix, plain) if part) or "grant"
        found, number = base, 1
        while found in self.taken:
            number += 1
            found = f"{base}-{number}"
        self.taken.add(found)
        return found


def _carried(own: Iterable[Grant], kept: Iterable[tuple[str, str]]) -> Iterator[Proposed]:
    """Yield what restricts already. What also lets calls through (`clear`, `narrow`) stays for what is proposed alone."""
    names = list(kept)
    for grant in own:
        if grant.effect in ("deny", "ask"):
            yield Proposed(grant, 0, ("carried over: it restricts",))
            continue
        for kind, _ in _TARGETS if grant.effect in ("clear", "narrow") else ():
            fits = tuple(name for of, name in names if of == kind and glob_any(getattr(grant, kind), name))
            if fits:
                said = "carried over, for what is proposed here; its own conditions hold, not those that were observed"
                yield Proposed(grant.model_copy(update={kind: fits}), 0, (said,))


def _who(usable: Sequence[Step], ids: _Ids) -> Iterator[Proposed]:
    """Yield what refuses everybody for whom the agent was not seen to act."""
    if not usable:
        return
    delegators = sorted({name for step in usable for name in step.delegation})
    test = Test(none_of=tuple(delegators)) if delegators else Test(ne="")
    said = f"acts for {', '.join(map(shown, delegators))}" if delegators else "never acts for another agent"
    yield Proposed(
        Grant(id=ids.make("", "not-for-others"), effect="deny", tools=("*",), when={"delegator": test}), 0, (said,)
    )
    principals = [step.principal for step in usable]
    if not any(principals):
        return
    pattern = pattern_of("principal", principals)
    refusing = _refusing(pattern.test)
    if refusing is not None:
        grant = Grant(
            id=ids.make("", "not-on-behalf-of-others"), effect="deny", tools=("*",), when={"principal": refusing}
        )
        yield Proposed(grant, 0, (f"principals: {pattern.said}",))


def _refusing(test: Test | None) -> Test | None:
    """Return the test that holds for everything which the other refuses; None where there is none."""
    if test is None:
        return None
    if test.any_of is not None:
        return Test(none_of=test.any_of)
    if test.domain is not None:
        return Test(not_domain=test.domain)
    return Test(not_glob=test.glob) if test.glob is not None else None


def _tools(kept: dict[tuple[str, str], list[Step]], ids: _Ids) -> Iterator[Proposed]:
    for (kind, name), steps in kept.items():
        for form in forms_of(steps) if kind == "tools" else ():
            grant = Grant(id=ids.make("", name), effect="allow", tools=(name,), when=form.when)
            yield Proposed(grant, form.calls, form.said)


def _others(kept: dict[tuple[str, str], list[Step]], usable: Sequence[Step], ids: _Ids) -> Iterator[Proposed]:
    """Yield grants for models and hand-overs: these are free until some layer speaks of them."""
    models = {name: len(steps) for (kind, name), steps in kept.items() if kind == "models"}
    if models:
        grant = Grant(id=ids.make("", "models"), effect="allow", models=tuple(models))
        yield Proposed(grant, sum(models.values()), tuple(f"{shown(name)}: {count}" for name, count in models.items()))
    agents = {name: len(steps) for (kind, name), steps in kept.items() if kind == "agents"}
    if agents:
        grant = Grant(id=ids.make("", "hand-overs"), effect="allow", agents=tuple(agents))
        yield Proposed(grant, sum(agents.values()), tuple(f"{shown(name)}: {count}" for name, count in agents.items()))
    elif usable:
        grant = Grant(id=ids.make("", "no-hand-overs"), effect="deny", agents=("*",))
        yield Proposed(grant, 0, ("handed work to nobody, or too seldom",))


def _budgets(usable: Sequence[Step], in_force: Budgets) -> Budgets:
    """Return what bounds a run: what is in force, and the calls of the run that made most, with room, rounded up."""
    bounds = in_force.model_dump(exclude_none=True)
    for name, kind in (("tool_calls", "tool_call"), ("model_calls", "model_call")):
        runs = Counter(step.run_id for step in usable if step.kind == kind)
        if runs:
            most = int(rounded_up(max(runs.values()) * _ONE_TIME_IN))
            bounds[name] = min(most, bounds.get(name, most))
    return Budgets.model_validate(bounds)


def _left_out(
    calls: Sequence[Call], named: dict[tuple[str, str], list[Step]], kept: Iterable[tuple[str, str]], least: int
) -> Iterator[LeftOut]:
    """Yield what the proposal does not rest on, the most telling first."""
    flagged = Counter((called_by(call.step)[1], rule) for call in calls for rule in call.rules)
    for (name, rule), count in sorted(flagged.items()):
        yield LeftOut(name, count, f"flagged by {rule}")
    for outcome, why in (("denied", "refused"), ("failed", "failed"), ("unknown", "no result came")):
        names = Counter(called_by(call.step)[1] for call in calls if call.outcome == outcome and not call.rules)
        for name, count in sorted(names.items()):
            yield LeftOut(name, count, why)
    for key in sorted(named.keys() - set(kept)):
        count = len(named[key])
        if not _sayable(key[1]):
            yield LeftOut(key[1], count, "has no name, or one that would be read as a pattern")
        else:
            yield LeftOut(key[1], count, f"fewer than {least} calls" if count < least else f"over {MOST_NAMES} names")
