"""How a result is kept: one JSON file a benchmark, with the commit and the machine it was measured on."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 30)
    return {
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def commit() -> str:
    """Return the commit the code is at, with `+changes` if the tree differs from it."""
    head, changes = (
        _git("rev-parse", "--short=12", "HEAD"),
        _git("status", "--porcelain", "--", "*.py", "*.sql", "*.yml"),
    )
    return (head or "unknown") + ("+changes" if changes else "")


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def keep(name: str, figures: dict[str, Any]) -> Path:
    """Write a result, where results can be written; return the file."""
    path = RESULTS / f"{name}.json"
    whole = {
        "benchmark": name,
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        **figures,
    }
    try:
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    except OSError:
        return Path()
    return path


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and max, by nearest rank."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return {"p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 3)} if ordered else {}


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
