"""The texts that patterns are held against: a value as it is, and as it would read once its disguise is taken off.

Whatever is written with look-alike letters, invisible characters, percent or base64 encoding is seen as what it says, two
layers deep. Everything is bounded; a text that needs none of it costs nothing.
"""

import base64
import binascii
import unicodedata
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import re2

MOST_VIEWS: Final = 12
MOST_CHARS: Final = 1 << 18
"""Of a text whose disguises are looked for, and of each of them; the text itself is seen whole."""
MOST_RUNS: Final = 64
LAYERS: Final = 2
SHORTEST_RUN: Final = 16

PERCENT: Final = r"%[0-9a-fA-F]{2}"
BASE64: Final = r"[A-Za-z0-9+/_-]{16,}"
"""What suggests an encoding: also a pattern among those of the rules, so that most texts are never looked at for it."""

_RUNS: Final[Any] = re2.compile(BASE64 + "={0,2}")
_PERCENT: Final[Any] = re2.compile(PERCENT)

_LOOKALIKES: Final = str.maketrans(  # spelt by number where an editor could not tell them apart
    "АВЕКМНОРСТХаеорсухіјѕһԁԛԝӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοικνρυτѵɡⅼ\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2019\u2018\u201c\u201d",
    "ABEKMHOPCTXaeopcyxijshdqwlABEZHIKMNOPTYXaoikvputvgl-------''\"\"",
)


_TAGS: Final = range(0xE0020, 0xE007F)
"""Invisible characters that spell ASCII, and are used to say to a model what no reader sees."""


class _Seen(dict[int, int | str | None]):
    """A table for `str.translate`: what a letter reads as, learned as letters are met."""

    def __missing__(self, code: int) -> int | str | None:
        answer: int | str | None = _LOOKALIKES.get(code, code)
        if code in _TAGS:
            answer = chr(code - 0xE0000)
        elif unicodedata.category(chr(code)) == "Cf":
            answer = None
        if len(self) < 65536:  # noqa: PLR2004 - the basic plane is enough to remember
            self[code] = answer
        return answer


_seen: Final = _Seen()


def fold(text: str) -> str:
    """Return a text as it is compared where case does not count. The reference matcher folds by this very function."""
    return text.lower() if text.isascii() else text.casefold()


def views(text: str) -> tuple[str, ...]:
    """Return the text itself first, then what else it says. Bounded in number, length and depth."""
    if len(text) < SHORTEST_RUN and "%" not in text and text.isascii():
        return (text,)
    found = {text: None}
    layer = [text[:MOST_CHARS]]
    for _ in range(LAYERS):
        layer = [fresh for each in layer for fresh in _unveiled(each) if fresh and fresh not in found]
        for fresh in layer:
            if len(found) >= MOST_VIEWS:
                return tuple(found)
            found[fresh] = None
        if not layer:
            break
    return tuple(found)


def _unveiled(text: str) -> Iterator[str]:
    if not text.isascii():
        yield plain(text)
    if "%" in text and _PERCENT.search(text):
        yield unquote_to_bytes(text).decode("utf-8", "replace")[:MOST_CHARS]
    yield from _decoded(text)


def plain(text: str) -> str:
    """Return a text in compatibility form, without format characters, with look-alikes of Latin letters as these."""
    return unicodedata.normalize("NFKC", text).translate(_seen)[:MOST_CHARS]


def _decoded(text: str) -> Iterator[str]:
    for number, run in enumerate(_RUNS.finditer(text.encode("utf-8", "replace").decode())):
        if number >= MOST_RUNS:
            return
        said = _from_base64(run.group(0))
        if said:
            yield said


def _from_base64(run: str) -> str:
    """Return what a run of base64 says; "" where it says nothing printable."""
    body = run.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4))
        said = data.decode("utf-16-le" if data[1:8:2] == bytes(4) else "utf-8")  # shells of Windows take UTF-16
    except (binascii.Error, ValueError):
        return ""
    return said if said and all(letter.isprintable() or letter.isspace() for letter in said) else ""
