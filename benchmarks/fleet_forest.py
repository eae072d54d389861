"""River's half-space trees over the windows of a trade: many features at once, one forest for all agents of a kind.

One forest an agent would be megabytes. It is given every advantage that the model of windows has: what is normal for the
agent is taken off each feature before the forest sees it. Without River installed there is no such row.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Final

from detectors.anomaly import layout as at
from detectors.anomaly.features import MEASURES, scaled
from detectors.anomaly.windows import WindowModel

_LIMITS: Final = (-4.0, 8.0)
_TREES, _HEIGHT, _WINDOW, _SEED = 25, 8, 1000, 20261123


def installed() -> bool:
    """Tell whether River is there."""
    return importlib.util.find_spec("river") is not None


class Forests:
    """One forest a trade; scores a window before it learns it."""

    def __init__(self) -> None:
        self._forests: dict[str, Any] = {}

    def score(self, model: WindowModel, agent: str, trade: str, values: Mapping[str, float]) -> float:
        """Return how odd a window is, 0 to 1."""
        state = model.agents.get(agent)
        if state is None or not installed():
            return 0.0
        forest = self._forests.get(trade) or self._plant(trade)
        beside = {
            place: (here - state[at.MIDDLE + place]) / state[at.EXCESS + place]
            for place, here in enumerate(scaled(MEASURES, values)[:-1])
        }
        score = float(forest.score_one(beside))
        forest.learn_one(beside)
        return score

    def _plant(self, trade: str) -> Any:
        trees = importlib.import_module("river.anomaly").HalfSpaceTrees
        limits = dict.fromkeys(range(len(MEASURES) - 1), _LIMITS)
        self._forests[trade] = trees(n_trees=_TREES, height=_HEIGHT, window_size=_WINDOW, limits=limits, seed=_SEED)
        return self._forests[trade]
