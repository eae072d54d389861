"""Agents as `profile` hears of them: sightings and activity, made of steps as `detect` makes them."""

from typing import Any

from detectors.facts import Facts
from detectors.profiles.activity import Activities
from detectors.profiles.profiler import Profiler
from schemas.finding import Finding
from schemas.inventory import Inventory
from schemas.policy import AgentPolicy
from tests.unit.builders import AGENT, NOW, RUN, SECOND, a_grant, a_policy, a_step, facts_with, seen


class Telling:
    """One agent's life, told step by step through both halves."""

    def __init__(self, *policies: AgentPolicy) -> None:
        self.facts: Facts = facts_with(*(policies or (a_policy(a_grant("allow"), owner="ops", heartbeat_s=1),)))
        self.activities, self.profiler = Activities(), Profiler()
        self.now_us, self.offset = NOW, 0
        self.found: list[Finding] = []
        self.told: list[Inventory] = []

    def step(self, kind: str = "tool_call", *, after_s: float = 0.1, **fields: Any) -> None:
        """Judge the next step."""
        self.now_us += int(after_s * SECOND)
        self.offset += 1
        identity = fields.pop("identity", "marked")
        made = a_step(kind, **{"seq": self.offset, "time_us": self.now_us} | fields)
        for sighting in self.activities.feed(seen(made, self.facts, offset=self.offset, identity=identity)):
            self.take(self.profiler.on_sighting(sighting, self.facts))

    def calls(self, count: int, tool: str = "crm.read", **fields: Any) -> None:
        """Judge calls of a tool, and tell of them."""
        for number in range(count):
            self.step(tool=tool, arguments={"id": number}, **fields)
        self.tell()

    def tell(self) -> None:
        """Tell what was done so far."""
        for activity in self.activities.messages(1000):
            self.take(self.profiler.on_activity(activity, self.now_us, self.facts))

    def wait(self, seconds: float) -> None:
        """Let time pass, second by second."""
        self.tell()
        ends_us = self.now_us + int(seconds * SECOND)
        while self.now_us < ends_us:
            self.now_us += SECOND
            self.take(self.profiler.on_time(self.now_us, self.facts))

    def take(self, said: Any) -> None:
        """Keep what was said."""
        for message in said:
            (self.found if isinstance(message, Finding) else self.told).append(message)

    def claims(self) -> list[str]:
        """Return the rules of what was found."""
        return [finding.rule_id for finding in self.found]


__all__ = ["AGENT", "RUN", "Telling"]
