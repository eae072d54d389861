"""`lictor bench`, small: that it measures at all. What it measures is in `benchmarks/results`."""

import json
import subprocess
import sys

from benchmarks import rsigma


def test_detect_is_measured_beside_others() -> None:
    """The figures in the documentation could not be had again by anybody."""
    done = subprocess.run(
        [sys.executable, "-m", "lictor", "bench", "detect", "--quick", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    rows = {(row["engine"], row["rules"], row["source"]): row for row in figures["results"]}
    others = {("rsigma", 100, "file")} if rsigma.find() else set()
    assert set(rows) == {("lictor", 100, "kafka"), ("lictor", 100, "file"), ("faust", 100, "kafka")} | others
    assert all(row["steps_per_s"] > 0 for row in rows.values()), rows
    assert all(rows[key]["differing"] == 0 for key in others)
    assert figures["reading_and_decoding_alone_steps_per_s"] > 0
