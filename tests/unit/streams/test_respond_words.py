"""A person's word to `respond` is good for a while, and once."""

from dataclasses import replace

import pytest

from responders.cases import WORD_LIFE_US
from schemas.containment import Containment
from tests.unit.streams._builders import NOW_MS, World, judged, messages, restored
from tests.unit.streams.test_respond import letters, respond, said, standing

LIFE_MS = WORD_LIFE_US // 1000


@pytest.mark.parametrize("kind", ["kill", "pause", "resume", "lift", "verdict"])
@pytest.mark.parametrize(("apart_ms", "stale"), [(LIFE_MS, 0), (LIFE_MS + 1, 1), (-LIFE_MS, 0), (-LIFE_MS - 1, 1)])
def test_a_word_that_is_old_or_not_said_yet_is_refused_and_counted(kind: str, apart_ms: int, stale: int) -> None:
    """Whoever recorded a person's word could have it carried out again, days later."""
    world = World()
    stream = respond(world)
    outputs = judged(stream, [said(world, kind, time_us=(NOW_MS - apart_ms) * 1000)])
    assert [one.kind for one in letters(world, outputs)] == ["stale"] * stale
    assert stream.counters["dead_stale"] == stale
    assert bool(messages(outputs, world.topics.containment, Containment)) == (not stale and kind in ("kill", "pause"))


def test_a_recorded_word_said_again_while_it_is_fresh_does_nothing() -> None:
    """A run that was paused again would go on at the copy of the word that ended its first pause."""
    world = World()
    stream = respond(world)
    resume = said(world, "resume")
    judged(stream, [said(world, "pause", command_id="p-1"), resume, said(world, "pause", command_id="p-2")])
    assert judged(stream, [replace(resume, offset=9, timestamp=NOW_MS + LIFE_MS)]) == []
    again = respond(world, entries=restored(stream))
    assert judged(again, [replace(resume, offset=10, timestamp=NOW_MS + LIFE_MS)]) == [], "nor after a restart"
    assert standing(world, judged(again, [said(world, "resume")])).orders == ()
