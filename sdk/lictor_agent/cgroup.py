"""A control group for one command (Linux, version 2): whatever the command starts is in it, and ends with it."""

import contextlib
import os
from pathlib import Path
from typing import Self


class Cgroup:
    """Below the supervisor's own group. Made where the system lets us; else there is none, and processes are walked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls) -> Self | None:
        """Return a new group; None where this machine or this user has none."""
        try:
            own = next(
                line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")
            )
            mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
            root = next(fields[4] for fields in mounts if "cgroup2" in fields)
            folder = Path(root) / own.lstrip("/") / f"lictor-{os.getpid()}-{os.urandom(3).hex()}"
            folder.mkdir()
        except (OSError, StopIteration):
            return None
        if (folder / "cgroup.kill").exists():
            return cls(folder)
        folder.rmdir()
        return None

    def enter(self) -> None:
        """Put this process into the group; in the child, before it becomes the command."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.procs").write_text("0", encoding="ascii")

    def kill(self) -> None:
        """Kill everything in the group at once."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1", encoding="ascii")

    def remove(self) -> None:
        """Remove the group; it is empty once all in it was reaped."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
