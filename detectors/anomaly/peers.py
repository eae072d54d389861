"""What is normal for a peer group, and how strange its honest days are."""

from array import array
from dataclasses import dataclass

from detectors.anomaly import layout as at
from detectors.anomaly.budget import Budget


@dataclass
class Peers:
    """A peer group: the pooled normality of its agents, and the thresholds that follow from counting their days."""

    state: "array[float]"
    budgets: tuple[Budget, ...]
    thresholds: list[float]
    thresholds_of_day: int = -1

    @classmethod
    def unknown(cls) -> "Peers":
        """Return a group of which nothing is known."""
        return cls(at.empty(), tuple(Budget() for _ in at.CHANNELS), [0.0] * len(at.CHANNELS))

    def set_thresholds(self, day: int, alarms_per_day: float) -> None:
        """Read the thresholds off the counts, once a day. The budget is shared by the channels."""
        if day > self.thresholds_of_day:
            self.thresholds_of_day = day
            share = alarms_per_day / len(self.budgets)
            self.thresholds = [budget.threshold(share) for budget in self.budgets]
