"""`lictor bench anomalies DIR --out DIR`: the detector of odd series beside a null, a random and a Gaussian one.

Writes every detector's scores so that the Numenta Anomaly Benchmark's own scorer can read them, and says what they are worth
by our own scorer of the same definition (`nab_score`). Nothing of the set is known to the detectors but the values in order.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks import nab_files, nab_score
from benchmarks.baselines import Chance, Null, WindowedGaussian
from benchmarks.nab_files import LabelledSeries
from detectors.anomaly.series import SeriesDetector
from schemas.errors import BadInput

SEED: Final = 20261123


class Detector(Protocol):
    """Scores the values of one series in order, each before the next is known."""

    def score(self, moment: Any, value: float) -> float:
        """Return 0 to 1."""


DETECTORS: Final[dict[str, Callable[[LabelledSeries], Detector]]] = {
    "lictor": lambda series: SeriesDetector(nab_score.probation(len(series.values))),
    "windowed_gaussian": lambda _: WindowedGaussian(),
    "random": lambda series: Chance(f"{SEED}/{series.name}"),
    "null": lambda _: Null(),
}


def run(*, folder: Path | None = None, out: Path | None = None, **_: Any) -> dict[str, Any]:
    """Score every series with every detector, write the scores below `out`, and return what they are worth."""
    if folder is None or out is None:
        raise BadInput("say where series and labels are, and where scores go: lictor bench anomalies DIR --out DIR")
    every = nab_files.read_all(folder)
    return {
        "seed": SEED,
        "series": len(every),
        "rows": sum(len(series.values) for series in every),
        "windows": sum(len(series.windows) for series in every),
        "results": [row for name in DETECTORS for row in _detector(name, every, out)],
    }


def _detector(name: str, every: list[LabelledSeries], out: Path) -> list[dict[str, Any]]:
    scored = []
    for series in every:
        scores = scores_of(DETECTORS[name](series), series)
        nab_files.write(out, name, series, scores)
        scored.append(nab_score.Scored(scores, series.windows))
    return [_row(name, nab_score.score(scored, profile)) for profile in nab_score.PROFILES]


def scores_of(detector: Detector, series: LabelledSeries) -> list[float]:
    """Return a detector's score of every value."""
    return [detector.score(moment, value) for moment, value in zip(series.times, series.values, strict=True)]


def _row(detector: str, result: nab_score.Result) -> dict[str, Any]:
    return {
        "detector": detector,
        "profile": result.profile,
        "score": round(result.score, 2),
        "threshold": result.threshold,
        "windows_found": result.windows_found,
        "false_alarms": result.false_alarms,
    }
