"""What one agent may do: the part of the policy that an agent may know, as it travels on `lictor.policies`."""

from typing import Annotated, ClassVar, Literal

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
    domain: tuple[str, ...] | None = None
    """Globs. The value is a URL, an e-mail address or a host name, and its host fits one. No host to be found: doubt."""
    not_domain: tuple[str, ...] | None = None
    """The value has a host, and it fits none of the globs."""
    within: tuple[str, ...] | None = None
    """Folders. The value is a POSIX path that, with `.` and `..` resolved, lies in one of them. A relative path against an
    absolute folder, one that climbs above its start, `~`, a backslash: doubt."""


class Rewrite(Frozen):
    """How one argument is rewritten; exactly one is set. An argument that is missing stays missing."""

    at_most: float | None = None
    """A number is capped; what is no number cannot be capped, and the call is refused."""
    set: Scalar | None = None
    """The value is replaced."""
    remove: StrictBool = False
    """The argument is taken away."""
    keep: tuple[str, ...] | None = None
    """Globs: of a list, only the texts that fit one stay; a text that fits none is taken away."""
    shorten: Annotated[int, Field(ge=0)] | None = None
    """A text is cut to so many characters, a list to so many members."""


class Grant(Frozen):
    """Permission, or refusal, for calls that match. `tools`, `models` and `agents` are globs; exactly one is set."""

    id: ShortText
    effect: Effect
    tools: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    when: dict[str, Test] = Field(default_factory=dict)
    """Path → test. `arguments.x.y`; who: `agent`, `version`, `workflow`, `principal`, `delegator`; what: `tool`, `model`,
    `to_agent`; in what circumstances: `environment`, `reads`, `labels`, `time.hour` (0 to 23, UTC), `time.weekday`
    (`mon` to `sun`), `spent.steps` (`tool_calls model_calls tokens cost_usd`), `amounts.NAME`."""
    narrow: dict[str, Rewrite | Scalar] = Field(default_factory=dict)
    """For `narrow`, tools only: `arguments.x.y` → how it is rewritten; a bare number caps, a bare text or flag replaces.
    What comes out is judged again."""
    reason: ShortText = ""
    instead: ShortText = ""
    """What the model is told to do instead, where this grant refuses."""


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
    seconds: Annotated[float, Field(ge=0)] | None = None
    """From the run's first step in a trace, by Kafka's clock."""
    handoffs: Limit | None = None
    delegation_depth: Limit | None = None
    """How many agents may stand one behind the other when this one acts."""
    trace_steps: Limit | None = None
    """Of all agents together in one trace, as are the next two."""
    trace_tokens: Limit | None = None
    trace_cost_usd: Annotated[float, Field(ge=0)] | None = None
    hour_tokens: Limit | None = None
    """Of all runs of the agent within an hour, as is the next."""
    hour_cost_usd: Annotated[float, Field(ge=0)] | None = None


class Clearance(Frozen):
    """For which calls the gate waits until `detect` has judged the step, and what happens without an answer."""

    traits: tuple[Trait, ...] = ("irreversible",)
    timeout_ms: int = Field(default=2000, ge=10, le=600_000)
    on_timeout: Literal["deny", "allow"] = "deny"
    max_behind_ms: int = Field(default=5000, ge=0)
    """No clearance is given while `detect` is further behind than this."""


class Amount(Frozen):
    """A sum that grows with calls, for conditions on `amounts.NAME`: over the run so far, and the call being judged."""

    tools: tuple[str, ...]
    argument: str
    """Path of a number below `arguments`. A value that is no number of at least 0 cannot be compared: doubt."""


Secrecy = Literal["full", "redacted", "digest"]


class Content(Frozen):
    """What of bodies and arguments leaves the agent's process. The strictest that applies counts: full, redacted, digest.

    `redacted`: what the named rules find becomes its type and a keyed hash. `digest`: length and keyed digest alone.
    """

    default: Secrecy = "redacted"
    rules: tuple[Literal["secrets", "payment", "personal"], ...] = ("secrets", "payment")
    fields: dict[str, Secrecy] = Field(default_factory=dict)
    """Glob over field paths (`text`, `reasoning`, `arguments.to`) → how secret. `redacted` hides the whole value."""
    traits: dict[Trait, Secrecy] = Field(default_factory=dict)
    """Of calls of tools with this trait, and their results."""


class Stopping(Frozen):
    """How a run of this agent is stopped."""

    how: Literal["now", "drain"] = "now"
    """`now` cancels what is under way where it can be; `drain` lets it end. Either way nothing new begins."""
    on_stop_ms: int = Field(default=2000, ge=0, le=600_000)
    """How long the agent's own `on_stop` may take before the stop is called effective without it."""
    max_other_runs: int = Field(default=0, ge=0)
    """A supervisor ends a process with at most so many other runs in it; with more it refuses, and a person is asked."""


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
    amounts: dict[str, Amount] = Field(default_factory=dict)
    content: Content = Content()
    spool_full_deny: tuple[Trait, ...] = tuple(sorted(EFFECTS))  # type: ignore[arg-type]
    """Calls of tools with these traits are denied while their step can be kept neither by Kafka nor on disk. Steps of
    all others are dropped and counted."""
    stop: Stopping = Stopping()
    heartbeat_s: int = Field(default=10, ge=1, le=3600)
