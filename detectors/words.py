"""Words as the flow detectors compare them: folded, cut at punctuation that addresses do not contain, as 64-bit digests."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

MIN_WORD: Final = 3
_EDGE: Final = ".-_/:@+'"
_OCTET: Final = re.compile("[0-9]{1,3}")
_KEEP: Final = frozenset("@._-+/:%#=&?~")


class _Spaces(dict[int, int | str]):
    """A table for `str.translate` that turns whatever cannot stand in an address into a space, learned as met."""

    def __missing__(self, code: int) -> int | str:
        letter = chr(code)
        answer: int | str = code if letter.isalnum() or letter in _KEEP else " "
        if len(self) < 65536:  # noqa: PLR2004 - the basic plane is enough to remember
            self[code] = answer
        return answer


_spaces = _Spaces()


def digest64(data: bytes) -> int:
    """Return a 64-bit digest."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def words(text: str) -> list[str]:
    """Return the words of a text, folded: addresses, links and identifiers whole, punctuation at their ends dropped.

    >>> words("Mail Bob <bob@example.com>, see https://example.com/a?b=1.")
    ['mail', 'bob', 'bob@example.com', 'see', 'https://example.com/a?b=1']
    """
    trimmed = [word.strip(_EDGE) for word in text.casefold().translate(_spaces).split()]
    return [word for word in trimmed if len(word) >= MIN_WORD]


def host_of(word: str) -> str:
    """Return the host of a link or an address, without `www.`; "" where the word has none.

    >>> host_of("https://www.example.com:8080/a"), host_of("bob@example.com"), host_of("hello")
    ('example.com', 'example.com', '')
    """
    rest = word.split("://", 1)[-1] if "://" in word else word
    host = rest.split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1].split(":", 1)[0]
    host = host.removeprefix("www.").strip(".")
    return host if "." in host and not host.replace(".", "").isdigit() else host if _is_ipv4(host) else ""


def is_place(word: str) -> bool:
    """Tell whether a word says where something is on the net: a link, an address, a host name, an IPv4 address.

    A dotted name counts where it ends as host names do: `report.pdf` and `self.assertEqual` are no places.

    >>> [is_place(word) for word in ("https://a/b", "bob@a.b", "www.x.yz", "evil.example", "10.0.0.1", "notes.txt", "a.b")]
    [True, True, True, True, True, False, False]
    """
    if "://" in word or ("@" in word and "." in word) or word.startswith("www."):
        return True
    host = host_of(word)
    return bool(host) and (host.rpartition(".")[2] in _ENDINGS or _is_ipv4(host))


_ENDINGS: Final = frozenset(
    (
        *(
            "com",
            "org",
            "net",
            "io",
            "dev",
            "ai",
            "app",
            "co",
            "info",
            "biz",
            "edu",
            "gov",
            "mil",
            "int",
            "example",
            "invalid",
        ),
        *("xyz", "online", "site", "shop", "tech", "cloud", "tv", "us", "uk", "de", "fr", "es", "nl", "ch", "eu", "ca"),
        *("au", "nz", "jp", "cn", "ru", "br", "mx", "se", "fi", "dk", "cz", "ie", "pt", "gr", "tr", "kr"),
        *("hk", "sg", "za", "il", "onion", "club", "news", "zone", "systems", "solutions", "agency"),
    )
)
"""Top-level domains of common hosts, without those that are endings of files: `.py`, `.md`, `.sh`."""


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(_OCTET.fullmatch(part) and int(part) < 256 for part in parts)  # noqa: PLR2004


def strings_in(value: Any, path: str = "arguments", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (path, text) for every string and number inside a JSON value, as deep as a call may nest (32)."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, bool) or value is None or depth >= 32:  # noqa: PLR2004
        return
    elif isinstance(value, int | float):
        yield path, str(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_in(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item, path, depth + 1)
