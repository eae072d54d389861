"""Children end with their parent, and how they ended is told in words."""

import os
import select
import signal
import subprocess
import sys

import pytest

from lictor.processes import is_alive, name_of_signal

PARENT = """
import os, subprocess, sys
from lictor.processes import die_with_parent
child = subprocess.Popen([sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
                         stdin=subprocess.PIPE, preexec_fn=die_with_parent)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    """After a crash of `lictor up` its Kafka would go on and hold the data folder."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        said = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
        child = int(next(word for word in said if word != "up"))
        handle = os.pidfd_open(child)
        parent.kill()
        parent.wait()
        select.select([handle], [], [])  # readable once the child has ended
        os.close(handle)
    assert not is_alive(child)


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit 0"), (1, "exit 1"), (-9, "SIGKILL"), (-15, "SIGTERM"), (-11, "SIGSEGV"), (-200, "signal 200")],
)
def test_how_a_process_ended_is_told_in_words(status: int, words: str) -> None:
    """A user would have to know that -9 means that the kernel ran out of memory."""
    assert name_of_signal(status) == words


def test_this_process_is_alive_and_an_impossible_one_is_not() -> None:
    """A stale run file would look like a running Lictor."""
    assert is_alive(os.getpid())
    assert not is_alive(4_194_305)


def test_a_zombie_is_not_alive() -> None:
    """A stop would never count as done, because the dead process has not been reaped yet."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.communicate()
