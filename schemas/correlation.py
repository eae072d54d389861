"""A match re-keyed to a scope wider than one agent, for sums that no single agent shows."""

from typing import ClassVar

from schemas.match import Match
from schemas.message import ShortText


class Correlation(Match):
    """Travels under the key `<scope>:<value>`."""

    type: ClassVar[str] = "correlation"

    scope_value: ShortText
