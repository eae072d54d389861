"""Texts as long and as varied as those of recorded runs: prose in lines, JSON, tables, and letters beyond ASCII."""

import json
import math
import random
from collections.abc import Callable
from typing import Any, Final

WORDS: Final = (
    *("invoice", "parcel", "customer", "supplier", "meeting", "report", "budget", "weekly", "figures", "warehouse"),
    *("delivery", "contract", "summary", "address", "status", "team", "quarter", "price", "amount", "Thursday"),
    *("pallet", "carrier", "region", "forecast", "harbour", "margin", "voucher", "catalogue", "tariff", "lorry"),
    *("the", "of", "and", "for", "with", "this", "from", "was", "been", "which", "before", "after", "about", "other"),
    *("review", "update", "approved", "pending", "shipped", "returned", "late", "early", "ready", "closed", "total"),
)
ACCENTED: Final = ("Zürich", "café", "naïve", "Łódź", "São", "déjà", "Größe", "東京", "Москва", "°", "€")
MARKS: Final = tuple(
    f"{one}-{two}" for one in ("amber", "cobalt", "sable") for two in ("finch", "heron", "otter", "pike")
)
"""What nearly no step says, and some rules look for: a match of every kind of rule, now and then."""
MARKED_SHARE: Final = 0.006
ACCENTED_SHARE: Final = 0.03
JSON_SHARE: Final = 0.03
LINES_SHARE: Final = 0.4
_LINES: Final = 4096

# Characters: the median and the 90th percentile of recorded sessions (evaluation set, 19,000 steps).
USER: Final = (120, 290)
MODEL: Final = (305, 850)
RESULT: Final = (340, 2770)
MOST: Final = 20_000
_NINETIETH: Final = 1.2816
"""Standard deviations above the median at which the 90th percentile of a normal distribution lies."""


class Texts:
    """Makes texts from one source of chance. Lines are made beforehand: what is measured is not their making."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self._plain = [_line(chance, WORDS) for _ in range(_LINES)]
        self._accented = [_line(chance, (*WORDS, *ACCENTED * 2)) for _ in range(_LINES)]

    def of(self, chance: random.Random, lengths: tuple[int, int]) -> str:
        """Return a text whose length is spread as these two say, by a log-normal law up to `MOST`."""
        median, ninetieth = lengths
        length = min(MOST, int(median * math.exp(chance.gauss(0, 1) * math.log(ninetieth / median) / _NINETIETH)))
        lines = self._accented if chance.random() < ACCENTED_SHARE else self._plain
        start = chance.randrange(_LINES)
        return self._form(chance)(lines, start, length)

    def _form(self, chance: random.Random) -> Callable[[list[str], int, int], str]:
        draw = chance.random()
        return _as_json if draw < JSON_SHARE else _in_lines if draw < JSON_SHARE + LINES_SHARE else _in_a_row


def marked(chance: random.Random) -> str:
    """Return what one step in some hundred says beside the rest, else ""."""
    return f"{chance.choice(MARKS)}: {chance.randrange(1 << 16):04x}" if chance.random() < MARKED_SHARE else ""


def _line(chance: random.Random, words: tuple[str, ...]) -> str:
    said = chance.choices(words, k=chance.randrange(5, 16))
    said.insert(chance.randrange(len(said)), str(chance.randrange(10, 9999)))
    return " ".join(said).capitalize() + chance.choice(".,:;.")


def _taken(lines: list[str], start: int, length: int, joint: str) -> str:
    found: list[str] = []
    size = 0
    while size < length:
        found.append(lines[(start + len(found)) % _LINES])
        size += len(found[-1]) + len(joint)
    return joint.join(found)[:length]


def _in_lines(lines: list[str], start: int, length: int) -> str:
    return _taken(lines, start, length, "\n")


def _in_a_row(lines: list[str], start: int, length: int) -> str:
    return _taken(lines, start, length, " ")


def _as_json(lines: list[str], start: int, length: int) -> str:
    said = _taken(lines, start, length, "\n").split("\n")
    rows: list[dict[str, Any]] = [{"id": at, "note": line, "open": at % 2 == 0} for at, line in enumerate(said)]
    return json.dumps(rows, ensure_ascii=False)
