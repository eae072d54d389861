"""Rules from the topic into judgement, by a real child process."""

import asyncio
import sys
from pathlib import Path

import pytest

from detectors.engine.engine import Engine
from schemas.rule_bundle import BUNDLE_KEY, RuleBundle
from streams.rule_loader import RuleLoader, place_of
from tests.unit.streams._builders import World

GOOD = "title: T\nname: {name}\nlogsource: {{product: ai_agent}}\ndetection: {{a: {{tool: pay}}, condition: a}}\n"
COMPILE = [sys.executable, "-m", "lictor.rules_child"]


class Loading:
    """A worker that is told of bundles."""

    def __init__(self, folder: Path, command: list[str] = COMPILE) -> None:
        self.world = World()
        self.know = self.world.knowledge()
        self.ready: list[tuple[int, Engine]] = []
        self.loader = RuleLoader(self.know, command, folder, self._take)

    def _take(self, bundle: RuleBundle, engine: Engine) -> None:
        self.ready.append((bundle.version, engine))
        self.know.bundle_in_force(bundle)

    def publish(self, version: int, sources: dict[str, str]) -> None:
        """Publish a bundle, and have it loaded."""
        bundle = RuleBundle.of(sources, version, 1)
        self.know.apply(self.world.signed(self.world.topics.rules, BUNDLE_KEY, bundle, "person", offset=version))
        asyncio.run(self.loader.load())


def test_rules_are_compiled_by_a_child_and_kept(tmp_path: Path) -> None:
    """Each worker and each start would compile three thousand rules again, while nobody is watched."""
    loading, sources = Loading(tmp_path), {"a.yml": GOOD.format(name="first")}
    loading.publish(1, sources)
    assert [version for version, _ in loading.ready] == [1]
    assert [path.suffix for path in tmp_path.iterdir()] == [".rules"]
    again = Loading(tmp_path, command=[sys.executable, "-c", "raise SystemExit('asked to compile again')"])
    again.publish(1, sources)
    assert [version for version, _ in again.ready] == [1]


def test_what_was_kept_and_damaged_is_compiled_again(tmp_path: Path) -> None:
    """A torn file would take every worker of the machine down, or be given to the scanner."""
    loading, sources = Loading(tmp_path), {"a.yml": GOOD.format(name="first")}
    loading.publish(1, sources)
    kept = next(tmp_path.iterdir())
    kept.write_bytes(kept.read_bytes()[:-100] + bytes(100))
    again = Loading(tmp_path)
    again.publish(1, sources)
    assert [version for version, _ in again.ready] == [1]


def test_rules_that_cannot_be_compiled_leave_the_last_good_ones_in_force(tmp_path: Path) -> None:
    """One mistyped rule would leave the fleet without any."""
    loading = Loading(tmp_path)
    loading.publish(1, {"a.yml": GOOD.format(name="first")})
    loading.publish(2, {"a.yml": GOOD.format(name="first"), "bad.yml": "title: ["})
    assert [version for version, _ in loading.ready] == [1]
    assert "bad.yml" in loading.know.bundle_error
    assert loading.know.applied[loading.world.topics.rules.name] == 2, "the second one is not in force"
    loading.publish(3, {"a.yml": GOOD.format(name="third")})
    assert [version for version, _ in loading.ready] == [1, 3]
    assert loading.know.bundle_error == ""


@pytest.mark.parametrize("command", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)", "print('not rules')"])
def test_a_compiler_that_dies_takes_nobody_with_it(tmp_path: Path, command: str) -> None:
    """A rule that crashes the compiler would crash every worker, at each start."""
    loading = Loading(tmp_path, [sys.executable, "-c", command])
    loading.publish(1, {"a.yml": GOOD.format(name="first")})
    assert loading.ready == []
    assert loading.know.bundle_error


def test_a_digest_names_no_place_outside(tmp_path: Path) -> None:
    """A bundle could have a worker write where it likes."""
    assert place_of(tmp_path, "../../etc/passwd").parent == tmp_path
    assert place_of(tmp_path, "/etc/passwd").parent == tmp_path
