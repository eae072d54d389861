"""What an agent's process tells its supervisor: which runs live in it, how far they have counted, which were stopped."""

import json
import logging
import socket
from typing import Final

log = logging.getLogger("lictor_agent")

_warned: Final[set[str]] = set()


def tell(address: str, event: str, agent_id: str, run_id: str, *, command_id: str = "", seq: int = 0) -> None:
    """Send one word, if there is a supervisor. Never waits; what cannot be sent is said once in the log."""
    if not address:
        return
    word = {"event": event, "agent_id": agent_id, "run_id": run_id, "command_id": command_id, "seq": seq}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(json.dumps(word).encode(), address)
    except OSError as error:
        if address not in _warned:
            _warned.add(address)
            log.warning("the supervisor cannot be told of run %s: %s", run_id, error)
