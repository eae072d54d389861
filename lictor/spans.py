"""Spans of time as people write them: `30m`, `24h`, `7d`."""

import re
from typing import Final

from schemas.errors import BadInput

_UNITS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])")


def span_ms(text: str) -> int:
    """Return a span in milliseconds. Raises `BadInput`.

    >>> span_ms("90s"), span_ms("7d")
    (90000, 604800000)
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text[:40]!r} is no span of time; write 30m, 24h or 7d")
    return int(found[1]) * _UNITS[found[2]]
