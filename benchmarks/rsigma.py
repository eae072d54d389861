"""RSigma (Rust) on the same rules and steps from a file: one core, detections counted, the set of matches compared."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import workload
from benchmarks.rule_mix import rules
from detectors.engine.engine import Engine
from detectors.engine.load import load_rules
from detectors.facts import Facts
from detectors.inspect import see
from schemas.step import encode_step, read_step

HOW: Final = "cargo install rsigma --version 0.23.0 --locked"
TIMEOUT_S: Final = 600


def program() -> str | None:
    """Return where `rsigma` is, if it is on the PATH."""
    return shutil.which("rsigma")


def about() -> dict[str, Any]:
    """Return which RSigma was measured, or how to come by one."""
    found = program()
    if found is None:
        return {"found": False, "how": HOW}
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=30)
    return {"found": True, "version": said.stdout.strip(), "flags": "engine eval --quiet --bloom-prefilter", "cores": 1}


def measure(seed: int, count: int, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for each size: the rate is the difference between two lengths of input, so without its start."""
    found = program()
    if found is None:
        return []
    rows = []
    with tempfile.TemporaryDirectory(prefix="lictor-rsigma-") as folder:
        home = Path(folder)
        lines = [encode_step(step) for step in workload.steps(seed, count, 1)]
        short, whole = home / "short.ndjson", home / "whole.ndjson"
        short.write_bytes(b"\n".join(lines[: count // 4]) + b"\n")
        whole.write_bytes(b"\n".join(lines) + b"\n")
        for size in sizes:
            place = _written(home, seed, size)
            took = min(_timed(found, place, whole) for _ in range(2)) - min(
                _timed(found, place, short) for _ in range(2)
            )
            steps = count - count // 4
            rows.append(
                {
                    "steps": steps,
                    "steps_per_s": round(steps / took),
                    **_compared(found, place, whole, lines, seed, size),
                }
            )
    return rows


def _written(home: Path, seed: int, size: int) -> Path:
    place = home / f"rules-{size}"
    for path, text in rules(seed, size).items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return place


def _timed(found: str, place: Path, events: Path) -> float:
    began = time.perf_counter()
    _ran(found, place, events, "--bloom-prefilter")
    return time.perf_counter() - began


def _ran(found: str, place: Path, events: Path, *flags: str) -> str:
    done = subprocess.run(
        [found, "--output-format", "ndjson", "engine", "eval", "--quiet", *flags, "-r", str(place), "-e", f"@{events}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
        preexec_fn=_one_core,
    )
    return done.stdout


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _compared(found: str, place: Path, events: Path, lines: list[bytes], seed: int, size: int) -> dict[str, Any]:
    """Return how many matches there are, and in how many the two differ."""
    theirs = {
        _match(json.loads(line)) for line in _ran(found, place, events, "--include-event").splitlines() if line.strip()
    }
    engine, facts = Engine(load_rules(rules(seed, size), untested=True).rules), Facts()
    ours = set()
    for at, line in enumerate(lines):
        step = read_step(line)
        fired = engine.compiled.match(see(step, at, at, 1, "marked", facts), _Nothing()).fired
        ours |= {(rule.id, step.step_id) for rule in fired}
    return {"matches": len(theirs), "differing": len(ours ^ theirs)}


def _match(said: dict[str, Any]) -> tuple[str, str]:
    event = said.get("event") or said.get("matched_event") or {}
    rule = said.get("rule_id") or (said.get("rule") or {}).get("id") or said.get("id") or ""
    return str(rule), str(event.get("step_id") if isinstance(event, dict) else "")


class _Nothing:
    def value(self, name: str) -> tuple[str | float, ...]:
        del name
        return ()
