"""What changes for whom between two policy files; what widens an agent's rights is said first.

Whatever is not surely narrower counts as wider: a reviewer looks at one line too many rather than at one too few.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lictor.policy_file import Policies
from lictor.policy_words import in_words
from lictor_agent.answers import rank_of
from schemas.policy import AgentPolicy, Grant, Test

_MODES: Final = ("observe", "ask", "enforce")
_SECRECY: Final = ("full", "redacted", "digest")
_UPPER: Final = frozenset({"lt", "lte", "max_length"})
_LOWER: Final = frozenset({"gt", "gte"})
_FEWER_IS_LESS: Final = frozenset({"any_of", "glob", "domain", "within"})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise for one agent."""

    agent: str
    what: str
    widens: bool


def differences(old: Policies, new: Policies) -> list[Change]:
    """Return what changes, the widening first."""
    names = sorted({policy.agent_id for policy in (*old.agents, *new.agents)})
    found = [change for name in names for change in _of_agent(name, old.of(name), new.of(name))]
    return sorted(found, key=lambda change: not change.widens)


def _of_agent(name: str, old: AgentPolicy, new: AgentPolicy) -> Iterator[Change]:
    before = {(layer.name, grant.id): grant for layer in old.layers for grant in layer.grants}
    after = {(layer.name, grant.id): grant for layer in new.layers for grant in layer.grants}
    for key in sorted(before.keys() | after.keys()):
        place = f"{key[0]}, grant {key[1]}"
        if key not in after:
            yield Change(name, f"gone: {before[key].effect} {in_words(before[key])} ({place})", _restricts(before[key]))
        elif key not in before:
            yield Change(name, f"new: {after[key].effect} {in_words(after[key])} ({place})", not _restricts(after[key]))
        elif before[key] != after[key]:
            was, now = in_words(before[key]), in_words(after[key])
            what = f"{before[key].effect} {was} → {after[key].effect} {now} ({place})"
            yield Change(name, what, not _narrower(before[key], after[key]))
    yield from _settings(name, old, new)


def _restricts(grant: Grant) -> bool:
    return grant.effect in ("deny", "ask")


def _narrower(old: Grant, new: Grant) -> bool:
    """Tell whether a changed grant surely gives no more than it did."""
    if old.effect != new.effect:
        same = old.model_copy(update={"effect": new.effect, "reason": new.reason, "narrow": new.narrow}) == new
        return same and rank_of(new.effect) > rank_of(old.effect)
    if _restricts(old):
        return _subjects(old) <= _subjects(new) and _conditions_narrower(new, old)
    return _subjects(new) <= _subjects(old) and _conditions_narrower(old, new) and old.narrow == new.narrow


def _subjects(grant: Grant) -> set[str]:
    return {*grant.tools, *grant.models, *grant.agents}


def _conditions_narrower(old: Grant, new: Grant) -> bool:
    """Tell whether the conditions of `new` hold for no call for which those of `old` do not."""
    return all(path in new.when and _test_narrower(test, new.when[path]) for path, test in old.when.items())


def _test_narrower(old: Test, new: Test) -> bool:
    was, now = old.model_dump(exclude_none=True), new.model_dump(exclude_none=True)
    return all(name in now and _bound_narrower(name, bound, now[name]) for name, bound in was.items())


def _bound_narrower(name: str, old: Any, new: Any) -> bool:
    if old == new:
        return True
    if name in _UPPER:
        return bool(new <= old)
    if name in _LOWER:
        return bool(new >= old)
    return name in _FEWER_IS_LESS and set(new) <= set(old)


def _settings(name: str, old: AgentPolicy, new: AgentPolicy) -> Iterator[Change]:
    if old.mode != new.mode:
        yield Change(name, f"mode {old.mode} → {new.mode}", _MODES.index(new.mode) < _MODES.index(old.mode))
    for budget, was in old.budgets.model_dump().items():
        now = getattr(new.budgets, budget)
        if was != now:
            yield Change(name, f"budget {budget} {was} → {now}", was is not None and (now is None or now > was))
    for what, was, now in (
        ("clearance for", old.clearance.traits, new.clearance.traits),
        ("denied at a cold start", old.cold_start_deny, new.cold_start_deny),
        ("denied while the spool is full", old.spool_full_deny, new.spool_full_deny),
    ):
        if set(was) != set(now):
            yield Change(
                name, f"{what}: {', '.join(was) or 'none'} → {', '.join(now) or 'none'}", not set(was) <= set(now)
            )
    if added := set(new.trusted_tools) - set(old.trusted_tools):
        yield Change(name, f"trusted tools: {', '.join(sorted(added))}", widens=True)
    if old.traits != new.traits:
        lost = [glob for glob in old.traits if not set(old.traits[glob]) <= set(new.traits.get(glob, ()))]
        yield Change(name, f"traits of tools changed{': fewer for ' + ', '.join(lost) if lost else ''}", bool(lost))
    yield from _rest(name, old, new)


def _rest(name: str, old: AgentPolicy, new: AgentPolicy) -> Iterator[Change]:
    if old.content != new.content:
        looser = _SECRECY.index(new.content.default) < _SECRECY.index(old.content.default)
        fewer = (
            not set(old.content.rules) <= set(new.content.rules)
            or not old.content.fields.items() <= new.content.fields.items()
        )
        yield Change(name, "what is kept secret changed", looser or fewer or old.content.traits != new.content.traits)
    if (old.clearance.on_timeout, new.clearance.on_timeout) == ("deny", "allow"):
        yield Change(name, "no answer to a clearance now means allow", widens=True)
    if old.stop != new.stop:
        yield Change(
            name, f"how it is stopped: {old.stop.how} → {new.stop.how}", new.stop.how == "drain" != old.stop.how
        )
    if old.amounts != new.amounts:
        yield Change(name, "amounts are counted otherwise", widens=True)
