"""Runs the tests of a policy file, then changes each grant a little and asks whether any test notices."""

from dataclasses import dataclass

from lictor.policy_case import Case
from lictor.policy_file import Policies
from lictor.policy_gate import Said, ask, compiled, subject, with_grant
from lictor.policy_mutants import mutants
from lictor_agent import globs
from lictor_agent.gate import Compiled
from schemas.policy import Grant, Layer

Under = tuple[Compiled, list[Case]]
"""An agent's policy made ready, and the tests about that agent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test and what the gate said."""

    case: Case
    said: Said

    @property
    def passed(self) -> bool:
        """Tell whether the gate said what the test expects."""
        return _meets(self.case, self.said)


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change of a grant that no test noticed."""

    layer: str
    grant: str
    change: str


def run_cases(policies: Policies) -> list[Outcome]:
    """Return what becomes of each test, in the order of the file."""
    ready = {policy.agent_id: compiled(policy) for policy in policies.agents}
    return [Outcome(case, ask(ready[case.agent], case)) for case in policies.tests]


def survivors(policies: Policies) -> list[Survivor]:
    """Return the changes of grants that break no test. Meant for tests that pass: one that fails notices everything."""
    return [
        Survivor(layer.name, grant.id, change)
        for layer, under in _layers(policies)
        for grant in layer.grants
        for change, mutant in mutants(grant)
        if not any(_breaks(ready, layer, grant, mutant, cases) for ready, cases in under)
    ]


def _layers(policies: Policies) -> list[tuple[Layer, list[Under]]]:
    """Return each layer once, though many agents stand under it, with those agents' policies and tests."""
    found: dict[str, tuple[Layer, list[Under]]] = {}
    for policy in policies.agents:
        cases = [case for case in policies.tests if case.agent == policy.agent_id]
        ready = compiled(policy)
        for layer in policy.layers:
            found.setdefault(layer.name, (layer, []))[1].append((ready, cases))
    return list(found.values())


def _breaks(ready: Compiled, layer: Layer, grant: Grant, mutant: Grant | None, cases: list[Case]) -> bool:
    kind = next(kind for kind in ("tools", "models", "agents") if getattr(grant, kind))
    reach = (*getattr(grant, kind), *getattr(mutant, kind, ()))
    everything = _closes(grant, mutant, layer, kind)
    changed = with_grant(ready, layer.name, grant.id, mutant)
    return any(
        not _meets(case, ask(changed, case))
        for case in cases
        if subject(case)[0] == kind and (everything or globs.match_any(reach, subject(case)[1]))
    )


def _closes(grant: Grant, mutant: Grant | None, layer: Layer, kind: str) -> bool:
    """Tell whether the change may alter what the layer says of calls it does not name, or whether it speaks at all."""
    others = [held for held in layer.grants if held.id != grant.id and getattr(held, kind) and held.effect != "deny"]
    return not others and (mutant is None or (mutant.effect == "deny") != (grant.effect == "deny"))


def _meets(case: Case, said: Said) -> bool:
    return said.verdict == case.expect and case.grant in (None, said.grant)
