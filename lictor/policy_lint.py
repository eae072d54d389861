"""What is allowed in a policy file and yet is hardly meant."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lictor.policy_file import Policies
from lictor.policy_gate import compiled
from lictor_agent import globs
from schemas.policy import ALL_TRAITS, ANY_AGENT, AgentPolicy, Budgets, Grant, Test

KINDS: Final = ("tools", "models", "agents")
_STRICTER: Final = {"allow": ("deny", "ask", "clear"), "narrow": ("deny",), "clear": ("deny", "ask"), "ask": ("deny",)}


@dataclass(frozen=True, slots=True)
class Warned:
    """Where something is hardly meant, what it is, and what to do."""

    place: str
    what: str
    todo: str


def warnings(policies: Policies) -> list[Warned]:
    """Return what is hardly meant; what stands in a layer of several agents is told once."""
    found = [warned for policy in policies.agents for warned in (*_of_grants(policy), *_of_agent(policy))]
    return list(dict.fromkeys(found))


def _of_grants(policy: AgentPolicy) -> Iterator[Warned]:
    for layer in policy.layers:
        for grant in layer.grants:
            place = f"{layer.name}: grant {grant.id}"
            if by := _shadow(grant, layer.grants):
                yield Warned(place, f"never decides: grant {by} is stricter and covers it", "drop one of the two")
            if grant.effect == "allow" and "*" in grant.tools and not grant.when:
                yield Warned(place, "allows every tool", "name the tools")
            for path, test in grant.when.items():
                if _impossible(test):
                    yield Warned(place, f"no value meets the condition on {path}", "correct its bounds")


def _shadow(grant: Grant, others: tuple[Grant, ...]) -> str:
    """Return the grant of the same layer that always counts before this one; "" if none does."""
    for other in others:
        if other.effect in _STRICTER.get(grant.effect, ()) and not other.when and _covers(other, grant):
            return other.id
    return ""


def _covers(wide: Grant, narrow: Grant) -> bool:
    """Tell whether every name that fits `narrow` surely fits `wide`. A `?` could stand for the text of a `*`."""
    kind = next(kind for kind in KINDS if getattr(narrow, kind))
    sure = tuple(glob for glob in getattr(wide, kind) if "?" not in glob)
    return all(glob in getattr(wide, kind) or globs.match_any(sure, glob) for glob in getattr(narrow, kind))


def _impossible(test: Test) -> bool:
    lows: list[Any] = [(bound, strict) for bound, strict in ((test.gt, True), (test.gte, False)) if bound is not None]
    highs: list[Any] = [(bound, strict) for bound, strict in ((test.lt, True), (test.lte, False)) if bound is not None]
    empty = any(low > high or (low == high and (a or b)) for low, a in lows for high, b in highs)
    nothing = () in (test.any_of, test.glob, test.domain, test.within)
    return empty or nothing or (test.max_length is not None and test.max_length < 0)


def _of_agent(policy: AgentPolicy) -> Iterator[Warned]:
    place = f"agent {policy.agent_id}"
    if policy.agent_id == ANY_AGENT:
        return
    if policy.mode == "observe" and policy.layers:
        yield Warned(
            place, "has grants, and mode observe holds nothing up", "say mode: enforce once its findings agree"
        )
    if policy.mode == "enforce" and policy.budgets == Budgets():
        yield Warned(place, "is enforced without any budget", "say budgets, as steps and tool_calls")
    yield from _of_tools(policy, place)


def _of_tools(policy: AgentPolicy, place: str) -> Iterator[Warned]:
    ready = compiled(policy)
    granted = {
        glob for layer in policy.layers for grant in layer.grants if grant.effect != "deny" for glob in grant.tools
    }
    named = sorted(glob for glob in granted if "*" not in glob and "?" not in glob)
    for tool in named:
        if ready.traits(tool) == set(ALL_TRAITS) and not globs.match_any(tuple(policy.traits), tool):
            yield Warned(place, f"tool {tool} has no known word and no traits: it counts as all", "name it in traits")
    if granted and len(named) == len(granted):
        has = frozenset[str]().union(*map(ready.traits, named))
        for trait in sorted(set(policy.clearance.traits) - has):
            yield Warned(place, f"no granted tool has the trait {trait}, for which clearance waits", "check its traits")
