"""The one pattern language of policies: `*` is any run of characters, `?` any one, nothing else is special."""

from collections.abc import Iterable


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
    return all(wanted in ("?", text[at + i]) for i, wanted in enumerate(piece))


def _find(piece: str, text: str, start: int) -> int:
    if "?" not in piece:
        return text.find(piece, start)
    return next((at for at in range(start, len(text) - len(piece) + 1) if _here(piece, text, at)), -1)


def match_any(patterns: Iterable[str], text: str) -> bool:
    """Tell whether any pattern fits."""
    return any(match(pattern, text) for pattern in patterns)
