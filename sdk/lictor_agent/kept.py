"""What the agent was last told and believed, on disk: so that a start without Kafka goes on under the policy it knows.

The records are kept as they came, signatures and all, and are checked again when they are read: the file gives nobody
rights that a record on Kafka would not.
"""

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

import msgspec

from lictor_agent.link import Heard
from lictor_agent.spool import folder_of, untrusted

log = logging.getLogger("lictor_agent")

MOST_BYTES: Final = 32 << 20
NAME: Final = "told"
NO_FOLDER: Final = Path()
"""Settings that name none: the folder a program happens to run in is nobody's spool."""
_KEY_LIST_FIRST: Final = {"keys": 0}


class Told(msgspec.Struct, frozen=True):
    """One record, as it came."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    time_us: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Told]).decode


class Kept:
    """One agent's file. Never raises: an agent that cannot keep anything runs all the same."""

    def __init__(self, folder: Path, agent_id: str) -> None:
        self._root = folder
        self._folder = folder_of(folder, agent_id)
        self.path = self._folder / NAME
        self._records: dict[tuple[str, str], Told] = {}

    def read(self) -> list[Heard]:
        """Return what was kept, the key list first; nothing where the file is damaged or somebody else could write it."""
        if self._root == NO_FOLDER:
            return []
        try:
            if not self.path.is_file() or self.path.stat().st_size > MOST_BYTES:
                return []
            if why := untrusted(self._root) or untrusted(self._folder):
                log.warning("%s; the policy kept there is not used", why)
                return []
            found = _decode(self.path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            log.warning("the policy kept in %s cannot be read; it is not used", self.path)
            return []
        self._records = {(told.topic, told.key): told for told in found}
        found.sort(key=lambda told: _KEY_LIST_FIRST.get(told.key, 1))
        return [Heard(told.topic, told.key, told.value, list(told.headers), told.time_us) for told in found]

    def keep(self, record: Heard) -> None:
        """Keep a record that was believed, in the place of an older one with its key."""
        told = Told(record.topic, record.key, record.value, record.headers, record.time_us)
        if self._root == NO_FOLDER or self._records.get((record.topic, record.key)) == told:
            return
        self._records[record.topic, record.key] = told
        fresh = self.path.with_name(f"{NAME}.{os.getpid()}-{os.urandom(4).hex()}")
        try:
            for folder in (self._root, self._folder):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if untrusted(self._root) or untrusted(self._folder):
                return
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_encode(list(self._records.values())))
            fresh.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
