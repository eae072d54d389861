"""The one pattern language of policies: `*` is any run of characters, `?` any one, nothing else is special."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

_GRAM: Final = 3
"""Characters; of a piece in the middle of a pattern so many are looked up."""


def match(pattern: str, text: str) -> bool:
    """Tell whether the whole of `text` fits `pattern`."""
    if pattern == "*":
        return True
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    head, *rest = pattern.split("*")
    if not rest:
        return len(head) == len(text) and _here(head, text, 0)
    if len(text) < len(head) or not _here(head, text, 0):
        return False
    at = len(head)
    for piece in rest[:-1]:
        at = _find(piece, text, at)
        if at < 0:
            return False
        at += len(piece)
    tail = rest[-1]
    return len(text) - len(tail) >= at and _here(tail, text, len(text) - len(tail))


def _here(piece: str, text: str, at: int) -> bool:
    if "?" not in piece:
        return text.startswith(piece, at)
    return all(wanted in ("?", text[at + i]) for i, wanted in enumerate(piece))


def _find(piece: str, text: str, start: int) -> int:
    if "?" not in piece:
        return text.find(piece, start)
    return next((at for at in range(start, len(text) - len(piece) + 1) if _here(piece, text, at)), -1)


def match_any(patterns: Iterable[str], text: str) -> bool:
    """Tell whether any pattern fits."""
    return any(match(pattern, text) for pattern in patterns)


Key = tuple[str, str]
"""Where a pattern is looked up (`whole`, `head`, `tail`, `gram`), and under what."""


class Globs:
    """Many patterns, asked at once which of them fit: a name never heard of costs the patterns it may fit, not all.

    Each pattern stands under the rarest literal text that whatever fits it must have: all of it, its start, its end, or
    a few letters from the middle. One without any stands apart, and is always tried.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        ways = [_keys_of(pattern) for pattern in patterns]
        common = Counter(key for keys in ways for key in keys)
        self._tables: dict[str, dict[str, list[int]]] = {}
        self._always: list[int] = []
        self._sure: set[int] = {at for at, pattern in enumerate(patterns) if not pattern.strip("*") and pattern}
        """Patterns that fit whatever has the text they stand under, so that they need not be tried."""
        for at, keys in enumerate(ways):
            if not keys:
                self._always.append(at)
                continue
            where, text = min(keys, key=lambda key: (common[key], -len(key[1]), key))
            self._tables.setdefault(where, {}).setdefault(text, []).append(at)
            if patterns[at] == {"whole": text, "head": f"{text}*", "tail": f"*{text}"}.get(where):
                self._sure.add(at)
        self._lengths = {where: sorted({len(text) for text in table}) for where, table in self._tables.items()}

    def fitting(self, name: str) -> list[int]:
        """Return the positions of the patterns that fit, in order."""
        sure, patterns = self._sure, self._patterns
        found = [at for at in self._candidates(name) if at in sure or match(patterns[at], name)]
        found.sort()
        return found

    def _candidates(self, name: str) -> list[int]:
        found = self._always.copy()
        for where, table in self._tables.items():
            if where == "whole":
                found += table.get(name, ())
                continue
            for length in self._lengths[where]:
                if length > len(name):
                    break
                if where == "gram":
                    for gram in table.keys() & {name[at : at + length] for at in range(len(name) - length + 1)}:
                        found += table[gram]
                elif at := table.get(name[:length] if where == "head" else name[-length:]):
                    found += at
        return found


def _keys_of(pattern: str) -> list[Key]:
    if "*" not in pattern and "?" not in pattern:
        return [("whole", pattern)]
    pieces = pattern.replace("?", "*").split("*")
    keys = [(where, text) for where, text in (("head", pieces[0]), ("tail", pieces[-1])) if text]
    for piece in pieces[1:-1]:
        length = min(_GRAM, len(piece))
        keys += [("gram", piece[at : at + length]) for at in range(len(piece) - length + 1) if length]
    return keys
