"""What kind of tool is it? From the policy by glob, else from the words of its name, the strictest when unknown."""

from collections.abc import Mapping

from schemas.globs import glob_match
from schemas.policy import ALL_TRAITS, Trait

STRICTEST: frozenset[Trait] = frozenset(ALL_TRAITS)
READING: frozenset[Trait] = frozenset({"reads_untrusted", "reads_sensitive"})
LASTING: frozenset[Trait] = frozenset({"mutates", "irreversible", "spends", "grants_access"})
"""What such a tool is named after it acts on, and does not read: `send_email` sends."""


def words_of(tool: str) -> list[str]:
    """Split a tool's name into lower-case words: at everything that is no letter or digit, and at capitals.

    >>> words_of("sendEmail_v2"), words_of("web.getPage"), words_of("HTTPGet")
    (['send', 'email', 'v2'], ['web', 'get', 'page'], ['http', 'get'])
    """
    words: list[str] = []
    word = ""
    for i, letter in enumerate(tool):
        if not letter.isalnum():
            words, word = _closed(words, word)
            continue
        if letter.isupper() and word and (not word[-1].isupper() or tool[i + 1 : i + 2].islower()):
            words, word = _closed(words, word)
        word += letter
    return _closed(words, word)[0]


def _closed(words: list[str], word: str) -> tuple[list[str], str]:
    return ([*words, word.lower()] if word else words), ""


def traits_of(
    tool: str, by_glob: Mapping[str, tuple[Trait, ...]], by_word: Mapping[str, tuple[Trait, ...]]
) -> frozenset[Trait]:
    """Return the traits of a tool: the longest matching glob's, else those of all its known words together."""
    matching = [glob for glob in by_glob if glob_match(glob, tool)]
    if matching:
        return frozenset(by_glob[max(matching, key=lambda glob: (len(glob), glob))])
    known = [by_word[word] for word in words_of(tool) if word in by_word]
    if not known:
        return STRICTEST
    found = frozenset(trait for traits in known for trait in traits)
    acts = not found.isdisjoint(LASTING) and "executes_code" not in found
    return found - READING if acts else found
