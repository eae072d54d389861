"""Ctrl-C ends what is being started and leaves what is put away alone."""

import os
import signal
import subprocess
import sys

import pytest

from lictor.interrupts import SIGNALS, interruptible, undisturbed


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_breaks_off_a_start(number: signal.Signals) -> None:
    """Ctrl-C would do nothing until everything that takes so long has started."""
    before = signal.getsignal(number)
    with interruptible(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_once_all_runs_a_signal_makes_a_call_instead(number: signal.Signals) -> None:
    """Ctrl-C would break off whatever is being revived at that moment."""
    called: list[int] = []
    with interruptible() as interrupt:
        interrupt.then(lambda: called.append(1))
        os.kill(os.getpid(), number)
    assert called == [1]


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_put_away_is_put_away_whole(number: signal.Signals) -> None:
    """A second Ctrl-C would leave a broker or a folder behind."""
    done: list[int] = []
    with interruptible():
        with undisturbed():
            os.kill(os.getpid(), number)
            done.append(1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert done == [1]


def test_a_hangup_that_nohup_keeps_away_stays_away() -> None:
    """`nohup lictor up &` would end with its terminal all the same."""
    script = (
        "import os, signal; from lictor.interrupts import interruptible\n"
        "with interruptible(): os.kill(os.getpid(), signal.SIGHUP); print('went on')"
    )
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, preexec_fn=ignoring, check=True)
    assert done.stdout == b"went on\n"


def test_an_interrupt_while_everything_is_imported_says_nothing() -> None:
    """Whoever changes their mind at once would read a stack trace of somebody else's library."""
    script = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'lictor.cli.demo': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from lictor.cli import main; main(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
