"""What other agents are and use, from the inventory that every worker reads: an agent's peers are its owner's others."""

from typing import Final

from schemas.inventory import Inventory
from schemas.sighting import SightingKind

_FIELDS: Final[tuple[tuple[SightingKind, str], ...]] = (
    ("tool", "tools"),
    ("model", "models"),
    ("principal", "principals"),
    ("peer", "delegates_to"),
    ("resource", "resources"),
    ("label", "labels"),
)


class Peers:
    """Kept up to date from `.inventory`."""

    def __init__(self) -> None:
        self.agents: dict[str, Inventory] = {}
        self._users: dict[tuple[str, str, str], set[str]] = {}

    def take(self, found: Inventory) -> None:
        """Take the newest word on an agent."""
        before = self.agents.get(found.agent_id)
        if before is not None:
            for key in _uses(before):
                self._users[key].discard(found.agent_id)
                if not self._users[key]:
                    del self._users[key]
        self.agents[found.agent_id] = found
        for key in _uses(found):
            self._users.setdefault(key, set()).add(found.agent_id)

    def others_use(self, owner: str, kind: SightingKind, name: str, agent_id: str) -> int:
        """Return how many other agents of an owner use something; 0 where nobody owns it."""
        users = self._users.get((owner, kind, name), set()) if owner else set()
        return len(users) - (agent_id in users)


def _uses(found: Inventory) -> set[tuple[str, str, str]]:
    return {(found.owner, kind, name) for kind, field in _FIELDS for name in getattr(found, field)}
