"""Which host a text names, and whether a path lies in a folder. What is odd names none: doubt is the caller's to resolve."""

from typing import Final

_HOST: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_SCHEME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+.-")
_ADDRESS: Final = frozenset("0123456789abcdef:.")


def host_of(text: str) -> str | None:
    """Return the host of a URL, an e-mail address or a host name, in lower case; None where there is any doubt.

    Spaces, control characters, backslashes, user names in URLs and letters beyond ASCII are doubt: programs disagree about
    what such a text names.
    """
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return None
    text = text.lower()
    scheme, found, rest = text.partition("://")
    if found:
        return _of_authority(_before(rest, "/?#")) if scheme and _SCHEME.issuperset(scheme) else None
    if text.startswith("mailto:"):
        text = _before(text[7:], "?")
    if "@" in text:
        return _name(text.partition("@")[2]) if text.count("@") == 1 and "/" not in text else None
    return None if "/" in text else _of_authority(text)


def _before(text: str, ends: str) -> str:
    return text[: min((at for end in ends if (at := text.find(end)) >= 0), default=len(text))]


def _of_authority(text: str) -> str | None:
    if text.startswith("["):
        address, found, port = text[1:].partition("]")
        good = found and address and _ADDRESS.issuperset(address) and (not port or _is_port(port))
        return address if good else None
    host, found, port = text.partition(":")
    return _name(host) if not found or _is_port(f":{port}") else None


def _is_port(text: str) -> bool:
    return text.startswith(":") and (text == ":" or text[1:].isdecimal())


def _name(host: str) -> str | None:
    host = host.removesuffix(".")
    good = host and _HOST.issuperset(host) and ".." not in host and not host.startswith(".")
    return host if good else None


def parts_of(path: str) -> tuple[bool, tuple[str, ...]] | None:
    """Return whether a POSIX path is absolute, and its parts with `.` and `..` resolved; None where there is any doubt."""
    if not path or "\0" in path or "\\" in path or path.startswith("~"):
        return None
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return path.startswith("/"), tuple(parts)


def lies_in(path: str, folder: tuple[bool, tuple[str, ...]]) -> bool | None:
    """Tell whether a path lies in a folder (as `parts_of` has it); None where that cannot be said."""
    found = parts_of(path)
    if found is None or found[0] != folder[0]:
        return None
    return found[1][: len(folder[1])] == folder[1]
