"""Rule files of folders, put together into what workers judge by."""

from pathlib import Path

import pytest

from lictor.bundles import engine_of, folder, rule_sources
from lictor.policy_publish import check
from schemas.errors import BadInput


def test_a_rule_is_named_by_its_path_below_its_folder(tmp_path: Path) -> None:
    """A refusal must say which file, on whatever machine it lay."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.yml").write_text("x", encoding="utf-8")
    (tmp_path / "two.yaml").write_text("y", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("z", encoding="utf-8")
    assert rule_sources([tmp_path]) == {"a/one.yml": "x", "two.yaml": "y"}
    assert rule_sources([tmp_path / "two.yaml"]) == {"two.yaml": "y"}


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """The second would hide the first, and one rule would be gone without a word."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.yml").write_text(name, encoding="utf-8")
    with pytest.raises(BadInput, match=r"same\.yml stands in two folders"):
        rule_sources([tmp_path / "one", tmp_path / "two"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * ((1 << 20) + 1)])
def test_a_file_that_is_no_text_or_too_large_is_named(tmp_path: Path, content: bytes) -> None:
    """A stack trace tells nobody which of a thousand files it was."""
    (tmp_path / "bad.yml").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.yml"):
        rule_sources([tmp_path])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Rules in a misspelt folder would silently not be in force."""
    with pytest.raises(BadInput, match="nowhere"):
        rule_sources([tmp_path / "nowhere"])


def test_rules_that_no_worker_can_load_are_not_published() -> None:
    """Every worker would refuse them, one after the other, in production."""
    with pytest.raises(BadInput, match=r"bad\.yml.*not published|not published.*bad\.yml"):
        check(
            {"bad.yml": "title: T\nlogsource: {product: ai_agent}\ndetection: {a: {no.such.field: 1}, condition: a}\n"}
        )


def test_no_rules_are_no_engine(tmp_path: Path) -> None:
    """Who has no rules must not pay for any; who has the pack gets it."""
    assert engine_of([tmp_path]) is None
    assert engine_of([folder()]) is not None
