"""Where a value points: the host of a URL, an e-mail address or a host name; the place of a path.

Written apart from the agent's side, which must read the same. Whatever could be read in two ways is None: doubt.
"""

import ipaddress
import posixpath
import re
from typing import Final

from schemas.globs import glob_any

_ODD: Final = re.compile(r'[^!-~]|[\\<>"]')
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)(?:[/?#].*)?")
_MAIL: Final = re.compile(r"(?:mailto:)?[a-z0-9!#$&'*+\-=^_`{|}~.]+@([^@]*)")
_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]@]+))(?::([0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME: Final = 253
_MOST_PORTS: Final = 65535


def host_of(value: str) -> str | None:
    """Return the host, in lower case and without a trailing dot; None where there is none, or any doubt.

    >>> host_of("https://API.Example.com.:443/x"), host_of("Bob@Example.com"), host_of("https://good@evil/")
    ('api.example.com', 'example.com', None)
    """
    if not value or _ODD.search(value):
        return None
    text = value.lower()
    if text.partition(":")[2].startswith("//"):
        url = _URL.fullmatch(text)
        return _authority(url[1]) if url else None
    if "@" in text or text.startswith("mailto:"):
        mail = _MAIL.fullmatch(text)
        return _name(mail[1]) if mail else None
    return _authority(text)


def _authority(text: str) -> str | None:
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or int(parts[3] or 0) > _MOST_PORTS:
        return None
    return _address(parts[1], ipaddress.IPv6Address) if parts[1] else _name(parts[2])


def _name(text: str) -> str | None:
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or any(_LABEL.fullmatch(label) is None for label in labels):
        return None
    # an address may be written in ways that only some programs read: `127.1`, `0x7f000001`
    return _address(name, ipaddress.IPv4Address) if _NUMERIC.fullmatch(labels[-1]) else name


def _address(text: str, kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> str | None:
    try:
        return str(kind(text))
    except ValueError:
        return None


def host_fits(patterns: tuple[str, ...], host: str) -> bool:
    """Tell whether a host fits any of the globs, whose case does not count."""
    return glob_any((pattern.lower().removesuffix(".") for pattern in patterns), host)


def resolved(path: str) -> str | None:
    """Return a POSIX path with `.` and `..` resolved, `..` at its start where it climbs; None where there is any doubt.

    >>> resolved("/srv/./a/../b"), resolved("a/../../b"), resolved("~/x")
    ('/srv/b', '../b', None)
    """
    if not path or path.startswith(("//", "~")) or "\0" in path or "\\" in path:
        return None  # POSIX leaves open what two slashes at the start mean
    return posixpath.normpath(path)


def lies_within(path: str, folder: str) -> bool:
    """Tell whether a resolved path is a folder, or lies in it. What climbs above its start lies nowhere."""
    inside = resolved(folder)
    if inside is None or _climbs(inside) or _climbs(path) or path.startswith("/") is not inside.startswith("/"):
        return False
    return inside in (".", "/", path) or path.startswith(f"{inside}/")


def _climbs(path: str) -> bool:
    return path == ".." or path.startswith("../")
