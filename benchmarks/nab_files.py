"""Series and labels in the layout of the Numenta Anomaly Benchmark: read as they are, written so that its scorer reads them.

DIR/data/<folder>/<series>.csv           timestamp,value
DIR/labels/combined_windows.json         {"<folder>/<series>.csv": [["<first>", "<last>"], …], …}
OUT/<detector>/<folder>/<detector>_<series>.csv    timestamp,value,anomaly_score,label
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from schemas.errors import BadInput

LABELS: Final = Path("labels") / "combined_windows.json"


@dataclass(frozen=True)
class LabelledSeries:
    """A series as its file has it: texts beside what they mean, and the first and last row of each labelled window."""

    name: str
    texts: Sequence[tuple[str, str]]
    times: Sequence[datetime]
    values: Sequence[float]
    windows: Sequence[tuple[int, int]]


def read_all(folder: Path) -> list[LabelledSeries]:
    """Return every series with its windows, by name. Raises BadInput that names the file, and the line where there is one."""
    labels = _labels(folder / LABELS)
    data = folder / "data"
    files = sorted(data.glob("**/*.csv"))
    if not files:
        raise BadInput("no series: expected data/**/*.csv", where=str(folder))
    return [_series(file, file.relative_to(data).as_posix(), labels) for file in files]


def write(out: Path, detector: str, series: LabelledSeries, scores: Sequence[float]) -> Path:
    """Write one detector's scores for one series; return the file."""
    path = out / detector / series.name
    path = path.with_name(f"{detector}_{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = _row_labels(len(series.values), series.windows)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("timestamp", "value", "anomaly_score", "label"))
        for (moment, value), score, label in zip(series.texts, scores, labels, strict=True):
            rows.writerow((moment, value, repr(score), label))
    return path


def _row_labels(rows: int, windows: Sequence[tuple[int, int]]) -> list[int]:
    labels = [0] * rows
    for first, last in windows:
        labels[first : last + 1] = [1] * (last + 1 - first)
    return labels


def _labels(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput("no labels: expected labels/combined_windows.json", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}", where=str(path)) from None
    if not isinstance(found, dict):
        raise BadInput("expected an object: series → its windows", where=str(path))
    return found


def _series(path: Path, name: str, labels: dict[str, Any]) -> LabelledSeries:
    if name not in labels:
        raise BadInput(f'no labels for this series; if it has no anomaly, say "{name}": []', where=str(LABELS))
    texts, times, values = [], [], []
    for where, moment, value in _lines(path):
        times.append(_time(moment, where))
        values.append(_number(value, where))
        texts.append((moment, value))
    if not values:
        raise BadInput("no rows", where=str(path))
    return LabelledSeries(name, texts, times, values, _windows(labels[name], times, name))


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield where a row stands, its timestamp and its value."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        try:
            header = [name.strip() for name in next(rows, [])]
            if not {"timestamp", "value"} <= set(header):
                raise BadInput("the first line must name the columns timestamp and value", where=f"{path}:1")
            at_time, at_value = header.index("timestamp"), header.index("value")
            for row in rows:
                if not row:
                    continue
                where = f"{path}:{rows.line_num}"
                if len(row) <= max(at_time, at_value):
                    raise BadInput(f"{len(header)} columns expected, {len(row)} found", where=where)
                yield where, row[at_time].strip(), row[at_value].strip()
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadInput(f"not a CSV file: {error}", where=f"{path}:{rows.line_num + 1}") from None


def _time(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise BadInput(f"not a timestamp like 2026-03-01 13:05:00: {text!r}", where=where) from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"not a number: {text!r}", where=where) from None


def _windows(pairs: Any, times: Sequence[datetime], name: str) -> list[tuple[int, int]]:
    """Return the first and last row of each window, in order; a window in which no row stands is left out."""
    where = f"{LABELS}: {name}"
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):  # noqa: PLR2004
        raise BadInput("windows are a list of pairs: first and last timestamp", where=where)
    windows = []
    for pair in pairs:
        first, last = (_time(text, where) for text in pair)
        inside = [at for at, moment in enumerate(times) if first <= moment <= last]
        if inside:
            windows.append((inside[0], inside[-1]))
    return sorted(windows)
