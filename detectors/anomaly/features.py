"""What is counted of an agent's ten seconds, and on what scale it is looked at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_MOST: Final = 1e15
"""Whatever is counted, more than this is not told apart from this."""


@dataclass(frozen=True)
class Measure:
    """One feature. Amounts are seen as logarithms of `value / unit`, shares and bits as they are, over `unit`.

    `floor` is the least difference, on that scale, that counts as one. `added_up` features are also judged by the hour and
    by the day. `low_counts`: less than usual is odd as well.
    """

    name: str
    unit: float = 1.0
    floor: float = 0.15
    linear: bool = False
    added_up: bool = False
    low_counts: bool = False

    def scaled(self, value: float) -> float:
        """Return a value on the scale it is judged on. What is no number, or below nothing, is nothing."""
        if not value > 0:  # NaN is not
            return 0.0
        value = min(value, _MOST) / self.unit
        return value if self.linear else math.log1p(value)

    def unscaled(self, scaled: float) -> float:
        """Return the value a place on the scale stands for."""
        if scaled <= 0:
            return 0.0
        return self.unit * (scaled if self.linear else math.expm1(min(scaled, 60.0)))


MEASURES: Final = (
    Measure("steps"),
    Measure("model_calls"),
    Measure("tool_calls", added_up=True),
    Measure("messages"),
    Measure("errors", added_up=True),
    Measure("error_share", unit=0.5, linear=True, floor=0.3),
    Measure("tokens", unit=100, added_up=True),
    Measure("money_usd", unit=0.01, added_up=True),
    Measure("resources"),
    Measure("egress_bytes", unit=1024, added_up=True),
    Measure("latency_s", unit=0.1),
    Measure("hand_overs"),
    Measure("entropy_bits", linear=True, floor=0.2, low_counts=True),
    Measure("fan_out"),
    Measure("first_uses"),
    Measure("unbroken_windows"),
)
"""Counts of a window but for `error_share` (0 to 1), `latency_s` (mean) and `entropy_bits` (of the mix of tools);
`first_uses` is how many tools, models and resources the agent had never used before. `unbroken_windows`, in how many
windows on end the agent has been awake, is counted by the model itself."""
UNBROKEN: Final = len(MEASURES) - 1

ACTIVE: Final = Measure("active_windows", added_up=True)
"""One for every window in which the agent did anything: how much of an hour and of a day it was awake."""


def scaled(measures: Sequence[Measure], values: Mapping[str, float]) -> list[float]:
    """Return the values of all measures, in their order, on their scales; what is missing is 0."""
    return [measure.scaled(values.get(measure.name, 0.0)) for measure in measures]
