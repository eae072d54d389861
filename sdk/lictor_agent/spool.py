"""Steps on disk that the broker has not acknowledged: so that no effect lacks its step, whatever dies next.

One file a process, `<pid>-<random>.spool`, in a folder an agent (0700): frames of length, CRC-32 and a msgpack record,
fsynced one by one. The next start of the agent on this machine sends what a dead process left. A folder that belongs to
somebody else, or that others may write, is not used: what stands in it is published with this agent's rights.
"""

import contextlib
import fcntl
import logging
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from lictor_agent.wire import named

log = logging.getLogger("lictor_agent.spool")

MAX_BYTES: Final = 256 << 20
_HEAD: Final = 8
_NAME_MOST: Final = 200
"""Characters; file systems take 255."""


class Spooled(msgspec.Struct, frozen=True):
    """A record as it will be published."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Spooled).decode


class SpoolFull(Exception):
    """The spool has reached its bound, the disk is full, or the folder cannot be used."""


class Spool:
    """One process's spool file; made at the first write, locked while the process lives."""

    def __init__(self, folder: Path, agent_id: str) -> None:
        self.root = folder
        self.folder = folder_of(folder, agent_id)
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        self._size = 0

    def write(self, record: Spooled) -> None:
        """Append one record and fsync it. Raises `SpoolFull`."""
        body = _encode(record)
        frame = len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body
        if self._size + len(frame) > MAX_BYTES:
            raise SpoolFull(f"the spool holds {self._size} bytes, its bound is {MAX_BYTES}")
        try:
            self._append(self._file or self._open(), frame)
        except OSError as error:
            raise SpoolFull(f"cannot write the spool: {error.strerror} ({self.folder})") from None
        self._size += len(frame)

    def _append(self, file: IO[bytes], frame: bytes) -> None:
        """Write a frame whole, or leave the file as it was: what stands behind a torn frame is never read."""
        try:
            left = memoryview(frame)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(self._size)
            file.seek(self._size)
            raise

    def _open(self) -> IO[bytes]:
        for folder in (self.root, self.folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if why := untrusted(self.root) or untrusted(self.folder):
            raise SpoolFull(why)
        self.folder.chmod(0o700)
        path = self.folder / f"{os.getpid()}-{os.urandom(4).hex()}.spool"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._path, self._file = path, os.fdopen(descriptor, "wb", buffering=0)
        return self._file

    def clear(self) -> None:
        """Forget everything: all of it is acknowledged."""
        if self._file is not None and self._size:
            self._file.truncate(0)
            self._file.seek(0)
            self._size = 0

    def close(self, *, keep: bool) -> None:
        """Give the file up; remove it unless something in it still has to be sent."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if not keep and self._path is not None:
                self._path.unlink(missing_ok=True)


class Leftover:
    """A dead process's spool file, held locked until it was sent."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file

    def records(self) -> Iterator[Spooled]:
        """Yield what is whole; a torn last frame is what the process was writing when it died."""
        data = self._file.read()
        at = 0
        while at + _HEAD <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            body = data[at + _HEAD : at + _HEAD + length]
            if len(body) < length or zlib.crc32(body) != int.from_bytes(data[at + 4 : at + _HEAD], "big"):
                return
            with contextlib.suppress(msgspec.MsgspecError):
                yield _decode(body)
            at += _HEAD + length

    def done(self) -> None:
        """Remove the file: everything in it is acknowledged."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def release(self) -> None:
        """Leave the file for another time."""
        self._file.close()


def leftovers(folder: Path, agent_id: str) -> Iterator[Leftover]:
    """Yield the spool files of this agent that no living process holds; only ours, since all in them is published."""
    mine, user = folder_of(folder, agent_id), os.geteuid()
    if not mine.is_dir():
        return
    if why := untrusted(folder) or untrusted(mine):
        log.warning("%s; it is not used, and what stands in it is not sent", why)
        return
    for path in sorted(mine.glob("*.spool")):
        try:
            file = path.open("rb")
        except OSError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        if os.fstat(file.fileno()).st_uid != user:
            file.close()
            continue
        yield Leftover(path, file)


def untrusted(folder: Path) -> str:
    """Return why a folder must not be used as a spool; "" where it is its user's own and nobody else may write it."""
    if {folder.lstat().st_uid, folder.stat().st_uid} != {os.geteuid()}:
        return f"the spool folder {folder} belongs to another user"
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"the spool folder {folder} may be written by others; `chmod go-w` it, or set LICTOR_SPOOL to another"
    return ""


def folder_of(folder: Path, agent_id: str) -> Path:
    """Return an agent's own folder: no id leads out of it, and a long one is named by its digest."""
    name = agent_id.encode().hex()
    return folder / (name if len(name) <= _NAME_MOST else f"~{named('lictor.agent', agent_id)}")
