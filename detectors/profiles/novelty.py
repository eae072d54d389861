"""What an agent uses for the first time, and how surprising that is.

The chance that the next use of a kind is of something new is estimated from how often that happened lately (after Good and
Turing): an agent that has called three tools a thousand times surprises with a fourth, one that reads a new site with each
step does not. No other warm-up is needed: who has done little surprises little.
"""

import math
from typing import Final

from detectors.base import shown
from detectors.facts import Facts
from detectors.profiles.claims import CHANGED, NEW_USE, ROLL_OUT
from detectors.profiles.state import AgentProfile, Known
from schemas.finding import Finding
from schemas.message import Severity
from schemas.policy import Trait
from schemas.sighting import Sighting, SightingKind

LATELY: Final = 1000.0
"""Uses over which what was new fades."""
SURPRISING: Final = 1.5
"""Powers of ten: one in thirty."""
STRIKING: Final = 2.0
"""One in a hundred."""
ROLL_OUT_US: Final = 1_800_000_000
"""After a new version, what it uses for the first time belongs to its roll-out."""
WEIGHT: Final[dict[SightingKind, float]] = {
    "tool": 1.0,
    "model": 0.9,
    "principal": 0.8,
    "peer": 1.0,
    "caller": 1.0,
    "label": 0.9,
    "server": 1.0,
    "resource": 0.8,
}
WORDS: Final[dict[SightingKind, str]] = {
    "tool": "tool",
    "model": "model",
    "principal": "principal",
    "peer": "agent it hands work to",
    "caller": "agent it works for",
    "label": "data label",
    "server": "MCP server",
    "resource": "resource",
}
_GRAVE: Final[frozenset[Trait]] = frozenset({"egress", "executes_code", "spends", "grants_access", "irreversible"})


def judge_use(profile: AgentProfile, seen: Sighting, facts: Facts) -> list[Finding]:
    """Learn a sighting; return what is new and surprising about it."""
    used = profile.used.setdefault(seen.kind, {})
    used[seen.partition] = max(seen.uses, used.get(seen.partition, 0))
    known, new = profile.learn(seen.kind, seen.name, seen.append_time_us)
    if seen.kind == "version":
        return _judge_version(profile, seen, facts, new=new)
    if seen.kind in ("prompt", "definition", "server"):
        changed = _judge_definition(profile, seen, known, facts, new=new)
        if changed or seen.kind != "server":
            return changed
    if not new or seen.kind not in WEIGHT:
        return []
    surprise = _surprise(profile, seen.kind)
    grave = _GRAVE & facts.policy_of(seen.agent_id).traits(seen.name) if seen.kind == "tool" else frozenset[Trait]()
    if surprise < SURPRISING or (_rolling_out(profile, seen) and not _first_of(profile, grave, seen, facts)):
        return []
    shared = facts.peers.others_use(facts.policy_of(seen.agent_id).policy.owner, seen.kind, seen.name, seen.agent_id)
    return [_new_use(profile, seen, facts, surprise, grave, shared=shared)]


def _new_use(
    profile: AgentProfile, seen: Sighting, facts: Facts, surprise: float, grave: frozenset[Trait], *, shared: int
) -> Finding:
    uses, known = profile.uses(seen.kind), profile.counts.get(seen.kind, 1) - 1
    reason = (
        f"{shown(seen.name)} is a {WORDS[seen.kind]} that {shown(seen.agent_id)} has not used before: in {uses} uses "
        f"there were {known} others"
    )
    if shared:
        reason += f"; {shared} other agents of its owner use it"
    if grave:
        reason += f"; its traits: {', '.join(sorted(grave))}"
    severity: Severity = "medium" if surprise >= STRIKING and grave and not shared else "low"
    confidence = min(0.9, 0.25 * surprise) * WEIGHT[seen.kind] * (0.5 if shared else 1.0)
    return NEW_USE.of(
        facts,
        seen.agent_id,
        reason,
        confidence=round(confidence, 3),
        severity="informational" if shared else severity,
        group=f"{seen.kind}:{seen.name}",
        append_us=seen.append_time_us,
        at=seen,
    )


def _surprise(profile: AgentProfile, kind: SightingKind) -> float:
    """Return how surprising a new name of a kind is, in powers of ten, and remember that there was one."""
    uses = profile.uses(kind)
    fresh, last = profile.fresh.get(kind, (0.0, 0))
    fresh *= math.exp(-max(0, uses - last) / LATELY)
    profile.fresh[kind] = (fresh + 1.0, uses)
    chance = (fresh + 0.5) / (min(uses, LATELY) + 1.0)
    return -math.log10(min(1.0, chance))


def _rolling_out(profile: AgentProfile, seen: Sighting) -> bool:
    return bool(profile.rolled_out_us) and seen.append_time_us - profile.rolled_out_us < ROLL_OUT_US


def _first_of(profile: AgentProfile, grave: frozenset[Trait], seen: Sighting, facts: Facts) -> bool:
    """Tell whether a tool can do something grave that none of the agent's others can: no roll-out explains that away."""
    traits = facts.policy_of(seen.agent_id).traits
    had = {trait for name, _ in profile.of_kind("tool") if name != seen.name for trait in traits(name)}
    return bool(grave - had)


def _judge_version(profile: AgentProfile, seen: Sighting, facts: Facts, *, new: bool) -> list[Finding]:
    before, profile.version = profile.version, seen.name
    if not new or not before:
        return []
    profile.rolled_out_us = seen.append_time_us
    reason = f"{shown(seen.agent_id)} is at work as version {shown(seen.name)}, after {shown(before)}"
    return [
        ROLL_OUT.of(
            facts,
            seen.agent_id,
            reason,
            confidence=0.9,
            group=f"version:{seen.name}",
            append_us=seen.append_time_us,
            at=seen,
        )
    ]


def _judge_definition(profile: AgentProfile, seen: Sighting, known: Known, facts: Facts, *, new: bool) -> list[Finding]:
    """Tell where a prompt, a tool's definition or a server changed although the version did not."""
    before = _before(profile, seen) if seen.kind == "prompt" else (known if not new else None)
    changed = (
        before is not None
        and before.version == seen.version
        and (seen.kind == "prompt" or before.digest != seen.digest)
    )
    known.digest, known.version = seen.digest, seen.version
    if not changed:
        return []
    what = {
        "prompt": "system prompt",
        "definition": f"definition of tool {shown(seen.name)}",
        "server": f"MCP server {shown(seen.name)}",
    }
    under = f"under the same version {shown(seen.version)}" if seen.version else "and it names no version"
    return [
        CHANGED.of(
            facts,
            seen.agent_id,
            f"the {what[seen.kind]} of {shown(seen.agent_id)} is another than before, {under}",
            confidence=0.85 if seen.version else 0.5,
            severity="high" if seen.version else "low",
            group=f"{seen.kind}:{seen.name}:{seen.digest}:{seen.version}",
            append_us=seen.append_time_us,
            at=seen,
        )
    ]


def _before(profile: AgentProfile, seen: Sighting) -> Known | None:
    """Return the prompt that was last in use before this one, where this one is new."""
    others = [each for name, each in profile.of_kind("prompt") if name != seen.name]
    mine = profile.known[f"prompt:{seen.name}"]
    return max(others, key=lambda each: each.last_us, default=None) if mine.first_us == mine.last_us else None
