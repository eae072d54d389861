"""The repository speaks of the product alone, and stays small enough to be read."""

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 400
PACKAGES = ("schemas", "detectors", "responders", "streams", "storage", "lictor", "sdk/lictor_agent", "benchmarks")
SOMEBODYS = re.compile(r"(?<![\w.~$}-])/(?:work|root|Users|home/[a-z_][\w.-]*)(?:/|\b(?=[\s\"'`:,;)]|$))", re.MULTILINE)
"""An absolute path below somebody's home or workspace."""
REGISTRIES = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|maven|apache-maven|anaconda|crates|rubygems)\.(?:org|io|com)\b"
    r"|\b(?:proxy\.golang|repo\.maven\.apache|static\.crates)\.(?:org|io)\b"
)
LOCK = "uv.lock"
PUBLIC = {"pypi" + ".org", "files.pythonhosted" + ".org"}
"""The registries that a lock made anywhere names."""


@functools.cache
def tracked() -> tuple[str, ...]:
    """Return the files of the repository; skips where there is none, as in a source distribution."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if not (ROOT / ".git").exists() or done.returncode:
        pytest.skip("not a git checkout")
    return tuple(name for name in done.stdout.split("\0") if (ROOT / name).is_file())


def text_of(name: str) -> str:
    """Return a file's text; "" for what is not text."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def found(pattern: re.Pattern[str], names: tuple[str, ...]) -> list[str]:
    """Return where a pattern stands, as `file:line: what`."""
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name in names
        if (text := text_of(name))
        for match in pattern.finditer(text)
    ]


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    """A command copied from a page would work on one machine in the world."""
    assert found(SOMEBODYS, tracked()) == []


def test_no_file_but_the_lock_names_a_registry() -> None:
    """An installation would ask a host that its network does not allow, whatever its own settings say."""
    assert found(REGISTRIES, tuple(name for name in tracked() if name != LOCK)) == []


def test_the_lock_names_the_public_registries_alone() -> None:
    """A lock made behind a mirror would send every user to a host that only its maker can reach."""
    assert set(re.findall(r"https?://([^/\"\s]+)", text_of(LOCK))) <= PUBLIC


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("see /" + "work/main/x", True),
        ("cd /" + "root", True),
        ("'/" + "home/alice/.venv'", True),
        ("/" + "Users/bob/src", True),
        ("~/work/x, docs/work/y, $HOME/root/z, the /workers, /rooted, /home", False),
    ],
)
def test_a_path_is_told_from_a_word(text: str, caught: bool) -> None:
    """The check would see nothing, or stand in the way of honest sentences."""
    assert bool(SOMEBODYS.search(text)) == caught


def test_no_python_file_is_long() -> None:
    """A file that nobody reads to its end is a file in which nobody finds the mistake."""
    sizes = {name: text_of(name).count("\n") for name in tracked() if name.endswith(".py")}
    assert {name: lines for name, lines in sizes.items() if lines >= MOST_LINES} == {}


def test_every_package_says_what_it_is_for() -> None:
    """Who comes new would have to read all of a folder to learn why it is there."""
    names = [name for name in tracked() if name.startswith(PACKAGES) and name.endswith("/__init__.py")]
    assert {f"{package}/__init__.py" for package in PACKAGES} <= set(names)
    assert [name for name in names if not ast.get_docstring(ast.parse(text_of(name)))] == []
    folders = {
        str(Path(name).parent)
        for name in tracked()
        if name.endswith(".py") and name.startswith(tuple(f"{package}/" for package in PACKAGES))
    }
    assert folders == {str(Path(name).parent) for name in names}, "a folder of Python without an __init__.py"
