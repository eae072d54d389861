"""Tests for proposed grants: a call that must pass, and for each condition a near one that must not.

Calls are made up from the conditions alone; what agents said is not copied into a file that many people read. Each is
tried on the agents' own gate first, and only what comes out as it should is kept.
"""

from collections.abc import Iterator
from typing import Any, Final

from lictor.policy_case import Case
from lictor.policy_gate import ask, compiled
from lictor.policy_suggest import Proposal, Proposed
from lictor_agent.gate import Compiled
from schemas.policy import AgentPolicy, Grant, Layer, Test

_PASSES: Final = frozenset({"allow", "hold", "narrow"})
_STRANGER: Final = "some-stranger"
_OTHER: Final = {"tools": "another-tool", "models": "another-model", "agents": "another-agent"}
_FIELD: Final = {"tools": "tool", "models": "model", "agents": "to_agent"}
_OUTSIDE: Final = ("outside.invalid", "/outside/of/all", "outside", "", 0, -1, "../outside")


def cases_of(proposal: Proposal, policy: AgentPolicy) -> list[Case]:
    """Return the tests. `policy`: the agent's as it would be, with the proposal in the place of its own layer."""
    alone = Layer(name=f"agent {proposal.agent_id}", grants=tuple(one.grant for one in proposal.grants))
    ready = compiled(policy.model_copy(update={"layers": (alone,)}))
    found = [case for one in proposal.grants for case in _Maker(proposal, ready).of(one)]
    return list({case.model_dump_json(exclude={"say"}): case for case in reversed(found)}.values())[::-1]


class _Maker:
    """Makes calls and keeps those that are answered as they should be."""

    def __init__(self, proposal: Proposal, ready: Compiled) -> None:
        self.agent = proposal.agent_id
        self.ready = ready
        self.grants = tuple(one.grant for one in proposal.grants)
        self.principal = next((str(_inside(test)) for test in self._principals() if test is not None), "")

    def _principals(self) -> Iterator[Test | None]:
        for grant in self.grants:
            test = grant.when.get("principal")
            if grant.effect == "deny" and test is not None:
                yield Test(any_of=test.none_of, domain=test.not_domain, glob=test.not_glob)

    def of(self, proposed: Proposed) -> Iterator[Case]:
        """Yield the tests of one grant."""
        grant = proposed.grant
        if grant.effect == "allow":
            yield from self._allowed(grant)
        elif grant.effect == "deny" and not any("arguments" in path for path in grant.when):
            yield from self._refused(grant)

    def _allowed(self, grant: Grant) -> Iterator[Case]:
        kind = next(kind for kind in _FIELD if getattr(grant, kind))
        arguments = _arguments(grant)
        for name in getattr(grant, kind):
            yield from self._kept(_PASSES, f"{name} as it was seen", grant.id, kind, name, arguments)
        name = getattr(grant, kind)[0]
        yield from self._kept({"deny"}, f"not {_OTHER[kind]} ({grant.id})", None, kind, _OTHER[kind], arguments)
        for path, test in grant.when.items():
            yield from self._near(name, path, test, arguments)

    def _near(self, name: str, path: str, test: Test, arguments: dict[str, Any]) -> Iterator[Case]:
        """Yield for each bound of a test the first value outside it that is refused."""
        for bound, values in _outside(test):
            for value in values:
                changed = _with(arguments, path, value)
                found = list(self._kept({"deny"}, f"{name}: {path} outside {bound}", None, "tools", name, changed))
                if found:
                    yield found[0]
                    break

    def _refused(self, grant: Grant) -> Iterator[Case]:
        """A refusal of whom the agent does not act for, or of hand-overs."""
        if grant.agents:
            yield from self._kept({"deny"}, "hands work to nobody", grant.id, "agents", _OTHER["agents"], {})
            return
        allowed = next((other for other in self.grants if other.effect == "allow" and other.tools), None)
        if allowed is None:
            return
        name, arguments = allowed.tools[0], _arguments(allowed)
        more: dict[str, Any]
        if "delegator" in grant.when:
            said, more = "not for a stranger", {"delegation": (_STRANGER,)}
        else:
            said, more = "not on behalf of a stranger", {"principal": _STRANGER}
        yield from self._kept({"deny"}, said, grant.id, "tools", name, arguments, **more)

    def _kept(
        self, wanted: set[str] | frozenset[str], say: str, grant: str | None, kind: str, name: str,
        arguments: dict[str, Any], **more: Any,
    ) -> Iterator[Case]:  # fmt: skip
        said = {"say": say[:512], "agent": self.agent, _FIELD[kind]: name, "arguments": arguments}
        case = Case.model_validate({**said, "principal": self.principal, "expect": "allow", **more})
        answer = ask(self.ready, case)
        if answer.verdict in wanted and grant in (None, answer.grant):
            yield case.model_copy(update={"expect": answer.verdict, "grant": grant})


def _arguments(grant: Grant) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, test in grant.when.items():
        if path.startswith("arguments.") and test.exists is not False:
            found = _with(found, path, _inside(test))
    return found


def _with(arguments: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return the arguments with one value set at the path of a condition."""
    first, _, rest = path.removeprefix("arguments.").partition(".")
    inner = arguments.get(first)
    return {**arguments, first: _with(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def _inside(test: Test) -> Any:
    """Return a value that passes."""
    if test.eq is not None:
        return test.eq
    if test.any_of:
        return test.any_of[0]
    if test.domain:
        return test.domain[0].replace("*", "any")
    if test.within:
        return "file" if test.within[0] == "." else f"{test.within[0]}/file"
    if test.glob:
        return test.glob[0].replace("?", "0").replace("*", "0")
    return plain(test.lte) if test.lte is not None else ""


def _outside(test: Test) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield each bound of a test with values that may lie just outside it."""
    said = test.model_dump(exclude_none=True)
    for name, bound in said.items():
        if name == "lte":
            yield name, (plain(bound + 1),)
        elif name in ("gt", "gte"):
            yield name, (plain(bound if name == "gt" else bound - 1),)
        elif name == "eq":
            yield name, (not bound if isinstance(bound, bool) else _STRANGER,)
        else:
            yield name, _OUTSIDE


def plain(number: float) -> int | float:
    """Return a whole number as one, as people write it."""
    return int(number) if number == int(number) else number
