"""Ctrl-C ends what is being started and leaves what is put away alone."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest

from lictor.interrupts import SIGNALS, interruptible, run, unbroken, undisturbed


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


def test_an_interrupt_waits_for_what_must_not_be_broken_off() -> None:
    """Ctrl-C just while a part is started would leave locks taken that nobody gives back, and a stack trace."""
    done: list[int] = []

    def start() -> None:
        with unbroken():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(1)
        pytest.fail("went on")

    with interruptible() as interrupt:
        with pytest.raises(KeyboardInterrupt):
            start()
        interrupt.then(lambda: done.append(2))
        with unbroken():
            os.kill(os.getpid(), signal.SIGINT)
            assert done == [1]
        assert done == [1, 2]
    with unbroken():
        done.append(3)
    assert done == [1, 2, 3]


def test_an_interrupt_cancels_what_runs_in_a_loop_and_is_raised_when_that_is_put_away() -> None:
    """Ctrl-C while Lictor talks to Kafka would leave half-made connections, and a page of their last words."""
    done: list[int] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append(1)

    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(work())
    assert done == [1]


def test_what_a_loop_comes_to_is_returned_or_raised() -> None:
    """A verb would lose its answer, or the reason why there is none."""

    async def answer(number: int) -> int:
        if not number:
            raise ZeroDivisionError
        return number

    for context in (nullcontext, interruptible):
        with context():
            assert run(answer(3)) == 3
            with pytest.raises(ZeroDivisionError):
                run(answer(0))


def test_an_interrupt_that_python_drops_comes_again() -> None:
    """Ctrl-C at an unlucky moment would be lost, and everything start all the same."""
    script = (
        "import os, signal, subprocess, sys, threading; from lictor.interrupts import interruptible\n"
        "once = iter([signal.SIGINT])\n"
        "os.register_at_fork(after_in_parent=lambda: [os.kill(os.getpid(), number) for number in once])\n"
        "with interruptible():\n"
        "    subprocess.Popen(['true'], preexec_fn=lambda: None).wait()\n"
        "    print('dropped', flush=True)\n"
        "    threading.Event().wait()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "dropped\n"
    assert "ignored" not in done.stderr
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode == -signal.SIGINT


def test_an_interrupt_that_was_heard_does_not_come_again() -> None:
    """What is put away after Ctrl-C would be broken off by the same Ctrl-C."""
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        with undisturbed():
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_timer_of_somebody_else_goes_on() -> None:
    """A program that runs Lictor inside it would lose its own alarm: the tests of Lictor, their time limit."""
    before = signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        with undisturbed():
            pass
        with interruptible(), undisturbed():
            pass
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 3000
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)


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
