"""What the documentation says can be done: every command, query, policy and program in it is held to the code."""

import ast
import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

import lictor_agent
from lictor.cli import add_verbs
from lictor.cli.app import app
from lictor.policy_file import load_policies
from lictor.rules_check import Rules
from lictor.settings import Settings
from lictor_agent import cli as agent_cli
from lictor_agent.settings import AgentSettings
from storage.guard import Guard

add_verbs(app)

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    [
        *ROOT.glob("docs/**/*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "sdk/README.md", "deploy/README.md")),
    ]
)
RULES = "write-a-rule.md"
"""The page whose YAML is a rule, in two parts; elsewhere it is a policy."""
FOLDERS = ("streams", "detectors", "responders", "lictor")


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the blocks of one language in all pages: where they stand, and what they say."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            found.append((f"{page.relative_to(ROOT)}:{line}", match[1]))
    return found


def commands(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the words of every command line that runs a program, its environment and comments left out."""
    for where, text in blocks("bash"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"\||&&|\$\(|;", line):
                words = [word for word in _words(part) if not re.match(r"[A-Z_]+=", word)]
                words = words[: words.index(">")] if ">" in words else words
                if words[:1] == [name]:
                    yield f"{where} {part.strip()}", words[1:]
                elif (
                    name == "lictor"
                    and words[:4] == ["docker", "compose", "run", "--rm"]
                    and words[4] in ("cli", "init")
                ):
                    yield f"{where} {part.strip()}", words[5:]


def _words(part: str) -> list[str]:
    """Return the words of a command line; of one that was cut inside quotes, what stands between its spaces."""
    for text in (part.rstrip(')"'), part):
        with contextlib.suppress(ValueError):
            return shlex.split(text, comments=True)
    return part.split()


def parse(words: list[str]) -> None:
    """Parse a command line of `lictor` without running it. Raises `UsageError` for what does not exist."""
    command: click.Command = app
    context = app.make_context("lictor", list(words))
    while isinstance(command, click.Group):
        if command.invoke_without_command and not [*context._protected_args, *context.args]:
            return
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        if rest == ["--help"]:
            return
        command, context = found, found.make_context(name, rest, parent=context)


@pytest.mark.parametrize(("where", "words"), [pytest.param(*found, id=found[0]) for found in commands("lictor")])
def test_every_lictor_command_parses(where: str, words: list[str]) -> None:
    """A command that is copied from a page and does not exist costs a newcomer the first impression."""
    if words:
        parse(words)


@pytest.mark.parametrize(("where", "words"), [pytest.param(*found, id=found[0]) for found in commands("lictor-agent")])
def test_every_supervisor_command_names_a_verb(where: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that is started wrongly leaves the agent without one."""
    if words[0] == "drain":
        assert agent_cli.parser().parse_args(words).folder
        return
    ran: list[list[str]] = []

    class Recorder:
        """Notes what would be run."""

        def __init__(self, command: list[str], **_: float) -> None:
            ran.append(command)

        def run(self) -> int:
            """Run nothing."""
            return 0

    monkeypatch.setattr(agent_cli, "Supervisor", Recorder)
    assert agent_cli.main(words) == 0
    assert ran[0]


@pytest.mark.parametrize(("where", "sql"), [pytest.param(*found, id=found[0]) for found in blocks("sql")])
def test_every_query_runs_against_the_history(where: str, sql: str, guard: Guard) -> None:
    """A query of the page that the endpoint refuses teaches that the history cannot be asked."""
    if not sql.startswith("CREATE"):
        guard.run(sql, "JSONEachRow")


@pytest.mark.parametrize(("where", "sql"), [pytest.param(*found, id=found[0]) for found in commands("curl")])
def test_every_query_over_http_runs_against_the_history(where: str, sql: list[str], guard: Guard) -> None:
    """What people paste first must work."""
    if "-d" in sql:
        guard.run(sql[sql.index("-d") + 1], "TabSeparated", {"agent": "reminders"})


@pytest.mark.parametrize(
    ("where", "policy"), [pytest.param(*found, id=found[0]) for found in blocks("yaml") if RULES not in found[0]]
)
def test_every_policy_loads(where: str, policy: str, tmp_path: Path) -> None:
    """A policy that is copied from a page and refused leaves agents without one."""
    path = tmp_path / "policy.yml"
    path.write_text(policy, encoding="utf-8")
    assert load_policies(path).agents


def test_the_rule_of_the_page_loads_and_passes_its_tests(tmp_path: Path) -> None:
    """Whoever writes a rule by the page would begin with one that is refused."""
    parts = [yaml.safe_load(found[1]) for found in blocks("yaml") if RULES in found[0]]
    head = {"title": "T", "name": "t", "logsource": {"product": "ai_agent"}}
    (tmp_path / "rule.yml").write_text(yaml.safe_dump(head | parts[0] | parts[1]), encoding="utf-8")
    found = Rules([tmp_path])
    assert not found.bad
    assert [found.try_rule(rule).passed for rule in found.all] == [True]


@pytest.mark.parametrize(("where", "program"), [pytest.param(*found, id=found[0]) for found in blocks("python")])
def test_every_program_compiles_and_uses_what_the_sdk_has(where: str, program: str) -> None:
    """A program of the page that fails at its first line is the end of somebody's evaluation."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "lictor_agent":
            assert all(hasattr(lictor_agent, name.name) for name in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lictor_agent":
            assert hasattr(lictor_agent, node.attr)


ALONE = [pytest.param(*found, id=found[0]) for found in blocks("python") if ".connect(" in found[1]]


@pytest.mark.parametrize(("where", "program"), [case for case in ALONE if "langgraph" not in str(case.values[0])])
def test_every_program_with_an_agent_runs(where: str, program: str, tmp_path: Path) -> None:
    """A program of the page that fails when it is run says that nobody has run it."""
    env = {"PATH": os.environ["PATH"], "LICTOR_MODE": "off", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere_and_every_named_file_is_there(page: Path) -> None:
    """A page that sends its reader to a file that is gone cannot be trusted in the rest either."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    named = re.findall(
        r"`((?:docs|lictor(?!/_app)|schemas|detectors|responders|streams|storage|sdk|policies|deploy)/[\w./-]+)`", text
    )
    for name in named:
        assert "NAME" in name or (ROOT / name).exists(), name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_the_flow_is_on_the_map(folder: str) -> None:
    """Who looks for where something happens reads docs/architecture.md first."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py"}
    named = {name for name in re.findall(r"^\| `([\w/]+\.py)` \|", text, re.MULTILINE) if name.startswith(f"{folder}/")}
    assert named == there


def test_every_setting_of_the_pages_is_known() -> None:
    """A setting that does not exist is refused at the start."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = {name for name in re.findall(r"LICTOR_[A-Z_]+[A-Z]", text) if not name.startswith("LICTOR_TEST")}
    values = {"LICTOR_PARTITIONS": "4", "LICTOR_DETECT_WORKERS": "1", "LICTOR_SQL_PORT": "8123", "LICTOR_MODE": "off"}
    values["LICTOR_KAFKA"] = "kafka:9092"
    Settings.read({name: values.get(name, "x") for name in names})
    AgentSettings.read({name: values.get(name, "") for name in names})
