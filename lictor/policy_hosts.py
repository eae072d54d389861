"""Few globs that cover many hosts, without ever covering the domain of a stranger."""

import ipaddress
from collections.abc import Iterable
from typing import Final

MOST_HOSTS: Final = 8
MANY: Final = 3
"""So many hosts under one domain stand for the domain."""
SHARED: Final = frozenset(
    {
        "amazonaws.com",
        "appspot.com",
        "azureedge.net",
        "azurewebsites.net",
        "blogspot.com",
        "cloudapp.net",
        "cloudfront.net",
        "core.windows.net",
        "firebaseapp.com",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "googleapis.com",
        "googleusercontent.com",
        "herokuapp.com",
        "myshopify.com",
        "netlify.app",
        "ngrok.io",
        "ngrok-free.app",
        "onrender.com",
        "pages.dev",
        "r2.dev",
        "render.com",
        "repl.co",
        "s3.amazonaws.com",
        "sharepoint.com",
        "supabase.co",
        "trycloudflare.com",
        "vercel.app",
        "web.app",
        "windows.net",
        "wordpress.com",
        "workers.dev",
        "zendesk.com",
    }
)
"""Domains under which anybody can have a host."""
_SECOND_LEVEL: Final = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "ltd", "ne", "net", "nom", "or", "org"})


def host_globs(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return globs that cover the hosts, at most `MOST_HOSTS`; none where that takes more.

    >>> host_globs(["a.example.com", "b.example.com", "c.example.com", "other.example"])
    ('*.example.com', 'other.example')
    """
    found = set(hosts)
    while True:
        wide = _widest(found)
        if not wide:
            break
        found = {host for host in found if not _under(host, wide)} | {f"*.{wide}"}
    return tuple(sorted(found)) if len(found) <= MOST_HOSTS else ()


def _widest(hosts: set[str]) -> str:
    """Return the domain under which most hosts stand, where there are many and it belongs to one owner."""
    counts: dict[str, int] = {}
    for host in hosts:
        parent = _parent(host)
        if parent:
            counts[parent] = counts.get(parent, 0) + 1
    return max((domain for domain, count in counts.items() if count >= MANY), key=lambda d: (counts[d], d), default="")


def _parent(host: str) -> str:
    """Return the domain right above a host; "" where that is nobody's own, or the host is a glob or an address."""
    if host.startswith("*.") or _is_address(host):
        return ""
    parent = host.partition(".")[2]
    labels = parent.split(".")
    public = len(labels) < 2 or (len(labels) == 2 and labels[0] in _SECOND_LEVEL)  # noqa: PLR2004 - `co.uk`
    shared = parent in SHARED or any(parent.endswith(f".{domain}") for domain in SHARED)
    return "" if public or shared else parent


def _under(host: str, domain: str) -> bool:
    return host.endswith(f".{domain}") and not host.startswith("*.")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
