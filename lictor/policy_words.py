"""A policy in sentences: what an agent does alone, what waits, what is asked, what it never may."""

from collections.abc import Iterator

import msgspec

from lictor_agent.denials import conditions
from lictor_agent.gate import Compiled
from lictor_agent.policy import Grant as AgentsGrant
from schemas.policy import AgentPolicy, Grant

_TITLES = {
    "alone": "does alone",
    "narrow": "does, narrowed",
    "clear": "does once `detect` has cleared it",
    "ask": "does not, unless a person agrees",
    "deny": "never does",
}


def in_words(grant: Grant) -> str:
    """Return what a grant is about and when, in words."""
    read = msgspec.json.decode(grant.model_dump_json(), type=AgentsGrant)
    about = next((kind, globs) for kind, globs in _subjects(grant) if globs)
    when = f" where {conditions(read)}" if grant.when else ""
    how = "".join(f"; {path} {_how(value)}" for path, value in grant.narrow.items())
    return f"{about[0]} {', '.join(about[1])}{when}{how}"


def _subjects(grant: Grant) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "tools", grant.tools
    yield "models", grant.models
    yield "hand-over to", grant.agents


def _how(value: object) -> str:
    said = value if isinstance(value, bool | int | float | str) else None
    if said is not None:
        return f"is set to {said}" if isinstance(said, bool | str) else f"is capped at {said:g}"
    name, how = next((name, how) for name, how in value.model_dump(exclude_unset=True).items())  # type: ignore[attr-defined]
    words = {"at_most": "is capped at", "set": "is set to", "keep": "keeps only", "shorten": "is cut to"}
    return "is taken away" if name == "remove" else f"{words[name]} {how}"


def sections(policy: AgentPolicy, ready: Compiled) -> dict[str, list[str]]:
    """Return what the grants of an agent come to, by what happens; each line with its layer and grant."""
    found: dict[str, list[str]] = {title: [] for title in _TITLES.values()}
    for layer in policy.layers:
        for grant in layer.grants:
            found[_TITLES[_what(policy, grant, ready)]].append(f"{in_words(grant)}  ({layer.name}, grant {grant.id})")
    return {title: sorted(lines) for title, lines in found.items() if lines}


def _what(policy: AgentPolicy, grant: Grant, ready: Compiled) -> str:
    """An allowed tool whose own traits want clearance waits for it; of a glob only the policy's traits are known."""
    waits = any(not ready.traits(tool).isdisjoint(policy.clearance.traits) for tool in grant.tools if "*" not in tool)
    if grant.effect == "allow" and waits and policy.mode != "observe":
        return "clear"
    return "alone" if grant.effect == "allow" else grant.effect


def circumstances(policy: AgentPolicy) -> Iterator[str]:
    """Yield, in a line each, what holds whatever the grants say."""
    yield f"mode {policy.mode}, policy version {policy.version}" + ("" if policy.registered else "; no policy names it")
    if len(policy.layers) > 1:
        yield f"every one of these must let a call through: {', '.join(layer.name for layer in policy.layers)}"
    budgets = policy.budgets.model_dump(exclude_none=True)
    yield "budgets of a run: " + (", ".join(f"{name} {bound:g}" for name, bound in budgets.items()) or "none")
    for name, amount in policy.amounts.items():
        yield f"amount {name}: {amount.argument} of {', '.join(amount.tools)}, over the run"
    waits = policy.clearance
    yield f"clearance: tools with {', '.join(waits.traits) or 'no trait'}, {waits.timeout_ms} ms, then {waits.on_timeout}"
    yield f"without Kafka and policy: no {', '.join(policy.cold_start_deny) or 'restriction'}"
    hidden = f"{policy.content.default}, rules {', '.join(policy.content.rules) or 'none'}"
    yield f"content: {hidden}" + "".join(f", {field} {how}" for field, how in policy.content.fields.items())
    stop = policy.stop
    yield f"a stop: {stop.how}, {stop.on_stop_ms} ms to tidy up, at most {stop.max_other_runs} other runs end with it"
