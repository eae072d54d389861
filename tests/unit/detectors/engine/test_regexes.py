"""Regular expressions as Hyperscan scans for them: wherever RE2 matches, the scan must have said that it is worth asking."""

import hyperscan
import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from detectors.engine.judging import pattern_of
from detectors.engine.regexes import SCAN_FLAGS, wider
from tests.unit.strategies import examples

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "É",
        ".",
        r"\s",
        r"\d",
        r"\w",
        r"\S",
        "[ab]",
        "[^a]",
        r"[\s-]",
        r"\.",
        "^",
        "$",
        r"\b",
        "x{2,3}",
        "b{0,40}",
    ]
)
PIECES = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "{2,}", "{3,30}"])).map(lambda p: f"(?:{p[0]}){p[1]}")
        | st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda p: "(?:" + "|".join(p) + ")")
    ),
    max_leaves=6,
)
TEXTS = st.text(st.sampled_from("abÉx .\n\t\v1-"), max_size=24)


def scans(form: str, text: str) -> bool:
    """Tell whether Hyperscan finds the form in a text, as one line among others."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=[form.encode()], ids=[0], elements=1, flags=[SCAN_FLAGS])
    met: list[int] = []
    database.scan(f"before\n{text}\nafter".encode(), match_event_handler=lambda *found: met.append(found[0]))
    return bool(met)


@examples(300)
@given(PIECES, TEXTS, st.sampled_from(["", "i"]))
def test_the_scan_never_misses_what_the_rule_matches(pattern: str, text: str, flags: str) -> None:
    """A rule would be silent on an attack that its expression describes."""
    try:
        pattern_of(pattern, flags)
    except re2.error:  # too large for it: such a rule is refused
        return
    form = wider(pattern, flags)
    if form is None:
        return
    if pattern_of(pattern, flags).search(text) is not None:
        assert scans(form, text)


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        ("a{10,900}", "a{10,}"),
        ("a{500,900}b", "a{16,}b"),
        ("a{400}", "a{64,}"),
        ("a{2,5}", "a{2,5}"),
        ("[a{9,999}]", "[a{9,999}]"),
        (r"a\{9,999}", r"a\{9,999}"),
        ("a{,999}", "a{0,}"),
    ],
)
def test_far_repetitions_are_scanned_for_without_their_end(pattern: str, form: str) -> None:
    """One rule with `{10,4000}` would hold up the start of every worker for a minute."""
    assert wider(pattern, "") in (form, None)


@pytest.mark.parametrize("pattern", ["", "a*", "(?:a|)", r"\pN", "(?U)a+"])
def test_what_has_no_sure_form_is_judged_on_every_step(pattern: str) -> None:
    """A rule that matches the empty text would never be asked."""
    assert wider(pattern, "") is None
