"""What kind of tool is it?"""

import pytest
from hypothesis import given

from detectors.traits import LASTING, READING, STRICTEST, traits_of, words_of
from lictor.policy_file import words
from schemas.policy import ALL_TRAITS, Trait
from tests.unit.strategies import examples, tool_names


@pytest.mark.parametrize(
    ("tool", "found"),
    [
        ("send_email", ["send", "email"]),
        ("sendEmail_v2", ["send", "email", "v2"]),
        ("HTTPGet", ["http", "get"]),
        ("getURL", ["get", "url"]),
        ("web.getPage", ["web", "get", "page"]),
        ("mcp__crm__delete-record", ["mcp", "crm", "delete", "record"]),
        ("\u00c9crireFichier", ["\u00e9crire", "fichier"]),
        ("a1B2", ["a1", "b2"]),
        ("__", []),
        ("", []),
    ],
)
def test_a_name_is_split_where_people_split_it(tool: str, found: list[str]) -> None:
    """The same tool under another spelling would be another kind of tool."""
    assert words_of(tool) == found


def test_a_tool_of_no_known_word_has_every_trait() -> None:
    """An agent could give a dangerous tool a name that means nothing."""
    assert traits_of("frobnicate", {}, words()) == STRICTEST == set(ALL_TRAITS)
    assert traits_of("", {}, words()) == STRICTEST


def test_a_tool_has_the_traits_of_all_its_words() -> None:
    """`get_and_delete` would count as reading."""
    by_word: dict[str, tuple[Trait, ...]] = {"get": (), "web": ("egress",), "delete": ("mutates",)}
    assert traits_of("web_get", {}, by_word) == {"egress"}
    assert traits_of("get_delete", {}, by_word) == {"mutates"}
    assert traits_of("get", {}, by_word) == set()


def test_a_tool_that_acts_on_what_it_is_named_after_does_not_read_it() -> None:
    """Every mail sent would count as a stranger's word, and every answer to it be held up."""
    assert traits_of("send_email", {}, words()) == {"egress", "irreversible"}
    assert traits_of("get_emails", {}, words()) >= READING


def test_code_reads_whatever_it_likes() -> None:
    """A tool that runs code could read customers' data unnoticed by also deleting something."""
    found = traits_of("run_sql_delete_customers", {}, words())
    assert "reads_sensitive" in found
    assert "executes_code" in found
    assert not LASTING.isdisjoint(found)


def test_the_policy_beats_the_name() -> None:
    """An operator could not correct what a name suggests."""
    globs: dict[str, tuple[Trait, ...]] = {"*": ("spends",), "mail.*": ("mutates",), "mail.send": ()}
    assert traits_of("delete_all", globs, words()) == {"spends"}
    assert traits_of("mail.get", globs, words()) == {"mutates"}
    assert traits_of("mail.send", globs, words()) == set()


def test_of_two_globs_as_long_the_same_one_always_decides() -> None:
    """Two workers would judge the same call differently."""
    one: dict[str, tuple[Trait, ...]] = {"a*": ("egress",), "*b": ("mutates",)}
    other = dict(reversed(list(one.items())))
    assert traits_of("ab", one, {}) == traits_of("ab", other, {}) == {"egress"}


@examples(150)
@given(tool_names())
def test_any_name_has_traits(tool: str) -> None:
    """An agent could end its judge by the name of a tool."""
    assert traits_of(tool, {}, words()) <= STRICTEST
    assert all(words_of(tool))


def test_every_word_of_the_policy_can_be_met_in_a_name() -> None:
    """A word could stand in the policy and never match any tool."""
    assert [word for word in words() if words_of(word) != [word]] == []
