"""The command line explains itself, and answers a mistake with one line and an exit code."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lictor import __version__
from lictor.cli import add_verbs
from lictor.cli.app import app
from lictor.keys import Keys
from tests.unit.lictor._recorded import attack, write
from tests.unit.lictor._verbs import Ran, run

add_verbs(app)


def verbs(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every verb with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from verbs(command, *path, name)


EVERY = [pytest.param(path, command, id=" ".join(path)) for path, command in verbs(app)]


def complaint(ran: Ran) -> str:
    """Return the one line in which a mistake is told."""
    assert "Traceback" not in ran.err
    assert ran.out == ""
    lines = [line for line in ran.err.splitlines() if line.startswith(("Error: ", "lictor: "))]
    assert len(lines) == 1, ran.err
    return lines[0]


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_verb_explains_itself_in_a_sentence(path: tuple[str, ...], command: click.Command) -> None:
    """A user would have to read the source to know what a verb does."""
    first = (command.help or "").strip().split("\n\n")[0]
    assert re.fullmatch(r"[A-Z][^.]{15,}\.(?:.|\n)*", first), first


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_option_explains_itself(path: tuple[str, ...], command: click.Command) -> None:
    """A user would have to guess what an option does."""
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert all((option.help or "").strip() for option in options if option.name != "help")


@pytest.mark.parametrize(("path", "command"), EVERY)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_shown_and_nothing_is_done(
    home: Path, path: tuple[str, ...], command: click.Command, flag: str
) -> None:
    """Asking what `kill` does would kill."""
    shown = run(*path, flag)
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: lictor {' '.join(path)} ")
    assert not home.exists()


def test_verbs_are_listed_in_the_order_in_which_a_newcomer_meets_them() -> None:
    """The first thing a new user tries would stand at the end."""
    out = run("--help").out
    names = [line.split()[0] for line in out[out.index("Commands:") :].splitlines()[1:] if re.match(r"  \w", line)]
    assert names[:3] == ["demo", "up", "status"]
    assert "worker" not in names


def test_the_version_is_shown() -> None:
    """A bug report could not say which Lictor it is about."""
    assert run("--version").out == f"lictor, version {__version__}\n"


MISTAKES = [
    ["no-such-verb"],
    ["--no-such-option"],
    ["kill"],
    ["kill", "bot"],
    ["kill", "bot", "--reason"],
    ["kill", "bot", "--reason", "x", "--wait", "soon"],
    ["kill", "bot", "--reason", "x", "--wait", "-1"],
    ["pause", "bot"],
    ["resume"],
    ["tail", "nonsense"],
    ["tail", "--limit", "0"],
    ["sql", ""],
    ["up", "--detect", "0"],
    ["up", "--detect", "65"],
    ["up", "--partitions", "many"],
    ["worker", "nothing"],
    ["ingest"],
    ["ingest", "/no/such/file"],
    ["ingest", "/", "--json"],
    ["ingest", "/no/such/file", "--format", "csv"],
    ["backtest", "/no/such/file"],
    ["backtest", "/no/such/file", "--out", "/no/out"],
    ["backtest", "/no/such/file", "--out", "/"],
    ["keys"],
    ["keys", "agent", ""],
    ["keys", "agent", "~limits"],
    ["keys", "agent", "a\nb"],
    ["keys", "agent", "x" * 129],
    ["keys", "agent", "bot"],
    ["keys", "person", "bob"],
    ["keys", "person", "bob", "--may", "everything"],
    ["keys", "person", "../bob", "--may", "stop"],
    ["keys", "person", "Bob", "--may", "stop"],
    ["keys", "person", "", "--may", "stop"],
    ["keys", "revoke"],
    ["keys", "revoke", "0123"],
    ["keys", "list"],
]


@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda words: " ".join(words)[:50])
def test_a_mistake_is_told_in_one_line_with_exit_code_2(home: Path, arguments: list[str]) -> None:
    """A user would read a stack trace, and a script take the mistake for success."""
    ran = run(*arguments)
    assert ran.code == 2
    if arguments != ["keys"]:  # a group without a verb shows its help
        assert len(complaint(ran)) > 15


UNREACHABLE = [
    ["status"],
    ["status", "--json"],
    ["tail"],
    ["agents"],
    ["sql", "SELECT 1"],
    ["kill", "bot", "--reason", "x"],
    ["pause", "bot", "--reason", "x", "--run", "r"],
    ["resume", "bot", "--reason", "x"],
]


@pytest.mark.parametrize("arguments", UNREACHABLE, ids=lambda words: " ".join(words)[:50])
def test_a_lictor_that_does_not_run_is_told_in_one_line_with_exit_code_3(home: Path, arguments: list[str]) -> None:
    """A script could not tell a Lictor that is down from a question that is wrong."""
    ran = run(*arguments)
    assert ran.code == 3
    assert "lictor up" in complaint(ran)


@pytest.mark.parametrize("arguments", [*UNREACHABLE[:3], ["kill", "bot", "--reason", "x", "--run", "r"]])
def test_a_broker_that_does_not_answer_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """An operator in a hurry would not know which address to look at."""
    Keys(home / "keys").make()
    monkeypatch.setenv("LICTOR_KAFKA", "127.0.0.1:9")
    ran = run(*arguments)
    assert ran.code == 3
    assert "127.0.0.1:9" in complaint(ran)


def test_a_setting_that_is_misspelt_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb would work on another Lictor than the user means."""
    monkeypatch.setenv("LICTOR_KAKFA", "k:1")
    ran = run("keys", "list")
    assert (ran.code, "LICTOR_KAKFA" in complaint(ran)) == (2, True)


def test_a_server_for_the_history_that_does_not_answer_keeps_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's password would stand in the terminal and in its recording."""
    monkeypatch.setenv("LICTOR_CLICKHOUSE", "clickhouse://me:hush@127.0.0.1:9/")
    ran = run("sql", "SELECT 1")
    assert ran.code == 3
    assert "hush" not in complaint(ran)


@pytest.mark.parametrize("verb", [["ingest"], ["backtest", "--out", "out"]], ids=lambda words: words[0])
def test_a_bad_policy_is_told_with_its_place_before_anything_is_started(
    home: Path, tmp_path: Path, verb: list[str]
) -> None:
    """A user would wait for a broker to start, and then search a thousand lines for one misspelt word."""
    (tmp_path / "p.yml").write_text("version: 1\nagents: {bot: {ownr: me}}", encoding="utf-8")
    ran = run(*verb, str(write(tmp_path / "s.jsonl", [attack()])), "--policy", str(tmp_path / "p.yml"))
    assert ran.code == 2
    assert "agents.bot.ownr" in complaint(ran)
    assert not home.exists()


def test_bad_tools_are_told_before_anything_is_started(home: Path, tmp_path: Path) -> None:
    """A user would wait for a broker to start only to be sent away."""
    ran = run("ingest", str(write(tmp_path / "s.jsonl", [attack()])), "--tools", str(tmp_path / "none.json"))
    assert (ran.code, "none.json" in complaint(ran), home.exists()) == (2, True, False)


def test_a_bad_recording_is_told_with_its_line(home: Path, tmp_path: Path) -> None:
    """A user would search a file of ten thousand sessions for one bad line."""
    file = write(tmp_path / "s.jsonl", [attack()])
    file.write_bytes(file.read_bytes() + b"{\n")
    ran = run("backtest", str(file), "--out", str(tmp_path / "out"))
    assert ran.code == 2
    assert f"({file}:2)" in complaint(ran)


def test_a_place_that_cannot_be_written_is_told(home: Path, tmp_path: Path) -> None:
    """A long backtest would end in a stack trace, after all its work."""
    file = write(tmp_path / "s.jsonl", [attack()])
    ran = run("backtest", str(file), "--out", str(tmp_path / "none" / "out"))
    assert ran.code == 2
    assert "none" in complaint(ran)


def test_keys_are_made_listed_and_revoked(home: Path) -> None:
    """Nobody could be enrolled, and no stolen key revoked."""
    made = run("keys", "init")
    assert (made.code, str(home / "keys" / "root.pub") in made.out) == (0, True)
    assert complaint(run("keys", "init")).startswith("lictor: keys exist already")
    entries = json.loads(run("keys", "list", "--json").out)
    assert {entry["name"] for entry in entries} == {"detect", "respond", "profile", "audit", "supervisor", "operator"}
    revoked = run("keys", "revoke", entries[0]["key_id"])
    assert (revoked.code, "is revoked" in revoked.out, "next `lictor up`" in revoked.out) == (0, True, True)
    assert run("keys", "list").out.count("REVOKED") == 1


def test_no_verb_shows_a_secret(home: Path) -> None:
    """A key would stand in a terminal's history, or in a screen recording."""
    out = run("keys", "init").out + run("keys", "agent", "bot").out + run("keys", "person", "bob", "--may", "stop").out
    out += run("keys", "list").out + run("keys", "list", "--json").out
    for path in (home / "keys").rglob("*.key"):
        assert path.read_text(encoding="ascii").strip() not in out


def test_a_person_cannot_be_made_twice(home: Path) -> None:
    """The first person's key would be replaced, or the verb end in a stack trace."""
    run("keys", "init")
    assert run("keys", "person", "bob", "--may", "stop").code == 0
    ran = run("keys", "person", "bob", "--may", "policy")
    assert (ran.code, "exists already" in complaint(ran)) == (2, True)


def test_an_agents_key_file_is_printed_alone(home: Path) -> None:
    """A script could not hand the file to the agent."""
    run("keys", "init")
    ran = run("keys", "agent", "invoice-bot")
    assert Path(ran.out.strip()).is_file()
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize("start", [["-m", "lictor"], ["-c", "from lictor.cli import main; main()"]])
def test_the_process_ends_with_the_exit_code(home: Path, start: list[str]) -> None:
    """A shell script would go on after a mistake."""
    done = subprocess.run([sys.executable, *start, "keys", "list"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"lictor: cannot read list\.json: .*\n", done.stderr)
