"""Totals per agent through kills of one of two workers, as the profile keeps them."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import faust_profile

RATE = 400


def measure(variant: str, kafka: str, folder: Path, kills: int) -> dict[str, int]:
    """Return how the end state differs after so many kills."""
    trial = faust_profile.trial_of(faust_profile.VARIANTS[variant], kafka, folder, f"{folder.name}-{variant}")
    figures = asyncio.run(faust_profile.endure(trial, kills, RATE))
    assert figures["events"] > 0
    assert figures["takeovers_not_seen"] == 0, figures
    return {name: figures[name] for name in ("missing", "doubled", "agents_differing")}


NOTHING = {"missing": 0, "doubled": 0, "agents_differing": 0}


def test_a_killed_worker_costs_no_total_on_the_batch_lane(kafka: str, tmp_path: Path) -> None:
    """An agent's profile would forget what it has done, or count it twice, whenever a worker dies."""
    assert measure("lane", kafka, tmp_path, 1) == NOTHING


@pytest.mark.soak
def test_thirty_kills_cost_no_total_on_the_batch_lane(kafka: str, tmp_path: Path) -> None:
    """A loss that shows in one of ten takeovers, as it did elsewhere, would go unseen."""
    assert measure("lane", kafka, tmp_path, 30) == NOTHING
