"""Regular expressions of rules, in the wider form that Hyperscan scans for.

RE2 decides. Hyperscan only says on which steps it is worth asking, so its form must match wherever RE2 would: anchors hold
at every line, because the values of a step are scanned as lines of one text.
"""

import functools
from typing import Final

import hyperscan

from detectors.engine.judging import pattern_of

_SPACE: Final = r"\t\n\f\r "
_IN_CLASS: Final = {"s": _SPACE, "v": r"\x0b"}
_OUTSIDE: Final = {
    "s": f"[{_SPACE}]",
    "S": f"[^{_SPACE}]",
    "A": "^",
    "z": "$",
    "v": r"\x0b",
    "b": r"\b",
    "B": r"\B",
}
"""Escapes that PCRE reads otherwise, in PCRE's syntax."""
NEAR: Final = 16
FAR: Final = 64
"""Bounds of repetitions as far as Hyperscan is given them."""
SCAN_FLAGS: Final = (
    hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_UTF8
)


@functools.lru_cache(maxsize=8192)
def wider(pattern: str, flags: str) -> str | None:
    """Return the form that Hyperscan scans for; None where there is none that surely matches whatever RE2 matches."""
    caseless = "i" in flags or "(?i" in pattern
    if caseless and not pattern.isascii():
        return None
    found = _translated(pattern)
    if found is None or pattern_of(pattern, flags).search("") is not None:
        return None
    form = f"(?i){found}" if "i" in flags else found
    return form if _taken(form.encode()) else None


def _translated(pattern: str) -> str | None:
    """Return the pattern in PCRE's syntax, with the same meaning or a wider one; None where that is in doubt."""
    out: list[str] = []
    at, in_class = 0, False
    while at < len(pattern):
        letter = pattern[at]
        if letter == "\\":
            done = _escape(pattern[at + 1 : at + 2], in_class=in_class)
            if done is None:
                return None
            out.append(done)
            at += 2
            continue
        if pattern.startswith("(?", at) and not in_class and not _plain_group(pattern, at):
            return None
        if letter == "[" and not in_class:
            in_class = True
            opened = 2 if pattern[at + 1 : at + 2] == "^" else 1
            opened += pattern[at + opened : at + opened + 1] == "]"
            out.append(pattern[at : at + opened].replace("]", "\\]"))
            at += opened
            continue
        if in_class and pattern.startswith("[:", at):
            end = pattern.find(":]", at)
            if end < 0:
                return None
            out.append(pattern[at : end + 2])
            at = end + 2
            continue
        if letter == "{" and not in_class:
            end = pattern.find("}", at)
            out.append(_repeat(pattern[at : end + 1]) if end > 0 else letter)
            at = end + 1 if end > 0 else at + 1
            continue
        in_class = in_class and letter != "]"
        out.append(letter)
        at += 1
    return "".join(out)


def _repeat(said: str) -> str:
    """Return a repetition without a far upper bound: Hyperscan would spell out each count, for seconds and megabytes."""
    least, comma, most = said[1:-1].partition(",")
    if not (least or "0").isdigit() or not (most or "0").isdigit():
        return said
    if not comma:
        return said if int(least) <= FAR else f"{{{FAR},}}"
    if most and int(most) - int(least or 0) <= NEAR and int(most) <= FAR:
        return said
    return f"{{{min(int(least or 0), NEAR)},}}"


def _plain_group(pattern: str, at: int) -> bool:
    """Tell whether a group that begins with `(?` means the same to both: non-capturing, named, or flags switched on."""
    if pattern.startswith(("(?:", "(?P<"), at):
        return True
    end = min(place for place in (pattern.find(")", at), pattern.find(":", at), len(pattern)) if place >= 0)
    return all(flag in "ims" for flag in pattern[at + 2 : end])


def _escape(letter: str, *, in_class: bool) -> str | None:
    differing = _IN_CLASS if in_class else _OUTSIDE
    if letter in differing:
        return differing[letter]
    if letter and (letter in "dDwWnrtfax" or not letter.isalnum()):
        return f"\\{letter}"
    return None


def _taken(form: bytes) -> bool:
    """Tell whether Hyperscan takes a form."""
    try:
        hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK).compile(
            expressions=[form], ids=[0], elements=1, flags=[SCAN_FLAGS]
        )
    except hyperscan.error:
        return False
    return True
