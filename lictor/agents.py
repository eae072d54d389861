"""What is known of agents, from the history: the list, one agent, the graph of who hands work to whom, what has changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from detectors.base import shown
from lictor.history import History
from schemas.errors import BadInput
from schemas.inventory import Inventory

_LISTS: Final = (
    "versions",
    "models",
    "tools",
    "principals",
    "delegates_to",
    "called_by",
    "resources",
    "labels",
    "prompts",
    "grants",
)
_MAPS: Final = ("definitions", "servers")
_FIELDS: Final = tuple(name for name in Inventory.model_fields if name != "v")
_LIST: Final = (
    "SELECT agent_id AS agent, any(owner) AS owner, uniqExact(run_id) AS runs, countIf(not ended) AS live_runs, "
    "sum(steps) AS steps, sum(tool_calls) AS tool_calls, argMax(mode, r.last_seen) AS mode, "
    "max(r.last_seen) AS last_seen, any(f.findings) AS findings, any(c.orders) AS orders, any(i.registered) AS registered, "
    "any(i.tools) AS tools, any(i.gated) AS gated_share "
    "FROM runs AS r "
    "LEFT JOIN (SELECT agent_id, uniqExact(finding_id) AS findings FROM findings GROUP BY agent_id) AS f USING agent_id "
    "LEFT JOIN (SELECT agent_id, argMax(length(JSONExtractArrayRaw(orders)), epoch) AS orders FROM containment "
    "GROUP BY agent_id) AS c USING agent_id "
    "LEFT JOIN (SELECT agent_id, argMax(registered, kafka_offset) AS registered, argMax(length(tools), kafka_offset) AS tools, "
    "argMax(if(calls = 0, 1, round(1 - ungated / calls, 4)), kafka_offset) AS gated FROM inventory GROUP BY agent_id) AS i "
    "USING agent_id GROUP BY agent_id ORDER BY last_seen DESC"
)
_NEWEST: Final = (
    "SELECT {fields} FROM inventory WHERE kafka_time <= fromUnixTimestamp64Milli({{until:Int64}}) "
    "ORDER BY agent_id, kafka_offset DESC LIMIT 1 BY agent_id"
)
FAR_MS: Final = 4_102_444_800_000


def listed(history: History) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return column names and a row for each agent that was seen."""
    return history.rows(_LIST)


def inventories(history: History, until_ms: int = FAR_MS) -> dict[str, Inventory]:
    """Return the newest inventory of each agent, as it was known at a time."""
    names, rows = history.rows(_NEWEST.format(fields=", ".join(_FIELDS)), {"until": until_ms})
    found = [_inventory(dict(zip(names, row, strict=True))) for row in rows]
    return {one.agent_id: one for one in found}


def _inventory(row: Mapping[str, Any]) -> Inventory:
    said = {name: json.loads(value or "{}") if name in _MAPS else value for name, value in row.items()}
    return Inventory.model_validate(said)


def one(history: History, agent_id: str) -> Inventory:
    """Return an agent's inventory. Raises `BadInput`."""
    found = inventories(history)
    if agent_id not in found:
        near = ", ".join(sorted(shown(name, 60) for name in found)[:12]) or "none yet"
        raise BadInput(f"no agent {shown(agent_id)!r} has been seen; there are: {near}")
    return found[agent_id]


@dataclass(frozen=True, slots=True)
class Change:
    """What is different about one agent between two times."""

    agent_id: str
    kind: str
    """`new agent`, a field of the inventory, or `mode`, `owner`, `registered`."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(slots=True)
class Graph:
    """Who hands work to whom: agents, and the edges between them."""

    agents: dict[str, bool] = field(default_factory=dict)
    """Agent → whether it was seen itself, and not only named."""
    edges: set[tuple[str, str]] = field(default_factory=set)


def changes(before: Mapping[str, Inventory], now: Mapping[str, Inventory]) -> list[Change]:
    """Return what has changed, agent by agent; nothing of what merely went on."""
    found: list[Change] = []
    for agent_id, current in sorted(now.items()):
        earlier = before.get(agent_id)
        if earlier is None:
            found.append(Change(agent_id, "new agent", added=(current.owner or "nobody's",)))
            continue
        found.extend(_changes_of(agent_id, earlier, current))
    return found


def _changes_of(agent_id: str, earlier: Inventory, current: Inventory) -> list[Change]:
    found = []
    for name in (*_LISTS, *_MAPS):
        was, is_ = _items(getattr(earlier, name)), _items(getattr(current, name))
        if was != is_:
            found.append(Change(agent_id, name, tuple(sorted(is_ - was)), tuple(sorted(was - is_))))
    for name in ("mode", "owner", "registered", "enforcement"):
        was_one, is_one = str(getattr(earlier, name)), str(getattr(current, name))
        if was_one != is_one:
            found.append(Change(agent_id, name, (is_one,), (was_one,)))
    return found


def _items(value: Sequence[str] | Mapping[str, str]) -> set[str]:
    return {f"{name}@{digest}" for name, digest in value.items()} if isinstance(value, Mapping) else set(value)


def graph_of(found: Mapping[str, Inventory]) -> Graph:
    """Return who hands work to whom."""
    graph = Graph(dict.fromkeys(sorted(found), True))
    for agent_id, inventory in sorted(found.items()):
        graph.edges.update((agent_id, other) for other in inventory.delegates_to)
        graph.edges.update((other, agent_id) for other in inventory.called_by)
    for edge in sorted(graph.edges):
        for name in edge:
            graph.agents.setdefault(name, False)
    return graph


def mermaid(graph: Graph) -> str:
    """Return the graph for Mermaid; names are the agents' own word, and appear as labels alone."""
    ids = {name: f"a{number}" for number, name in enumerate(graph.agents)}
    lines = ["flowchart LR"]
    lines += [f'  {ids[name]}["{_mermaid(name)}"]{"" if seen else ":::unseen"}' for name, seen in graph.agents.items()]
    lines += [f"  {ids[one]} --> {ids[other]}" for one, other in sorted(graph.edges)]
    return "\n".join([*lines, "  classDef unseen stroke-dasharray: 4"])


def _mermaid(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in " ._-" else f"#{ord(letter)};" for letter in shown(name))


def graphviz(graph: Graph) -> str:
    """Return the graph for Graphviz."""
    lines = ["digraph agents {", "  rankdir=LR;"]
    lines += [f"  {_dot(name)}{'' if seen else ' [style=dashed]'};" for name, seen in graph.agents.items()]
    lines += [f"  {_dot(one)} -> {_dot(other)};" for one, other in sorted(graph.edges)]
    return "\n".join([*lines, "}"])


def _dot(name: str) -> str:
    return '"' + shown(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def time_of(micros: int) -> str:
    """Return a time as people write it, UTC; a dash where there is none."""
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S") if micros else "-"
