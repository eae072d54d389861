"""The bench for detectors of odd series: what it reads, what it writes, what it says a detector is worth."""

import csv
import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import anomalies, series_like
from benchmarks.baselines import WindowedGaussian
from benchmarks.nab_score import PROFILES, Scored, probation, score
from lictor.cli.bench import bench
from schemas.errors import BadInput

STANDARD = PROFILES[0]
BEGIN = datetime.fromisoformat("2026-03-02 00:00:00")


def put(folder: Path, name: str, lines: list[str], windows: Any = ()) -> Path:
    """Write one series and its labels."""
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels = folder / "labels" / "combined_windows.json"
    labels.parent.mkdir(exist_ok=True)
    known = json.loads(labels.read_text(encoding="utf-8")) if labels.exists() else {}
    labels.write_text(json.dumps(known | {name: windows}), encoding="utf-8")
    return path


def a_series(rows: int = 400) -> list[str]:
    """Return a file's lines."""
    return ["timestamp,value", *(f"{BEGIN + timedelta(minutes=5 * at)},{at % 7}" for at in range(rows))]


def test_every_detector_writes_every_series_as_nab_reads_it(tmp_path: Path) -> None:
    """Its own scorer could not read the scores."""
    put(tmp_path, "real/cpu.csv", a_series(), [["2026-03-02 20:00:00.000000", "2026-03-02 21:00:00.000000"]])
    anomalies.run(folder=tmp_path, out=tmp_path / "out")
    for name in anomalies.DETECTORS:
        with (tmp_path / "out" / name / "real" / f"{name}_cpu.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["timestamp", "value", "anomaly_score", "label"]
        assert [row["timestamp"] for row in rows] == [line.split(",")[0] for line in a_series()[1:]]
        assert [at for at, row in enumerate(rows) if row["label"] == "1"] == list(range(240, 253))
        assert all(0 <= float(row["anomaly_score"]) <= 1 for row in rows)


def test_the_command_prints_the_figures(tmp_path: Path) -> None:
    """The bench could be run from Python alone."""
    put(tmp_path, "real/cpu.csv", a_series())
    asked = ["anomalies", str(tmp_path), "--out", str(tmp_path / "out")]
    as_json = CliRunner().invoke(bench, [*asked, "--json"])
    rows = json.loads(as_json.stdout)["results"]
    assert {(row["detector"], row["profile"]) for row in rows} == {
        (name, profile.name) for name in anomalies.DETECTORS for profile in PROFILES
    }
    assert "windowed_gaussian\treward_low_FP_rate" in CliRunner().invoke(bench, asked).stdout


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["when,value", "2026-03-02,1"], r"cpu\.csv:1"),
        ([*a_series(3), "2026-03-02 25:00:00,1"], r"not a timestamp .*cpu\.csv:5"),
        ([*a_series(3), "2026-03-03 00:00:00,much"], r"not a number: 'much' .*cpu\.csv:5"),
        ([*a_series(3), "2026-03-03 00:00:00"], r"2 columns expected, 1 found .*cpu\.csv:5"),
        (["timestamp,value"], r"no rows .*cpu\.csv"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, lines: list[str], says: str) -> None:
    """Whoever has fifty files would look for one bad line in all of them."""
    put(tmp_path, "real/cpu.csv", lines)
    with pytest.raises(BadInput, match=says):
        anomalies.run(folder=tmp_path, out=tmp_path / "out")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """A wrong folder would be a stack trace, or a score of nothing."""
    with pytest.raises(BadInput, match="--out"):
        anomalies.run(folder=tmp_path)
    with pytest.raises(BadInput, match=r"combined_windows\.json"):
        anomalies.run(folder=tmp_path, out=tmp_path / "out")
    path = put(tmp_path, "real/cpu.csv", a_series())
    (tmp_path / "data" / "real" / "unlabelled.csv").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"real/unlabelled\.csv"):
        anomalies.run(folder=tmp_path, out=tmp_path / "out")


def test_windows_that_are_none_are_refused(tmp_path: Path) -> None:
    """A label that was mistyped would count as no anomaly."""
    put(tmp_path, "cpu.csv", a_series(), [["2026-03-02 20:00:00"]])
    with pytest.raises(BadInput, match="pairs"):
        anomalies.run(folder=tmp_path, out=tmp_path / "out")


def alarms(rows: int, *at: int) -> list[float]:
    """Return scores that are 1 at some rows and 0 elsewhere."""
    return [float(row in at) for row in range(rows)]


def test_the_score_is_0_for_silence_and_100_for_the_earliest_finds() -> None:
    """No figure could be compared with a published one."""
    windows = [(400, 499), (700, 799)]
    assert score([Scored(alarms(1000), windows)], STANDARD).score == 0
    assert score([Scored(alarms(1000, 400, 700), windows)], STANDARD).score == pytest.approx(100, abs=0.2)


def test_late_finds_earn_less_and_alarms_for_nothing_cost() -> None:
    """A detector that finds a thing when it is over, or alarms all day, would look as good as any."""
    windows = [(400, 499)]
    early = score([Scored(alarms(1000, 405), windows)], STANDARD).score
    late = score([Scored(alarms(1000, 495), windows)], STANDARD).score
    noisy = score([Scored(alarms(1000, 405, 300, 900), windows)], STANDARD)
    assert late < early
    # two alarms far from the window, of the two points between silence and all
    assert early - noisy.score == pytest.approx(100 * 2 * STANDARD.false_alarm / 2, abs=0.1)
    assert noisy.false_alarms == 2


def test_worth_falls_along_the_sigmoid() -> None:
    """Scores would be those of another benchmark."""
    windows = [(400, 499)]
    place = -(499 - 450 + 1) / 100
    worth = (2 / (1 + math.exp(5 * place)) - 1) / (2 / (1 + math.exp(-5)) - 1)
    assert score([Scored(alarms(1000, 450), windows)], STANDARD).score == pytest.approx(100 * (worth + 1) / 2)


def test_the_beginning_of_a_series_is_not_counted() -> None:
    """A detector would be blamed for what it said while it knew nothing."""
    assert probation(1000) == 150
    assert probation(20_000) == 750
    assert score([Scored(alarms(1000, 10, 149, 405), [(400, 499)])], STANDARD).false_alarms == 0


def test_one_threshold_is_chosen_for_the_whole_set() -> None:
    """A threshold of its own for every series would flatter any detector."""
    calm = [0.3 * at for at in alarms(1000, 405)]
    loud = [0.9 * at for at in alarms(1000, 410, *range(600, 700))]
    result = score([Scored(calm, [(400, 499)]), Scored(loud, [(400, 499)])], STANDARD)
    assert result.threshold in {0.3, 0.9, 1.1}
    assert result.windows_found < 2


def test_the_gaussian_is_one() -> None:
    """The shipped detector would be compared with a straw man."""
    one = WindowedGaussian(4)
    for value in (1.0, 3.0, 1.0, 3.0):
        one.score(BEGIN, value)
    assert one.score(BEGIN, 4.0) == pytest.approx(0.5 * (1 + math.erf(2 / math.sqrt(2))))


def test_the_shipped_detector_beats_its_baselines() -> None:
    """What is shipped would be worth less than ten lines of textbook."""
    every = series_like.corpus(77, each=1)
    points = {}
    for name, make in anomalies.DETECTORS.items():
        scored = []
        for one in every:
            series = anomalies.LabelledSeries(one.kind, [], one.times, one.values, one.windows)
            scored.append(Scored(anomalies.scores_of(make(series), series), one.windows))
        points[name] = score(scored, STANDARD).score
    assert points["null"] == 0
    assert points["lictor"] > max(points["windowed_gaussian"], points["random"]) + 10
