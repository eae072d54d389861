"""The experiment of the profile's lane, on a loss that is planted."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import faust_profile
from benchmarks.profile_trial import PARTITIONS


@pytest.mark.parametrize(("variant", "lost"), [("faust", faust_profile.JUMP * PARTITIONS), ("faust_mended", 0)])
def test_what_a_group_jumps_over_is_seen(variant: str, lost: int, kafka: str, tmp_path: Path) -> None:
    """The experiment would acquit whatever loses events, and nobody could tell whether the mended app mends."""
    trial = faust_profile.trial_of(faust_profile.VARIANTS[variant], kafka, tmp_path, f"{tmp_path.name}-{variant}")
    figures = asyncio.run(faust_profile.jump(trial, faust_profile.JUMP_EVENTS, faust_profile.JUMP))
    assert (figures["missing"], figures["doubled"]) == (lost, 0), figures
