"""What the history says of all agents together: the tools they have, who hands work to whom, how firmly they are held."""

import itertools
import json
from collections.abc import Iterator
from typing import Final

from lictor.history import History
from lictor.policy_history import MOST_AGENTS, MOST_EDGES, SINCE, Edge
from lictor.policy_risk import LEVELS
from schemas.inventory import EnforcementLevel

MOST_TOOLS: Final = 512
_CALLED: Final = (
    f"SELECT agent_id, groupUniqArray({MOST_TOOLS})(tool) FROM steps WHERE kind = 'tool_call' AND tool != '' "  # noqa: S608 - names of ours
    f"AND drill = '' AND gate.verdict NOT IN ('deny', 'ask') AND {SINCE} GROUP BY agent_id LIMIT {MOST_AGENTS}"
)
_DECLARED: Final = (
    "SELECT agent_id, argMax(tools, kafka_time) FROM steps WHERE kind = 'run_started' AND drill = '' "  # noqa: S608 - names of ours
    f"AND length(tools) < 1000000 AND {SINCE} GROUP BY agent_id LIMIT {MOST_AGENTS}"
)
_HANDED: Final = (
    "SELECT agent_id, to_agent, uniqExact(trace_id) FROM steps WHERE kind = 'handoff' AND to_agent != '' "  # noqa: S608 - names of ours
    f"AND drill = '' AND gate.verdict NOT IN ('deny', 'ask') AND {SINCE} GROUP BY agent_id, to_agent LIMIT {MOST_EDGES}"
)
_CHAINS: Final = (
    "SELECT arrayPushBack(delegation, agent_id) AS chain, uniqExact(trace_id) FROM steps "  # noqa: S608 - names of ours
    f"WHERE notEmpty(delegation) AND drill = '' AND {SINCE} GROUP BY chain LIMIT {MOST_EDGES}"
)
_UNNAMED: Final = (
    "SELECT h.agent_id, h.to_agent, uniqExact(h.trace_id) FROM (SELECT agent_id, to_agent, trace_id, kafka_time "  # noqa: S608 - names of ours
    "FROM steps WHERE kind = 'handoff' AND trace_id != '' AND drill = '' AND gate.verdict NOT IN ('deny', 'ask') AND "
    f"{SINCE}) AS h INNER JOIN (SELECT agent_id, trace_id, delegation, max(kafka_time) AS last FROM steps "
    f"WHERE kind IN ('tool_call', 'model_call') AND drill = '' AND {SINCE} GROUP BY agent_id, trace_id, delegation) AS t "
    "ON t.trace_id = h.trace_id AND t.agent_id = h.to_agent WHERE NOT has(t.delegation, h.agent_id) "
    f"AND t.last >= h.kafka_time GROUP BY h.agent_id, h.to_agent LIMIT {MOST_EDGES}"
)
_HELD: Final = f"SELECT agent_id, argMax(enforcement, kafka_time) FROM inventory GROUP BY agent_id LIMIT {MOST_AGENTS}"  # noqa: S608 - names of ours


def tools_in(history: History, since_ms: int) -> dict[str, tuple[str, ...]]:
    """Return the tools that each agent called, or said it has when it last started, since a moment (milliseconds)."""
    named = {"since": since_ms}
    found: dict[str, set[str]] = {}
    for agent_id, tools in history.rows(_CALLED, named)[1]:
        found.setdefault(agent_id, set()).update(tools)
    for agent_id, tools in history.rows(_DECLARED, named)[1]:
        found.setdefault(agent_id, set()).update(_declared(tools))
    return {agent_id: tuple(sorted(tools)[:MOST_TOOLS]) for agent_id, tools in found.items()}


def _declared(text: str) -> Iterator[str]:
    for tool in json.loads(text) if text else ():
        yield tool["name"]


def edges_in(history: History, since_ms: int) -> list[Edge]:
    """Return who handed work to whom: by hand-overs, and by whom agents say they act for."""
    named = {"since": since_ms}
    traces: dict[tuple[str, str], int] = {}
    for giver, taker, count in history.rows(_HANDED, named)[1]:
        traces[giver, taker] = max(count, traces.get((giver, taker), 0))
    for chain, count in history.rows(_CHAINS, named)[1]:
        for pair in itertools.pairwise(chain):
            traces[pair] = max(count, traces.get(pair, 0))
    unnamed = {(giver, taker): count for giver, taker, count in history.rows(_UNNAMED, named)[1]}
    return [Edge(*pair, count, unnamed.get(pair, 0)) for pair, count in sorted(traces.items())]


def levels_in(history: History) -> dict[str, EnforcementLevel]:
    """Return how firmly each agent is held, as far as the inventory knows."""
    rows = history.rows(_HELD)[1]
    return {agent_id: level for agent_id, level in rows if level in LEVELS}
