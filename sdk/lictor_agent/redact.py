"""What leaves the agent's process of a body: secrets become their kind and a keyed hash, as the policy says.

The same value has the same hash in every step of an agent, so that what was read can be told again where it is sent, without
anybody seeing it. Who does not hold the agent's key cannot try values against it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from lictor_agent import globs
from lictor_agent.policy import Content
from lictor_agent.secrets import BY_NAME, Finder, is_secret_name
from lictor_agent.wire import Cut, canonical

MARK: Final = "[redacted:"
_RANK: Final = {"full": 0, "redacted": 1, "digest": 2}
_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")
"""Hashes are letters alone: no number in them can be taken for a card."""


class Redactor:
    """One policy's rules under one agent's key. Thread-safe; never raises."""

    def __init__(self, content: Content, key: bytes) -> None:
        self._key = hashlib.blake2b(key, digest_size=32, person=b"lictor.redact").digest()
        self._content = content
        self._default = _RANK.get(content.default, 1)
        names = [name for name in content.rules if name in BY_NAME]
        self._finder = Finder(tuple(rule for name in names for rule in BY_NAME[name]))
        self._fields = [(glob, _RANK.get(how, 2)) for glob, how in content.fields.items()]
        self._traits = {trait: _RANK.get(how, 2) for trait, how in content.traits.items()}

    def body(self, path: str, value: Any, traits: frozenset[str], cuts: dict[str, Cut]) -> Any:
        """Return a body (`text`, `arguments`, …) as it may be published; what became a digest is noted in `cuts`.

        `value` is JSON. `traits`: of the tool it is about. The strictest of default, traits and fields counts.
        """
        level = max((self._traits[trait] for trait in traits if trait in self._traits), default=0)
        return self._shown(path, value, max(self._default, level), cuts)

    def _shown(self, path: str, value: Any, level: int, cuts: dict[str, Cut]) -> Any:
        declared = max((how for glob, how in self._fields if globs.match(glob, path)), default=0) if self._fields else 0
        if max(level, declared) == _RANK["digest"]:
            return self._digest(path, value, cuts)
        if declared:
            return value if value in (None, "", [], {}) else self._token("field", _text(value))
        return self._inside(path, value, level, cuts)

    def _inside(self, path: str, value: Any, level: int, cuts: dict[str, Cut]) -> Any:
        if isinstance(value, str):
            return self._text(value) if level else value
        if isinstance(value, dict):
            return self._members(path, value, level, cuts)
        if isinstance(value, list):
            return [self._shown(f"{path}[{at}]", member, level, cuts) for at, member in enumerate(value)]
        if level and isinstance(value, int) and not isinstance(value, bool) and value > 1 << 40:
            shown = self._text(str(value))  # a card number is as telling without quotes
            return shown if MARK in shown else value
        return value

    def _members(self, path: str, value: dict[str, Any], level: int, cuts: dict[str, Cut]) -> dict[str, Any]:
        shown = {}
        for name, member in value.items():
            if (
                level
                and is_secret_name(name)
                and isinstance(member, str | int | float)
                and member not in ("", True, False)
            ):
                shown[name] = member if MARK in str(member) else self._token("secret", _text(member))
            else:
                shown[self._text(name) if level else name] = self._shown(f"{path}.{name}"[:200], member, level, cuts)
        return shown

    def _text(self, text: str) -> str:
        places = self._finder.find(text)
        if not places:
            return text
        places.sort(key=lambda place: (place[0], -place[1]))
        parts, at = [], 0
        for start, end, rule in places:
            if start < at or text.startswith(MARK, start):
                continue
            parts += [text[at:start], self._token(rule.kind, rule.plain(text[start:end]))]
            at = end
        return "".join([*parts, text[at:]])

    def _token(self, kind: str, value: str) -> str:
        data = value.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(data, key=self._key, digest_size=8).hexdigest().translate(_LETTERS)
        return f"{MARK}{kind}:{digest}]"

    def _digest(self, path: str, value: Any, cuts: dict[str, Cut]) -> Any:
        if value in (None, "", [], {}) or isinstance(value, bool):
            return value
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else canonical(value)
        length = len(value) if isinstance(value, str) else len(data)
        cuts[path] = Cut(length, hashlib.blake2b(data, key=self._key, digest_size=16).hexdigest(), hidden=True)
        return {} if isinstance(value, dict) else [] if isinstance(value, list) else ""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return canonical(value).decode() if isinstance(value, Mapping | list) else str(value)
