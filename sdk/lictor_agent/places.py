"""Where a value points: the host of a URL, an e-mail address or a host name; the place of a path.

Strict on purpose. Whatever two programs could read in two ways is None, and None is doubt: never permission.
"""

import ipaddress
from typing import Final

_HOST: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_SCHEME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+.-")
_LOCAL: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789!#$&'*+-=^_`{|}~.")
_ODD: Final = frozenset('\\<>"')
_LABEL: Final = 63
_NAME: Final = 253
_PORT: Final = 65535

Place = tuple[bool, tuple[str, ...] | None]
"""Absolute or not, and the names on the way; None in their place: it climbs above where it starts."""


def host_of(value: str) -> str | None:
    """Return the host, in lower case and without a trailing dot; None where there is none, or any doubt."""
    if not value.isascii() or any(not " " < letter < "\x7f" or letter in _ODD for letter in value):
        return None
    text = value.lower()
    scheme, colon, rest = text.partition(":")
    if colon and rest.startswith("//"):
        return _url_host(scheme, rest[2:])
    if scheme == "mailto" and colon:
        return _mail_host(rest)
    return _mail_host(text) if "@" in text else _with_port(text)


def _url_host(scheme: str, rest: str) -> str | None:
    if not scheme or not scheme[0].isalpha() or not _SCHEME.issuperset(scheme):
        return None
    end = min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))
    return _with_port(rest[:end])  # a user before an `@` is no part of any host: doubt


def _mail_host(address: str) -> str | None:
    local, at, host = address.partition("@")
    if not at or not local or not _LOCAL.issuperset(local):
        return None
    return _name(host)


def _with_port(text: str) -> str | None:
    if text.startswith("["):
        inside, bracket, port = text[1:].partition("]")
        return _ipv6(inside) if bracket and _is_port(port) else None
    host, colon, _ = text.partition(":")
    return _name(host) if _is_port(text[len(host) :]) or not colon else None


def _is_port(text: str) -> bool:
    if not text:
        return True
    digits = text[1:]
    return text[0] == ":" and digits.isdigit() and len(digits) <= 5 and int(digits) <= _PORT  # noqa: PLR2004


def _ipv6(text: str) -> str | None:
    try:
        return None if "%" in text else str(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def _name(host: str) -> str | None:
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > _NAME or not all(_is_label(label) for label in labels):
        return None
    return host if not _is_numeric(labels[-1]) else _ipv4(host)


def _is_label(label: str) -> bool:
    good = 0 < len(label) <= _LABEL and _HOST.issuperset(label)
    return good and not label.startswith("-") and not label.endswith("-")


def _is_numeric(label: str) -> bool:
    """Such a host is an address, and may be written in ways that only some programs read: `127.1`, `0x7f000001`."""
    return label.isdigit() or (label.startswith("0x") and not set(label[2:]) - set("0123456789abcdef"))


def _ipv4(host: str) -> str | None:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        return None


def place_of(value: str) -> Place | None:
    """Return where a POSIX path leads, with `.` and `..` resolved; None where there is any doubt."""
    if not value or "\0" in value or "\\" in value or value[0] == "~":
        return None
    absolute = value[0] == "/"
    if value.startswith("//"):
        return None  # POSIX leaves open what two slashes at the start mean
    names: list[str] = []
    for name in value.split("/"):
        if name == "..":
            if not names and not absolute:
                return False, None
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return absolute, tuple(names)


def lies_in(place: Place, folder: Place) -> bool:
    """Tell whether a place is a folder, or lies in it."""
    names, above = place[1], folder[1]
    if names is None or above is None or place[0] is not folder[0]:
        return False
    return names[: len(above)] == above
