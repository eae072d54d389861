"""Agents as a whole, in a backtest: what `detect` would tell of the steps and `profile` make of it, without a broker."""

from collections.abc import Iterable, Iterator

import msgspec

from detectors.base import Seen
from detectors.facts import Facts
from detectors.profiles.activity import Activities
from detectors.profiles.inventory import inventory_of
from detectors.profiles.profiler import Profiler
from schemas.finding import Finding
from schemas.inventory import Inventory

BETWEEN_US = 60_000_000
"""Recorded sessions that begin at the same made-up time are put one after the other, this far apart."""


class AgentsReplay:
    """Feeds on the steps of sessions, one after the other; agents are known better with each."""

    def __init__(self) -> None:
        self.activities, self.profiler = Activities(), Profiler()
        self._shift_us = 0
        self._last_us = 0

    def feed(self, seen: Seen, facts: Facts) -> Iterator[Finding]:
        """Yield what a step shows of its agent as a whole."""
        at_us = seen.append_us + self._shift_us
        if at_us < self._last_us:
            self._shift_us += self._last_us - at_us + BETWEEN_US
            at_us = seen.append_us + self._shift_us
        self._last_us = at_us
        for sighting in self.activities.feed(msgspec.structs.replace(seen, append_us=at_us)):
            yield from _findings(self.profiler.on_sighting(sighting, facts))
        if seen.step.kind == "run_ended":
            yield from self._tell(facts)

    def _tell(self, facts: Facts) -> Iterator[Finding]:
        """At the end of a run: tell what was done, and what is known of its agent from now on."""
        for told in self.activities.messages(1000):
            yield from _findings(self.profiler.on_activity(told, self._last_us, facts))
            profile = self.profiler.get(told.agent_id)
            if profile is not None:
                facts.peers.take(inventory_of(profile, facts))


def _findings(said: Iterable[Finding | Inventory]) -> Iterator[Finding]:
    return (each for each in said if isinstance(each, Finding))
