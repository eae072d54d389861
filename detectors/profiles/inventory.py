"""An agent's inventory, from its profile and its policy."""

from detectors.facts import Facts
from detectors.profiles.state import AgentProfile
from schemas.inventory import EnforcementLevel, Inventory

SETTLED_USES = 100
"""Tool calls and model calls after which what is new is telling."""


def inventory_of(profile: AgentProfile, facts: Facts) -> Inventory:
    """Return what is known of an agent now."""
    view = facts.policy_of(profile.agent_id)
    owners = profile.names("owner")
    calls = profile.total("tool_call")
    return Inventory(
        agent_id=profile.agent_id,
        owner=view.policy.owner or (owners[-1] if owners else ""),
        registered=view.registered,
        mode=view.policy.mode,
        enforcement=_level(profile),
        first_seen_us=max(0, profile.first_us),
        last_seen_us=max(0, profile.last_us),
        runs=profile.runs,
        versions=tuple(profile.names("version")[-64:]),
        models=tuple(profile.names("model")[-64:]),
        tools=tuple(profile.names("tool")[-512:]),
        principals=tuple(profile.names("principal")[-512:]),
        delegates_to=tuple(profile.names("peer")[-256:]),
        called_by=tuple(profile.names("caller")[-256:]),
        resources=tuple(profile.names("resource")[-512:]),
        labels=tuple(profile.names("label")[-256:]),
        prompts=tuple(profile.names("prompt")[-64:]),
        definitions={name: known.digest for name, known in profile.of_kind("definition")},
        servers=dict(sorted((name, known.digest) for name, known in profile.of_kind("server"))[:256]),
        grants=tuple(grant.id for layer in view.policy.layers for grant in layer.grants)[:512],
        steps=sum(part.steps for part in profile.parts.values()),
        calls=calls,
        ungated=sum(part.ungated for part in profile.parts.values()),
        cost_usd=sum(part.cost_usd for part in profile.parts.values()),
        tokens=sum(part.tokens for part in profile.parts.values()),
        open_runs=tuple(profile.open_runs)[-64:],
        settled=calls + profile.total("model_call") >= SETTLED_USES,
    )


def _level(profile: AgentProfile) -> EnforcementLevel:
    """Return what its steps show: calls that a gate has judged, or not. A supervisor shows itself elsewhere."""
    calls = profile.total("tool_call")
    return "cooperative" if calls and not sum(part.ungated for part in profile.parts.values()) else "none"
