"""Bounds on the cure: how often, and on how much of the fleet, an action may be taken alone. Pure; time is passed in."""

from collections import deque
from typing import Final

import msgspec

from schemas.rules import ActionLimit, Safety

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 3600 * 1_000_000


class Limiter:
    """Counts what was ordered. Over a bound it answers with the reason; the caller then asks a person instead.

    Counts are of this worker: with several `respond` workers each bounds its own share of the agents.
    """

    def __init__(self) -> None:
        self.taken: dict[str, deque[tuple[int, str]]] = {}
        self.fleet: dict[str, int] = {}
        self.registered = 0
        """Agents that a policy names: the fleet is at least these, whether or not anything was found on them."""

    def saw(self, agent_id: str, now_us: int) -> None:
        """Count an agent as part of the fleet."""
        self.fleet[agent_id] = now_us

    def refuse(self, action: str, agent_id: str, safety: Safety, now_us: int) -> str:
        """Return why the action may not be taken alone now; "" if it may."""
        limit = safety.actions.get(action, safety.default)
        taken = self._recent(action, now_us)
        if sum(1 for at, _ in taken if at > now_us - MINUTE_US) >= limit.per_minute:
            return f"{action} was ordered {limit.per_minute} times in the last minute; that is the bound"
        if limit.cooldown_s and any(
            who == agent_id and at > now_us - limit.cooldown_s * 1_000_000 for at, who in taken
        ):
            return f"{action} was ordered for this agent less than {limit.cooldown_s} s ago"
        hit = {who for _, who in taken} | {agent_id}
        if len(hit) > self._share(limit, now_us):
            return f"{action} would reach {len(hit)} agents within an hour; the bound is {limit.fleet_share:.0%} of the fleet"
        return ""

    def take(self, action: str, agent_id: str, now_us: int) -> None:
        """Count an action as taken."""
        self.taken.setdefault(action, deque()).append((now_us, agent_id))

    def _share(self, limit: ActionLimit, now_us: int) -> float:
        for agent_id in [name for name, at in self.fleet.items() if at < now_us - HOUR_US]:
            del self.fleet[agent_id]
        return max(limit.fleet_floor, limit.fleet_share * max(self.registered, len(self.fleet)))

    def _recent(self, action: str, now_us: int) -> deque[tuple[int, str]]:
        taken = self.taken.setdefault(action, deque())
        while taken and taken[0][0] < now_us - HOUR_US:
            taken.popleft()
        return taken

    def state(self) -> bytes:
        """Return what was ordered lately, for a checkpoint."""
        return msgspec.msgpack.encode({action: list(taken) for action, taken in self.taken.items()})

    def restore(self, state: bytes) -> None:
        """Take in what another worker, or this one before it was restarted, ordered lately."""
        for action, taken in msgspec.msgpack.decode(state, type=dict[str, list[tuple[int, str]]]).items():
            self.taken[action] = deque(sorted({*self.taken.get(action, ()), *taken}))
