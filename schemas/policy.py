"""What one agent may do: the part of the policy that an agent may know, as it travels on `lictor.policies`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from schemas.message import Frozen, Message, Micros, ShortText

Trait = Literal[
    "reads_untrusted",
    "reads_sensitive",
    "egress",
    "mutates",
    "irreversible",
    "executes_code",
    "spends",
    "grants_access",
]
ALL_TRAITS: tuple[Trait, ...] = (
    "reads_untrusted",
    "reads_sensitive",
    "egress",
    "mutates",
    "irreversible",
    "executes_code",
    "spends",
    "grants_access",
)
EFFECTS: frozenset[str] = frozenset({"mutates", "spends", "egress", "executes_code", "grants_access", "irreversible"})
"""Traits of a call that leaves a mark on the world: written ahead before the tool runs."""

AgentMode = Literal["observe", "ask", "enforce"]
Effect = Literal["allow", "deny", "ask", "clear", "narrow"]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
ANY_AGENT = "*"
"""The key of the policy for agents that no policy names."""


class Test(Frozen):
    """What must hold for one value; all that is set must hold.

    A missing value holds for nothing but `exists: false`. Of a list, every member must hold where the grant allows, and
    any one where it refuses, asks, clears or narrows. A value of the wrong kind (text for a number, NaN) holds for
    nothing where the grant allows, and for everything where it does not: doubt is never permission.
    """

    __test__ = False  # not a pytest class

    eq: Scalar | None = None
    ne: Scalar | None = None
    any_of: tuple[Scalar, ...] | None = None
    none_of: tuple[Scalar, ...] | None = None
    lt: float | None = None
    lte: float | None = None
    gt: float | None = None
    gte: float | None = None
    glob: tuple[str, ...] | None = None
    """Case-sensitive; `*` is any run of characters, `?` any one; there is no other syntax."""
    not_glob: tuple[str, ...] | None = None
    max_length: int | None = None
    exists: StrictBool | None = None


class Grant(Frozen):
    """Permission, or refusal, for calls that match. `tools`, `models` and `agents` are globs; exactly one is set."""

    id: ShortText
    effect: Effect
    tools: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    when: dict[str, Test] = Field(default_factory=dict)
    """Path → test. Paths: `arguments.x.y`, `principal`, `version`, `workflow`, `delegator`, `reads`."""
    narrow: dict[str, Any] = Field(default_factory=dict)
    """For `narrow`: argument path → the value that replaces it (a number caps, a string or list replaces).

    Nobody rewrites arguments yet: a policy file with `narrow` is refused, and one on the topic denies what it is about.
    """
    reason: ShortText = ""


class Layer(Frozen):
    """The grants of one layer (org, team, agent). Every layer that grants anything must let a call through."""

    name: ShortText
    grants: tuple[Grant, ...] = ()


Limit = Annotated[int, Field(ge=0)]


class Budgets(Frozen):
    """Upper bounds; None is no bound. Per run unless the name says otherwise."""

    steps: Limit | None = None
    tool_calls: Limit | None = None
    model_calls: Limit | None = None
    tokens: Limit | None = None
    cost_usd: Annotated[float, Field(ge=0)] | None = None
    tool_calls_per_minute: Limit | None = None
    same_call: Limit | None = None
    """The same tool with the same arguments, in one trace."""


class Clearance(Frozen):
    """For which calls the gate waits until `detect` has judged the step, and what happens without an answer."""

    traits: tuple[Trait, ...] = ("irreversible",)
    timeout_ms: int = Field(default=2000, ge=10, le=600_000)
    on_timeout: Literal["deny", "allow"] = "deny"
    max_behind_ms: int = Field(default=5000, ge=0)
    """No clearance is given while `detect` is further behind than this."""


class AgentPolicy(Message):
    """Signed by a person who may publish policy. `version` only rises; an older one is ignored."""

    type: ClassVar[str] = "policy"

    agent_id: str
    version: int = Field(ge=1)
    issued_us: Micros
    expires_us: Micros = 0
    """0: does not expire. After expiry the last-known-good stays in force and a finding says so."""
    registered: bool = True
    owner: ShortText = ""
    team: ShortText = ""
    criticality: Literal["low", "normal", "high"] = "normal"
    mode: AgentMode = "observe"
    layers: tuple[Layer, ...] = ()
    traits: dict[str, tuple[Trait, ...]] = Field(default_factory=dict)
    """Tool glob → traits. The longest glob that matches decides; else the words of the tool's name."""
    words: dict[str, tuple[Trait, ...]] = Field(default_factory=dict)
    trusted_tools: tuple[str, ...] = ()
    """Globs of tools whose results count as trusted content."""
    budgets: Budgets = Budgets()
    clearance: Clearance = Clearance()
    cold_start_deny: tuple[Trait, ...] = ("irreversible", "egress", "spends")
    """What is denied while the agent has neither broker nor cached policy."""
