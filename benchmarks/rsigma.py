"""RSigma (Rust) on the same rules and steps from a file: one core, detections counted, the set of matches compared."""

import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import workload
from benchmarks.rule_mix import rules
from detectors.engine.engine import Engine
from detectors.engine.load import load_rules
from detectors.engine.plan import RuleSet
from detectors.facts import Facts
from detectors.inspect import see
from schemas.step import encode_step, read_step

HOW: Final = "cargo install rsigma --version 0.23.0 --locked --features daachorse-index, on the PATH or as --rsigma"
TIMEOUT_S: Final = 900
TRIED: Final = 1000
"""Steps to find out on which flags are fastest."""
_SWITCHES: Final = ("--bloom-prefilter", "--cross-rule-ac")
Match = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RSigma:
    """Where the program is, and with which switches it is fastest here."""

    path: str
    version: str
    known: tuple[str, ...]
    """The switches that this build has: which there are depends on what it was built with."""

    def about(self) -> dict[str, Any]:
        """Return what was measured, in words."""
        return {
            "found": True,
            "version": self.version,
            "switches": list(self.known),
            "cores": 1,
            "how": "the time of a whole input less that of a quarter of it; the switches that are fastest at each size",
        }


def find(given: str | None = None) -> RSigma | None:
    """Return RSigma if it is where it was said to be, or on the PATH."""
    path = given or shutil.which("rsigma")
    if path is None:
        return None
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
        helps = subprocess.run(
            [path, "engine", "eval", "--help"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return RSigma(path, said.split("\n")[0].strip(), tuple(switch for switch in _SWITCHES if switch in helps.stdout))


def measure(program: RSigma, seed: int, count: int, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for each size: the rate is the difference between two lengths of input, so without its start."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="lictor-rsigma-") as folder:
        home = Path(folder)
        lines = [encode_step(step) for step in workload.steps(seed, count, 1)]
        short, whole = _file(home, lines[: count // 4]), _file(home, lines)
        tried = _file(home, lines[: min(TRIED, count // 4)])
        for size in sizes:
            place = _written(home, seed, size)
            switches = _fastest(program, place, tried)
            few, _ = min((_timed(program, place, short, switches) for _ in range(2)), key=_took)
            all_of, theirs = min((_timed(program, place, whole, switches) for _ in range(2)), key=_took)
            differing = fired(lines, load_rules(rules(seed, size), untested=True).rules) ^ theirs
            rows.append(
                {
                    "steps": count - count // 4,
                    "steps_per_s": round((count - count // 4) / max(1e-9, all_of - few)),
                    "switches": list(switches),
                    "matches": len(theirs),
                    "differing": len(differing),
                    "rules_that_differ": sorted({rule for rule, _ in differing})[:10],
                }
            )
    return rows


def _took(timed: tuple[float, set[Match]]) -> float:
    return timed[0]


def _file(home: Path, lines: Sequence[bytes]) -> Path:
    path = home / f"{len(lines)}.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _written(home: Path, seed: int, size: int) -> Path:
    place = home / f"rules-{size}"
    for path, text in rules(seed, size).items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return place


def _fastest(program: RSigma, place: Path, events: Path) -> tuple[str, ...]:
    some = [chosen for many in range(len(program.known) + 1) for chosen in itertools.combinations(program.known, many)]
    return min(some, key=lambda switches: min(_timed(program, place, events, switches)[0] for _ in range(2)))


def _timed(program: RSigma, place: Path, events: Path, switches: Sequence[str]) -> tuple[float, set[Match]]:
    command = [program.path, "--output-format", "ndjson", "engine", "eval", "--quiet", "--include-event"]
    asked = ["--input-format", "json", *switches, "-r", str(place), "-e", f"@{events}"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *asked], capture_output=True, text=True, check=True, timeout=TIMEOUT_S, preexec_fn=_one_core
    )
    took = time.perf_counter() - began
    return took, {_match(json.loads(line)) for line in done.stdout.splitlines() if line.strip()}


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def fired(lines: Sequence[bytes], planned: RuleSet) -> set[Match]:
    """Return Lictor's matches: rule and step."""
    engine, facts = Engine(planned), Facts()
    found: set[Match] = set()
    for at, line in enumerate(lines):
        step = read_step(line)
        outcome = engine.compiled.match(see(step, at, at, 1, "marked", facts), Nothing())
        found |= {(rule.id, step.step_id) for rule in outcome.fired}
    return found


def _match(said: dict[str, Any]) -> Match:
    event = said.get("event") or said.get("matched_event") or {}
    rule = said.get("rule_id") or (said.get("rule") or {}).get("id") or said.get("id") or ""
    return str(rule), str(event.get("step_id") if isinstance(event, dict) else "")


class Nothing:
    """Nothing is known beside the step."""

    def value(self, name: str) -> tuple[str | float, ...]:
        """Return nothing."""
        del name
        return ()
