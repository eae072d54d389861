"""The policies an agent knows: its own, the one for any agent, and, where it acts for others, theirs."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from lictor_agent.gate import Compiled
from lictor_agent.link import Heard
from lictor_agent.policy import ANY_AGENT, Policy, read_policy

MOST_OTHERS: Final = 10_000
MOST_VERSIONS: Final = 4
"""Records kept of another agent until somebody asks: one that is no good must not hide the one before."""


class Policies:
    """Those of this agent are checked as they come. Those of others when they are first asked for: few agents need any."""

    def __init__(self, agent_id: str) -> None:
        self._agent_id = agent_id
        self._in_force: dict[str, Compiled] = {}
        self._own: Compiled | None = None
        self._others: OrderedDict[str, list[Heard]] = OrderedDict()
        self._asked: dict[str, Compiled] = {}

    def own(self) -> Compiled | None:
        """Return the agent's own policy, or else the one for any agent."""
        return self._own

    def put(self, made: Compiled) -> None:
        """Put a policy in force, whatever was before."""
        self._in_force[made.policy.agent_id] = made
        self._own = self._in_force.get(self._agent_id) or self._in_force.get(ANY_AGENT) or made

    def put_in_force(self, policy: Policy) -> bool:
        """Put a policy of this agent, or for any, in force if it is newer; tell whether it was."""
        known = self._in_force.get(policy.agent_id)
        if known is not None and policy.version <= known.policy.version:
            return False
        self.put(Compiled(policy))
        return True

    def other(self, record: Heard) -> None:
        """Take note of what is said of another agent."""
        kept = self._others.setdefault(record.key, [])
        kept.append(record)
        del kept[:-MOST_VERSIONS]
        self._asked.pop(record.key, None)
        if len(self._others) > MOST_OTHERS:
            self._others.popitem(last=False)

    def of(self, agent_id: str, believed: Callable[[Heard], bool]) -> Compiled | None:
        """Return another agent's policy, or else the one for any agent."""
        found = self._asked.get(agent_id)
        if found is None and agent_id in self._others:
            found = self._newest(agent_id, believed)
            if found is not None:
                self._asked[agent_id] = found
        return found or self._in_force.get(ANY_AGENT)

    def _newest(self, agent_id: str, believed: Callable[[Heard], bool]) -> Compiled | None:
        read = [policy for record in self._others[agent_id] if believed(record) and (policy := _read(record))]
        best = max(read, key=lambda policy: policy.version, default=None)
        return None if best is None else Compiled(best)


def _read(record: Heard) -> Policy | None:
    try:
        policy = read_policy(record.value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return policy if policy.agent_id == record.key else None
