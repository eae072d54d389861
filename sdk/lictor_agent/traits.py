"""What kind of tool is it? From the policy by glob, else from the words of its name, the strictest when unknown."""

from collections.abc import Mapping
from typing import Final

from lictor_agent import globs

ALL: Final = frozenset(
    {
        "reads_untrusted",
        "reads_sensitive",
        "egress",
        "mutates",
        "irreversible",
        "executes_code",
        "spends",
        "grants_access",
    }
)
EFFECTS: Final = frozenset({"mutates", "spends", "egress", "executes_code", "grants_access", "irreversible"})
"""Traits of calls that are written ahead: no effect without its step."""

_READING: Final = frozenset({"reads_untrusted", "reads_sensitive"})
_LASTING: Final = frozenset({"mutates", "irreversible", "spends", "grants_access"})
"""A tool that acts on what it is named after does not read it: `send_email` sends."""


_APART: Final = {code: " " for code in range(128) if not chr(code).isalnum()}


def words_of(tool: str) -> list[str]:
    """Split a tool's name into lower-case words, at everything that is no letter or digit, and at capitals."""
    if tool.isascii() and tool == tool.lower():  # most are, and an agent may name another with every call
        return tool.translate(_APART).split()
    spaced = []
    for i, letter in enumerate(tool):
        before, after = tool[i - 1 : i], tool[i + 1 : i + 2]
        if not letter.isalnum():
            spaced.append(" ")
            continue
        if letter.isupper() and before.isalnum() and (not before.isupper() or after.islower()):
            spaced.append(" ")
        spaced.append(letter)
    return "".join(spaced).lower().split()


def of_tool(
    tool: str, by_glob: Mapping[str, tuple[str, ...]], by_word: Mapping[str, tuple[str, ...]]
) -> frozenset[str]:
    """Return the traits of a tool: the longest matching glob's, else those of all its known words together."""
    return Traits(by_glob, by_word).of_tool(tool)


class Traits:
    """The traits that a policy gives to tools, made ready: a name never heard of is judged without trying every glob."""

    def __init__(self, by_glob: Mapping[str, tuple[str, ...]], by_word: Mapping[str, tuple[str, ...]]) -> None:
        best_first = sorted(by_glob, key=lambda glob: (len(glob), glob), reverse=True)
        self._globs = globs.Globs(best_first)
        self._traits = [frozenset(by_glob[glob]) for glob in best_first]
        self._by_word = by_word

    def of_tool(self, tool: str) -> frozenset[str]:
        """Return the traits of a tool."""
        fitting = self._globs.fitting(tool)
        return self._traits[fitting[0]] if fitting else _by_words(tool, self._by_word)


def _by_words(tool: str, by_word: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    known = [frozenset(by_word[word]) for word in words_of(tool) if word in by_word]
    found: frozenset[str] = frozenset().union(*known) if known else ALL
    if known and found & _LASTING and "executes_code" not in found:
        return found - _READING
    return found
