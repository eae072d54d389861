"""Records on disk that the broker has not acknowledged: so that no effect lacks its step, whatever dies next.

A link has files `<pid>-<random>-<number>-<random>.spool` in a folder an agent (0700): frames of length, CRC-32 and a msgpack
record. What is written ahead is fsynced; what only waits for the broker (`overflow.py`) is safe from the end of the process.
Whoever uses a file holds its lock; who sends what is left holds the folder's besides, so that one process's files stay together.
A folder that belongs to somebody else, or that others may write, is not used: what stands in it is published with this
agent's rights.
"""

import contextlib
import errno
import fcntl
import heapq
import itertools
import logging
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from lictor_agent.wire import named

log = logging.getLogger("lictor_agent.spool")

MAX_BYTES: Final = 256 << 20
_HEAD: Final = 8
_NAME_MOST: Final = 200
"""Characters; file systems take 255."""
_TRIES: Final = 16


class Spooled(msgspec.Struct, frozen=True):
    """A record as it will be published."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    order: int = 0
    """In which order the process made it."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Spooled).decode


class SpoolFull(Exception):
    """The spool has reached its bound, the disk is full, or the folder cannot be used."""


def frame_of(record: Spooled) -> bytes:
    """Return a record as it stands in a file."""
    body = _encode(record)
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def records_in(data: bytes) -> Iterator[Spooled | None]:
    """Yield the records of a file; None for one that is damaged."""
    return (record for _, record in records_at(data))


def records_at(data: bytes, at: int = 0) -> Iterator[tuple[int, Spooled | None]]:
    """Yield where each record of a file stands, and the record; None for one that is damaged.

    A torn last frame is what was being written at the end. No frame is empty: zeros are what a file system leaves of a
    write that a power cut ended.
    """
    while at + _HEAD <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + _HEAD : at + _HEAD + length]
        if length == 0 or len(body) < length:
            return
        whole = zlib.crc32(body) == int.from_bytes(data[at + 4 : at + _HEAD], "big")
        yield at, _record(body) if whole else None
        at += _HEAD + length


def _record(body: bytes) -> Spooled | None:
    try:
        return _decode(body)
    except msgspec.MsgspecError:
        return None


class Spool:
    """One file of a link; made at the first write, locked while the process lives.

    `link`: what the names of one link's files have in common, `link_name()`. `number`: counts them.
    """

    def __init__(self, folder: Path, agent_id: str, *, link: str = "", number: int = 0, most: int = 0) -> None:
        self.root = folder
        self.folder = folder_of(folder, agent_id)
        self.most = most or MAX_BYTES
        self.size = 0
        self._name = f"{link or link_name()}-{number:08}"
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        self._entered = False

    def write(self, record: Spooled) -> None:
        """Append one record and fsync it. Raises `SpoolFull`."""
        self.write_all([record])

    def write_all(self, records: Sequence[Spooled], *, sync: bool = True) -> None:
        """Append records, all or none, with one fsync. Raises `SpoolFull`."""
        data = b"".join(map(frame_of, records))
        if self.size + len(data) > self.most:
            raise SpoolFull(f"the spool holds {self.size} bytes, its bound is {self.most}")
        try:
            self._append(self._file or self._open(), data, sync=sync)
        except OSError as error:
            raise SpoolFull(f"cannot write the spool: {error.strerror} ({self.folder})") from None
        self.size += len(data)

    def _append(self, file: IO[bytes], data: bytes, *, sync: bool) -> None:
        """Write it whole, or leave the file as it was: what stands behind a torn frame is never read."""
        try:
            at, left = self.size, memoryview(data)
            while left:
                written = os.pwrite(file.fileno(), left, at)
                at, left = at + written, left[written:]
            if sync:
                self._sync(file)
        except OSError:
            with contextlib.suppress(
                OSError
            ):  # where not even that can be done, the next write begins at the same place
                file.truncate(self.size)
            raise

    def _sync(self, file: IO[bytes]) -> None:
        os.fsync(file.fileno())
        if not self._entered:  # the name must outlive a power cut too
            with _opened(self.folder) as folder:
                os.fsync(folder)
            self._entered = True

    def read(self) -> bytes:
        """Return what the file holds, also where somebody has removed its name; nothing where the disk does not give it."""
        data = bytearray()
        with contextlib.suppress(OSError):
            while self._file is not None and (more := os.pread(self._file.fileno(), self.size - len(data), len(data))):
                data += more
        return bytes(data)

    def _open(self) -> IO[bytes]:
        for folder in (self.root, self.folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if why := untrusted(self.root) or untrusted(self.folder):
            raise SpoolFull(why)
        self.folder.chmod(0o700)
        for _ in range(_TRIES):
            path = self.folder / f"{self._name}-{os.urandom(2).hex()}.spool"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            if _locked(descriptor):
                self._path, self._file = path, os.fdopen(descriptor, "wb", buffering=0)
                return self._file
            os.close(descriptor)  # somebody who sends what is left was faster, found nothing in it, and removes it
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def after_fork(self) -> None:
        """In the child of a fork: let go of the parent's file, which stays the parent's, locked and as it is."""
        if self._file is not None:
            self._file.close()  # the lock belongs to the open file, which the parent still has
            self._file = None

    def clear(self) -> None:
        """Forget everything: all of it is acknowledged."""
        if self._file is not None and self.size:
            self._file.truncate(0)
            self.size = 0

    def close(self, *, keep: bool) -> None:
        """Give the file up; remove it unless something in it still has to be sent."""
        if self._file is not None:
            if not keep and self._path is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


class Leftover:
    """A dead process's files, held locked until they were sent: what it wrote ahead, and what waited for the broker."""

    def __init__(self, files: Sequence[tuple[Path, IO[bytes]]]) -> None:
        self.paths = [path for path, _ in files]
        self.damaged = 0
        self._files = [file for _, file in files]

    def records(self) -> Iterator[Spooled]:
        """Yield what is whole, each record once, in the order in which it was made; what is damaged is counted."""
        self.damaged = 0
        ahead, *waiting = (self._whole(file) for file in self._files)
        last: Spooled | None = None
        for record in heapq.merge(ahead, itertools.chain.from_iterable(waiting), key=_order_of):
            if record.order == 0 or record != last:
                yield record
            last = record

    def _whole(self, file: IO[bytes]) -> Iterator[Spooled]:
        """Yield a file's records in order; only where they stand is held for all of them at once."""
        file.seek(0)
        data = file.read()
        index = []
        for at, record in records_at(data):
            if record is None:
                self.damaged += 1
            else:
                index.append((record.order, at))
        for _, at in sorted(index):
            yield next(record for _, record in records_at(data, at) if record is not None)

    def done(self) -> None:
        """Remove the files: everything in them is acknowledged."""
        for path in self.paths:
            path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Leave the files for another time."""
        for file in self._files:
            file.close()


def _order_of(record: Spooled) -> int:
    return record.order


def leftovers(folder: Path, agent_id: str) -> Iterator[Leftover]:
    """Yield what dead processes of this agent left; only what is our own user's, since all in it is published."""
    mine = folder_of(folder, agent_id)
    if not mine.is_dir():
        return
    if why := untrusted(folder) or untrusted(mine):
        log.warning("%s; it is not used, and what stands in it is not sent", why)
        return
    yield from leftovers_in(mine)


def leftovers_in(folder: Path) -> Iterator[Leftover]:
    """Yield what dead processes left in one agent's folder, a link at a time; nothing while another process does so."""
    with _opened(folder) as descriptor:
        if not _locked(descriptor):
            return
        paths = sorted(folder.glob("*.spool"))
        for _, files in itertools.groupby(paths, key=lambda path: path.name.split("-")[:2]):
            held = [(path, file) for path in files if (file := _taken(path)) is not None]
            if held:
                yield Leftover(held)


def _taken(path: Path) -> IO[bytes] | None:
    """Return a file that no living process holds, locked."""
    try:
        file = path.open("rb")
    except OSError:
        return None
    with contextlib.suppress(OSError):
        if _locked(file.fileno()) and os.fstat(file.fileno()).st_uid == os.geteuid():
            return file
    file.close()
    return None


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock of an open file; tell whether it is ours now, and the file still there: who had it may have removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def link_name() -> str:
    """Return a name for the files of one link of this process, told apart from every other's."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"


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
