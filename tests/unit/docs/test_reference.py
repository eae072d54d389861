"""The reference pages say what the code does, and nothing of the machine they were written on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from detectors import inspect as judging
from lictor import reference, settings, workers
from lictor_agent import settings as agent_settings
from streams.topics import Topics

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", reference.pages())
def test_a_page_is_what_the_code_says(name: str) -> None:
    """A verb, topic, rule or setting would be looked up and found to be otherwise."""
    there = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert there == reference.pages()[name], f"docs/reference/{name} is out of date; run `make reference`"


def test_pages_are_the_same_wherever_they_are_written(tmp_path: Path) -> None:
    """Every contributor would commit another page, with the folders of their own machine in it."""
    program = f"from pathlib import Path; from lictor import reference; reference.write(Path({str(tmp_path)!r}))"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "COLUMNS": "40",
        "PYTHONHASHSEED": "7",
        "LANG": "C",
    }
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, check=True, timeout=60)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert written == reference.pages()
    for text in written.values():
        assert str(ROOT) not in text
        assert str(tmp_path) not in text


def test_every_rule_that_can_be_claimed_is_told() -> None:
    """Somebody would get a finding and find its rule nowhere."""
    told = {rule for detector in reference.detectors() for rule in reference.rule_ids(detector)}
    for detector in reference.detectors():
        source = Path(sys.modules[detector.__module__].__file__ or "").read_text(encoding="utf-8")
        aspects = re.findall(r'aspect="(\w+)"', source)
        named = {f"lictor.{detector.name}.{aspect}" for aspect in aspects} or {f"lictor.{detector.name}"}
        assert named <= told
        assert all(said.endswith(".") for said in reference.rule_ids(detector).values()), "a rule is told in one line"
    assert {type(detector) for detector in judging.ALL} <= set(reference.detectors())


def test_every_topic_says_who_reads_it() -> None:
    """Who changes a topic would break a reader that nobody named."""
    topics = Topics("any")
    read = reference.readers(topics)
    assert read[topics.policies.name] == ["detect", "respond", "profile", "archive", "agents"]
    assert read[topics.steps.name] == ["detect", "archive"]
    assert read[topics.checkpoints.name] == ["detect", "respond", "profile"]
    assert {who for readers in read.values() for who in readers} == {*workers.ROLES, "agents"}


def test_both_sides_name_the_same_settings() -> None:
    """Lictor would refuse to start beside an agent, for a name that the agent needs."""
    shared = settings.MEANINGS.keys() & agent_settings.MEANINGS.keys()
    assert agent_settings.MEANINGS.keys() - shared == settings.OTHERS
    assert {name for name in shared if name.startswith("LICTOR_KAFKA_")} == {
        name for name in settings.MEANINGS if name.startswith("LICTOR_KAFKA_")
    }


@pytest.mark.parametrize("source", ["lictor", "sdk/lictor_agent"])
def test_every_setting_that_is_read_is_told(source: str) -> None:
    """A setting that is written nowhere is found by reading the source."""
    told = settings.MEANINGS.keys() | agent_settings.MEANINGS.keys()
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / source).rglob("*.py")))
    assert set(re.findall(r"\bLICTOR_[A-Z_]*[A-Z]\b", text)) <= told
