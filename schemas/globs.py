"""The one pattern language of policies: `*` is any run of characters, `?` any one, case counts, nothing else is special.

Hand-written because `fnmatch` gives `[` a meaning and translates to backtracking regular expressions; this one takes at
most len(pattern) * len(text) steps. `sdk/lictor_agent/globs.py` is the other side of `tests/contract/globs.jsonl`.
"""

from collections.abc import Iterable


def glob_match(pattern: str, text: str) -> bool:
    """Tell whether the whole of `text` fits `pattern`."""
    if pattern == "*":
        return True
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    at, mark, star = 0, 0, -1
    i = 0
    while at < len(text):
        if i < len(pattern) and pattern[i] == "*":
            star, mark = i, at
            i += 1
        elif i < len(pattern) and pattern[i] in ("?", text[at]):
            i += 1
            at += 1
        elif star >= 0:
            i = star + 1
            mark += 1
            at = mark
        else:
            return False
    return all(rest == "*" for rest in pattern[i:])


def glob_any(patterns: Iterable[str], text: str) -> bool:
    """Tell whether any pattern fits."""
    return any(glob_match(pattern, text) for pattern in patterns)
