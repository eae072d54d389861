"""The policy as the agent receives it. Unknown fields are ignored; missing ones have the careful default.

A later major version (`v`) is refused, never misread.
"""

from typing import Literal

import msgspec

from lictor_agent.traits import EFFECTS


class Test(msgspec.Struct, frozen=True, omit_defaults=True):
    """What must hold for one value."""

    __test__ = False  # not a pytest class

    eq: bool | int | float | str | None = None
    ne: bool | int | float | str | None = None
    any_of: tuple[bool | int | float | str, ...] | None = None
    none_of: tuple[bool | int | float | str, ...] | None = None
    lt: float | None = None
    lte: float | None = None
    gt: float | None = None
    gte: float | None = None
    glob: tuple[str, ...] | None = None
    not_glob: tuple[str, ...] | None = None
    max_length: int | None = None
    exists: bool | None = None
    domain: tuple[str, ...] | None = None
    not_domain: tuple[str, ...] | None = None
    within: tuple[str, ...] | None = None


class Rewrite(msgspec.Struct, frozen=True):
    """How one argument is rewritten."""

    at_most: float | None = None
    set: bool | int | float | str | None = None
    remove: bool = False
    keep: tuple[str, ...] | None = None
    shorten: int | None = None


class Grant(msgspec.Struct, frozen=True):
    """Permission or refusal."""

    id: str
    effect: str
    tools: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    when: dict[str, Test] = {}
    narrow: dict[str, Rewrite | bool | int | float | str] = {}
    reason: str = ""
    instead: str = ""


class Layer(msgspec.Struct, frozen=True):
    """The grants of one layer."""

    name: str
    grants: tuple[Grant, ...] = ()


class Budgets(msgspec.Struct, frozen=True):
    """Upper bounds of one run; None is no bound."""

    steps: int | None = None
    tool_calls: int | None = None
    model_calls: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    tool_calls_per_minute: int | None = None
    same_call: int | None = None


class Clearance(msgspec.Struct, frozen=True):
    """For which calls the gate waits, how long, and what no answer means."""

    traits: tuple[str, ...] = ("irreversible",)
    timeout_ms: int = 2000
    on_timeout: str = "deny"


class Amount(msgspec.Struct, frozen=True):
    """A sum over the run's calls."""

    tools: tuple[str, ...]
    argument: str


class Content(msgspec.Struct, frozen=True):
    """What of bodies and arguments leaves this process."""

    default: str = "redacted"
    rules: tuple[str, ...] = ("secrets", "payment")
    fields: dict[str, str] = {}
    traits: dict[str, str] = {}


class Stopping(msgspec.Struct, frozen=True):
    """How a run is stopped."""

    how: str = "now"
    on_stop_ms: int = 2000
    max_other_runs: int = 0


class Policy(msgspec.Struct, frozen=True):
    """One agent's policy."""

    agent_id: str
    version: int
    v: Literal[1] = 1
    mode: str = "observe"
    layers: tuple[Layer, ...] = ()
    traits: dict[str, tuple[str, ...]] = {}
    words: dict[str, tuple[str, ...]] = {}
    trusted_tools: tuple[str, ...] = ()
    budgets: Budgets = Budgets()
    clearance: Clearance = Clearance()
    cold_start_deny: tuple[str, ...] = ("irreversible", "egress", "spends")
    amounts: dict[str, Amount] = {}
    content: Content = Content()
    spool_full_deny: tuple[str, ...] = tuple(sorted(EFFECTS))
    stop: Stopping = Stopping()
    heartbeat_s: int = 10


ANY_AGENT = "*"
read_policy = msgspec.json.Decoder(Policy).decode
