"""The supervisor ends a stopped run's process for real, whatever it does against it, and signs only what it has seen."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lictor.processes import is_alive
from lictor_agent.cli import main
from lictor_agent.errors import BadConfiguration
from lictor_agent.orders import Ordered
from lictor_agent.supervisor import Supervisor, shell_status
from schemas.keys import Key, KeyList
from schemas.receipt import Receipt
from schemas.seal import Keyring, Signer, key_id_of, public_bytes

PRELUDE = """
import json, os, signal, socket, sys, time
def say(event, run="run-1", command="", agent="bot"):
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    word = {"event": event, "agent_id": agent, "run_id": run, "command_id": command}
    out.sendto(json.dumps(word).encode(), os.environ["LICTOR_SUPERVISOR"])
def tell(text):
    print(text, flush=True)
"""


@dataclass
class Watch:
    """A supervisor's settings, its key, and what it published."""

    private: Ed25519PrivateKey
    folder: Path

    def run(self, script: str, *, grace_s: float = 0.05, term_s: float = 0.05) -> tuple[int, list[Receipt]]:
        """Run a script under supervision; return its status and the receipts."""
        supervisor = self.supervisor(script, grace_s=grace_s, term_s=term_s)
        status = supervisor.run()
        return status, self.receipts(supervisor)

    def supervisor(self, script: str, *, grace_s: float = 0.05, term_s: float = 0.05) -> Supervisor:
        """Return the supervisor of a script."""
        command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script)]
        return Supervisor(command, grace_s=grace_s, term_s=term_s)

    def receipts(self, supervisor: Supervisor) -> list[Receipt]:
        """Return what was published, each believed only if the supervisor's key signed it."""
        ring = Keyring(public_bytes(self.private))
        key_id = key_id_of(public_bytes(self.private))
        entry = Key(key_id=key_id, role="supervisor", public=public_bytes(self.private).hex())
        listed = KeyList(version=1, issued_us=1, keys=(entry,))
        ring.load("t", "keys", Signer("root", self.private).seal("t", "keys", "keys", listed.value()), listed.value())
        found = []
        for agent in supervisor.agents.values():
            for record in [*agent.link.outbox.failed, *agent.link.outbox.queue]:
                ring.check(record.topic, record.key, "receipt", record.headers, record.value, 0)
                found.append(Receipt.read(record.value))
        return found


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return settings under which nobody answers at Kafka: what is published stays where it can be looked at."""
    private = Ed25519PrivateKey.generate()
    monkeypatch.setenv("LICTOR_KAFKA", "127.0.0.1:9")
    monkeypatch.setenv("LICTOR_ROOT_KEY", public_bytes(private).hex())
    monkeypatch.setenv("LICTOR_SUPERVISOR_KEY", private.private_bytes_raw().hex())
    monkeypatch.setenv("LICTOR_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PYTHONPATH", "")
    return Watch(private, tmp_path)


def said(receipts: list[Receipt]) -> list[tuple[str, str, int | None]]:
    """Return what was said: command, status, exit status."""
    return [(receipt.command_id, receipt.status, receipt.exit_status) for receipt in receipts]


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_an_exit_status_is_passed_on(watch: Watch, status: int) -> None:
    """A job that failed would look as if it had succeeded."""
    assert watch.run(f"sys.exit({status})") == (status, [])


def test_a_signal_is_passed_on_as_a_shell_does(watch: Watch) -> None:
    """Nobody could tell a crash from an exit."""
    status, receipts = watch.run("os.kill(os.getpid(), signal.SIGKILL)")
    assert (status, shell_status(status), receipts) == (-9, 137, [])
    assert [shell_status(number) for number in (0, 3, -15)] == [0, 3, 143]


def test_the_supervisors_key_is_not_in_the_childs_environment(watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    """An agent could sign the proof of its own death."""
    watch.run("tell(json.dumps(dict(os.environ)))")
    environment = json.loads(capfd.readouterr().out)
    assert "LICTOR_SUPERVISOR_KEY" not in environment
    assert watch.private.private_bytes_raw().hex() not in environment.values()
    assert {"LICTOR_SUPERVISOR", "LICTOR_KAFKA", "LICTOR_ROOT_KEY"} <= set(environment)


def test_a_child_that_obeys_ends_by_itself_and_its_end_is_signed_for(watch: Watch) -> None:
    """An agent that ends kindly would have no proof of it."""
    status, receipts = watch.run('say("started"); say("stopped", command="c-1"); sys.exit(3)', grace_s=30)
    assert status == 3
    assert said(receipts) == [("c-1", "received", None), ("c-1", "effective", 3)]
    assert {(receipt.agent_id, receipt.run_id, receipt.layer) for receipt in receipts} == {
        ("bot", "run-1", "supervisor")
    }


def test_a_child_that_ignores_sigterm_is_killed_and_reaped(watch: Watch) -> None:
    """An agent would only have to ignore a signal to outlive its stop."""
    status, receipts = watch.run(
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("started"); say("stopped", command="c-1")
        signal.pause()
        """
    )
    assert status == -signal.SIGKILL
    assert said(receipts) == [("c-1", "received", None), ("c-1", "effective", -9)]


def test_a_child_that_minds_sigterm_may_clean_up(watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    """Every stop would leave half-written files."""
    status, receipts = watch.run(
        """
        def clean_up(number, frame):
            tell("cleaned up")
            sys.exit(4)
        signal.signal(signal.SIGTERM, clean_up)
        say("started"); say("stopped", command="c-1")
        signal.pause()
        """,
        term_s=30,
    )
    assert (status, capfd.readouterr().out) == (4, "cleaned up\n")
    assert said(receipts)[-1] == ("c-1", "effective", 4)


FORKS = """
import subprocess
alive = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
pids = []
for _ in range(3):
    child = subprocess.Popen([sys.executable, "-c", alive], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    pids.append(child.pid)
tell(json.dumps(pids))
"""


def test_the_children_it_forked_are_gone_too(watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    """An agent would go on in a child of its own."""
    watch.run(FORKS + 'say("started"); say("stopped", command="c-1"); signal.pause()')
    pids = json.loads(capfd.readouterr().out)
    assert len(pids) == 3
    gone(pids)


def test_what_an_agent_leaves_behind_at_its_own_end_is_gone_too(
    watch: Watch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An agent would leave a process behind and end in peace."""
    assert watch.run(FORKS + "sys.exit(0)")[0] == 0
    gone(json.loads(capfd.readouterr().out))


def gone(pids: list[int]) -> None:
    """Return once processes that were killed have ended; they are nobody's children here."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(handle, "rb", buffering=0) as end:
            assert select_readable(end.fileno())
        assert not is_alive(pid)


def select_readable(descriptor: int) -> bool:
    """Wait until a descriptor is readable."""
    return bool(select.select([descriptor], [], [])[0])


def test_two_honest_runs_in_one_process_refuse_the_stop(watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    """A stop of one run would kill others that have done nothing."""
    supervisor = watch.supervisor(
        """
        say("started", "run-1"); say("started", "run-2", agent="other"); say("stopped", "run-1", "c-1")
        say("ended", "run-2", agent="other"); say("stopped", "run-1", "c-2")
        signal.pause()
        """
    )
    assert supervisor.run() == -signal.SIGTERM
    receipts = watch.receipts(supervisor)
    assert said(receipts) == [("c-1", "refused", None), ("c-2", "received", None), ("c-2", "effective", -15)]
    assert receipts[0].reason == "1 other runs live in this process and would end with it; a person must decide"


def test_two_runs_that_are_both_stopped_end_the_process(watch: Watch) -> None:
    """A process of two bad runs could not be stopped at all."""
    supervisor = watch.supervisor('say("started", "run-1"); say("started", "run-2"); tell("up"); signal.pause()')
    status = with_orders(supervisor, 2, lambda: order_both(supervisor))
    assert status == -signal.SIGTERM
    assert said(watch.receipts(supervisor))[-1] == ("c-2", "effective", -15)


def order_both(supervisor: Supervisor) -> None:
    """Stop both runs of the one agent; the first alone is refused."""
    runs = supervisor.agents["bot"].runs
    supervisor.ordered(runs["run-1"], "c-1", "bad")
    assert supervisor._orders == {}
    supervisor.agents["bot"].control.remove(runs.pop("run-1"))
    supervisor.ordered(runs["run-2"], "c-2", "bad too")


def with_orders(supervisor: Supervisor, runs: int, order: Callable[[], None]) -> int:
    """Run a supervisor; once its child has announced its runs, give orders from another thread."""
    heard, note = threading.Semaphore(0), supervisor._note

    def noted(event: str, agent_id: str, run_id: str, command_id: str, seq: int) -> None:
        note(event, agent_id, run_id, command_id, seq)
        heard.release()

    supervisor._note = noted  # type: ignore[method-assign]  # the same, and it tells us

    def give() -> None:
        for _ in range(runs):
            heard.acquire()
        order()

    thread = threading.Thread(target=give)
    thread.start()
    status = supervisor.run()
    thread.join()
    return status


def test_an_order_that_comes_twice_is_answered_once(watch: Watch) -> None:
    """The history would hold two proofs of one stop."""
    _, receipts = watch.run(
        'say("started"); say("stopped", command="c-1"); say("stopped", command="c-1"); signal.pause()'
    )
    assert said(receipts) == [("c-1", "received", None), ("c-1", "effective", -15)]


@pytest.mark.parametrize("pid", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_for_the_supervisor_reaches_the_child(watch: Watch, pid: signal.Signals) -> None:
    """Ctrl-C would end the supervisor and leave the agent running unwatched."""
    before = signal.getsignal(pid)
    supervisor = watch.supervisor('signal.signal(signal.SIGINT, signal.SIG_DFL); say("started"); signal.pause()')
    assert with_orders(supervisor, 1, lambda: os.kill(os.getpid(), pid)) == -pid
    assert signal.getsignal(pid) == before


def test_words_of_another_kind_do_not_end_the_hearing(watch: Watch) -> None:
    """A child could make its supervisor deaf and then do as it likes."""
    _, receipts = watch.run(
        """
        out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        odd = [b"", b"{", b"null", b"[]", b'"x"', b"{}", b'{"agent_id": 1}', b"\\xff", b"[" * 4000, b"x" * 5000,
               b'{"event": "started", "agent_id": "~bad", "run_id": ""}', b'{"event": null, "agent_id": "", "run_id": "x"}']
        for word in odd:
            out.sendto(word, os.environ["LICTOR_SUPERVISOR"])
        say("started"); say("stopped", command="c-1")
        signal.pause()
        """
    )
    assert said(receipts)[-1] == ("c-1", "effective", -15)


def test_a_run_that_nobody_announced_is_not_stopped_by_its_name(watch: Watch) -> None:
    """One agent's child could have another agent's process ended."""
    assert watch.run('say("started"); say("stopped", "run-9", "c-1"); sys.exit(0)') == (0, [])


def test_a_stop_on_the_control_topic_is_obeyed_like_the_childs_own_word(watch: Watch) -> None:
    """A child that says nothing of its stop would not be stopped."""
    supervisor = watch.supervisor('say("started"); signal.pause()')
    status = with_orders(
        supervisor, 1, lambda: supervisor.agents["bot"].runs["run-1"].obey(Ordered("stop", "c-1", "it sends mail"))
    )
    received, effective = watch.receipts(supervisor)
    assert (status, received.reason, effective.reason) == (-15, "it sends mail", "the process was reaped")


def test_pause_and_resume_are_not_for_the_supervisor(watch: Watch) -> None:
    """A paused agent would be killed."""
    supervisor = watch.supervisor('say("started"); signal.pause(); sys.exit(5)')

    def order() -> None:
        for action in ("pause", "resume", "quarantine"):
            supervisor.agents["bot"].runs["run-1"].obey(Ordered(action, "c-1"))
        assert supervisor._orders == {}
        assert supervisor.process is not None
        supervisor.process.send_signal(signal.SIGKILL)

    assert with_orders(supervisor, 1, order) == -9
    assert watch.receipts(supervisor) == []


def test_a_command_that_is_not_there_is_told_in_one_line(watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    """A misspelt command would end in a stack trace."""
    with pytest.raises(BadConfiguration, match="cannot start /no/such/program"):
        Supervisor(["/no/such/program"]).run()
    assert main(["run", "--", "/no/such/program"]) == 2
    assert capfd.readouterr().err == "lictor-agent: cannot start /no/such/program: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "--"], ["walk"], ["run", "--grace", "soon", "--", "x"]])
def test_a_mistake_on_the_command_line_exits_with_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """A service manager would take the mistake for a crash of the agent."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capfd.readouterr().err.startswith("usage: lictor-agent")


def test_the_command_line_passes_status_and_arguments_on(watch: Watch) -> None:
    """A flag for the agent would be taken by the supervisor."""
    script = "import sys; sys.exit(len(sys.argv))"
    assert main(["run", "--grace", "1", "--", sys.executable, "-c", script, "--grace", "--x"]) == 3


def test_without_a_key_it_works_and_its_word_is_unsigned(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent could not be supervised before its keys are made."""
    monkeypatch.delenv("LICTOR_SUPERVISOR_KEY")
    supervisor = watch.supervisor('say("started"); say("stopped", command="c-1"); sys.exit(0)', grace_s=30)
    assert supervisor.run() == 0
    records = [*supervisor.agents["bot"].link.outbox.failed, *supervisor.agents["bot"].link.outbox.queue]
    assert [[name for name, _ in record.headers] for record in records] == [["lictor-type"], ["lictor-type"]]


def test_a_bad_key_is_told_before_the_agent_is_started(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent would run for days under a supervisor whose word proves nothing."""
    monkeypatch.setenv("LICTOR_SUPERVISOR_KEY", "nonsense")
    assert main(["run", "--", sys.executable, "-c", "open('started', 'w')"]) == 2
    assert not Path("started").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_supervisor_that_is_killed_takes_the_agent_with_it(watch: Watch) -> None:
    """Killing the supervisor would be the way to run unwatched."""
    agent = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    command = [sys.executable, "-m", "lictor_agent.cli", "run", "--", sys.executable, "-c", agent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        handle = os.pidfd_open(pid)
        supervisor.kill()
        assert select_readable(handle)
        os.close(handle)
