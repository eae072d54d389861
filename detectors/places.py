"""Hosts and folders as conditions compare them: the same answers as the gate's, by another hand."""

import string
from typing import Final

_HOST_LETTERS: Final = string.ascii_lowercase + string.digits + ".-_"
_SCHEME_LETTERS: Final = string.ascii_lowercase + string.digits + "+.-"
Folder = tuple[str, ...]
"""An absolute folder begins with "/"."""


def named_host(text: str) -> str:
    """Return the host that a URL, an e-mail address or a host name names, in lower case; "" where there is any doubt."""
    if any(not "!" <= letter <= "~" or letter == "\\" for letter in text):
        return ""
    low = text.lower()
    at = low.find("://")
    if at >= 0:
        if at == 0 or low[:at].strip(_SCHEME_LETTERS):
            return ""
        return _host_and_port(_cut(low[at + 3 :], "/", "?", "#"))
    if low.startswith("mailto:"):
        low = _cut(low.removeprefix("mailto:"), "?")
    if "@" in low:
        pieces = low.split("@")
        return _host(pieces[1]) if len(pieces) == 2 and "/" not in low else ""  # noqa: PLR2004 - name and host
    return "" if "/" in low else _host_and_port(low)


def _cut(text: str, *ends: str) -> str:
    for end in ends:
        text = text.split(end, 1)[0]
    return text


def _host_and_port(text: str) -> str:
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        odd = inside.strip(string.hexdigits.lower() + ":.")
        return inside if bracket and inside and not odd and (not rest or _port(rest)) else ""
    at = text.find(":")
    if at < 0:
        return _host(text)
    return _host(text[:at]) if _port(text[at:]) else ""


def _port(text: str) -> bool:
    return text[0] == ":" and not text[1:].strip(string.digits)


def _host(text: str) -> str:
    text = text.removesuffix(".")
    if not text or text.strip(_HOST_LETTERS) or any(not label for label in text.split(".")[:-1]) or text.endswith("."):
        return ""
    return text


def resolved(path: str) -> Folder | None:
    """Return a POSIX path's parts, `.` and `..` resolved; None where it climbs above its start or is odd."""
    if path == "" or path[0] == "~" or "\x00" in path or "\\" in path:
        return None
    found: list[str] = []
    for part in path.split("/"):
        if part == ".." and not found:
            return None
        if part == "..":
            del found[-1]
        elif part and part != ".":
            found.append(part)
    return ("/", *found) if path[0] == "/" else tuple(found)


def is_within(path: str, folder: Folder) -> bool | None:
    """Tell whether a path lies in a folder; None where nobody can say."""
    parts = resolved(path)
    if parts is None or (parts[:1] == ("/",)) != (folder[:1] == ("/",)):
        return None
    return parts[: len(folder)] == folder
