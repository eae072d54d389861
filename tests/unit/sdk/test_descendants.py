"""Whatever a supervised command starts ends with it, however it tries to get away."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lictor.processes import is_alive
from lictor_agent.cgroup import Cgroup
from tests.unit.sdk.test_supervisor import Watch, watch

__all__ = ["watch"]

RUNAWAY = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    into = open({log!r}, "a", buffering=1)
    def away(depth):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if depth and os.fork():
                os._exit(0)
            into.write(f"{{os.getpid()}}\\n")
            if depth:
                away(depth - 1)
            while True:
                time.sleep(60)
    for _ in range(3):
        away(2)
    while len(open({log!r}).readlines()) < 9:
        time.sleep(0.01)
    {end}
"""


def pids(log: Path) -> list[int]:
    """Return the processes that got away, as they said themselves."""
    return [int(line) for line in log.read_text(encoding="utf-8").split()]


@pytest.mark.parametrize("grouped", [True, False], ids=["in a control group", "found by walking"])
@pytest.mark.parametrize("end", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_forked_twice_into_sessions_of_its_own_is_ended_and_reaped(
    watch: Watch, tmp_path: Path, grouped: bool, end: str
) -> None:
    """A stopped agent would go on in a process that nobody watches."""
    log = tmp_path / "pids"
    supervisor = watch.supervisor(RUNAWAY.format(log=str(log), end=end))
    if not grouped:
        supervisor._cgroup = None
    status = supervisor.run()
    assert status == (3 if "exit" in end else -9)
    assert len(pids(log)) == 9
    assert [pid for pid in pids(log) if is_alive(pid)] == []
    with pytest.raises(ChildProcessError):
        os.waitpid(pids(log)[0], os.WNOHANG)


def test_a_chain_of_forks_does_not_outrun_its_end(watch: Watch, tmp_path: Path) -> None:
    """An agent could go on by starting a new process faster than the old one is killed."""
    log = tmp_path / "pids"
    script = f"""
        into = open({str(log)!r}, "a", buffering=1)
        if os.fork() == 0:
            os.setsid()
            for _ in range(2000):
                if os.fork():
                    os._exit(0)
                into.write(f"{{os.getpid()}}\\n")
        while len(open({str(log)!r}).readlines()) < 20:
            time.sleep(0.005)
    """
    supervisor = watch.supervisor(script)
    if supervisor._cgroup is None:
        pytest.skip("no control groups here: a chain this fast can only be caught in one")
    assert supervisor.run() == 0
    assert len(pids(log)) < 2000
    assert [pid for pid in pids(log) if is_alive(pid)] == []


def test_other_children_of_the_same_process_are_left_alone(watch: Watch, tmp_path: Path) -> None:
    """A program that supervises one agent would lose everything else it runs."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        supervisor = watch.supervisor("sys.exit(0)")
        supervisor._cgroup = None
        assert supervisor.run() == 0
        assert other.poll() is None
        other.kill()


def test_a_group_is_removed_with_its_command(watch: Watch) -> None:
    """Every run of an agent would leave a control group behind."""
    supervisor = watch.supervisor("sys.exit(0)")
    group = supervisor._cgroup
    supervisor.run()
    assert group is None or not group.folder.exists()


def test_where_no_group_can_be_made_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent could not be supervised on a machine without control groups."""
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    assert Cgroup.make() is None


def test_a_dead_agents_run_is_said_to_have_ended(watch: Watch) -> None:
    """Its open calls would hang in the history for ever, as if somebody still worked on them."""
    script = textwrap.dedent("""
        say("started", "run-1"); say("started", "run-2")
        def count(run, seq):
            out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            word = {"event": "seq", "agent_id": "bot", "run_id": run, "command_id": "", "seq": seq}
            out.sendto(json.dumps(word).encode(), os.environ["LICTOR_SUPERVISOR"])
        count("run-1", 7); count("run-2", 3); say("ended", "run-2")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    supervisor = watch.supervisor(script)
    supervisor.run()
    steps = [record for record in supervisor.agents["bot"].link.outbox.queue if record.topic.endswith(".steps")]
    assert [record.key for record in steps] == ["run-1"]
    assert b'"seq":8' in steps[0].value
    assert b'"kind":"run_ended"' in steps[0].value
    assert b'"reason":"died"' in steps[0].value
