"""Ports on loopback, and which of them a data folder had: whoever was told an address finds it after a restart."""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_PORTS: Final = range(1024, 65536)


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Ports:
    """What `ports.json` of a data folder says: part → port. A file that cannot be read says nothing."""

    path: Path

    def of(self, part: str) -> int:
        """Return the port that a part had last; 0 if it is not known."""
        port = self._read().get(part, 0)
        return port if type(port) is int and port in _PORTS else 0

    def remember(self, part: str, port: int) -> None:
        """Note a part's port, whole or not at all. Raises `OSError`."""
        known = self._read()
        if known.get(part) == port:
            return
        fresh = self.path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({**known, part: port}), encoding="utf-8")
        fresh.replace(self.path)

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
