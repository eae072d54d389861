"""Folders that are Lictor's: made, and taken by one process at a time, or refused in one line."""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from schemas.errors import BadInput, InUse

_AGAIN_S: Final = 0.05


def make_folder(folder: Path, remedy: str = "move it away, or set LICTOR_HOME to another folder") -> Path:
    """Make a folder, for its owner alone where it is new, and return it. Raises `BadInput` with the remedy."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError:
        raise BadInput(f"a file stands where a folder must be; {remedy}", where=str(folder)) from None
    except OSError as error:
        raise BadInput(f"cannot make the folder: {error.strerror}; {remedy}", where=str(folder)) from None
    return folder


def lock_folder(folder: Path, *, wait_s: float = 0.0, ending: Callable[[], bool] = lambda: True) -> IO[bytes]:
    """Take a folder for this process. Raises `InUse`.

    The lock goes when the file is closed, or when this process and all children that were handed the file have died.
    It is waited for that long, and only while `ending` says that its holder is on its way out.
    """
    ends = time.monotonic() + wait_s
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("ab")
    except OSError as error:
        raise BadInput(f"cannot use the data folder: {error.strerror}; set LICTOR_HOME", where=str(folder)) from None
    while not _taken(file):
        if time.monotonic() >= ends or not ending():
            file.close()
            raise InUse(
                "another Lictor uses this data folder; stop it or set LICTOR_HOME to another", where=str(folder)
            )
        time.sleep(_AGAIN_S)
    return file


def _taken(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
