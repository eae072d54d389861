"""Policies as people write them: YAML in layers, turned into what agents and workers are sent."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, ValidationError

from lictor.policy_case import Case, Strict
from lictor.policy_checks import bad_narrow, bad_paths
from schemas.errors import BadPolicy
from schemas.keys import KEY_LIST
from schemas.message import ShortText
from schemas.policy import (
    ANY_AGENT,
    AgentMode,
    AgentPolicy,
    Amount,
    Budgets,
    Clearance,
    Content,
    Grant,
    Layer,
    Stopping,
    Trait,
)
from schemas.rules import Bounds, Clocks, Row, RuleBook, Safety

POLICIES: Final = Path(__file__).resolve().parents[1] / "policies"
_IN_WHEEL: Final = Path(__file__).resolve().parent / "_app" / "policies"
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_VALUES: Final = 100_000
"""What a file may come to once its aliases are written out."""


class LayerFile(Strict):
    """What every layer may say."""

    grants: tuple[Grant, ...] = ()
    budgets: Budgets = Budgets()
    traits: dict[str, tuple[Trait, ...]] = Field(default_factory=dict)
    trusted_tools: tuple[str, ...] = ()
    amounts: dict[str, Amount] = Field(default_factory=dict)


class OwnSettings(Strict):
    """What `defaults` says for every agent, and an agent for itself."""

    mode: AgentMode | None = None
    clearance: Clearance | None = None
    cold_start_deny: tuple[Trait, ...] | None = None
    content: Content | None = None
    spool_full_deny: tuple[Trait, ...] | None = None
    stop: Stopping | None = None
    heartbeat_s: Annotated[int, Field(ge=1, le=3600)] | None = None


class AgentFile(LayerFile, OwnSettings):
    """One agent."""

    team: ShortText = ""
    owner: ShortText = ""
    criticality: Literal["low", "normal", "high"] = "normal"


class PolicyFile(Strict):
    """The whole file."""

    version: int = Field(ge=1)
    defaults: OwnSettings = OwnSettings()
    identity: Literal["observe", "require"] = "observe"
    org: LayerFile = LayerFile()
    teams: dict[str, LayerFile] = Field(default_factory=dict)
    agents: dict[str, AgentFile] = Field(default_factory=dict)
    autonomy: tuple[Row, ...] | None = None
    safety: Safety | None = None
    clocks: Clocks = Clocks()
    bounds: Bounds = Bounds()
    stop_grace_ms: int = Field(default=2000, ge=0)
    tests: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class Policies:
    """What a policy file comes to: one policy an agent (and one for any other), and the workers' rule book."""

    agents: tuple[AgentPolicy, ...]
    rules: RuleBook
    tests: tuple[Case, ...] = ()
    """What the file says the gate must answer; nobody is sent them."""

    def of(self, agent_id: str) -> AgentPolicy:
        """Return an agent's policy."""
        named = {policy.agent_id: policy for policy in self.agents}
        return named.get(agent_id) or named[ANY_AGENT]


def load_policies(path: Path | None = None, *, issued_us: int | None = None) -> Policies:
    """Read a policy file; None reads the default one. Raises `BadPolicy` with the file, the place and what is wrong."""
    base = _read(folder() / "default.yml")
    found = _read(path) if path is not None else base
    now_us = int(time.time() * 1e6) if issued_us is None else issued_us
    _check_tests(found, path)
    unknown = sorted({agent.team for agent in found.agents.values() if agent.team} - set(found.teams))
    if unknown:
        raise BadPolicy(f"team {unknown[0]!r} is named by an agent but not defined under `teams`", where=str(path))
    agents = [_agent_policy(agent_id, agent, found, now_us) for agent_id, agent in sorted(found.agents.items())]
    anybody = _agent_policy(ANY_AGENT, AgentFile(), found, now_us).model_copy(update={"registered": False})
    rules = RuleBook(
        version=found.version,
        issued_us=now_us,
        identity=found.identity,
        autonomy=found.autonomy if found.autonomy is not None else base.autonomy or (),
        safety=found.safety or base.safety or Safety(),
        clocks=found.clocks,
        bounds=found.bounds,
        stop_grace_ms=found.stop_grace_ms,
    )
    return Policies((*agents, anybody), rules, found.tests)


def folder() -> Path:
    """Return the folder of the policies that came with Lictor."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else POLICIES


@functools.cache
def words() -> dict[str, tuple[Trait, ...]]:
    """Return what a tool's name says of it: word → traits."""
    groups: Mapping[str, Mapping[str, Any]] = yaml.safe_load((folder() / "words.yml").read_text(encoding="utf-8"))
    return {str(word): tuple(group["traits"]) for group in groups.values() for word in group["words"]}


def _agent_policy(agent_id: str, agent: AgentFile, found: PolicyFile, now_us: int) -> AgentPolicy:
    """Put an agent's layers together. A lower layer only narrows: budgets take the lower bound, every layer must grant."""
    team = found.teams.get(agent.team, LayerFile())
    layers = (("org", found.org), (f"team {agent.team}", team), (f"agent {agent_id}", agent))
    budgets = _narrowest([layer.budgets for _, layer in layers])
    traits = {glob: traits for _, layer in layers for glob, traits in layer.traits.items()}
    return AgentPolicy(
        agent_id=agent_id,
        version=found.version,
        issued_us=now_us,
        owner=agent.owner,
        team=agent.team,
        criticality=agent.criticality,
        amounts={name: amount for _, layer in layers for name, amount in layer.amounts.items()},
        layers=tuple(Layer(name=name, grants=layer.grants) for name, layer in layers if layer.grants),
        traits=traits,
        words=words(),
        trusted_tools=tuple(glob for _, layer in layers for glob in layer.trusted_tools),
        budgets=budgets,
        **_own(found.defaults, agent),
    )


def _own(*settings: OwnSettings) -> dict[str, Any]:
    """Return what is set, the later before the earlier; what nobody sets has the default of the message."""
    return {
        name: value
        for said in settings
        for name in OwnSettings.model_fields
        if (value := getattr(said, name)) is not None
    }


def _narrowest(budgets: list[Budgets]) -> Budgets:
    bounds: dict[str, float] = {}
    for budget in budgets:
        for name, bound in budget.model_dump(exclude_none=True).items():
            bounds[name] = min(bound, bounds.get(name, bound))
    return Budgets.model_validate(bounds)


def _read(path: Path) -> PolicyFile:
    try:
        data = _yaml(_text(path))
    except OSError as error:
        raise BadPolicy(f"cannot read the policy: {error.strerror}", where=str(path)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadPolicy(f"not YAML: {' '.join(str(error).split())}", where=str(path)) from None
    except RecursionError:
        raise BadPolicy("not YAML: nested too deeply", where=str(path)) from None
    if not isinstance(data, dict):
        raise BadPolicy("the policy must be a mapping with `version:`", where=str(path))
    try:
        found = PolicyFile.model_validate(
            data, extra="forbid"
        )  # also inside grants, whose wire form ignores new fields
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadPolicy(f"{place}: {first['msg']}", where=str(path)) from None
    _check_names(found, path)
    _check_grants(found, path)
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        found = file.read(MAX_BYTES + 1)
    if len(found) > MAX_BYTES:
        raise BadPolicy(f"the policy is larger than {MAX_BYTES} bytes", where=str(path))
    return found.decode("utf-8")


def _yaml(text: str) -> Any:
    """Read YAML. Raises `YAMLError`, also for a key that stands twice and, before they grow, for aliases without bound."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _size(root, {})
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node comes to with its aliases written out. Raises `YAMLError` over the bound."""
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1  # an alias to what it stands in would have no end
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _must_differ([key for key, _ in node.value])
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    if known[id(node)] > MAX_VALUES:
        raise yaml.YAMLError(f"its aliases come to more than {MAX_VALUES} values")
    return known[id(node)]


def _must_differ(keys: list[yaml.Node]) -> None:
    seen: set[str] = set()
    for key in keys:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise yaml.YAMLError(
                    f"key {key.value!r} stands twice, the second time in line {key.start_mark.line + 1}"
                )
            seen.add(key.value)


def _check_names(found: PolicyFile, path: Path) -> None:
    for agent_id in found.agents:
        if not 0 < len(agent_id) <= 128 or not agent_id.isprintable() or agent_id.startswith("~"):  # noqa: PLR2004 - as in the SDK
            raise BadPolicy(
                f"agents: {agent_id[:40]!r} is no agent id: 1 to 128 printable characters, not starting with `~`",
                where=str(path),
            )
        if agent_id in (ANY_AGENT, KEY_LIST):
            raise BadPolicy(f"agents: an agent cannot be called {agent_id!r}: Lictor uses that name", where=str(path))


def _check_tests(found: PolicyFile, path: Path | None) -> None:
    for at, case in enumerate(found.tests):
        if case.agent != ANY_AGENT and case.agent not in found.agents:
            raise BadPolicy(
                f"tests.{at}.agent: no agent is called {case.agent[:40]!r}; {ANY_AGENT!r} is any that the file does not name",
                where=str(path),
            )


def _check_grants(found: PolicyFile, path: Path) -> None:
    layers = [("org", found.org), *found.teams.items(), *found.agents.items()]
    for name, layer in layers:
        seen: set[str] = set()
        sums = _sums(found, name, layer, path)
        for grant in layer.grants:
            place = f"{name}: grant {grant.id!r}"
            if sum(map(bool, (grant.tools, grant.models, grant.agents))) != 1:
                raise BadPolicy(f"{place} must name tools, models or agents, and only one of these", where=str(path))
            if why := bad_narrow(grant) or bad_paths(grant, sums):
                raise BadPolicy(f"{place}: {why}", where=str(path))
            if grant.id in seen:
                raise BadPolicy(f"{place} is defined twice", where=str(path))
            seen.add(grant.id)


def _sums(found: PolicyFile, name: str, layer: LayerFile, path: Path) -> set[str]:
    """Return the sums that conditions of a layer may ask about: its own, and those of the layers above."""
    above = {"org": found.org.amounts} if layer is not found.org else {}
    if isinstance(layer, AgentFile) and layer.team in found.teams:
        above[f"team {layer.team}"] = found.teams[layer.team].amounts
    for where, amounts in above.items():
        if twice := amounts.keys() & layer.amounts.keys():
            raise BadPolicy(
                f"{name}: amount {min(twice)!r} is defined by {where}: choose another name", where=str(path)
            )
    return {*layer.amounts, *(each for amounts in above.values() for each in amounts)}
