"""A folder of Lictor's is made, or it is told why not; it has one owner at a time, and an heir that waits."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lictor.folders import lock_folder, make_folder
from schemas.errors import BadInput, InUse


def test_a_folder_is_made_for_its_owner_alone_and_kept_as_it_is(tmp_path: Path) -> None:
    """Other users could read what agents do, or a second start would be refused its own folder."""
    made = make_folder(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o077 == 0
    made.chmod(0o755)
    assert make_folder(made).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_place_of_a_folder_is_told_with_what_to_do(tmp_path: Path, place: str) -> None:
    """A file that happens to be called `kafka` would end in a stack trace."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="move it away, or set LICTOR_HOME") as bad:
        make_folder(tmp_path / place)
    assert str(tmp_path / place) in str(bad.value)


def test_an_heir_waits_until_the_last_child_of_the_dead_has_ended(tmp_path: Path) -> None:
    """A start right after a kill would meet the old broker, and take another port or fail."""
    lock = lock_folder(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock.fileno(),))
    lock.close()
    with pytest.raises(InUse):
        lock_folder(tmp_path)
    asked = threading.Event()

    def ending() -> bool:
        asked.set()
        return True

    taken: list[object] = []
    heir = threading.Thread(target=lambda: taken.append(lock_folder(tmp_path, wait_s=30, ending=ending)))
    heir.start()
    assert asked.wait(30)
    assert not taken
    child.communicate(b"\n")
    heir.join(30)
    assert len(taken) == 1
    taken[0].close()  # type: ignore[attr-defined]


def test_nobody_waits_for_a_lictor_that_goes_on(tmp_path: Path) -> None:
    """Whoever starts a second Lictor would wait half a minute to be told so."""
    with lock_folder(tmp_path), pytest.raises(InUse):
        lock_folder(tmp_path, wait_s=3600, ending=lambda: False)
