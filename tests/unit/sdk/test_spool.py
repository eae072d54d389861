"""Steps on disk survive the process that wrote them: whole ones are read, torn ones end the file, nobody else's are."""

import os
import resource
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from lictor_agent import spool
from lictor_agent.spool import Leftover, Spool, Spooled, SpoolFull, leftovers

AGENT = "invoice-bot"
WRITER = """
import sys
from pathlib import Path
from lictor_agent.spool import Spool, Spooled
spool = Spool(Path(sys.argv[1]), "invoice-bot")
for number in range(int(sys.argv[2])):
    spool.write(Spooled("t.steps", "k", b"%d" % number, [("h", b"v")]))
print("written", flush=True)
sys.stdin.read()
"""


def record(number: int = 1, size: int = 0) -> Spooled:
    """Return a record to keep."""
    return Spooled("t.steps", "k", b"%d" % number + b"x" * size, [("lictor-mark", b"\x00\xff")])


def files(folder: Path) -> list[Path]:
    """Return the spool files below a folder."""
    return sorted(folder.rglob("*.spool"))


def abandoned(folder: Path, count: int = 3) -> Path:
    """Return the file of a process that has died."""
    kept = Spool(folder, AGENT)
    for number in range(count):
        kept.write(record(number))
    kept.close(keep=True)
    return files(folder)[0]


def read(folder: Path, agent_id: str = AGENT) -> list[bytes]:
    """Return the values that a new process of the agent finds, and leave them there."""
    found: list[bytes] = []
    for leftover in leftovers(folder, agent_id):
        found += [kept.value for kept in leftover.records()]
        leftover.release()
    return found


def test_what_was_written_is_read_whole_and_in_order(tmp_path: Path) -> None:
    """An effect would lack its step."""
    abandoned(tmp_path)
    (leftover,) = leftovers(tmp_path, AGENT)
    assert list(leftover.records()) == [record(0), record(1), record(2)]
    leftover.done()
    assert files(tmp_path) == []


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    """Every agent would leave files behind, also where Kafka is always there."""
    kept = Spool(tmp_path / "s", AGENT)
    kept.clear()
    kept.close(keep=True)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("cut", [1, 3, 4, 8, 9, 20])
def test_a_torn_last_frame_ends_the_file(tmp_path: Path, cut: int) -> None:
    """A power cut in the middle of a write would lose what was written before it."""
    path = abandoned(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read(tmp_path) == [b"0", b"1"]


@pytest.mark.parametrize("byte", [0, 3, 4, 7, 8, 20, -1])
def test_a_damaged_frame_is_not_published(tmp_path: Path, byte: int) -> None:
    """A damaged disk would publish steps that no agent took."""
    path = abandoned(tmp_path, 1)
    data = bytearray(path.read_bytes())
    data[byte] ^= 0x55
    path.write_bytes(bytes(data))
    assert read(tmp_path) == []


def test_a_frame_that_is_whole_and_no_record_is_passed_over(tmp_path: Path) -> None:
    """One frame of another version would hide those behind it."""
    path = abandoned(tmp_path, 1)
    body = b"\x81\xa1x\x01"
    odd = len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body
    path.write_bytes(odd + path.read_bytes())
    assert read(tmp_path) == [b"0"]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 8, b"\xff" * 40, b"not a spool at all, but some text"])
def test_a_file_of_something_else_holds_nothing(tmp_path: Path, data: bytes) -> None:
    """A stray file would keep the agent from starting."""
    abandoned(tmp_path).write_bytes(data)
    assert read(tmp_path) == []


def test_a_living_processs_file_is_left_alone(tmp_path: Path) -> None:
    """Two processes of one agent would publish the same steps twice."""
    mine = Spool(tmp_path, AGENT)
    mine.write(record())
    assert read(tmp_path) == []
    mine.close(keep=True)
    assert read(tmp_path) == [b"1"]


def test_what_another_process_leaves_is_found_once_it_has_died(tmp_path: Path) -> None:
    """A killed agent's last steps would never reach the history."""
    command = [sys.executable, "-c", WRITER, str(tmp_path), "4"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert read(tmp_path) == []
        process.kill()
        process.wait()
    assert read(tmp_path) == [b"0", b"1", b"2", b"3"]


def test_two_processes_each_have_a_file_of_their_own(tmp_path: Path) -> None:
    """One process's clearing would wipe what the other has still to send."""
    first, second = Spool(tmp_path, AGENT), Spool(tmp_path, AGENT)
    first.write(record(1))
    second.write(record(2))
    first.clear()
    first.close(keep=False)
    second.close(keep=True)
    assert read(tmp_path) == [b"2"]


def test_a_leftover_is_taken_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Two agents that start at once would both publish it."""
    abandoned(tmp_path)
    (taken,) = leftovers(tmp_path, AGENT)
    assert read(tmp_path) == []
    taken.release()
    assert len(read(tmp_path)) == 3


def test_cleared_means_empty_and_the_next_write_begins_anew(tmp_path: Path) -> None:
    """Steps that Kafka has would be published again after every crash."""
    kept = Spool(tmp_path, AGENT)
    kept.write(record(1, size=100))
    kept.clear()
    kept.write(record(2))
    kept.close(keep=True)
    assert read(tmp_path) == [b"2"]


def test_a_spool_that_need_not_be_kept_leaves_no_file(tmp_path: Path) -> None:
    """The folder would fill with the files of every process that ever ran."""
    kept = Spool(tmp_path, AGENT)
    kept.write(record())
    kept.close(keep=False)
    assert files(tmp_path) == []


def test_the_bound_is_told_and_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent without Kafka would fill the disk of its machine."""
    monkeypatch.setattr(spool, "MAX_BYTES", 1000)
    kept = Spool(tmp_path, AGENT)
    kept.write(record(1, size=800))
    with pytest.raises(SpoolFull, match=r"its bound is 1000"):
        kept.write(record(2, size=800))
    kept.write(record(3))
    kept.close(keep=True)
    assert [value[:1] for value in read(tmp_path)] == [b"1", b"3"]


FULL = """
import resource, sys
from pathlib import Path
from lictor_agent.spool import Spool, Spooled, SpoolFull
spool = Spool(Path(sys.argv[1]), "invoice-bot")
def write(number, size):
    spool.write(Spooled("t.steps", "k", b"%d" % number + b"x" * size, []))
write(1, 100)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
try:
    write(2, 5000)
except SpoolFull as full:
    print(full)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
write(3, 100)
spool.close(keep=True)
"""


def test_a_full_disk_is_told_and_what_is_written_later_is_not_lost_behind_it(tmp_path: Path) -> None:
    """After the disk was full for a moment, every later step would stand behind a torn one and be lost."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot write the spool: ")
    assert [value[:1] for value in read(tmp_path)] == [b"1", b"3"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_folder_and_the_file_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    """Every user of the machine could read what agents were doing."""
    before = os.umask(umask)
    try:
        path = abandoned(tmp_path / "spool")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) & 0o177 == 0
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("mode", [0o777, 0o722, 0o770, 0o1777])
@pytest.mark.parametrize("which", ["the root", "the agent's"])
def test_a_folder_that_others_may_write_is_not_used(
    tmp_path: Path, which: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody could take away the only copy of a step, or have steps of their own published as this agent's."""
    path = abandoned(tmp_path / "spool")
    folder = tmp_path / "spool" if which == "the root" else path.parent
    folder.chmod(mode)
    assert read(tmp_path / "spool") == []
    assert "may be written by others" in caplog.text
    with pytest.raises(SpoolFull, match="may be written by others"):
        Spool(tmp_path / "spool", AGENT).write(record())
    folder.chmod(0o755)
    assert len(read(tmp_path / "spool")) == 3


def test_folders_that_are_made_are_their_owners_alone(tmp_path: Path) -> None:
    """Every user of the machine could see which agents run, and read what they did."""
    path = abandoned(tmp_path / "state" / "spool")
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_another_user_is_neither_used_nor_published(tmp_path: Path) -> None:
    """Another user could have records of their own published with this agent's rights on Kafka."""
    planted = abandoned(tmp_path)
    os.chown(planted, 65534, 65534)
    assert read(tmp_path) == []
    os.chown(planted, 0, 0)
    assert len(read(tmp_path)) == 3
    os.chown(planted.parent, 65534, 65534)
    assert read(tmp_path) == []
    with pytest.raises(SpoolFull, match="belongs to another user"):
        Spool(tmp_path, AGENT).write(record())
    os.chown(planted.parent, 0, 0)
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    assert len(read(link)) == 3
    os.chown(link, 65534, 65534, follow_symlinks=False)
    assert read(link) == []


def test_a_folder_that_cannot_be_made_counts_as_full(tmp_path: Path) -> None:
    """A call with effects would raise an error that no agent expects."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SpoolFull, match="cannot write the spool"):
        Spool(tmp_path / "file", AGENT).write(record())


@pytest.mark.parametrize("agent_id", ["../x", "/etc", "a/b", ".", "é漢🙂", "x" * 128, "🙂" * 128])
def test_no_agent_id_leads_out_of_the_folder(tmp_path: Path, agent_id: str) -> None:
    """An agent's name could put files anywhere, or be too long for any file."""
    kept = Spool(tmp_path / "spool", agent_id)
    kept.write(record())
    kept.close(keep=True)
    assert [path.parents[1] for path in files(tmp_path)] == [tmp_path / "spool"]
    assert read(tmp_path / "spool", agent_id) == [b"1"]


def test_each_agent_finds_its_own_and_no_others(tmp_path: Path) -> None:
    """One agent's start would take over, and maybe lose, what another has still to send."""
    names = ["x" * 128, "x" * 127 + "y", "a", "A"]
    for number, name in enumerate(names):
        kept = Spool(tmp_path, name)
        kept.write(record(number))
        kept.close(keep=True)
    assert [read(tmp_path, name) for name in names] == [[b"0"], [b"1"], [b"2"], [b"3"]]


def test_a_leftover_is_its_path(tmp_path: Path) -> None:
    """A warning could not say which file was not sent."""
    path = abandoned(tmp_path)
    (leftover,) = leftovers(tmp_path, AGENT)
    assert isinstance(leftover, Leftover)
    assert leftover.paths == [path]
    leftover.release()
    assert path.exists()
