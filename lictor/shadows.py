"""Who acts beside what Lictor knows: found, clean, and not looked at, apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiokafka.errors import KafkaError

from detectors.base import shown
from lictor.admin import connect
from lictor.history import History
from schemas.inventory import Inventory

State = Literal["found", "clean", "not looked at"]
_FINDINGS: Final = (
    "SELECT rule_id, agent_id, any(reason) AS reason FROM findings WHERE rule_id IN ('lictor.grants.bypassed', 'lictor.bypass', "
    "'lictor.shadow.peer', 'lictor.identity.forged') AND kafka_time > now() - INTERVAL {seconds:UInt32} SECOND "
    "GROUP BY rule_id, agent_id ORDER BY agent_id"
)
_ABOUT: Final = {
    "lictor.grants.bypassed": "calls that the gate refuses and that were made",
    "lictor.bypass": "results of calls nobody told of",
    "lictor.shadow.peer": "work handed to agents nobody has seen",
    "lictor.identity.forged": "steps with another's mark",
}
_UNSEEN: Final = (
    ("Kafka principals", "the broker is asked for no ACLs or audit log; run it with authentication and read its log"),
    ("tokens issued", "no identity provider is connected"),
    ("gateways and cloud logs", "none is connected"),
)


@dataclass(frozen=True, slots=True)
class Witness:
    """One place to look for agents beside the steps, and what was seen there."""

    name: str
    state: State
    what: tuple[str, ...] = ()


async def witnesses(
    history: History, found: Mapping[str, Inventory], kafka: str, ours: str, **rest: Any
) -> list[Witness]:
    """Look everywhere that can be looked at. `ours`: the namespace whose consumer groups are Lictor's own.

    `rest`: `seconds` of history to look back, and `client`, settings of Kafka's clients.
    """
    unregistered = [f"{shown(one.agent_id)}: no policy names it" for one in found.values() if not one.registered]
    ungated = [
        f"{shown(one.agent_id)}: {one.ungated} of {one.calls} calls"
        for one in found.values()
        if one.ungated and one.calls
    ]
    told = [
        witness("agents that publish steps", unregistered),
        witness("calls that no gate has judged", ungated),
        *_of_findings(history, int(rest.get("seconds", 86_400))),
        await _groups(kafka, ours, rest.get("client", {})),
    ]
    return [*told, *(Witness(name, "not looked at", (why,)) for name, why in _UNSEEN)]


def witness(name: str, what: Sequence[str]) -> Witness:
    """Return what was seen in a place that was looked at."""
    return Witness(name, "found" if what else "clean", tuple(sorted(what)))


def _of_findings(history: History, seconds: int) -> Iterable[Witness]:
    _, rows = history.rows(_FINDINGS, {"seconds": seconds})
    for rule, name in _ABOUT.items():
        yield witness(name, [f"{shown(row[1])}: {shown(row[2], 200)}" for row in rows if row[0] == rule])


async def _groups(kafka: str, ours: str, client: Mapping[str, Any]) -> Witness:
    """Who reads this Kafka in a group that is not Lictor's: may be a backup, may be somebody who listens in."""
    name = "Kafka consumer groups of others"
    if not kafka:
        return Witness(name, "not looked at", ("no broker is known here; set LICTOR_KAFKA",))
    try:
        admin = await connect(kafka, client)
        try:
            groups = [str(group) for group, _ in await admin.list_consumer_groups()]
        finally:
            await admin.close()
    except (KafkaError, OSError) as error:
        return Witness(name, "not looked at", (f"the broker does not say: {shown(str(error), 120)}",))
    return witness(name, [shown(group) for group in groups if not group.startswith(f"{ours}.")])
