"""Text that tells its reader to do something, where only data was expected.

Nothing here keys on an attack's own phrases. A directive is a verb of doing where a sentence gives an order (at its
beginning, after *please*, *you must*, *and then*), among words that speak to a reader about what to do: at least three of
eight kinds. Hyperscan tells whether a text has any of it at all; RE2 says where.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import hyperscan
import re2

from schemas.policy import Trait

VISIT, SEND, PAY, RUN, CHANGE = 1, 2, 4, 8, 16
"""Kinds of doing, as bits."""
EVERYTHING: Final = VISIT | SEND | PAY | RUN | CHANGE

_VERBS: Final[Mapping[int, str]] = {
    VISIT: "visit go click open navigate browse fetch check look see view access load follow read retrieve get register connect "
    "download subscribe enter",
    SEND: "send forward email mail message post share reply notify tell contact publish submit upload write give provide "
    "include cc dm text say announce leave invite deliver transmit report disclose paste",
    PAY: "pay transfer wire buy purchase order refund donate book reserve settle remit deposit subscribe credit invest",
    RUN: "run execute install download type paste eval deploy launch start invoke call use compile source apply",
    CHANGE: "delete remove cancel create add update change set disable enable turn reset edit modify overwrite move rename "
    "approve grant invite register schedule remember store save make append insert put replace mark assign rebook "
    "give allow promote revoke accept confirm lock unlock close merge",
}
_CALLS: Final[Mapping[Trait, int]] = {
    "egress": SEND,
    "spends": PAY,
    "executes_code": RUN,
    "mutates": CHANGE,
    "irreversible": SEND | CHANGE,
    "grants_access": CHANGE | SEND,
    "reads_untrusted": VISIT,
    "reads_sensitive": VISIT,
}

_THINGS: Final[Mapping[int, str]] = {
    SEND: "mail emails messages message invitation reminder announcement newsletter feedback response answer summary tweet "
    "comment",
    PAY: "payment transaction invoice bill rent order flight hotel ticket refund upgrade certificate money reservation booking",
    RUN: "script code command test program terminal shell bug fix issue solve implement build compile exploit flag",
    CHANGE: "event meeting appointment calendar file document note entry record list fix implement issue solve reservation "
    "booking upgrade flight bug build compile reschedule plan organize refactor",
}
"""What people speak of when they want something of a kind done, beside its verbs."""
_COMMON: Final = frozenset(
    {*("the", "a", "an", "is", "are", "to", "of", "and", "what", "where", "when", "who", "how", "i", "my", "me", "it")}
    | {*("in", "on", "for", "please", "can", "you")}
)

BEFORE: Final = 150
AFTER: Final = 300
"""Characters around a verb that belong to what is ordered."""
MOST_PLACES: Final = 256
ENOUGH_SIGNS: Final = 2
CLEAR_SIGNS: Final = 3
"""What leaves no doubt that a reader is told what to do: asked for where documentation tells everybody how to run it."""

_SIGNS: Final = (
    r"\bplease\b",
    r"\byou(?:r|rself|'re|'ll)?\b",
    r"\b(?:must|have to|need to|needs to|should|required|shall|ought to)\b",
    r"\b(?:tasks?|instructions?|requests?|orders?|assignment|job|steps?|procedure)\b",
    r"\b(?:before|first|then|after|once|instead|also|next|now|finally)\b",
    r"\b(?:important|urgent|immediately|asap|critical|crucial|essential|priority|attention|note|mandatory)\b",
    r"\b(?:assistant|agent|ai|model|bot|llm|system|automation)\b",
    r"\b(?:always|never|whenever|every time|from now on|going forward|by default|in future)\b",
)
_LEAD: Final = (
    r"(?:(?:^|[.!?;\n>*\"'`]|\s-\s|\d[.)])\s*"
    r"|\b(?:do|tasks?|following|request|actions?|instructions?|steps?|note|important|todo|this)\s*:\s*"
    r"|\b(?:before|after|when|whenever|if|once|while|until|unless|since|to|in order to)\b[^,.;:!?\n]{1,80},\s*"
    r"(?:please\s+|then\s+)?"
    r"|\bplease,?\s+(?:\w+ly\s+|also\s+|just\s+)?"
    r"|\b(?:must|should|need to|have to|shall|needs? to|required to|ought to)\s+(?:\w+ly\s+|first\s+|also\s+)?"
    r"|\b(?:and|then|first|also|now|just|instead|want you to|like you to|ask you to|you to|make sure to|be sure to"
    r"|remember to|proceed to|go ahead and|always|never|automatically|immediately|kindly|simply|directly)\s*,?\s+)"
)


def _kinds_by_verb() -> dict[str, int]:
    found: dict[str, int] = {}
    for kind, verbs in _VERBS.items():
        for verb in verbs.split():
            found[verb] = found.get(verb, 0) | kind
    return found


KIND_OF: Final = _kinds_by_verb()
_ORDER: Final[Any] = re2.compile(_LEAD + "(" + "|".join(sorted(KIND_OF)) + r")\b")
_DELEGATES: Final[Any] = re2.compile(
    r"\b(?:do|complete|perform|carry out|follow|handle|execute|take care of|act on|process|work through|resolve|finish)\b"
    r"(?:\s+[\w']+){0,6}?\s+(?:tasks?|to-?dos?|list|actions?|instructions?|steps|requests?|items|issues?|tickets?|checklist)\b"
    r"|\b(?:do|follow|handle|process)\b(?:\s+[\w']+){0,8}?\s+(?:says|asks?|asked|requested|wants|instructs|specified|listed|described)\b"
)
_NOT_ELSEWHERE: Final[Any] = re2.compile(r"\bfollowing\s+(?:tasks?|steps|actions?|instructions?)\b")


def _kinds_by_word() -> dict[str, int]:
    found = dict(KIND_OF)
    for kind, things in _THINGS.items():
        for word in things.split():
            found[word] = found.get(word, 0) | kind
    return found


_SPOKEN: Final = _kinds_by_word()


def kinds_spoken_of(told: list[str]) -> tuple[int, bool]:
    """Return what kinds of doing a person's words are about, and whether the words are English at all."""
    kinds = 0
    for word in told:
        kinds |= _SPOKEN.get(word, 0) or _SPOKEN.get(stem(word), 0)
    return kinds, not _COMMON.isdisjoint(told)


@functools.lru_cache(maxsize=1 << 14)
def stem(word: str) -> str:
    """Return the known word that this one is a form of: `sending`, `invoices`, `booked`; itself where there is none."""
    for ending in ("ing", "ed", "es", "s", "d"):
        base = word.removesuffix(ending)
        if base == word or len(base) < 3:  # noqa: PLR2004 - no verb is shorter
            continue
        doubled = base[:-1] if len(base) > 3 and base[-1] == base[-2] else base  # noqa: PLR2004 - `get`, `getting`
        for form in (base, base + "e", doubled):
            if form in _SPOKEN:
                return form
    return word


@dataclass(frozen=True, slots=True)
class Order:
    """One stretch of text in which something is ordered."""

    kinds: int
    text: str
    signs: int = 0
    """How many kinds of signs stand around it."""


class _Signs:
    """Which signs of an order a text has: one scan, however many there are."""

    def __init__(self) -> None:
        patterns = [*_SIGNS, r"\b(?:" + "|".join(sorted(KIND_OF)) + r")\b"]
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=[pattern.encode() for pattern in patterns],
            ids=list(range(len(patterns))),
            elements=len(patterns),
            flags=hyperscan.HS_FLAG_SINGLEMATCH,
        )
        self._scratch = hyperscan.Scratch(self._database)
        self._verb = len(_SIGNS)

        seen = self._seen = set[int]()

        def note(number: int, _from: int, _to: int, _flags: int, _context: object) -> None:
            seen.add(number)

        self._note = note

    def of(self, folded: bytes) -> tuple[int, bool]:
        """Return how many kinds of signs a folded text has, and whether there is any verb of doing."""
        seen = self._seen
        seen.clear()
        self._database.scan(folded, match_event_handler=self._note, scratch=self._scratch)
        verb = self._verb in seen
        return len(seen) - verb, verb


@functools.cache
def _signs() -> _Signs:
    return _Signs()


def orders_in(folded: str) -> Iterator[Order]:
    """Yield the stretches of a folded text that order something; nothing for nearly every text.

    A text with more places to look at than are looked at counts as one order throughout: filler hides nothing.
    """
    count, verb = _signs().of(folded.encode("utf-8", "replace"))
    return _orders_in(folded) if verb and count >= ENOUGH_SIGNS else iter(())


def _orders_in(folded: str) -> Iterator[Order]:
    for number, found in enumerate(_ORDER.finditer(folded)):
        if number >= MOST_PLACES:
            yield Order(EVERYTHING, folded, ENOUGH_SIGNS)
            return
        begin, end = found.span(1)
        if folded[end : end + 2].lstrip()[:1] == ":":
            continue  # a key of a record, and no verb
        around = folded[max(0, begin - BEFORE) : end + AFTER]
        signs = _signs().of(around.encode("utf-8", "replace"))[0]
        if signs >= ENOUGH_SIGNS:
            yield Order(KIND_OF[found.group(1)], folded[begin : end + AFTER], signs)


def delegates(text: str) -> bool:
    """Tell whether a person hands over to what stands elsewhere: *do the tasks on my list*, *follow the steps in …*."""
    folded = text.casefold()
    return bool(_DELEGATES.search(folded)) and not _NOT_ELSEWHERE.search(folded)


@functools.lru_cache(maxsize=4096)
def kinds_of_call(traits: frozenset[Trait]) -> int:
    """Return what kinds of doing a call of a tool with these traits can be."""
    kinds = 0
    for trait in traits:
        kinds |= _CALLS[trait]
    return kinds
