"""All agents of one partition: what is told of them, put together and judged."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from detectors.facts import Facts
from detectors.profiles.claims import SHADOW
from detectors.profiles.inventory import inventory_of
from detectors.profiles.novelty import judge_use
from detectors.profiles.oddity import Oddity
from detectors.profiles.silence import PEER_US, due_us, judge_silence
from detectors.profiles.state import AgentProfile, Part, Waiting, decode_profile, encode_profile
from detectors.profiles.windows import GRACE_US, closed, take_windows
from schemas.activity import WINDOW_US, Activity
from schemas.finding import Finding
from schemas.inventory import Inventory
from schemas.sighting import Sighting
from schemas.verdict import Verdict

AWAKE: Final = 4096
"""Profiles kept unpacked, those told of last; the others rest as a checkpoint would hold them."""
MOST: Final = 200_000
MOST_ENDED: Final = 256
TELL_US: Final = 60_000_000
"""An inventory in which only counts have changed is told again after this long."""
TELL_SOON_US: Final = 500_000
"""Changes are told together: an agent that starts uses ten things at once."""


class Profiler:
    """Feeds on sightings, activity and findings; says findings and inventory. No clock but that of what it is told."""

    def __init__(self, awake: int = AWAKE) -> None:
        self.awake = awake
        self.oddity = Oddity()
        self.agents: OrderedDict[str, AgentProfile | bytes] = OrderedDict()
        """The least lately told of first."""
        self.changed: set[str] = set()
        self.forgotten: set[str] = set()
        self._unpacked: OrderedDict[str, None] = OrderedDict()
        self._due: list[tuple[int, str]] = []
        self._due_of: dict[str, int] = {}

    def get(self, agent_id: str) -> AgentProfile | None:
        """Return what is known of an agent."""
        return self._wake(agent_id) if agent_id in self.agents else None

    def _open(self, agent_id: str, at_us: int) -> AgentProfile:
        if agent_id not in self.agents:
            self.agents[agent_id] = AgentProfile(agent_id, first_us=at_us, last_us=at_us)
            self.forgotten.discard(agent_id)
            if len(self.agents) > MOST:
                self._forget(next(iter(self.agents)))
        else:
            self.agents.move_to_end(agent_id)
        self.changed.add(agent_id)
        return self._wake(agent_id)

    def _wake(self, agent_id: str) -> AgentProfile:
        found = self.agents[agent_id]
        if isinstance(found, bytes):
            found = self.agents[agent_id] = decode_profile(found)
            self.oddity.wake(found)
        self._unpacked[agent_id] = None
        self._unpacked.move_to_end(agent_id)
        if len(self._unpacked) > self.awake:
            tired, _ = self._unpacked.popitem(last=False)
            resting = self.agents[tired]
            if not isinstance(resting, bytes):
                self.oddity.pack(resting)
                self.agents[tired] = encode_profile(resting)
                self.oddity.rest(tired)
        return found

    def _forget(self, agent_id: str) -> None:
        del self.agents[agent_id]
        self._unpacked.pop(agent_id, None)
        self.oddity.rest(agent_id)
        self._due_of.pop(agent_id, None)
        self.changed.discard(agent_id)
        self.forgotten.add(agent_id)

    def restore(self, agent_id: str, data: bytes, facts: Facts) -> None:
        """Take over a profile. Raises `BadRecord` where it is of another shape."""
        profile = decode_profile(data)
        self.agents[agent_id] = data
        self._plan(profile, facts)

    def dump(self, agent_id: str) -> bytes | None:
        """Return a profile for a checkpoint; None where it is forgotten."""
        found = self.agents.get(agent_id)
        if not isinstance(found, AgentProfile):
            return found
        self.oddity.pack(found)
        return encode_profile(found)

    def on_sighting(self, seen: Sighting, facts: Facts) -> Iterator[Finding | Inventory]:
        """Learn what an agent uses; yield what is new about it."""
        profile = self._open(seen.agent_id, seen.append_time_us)
        known = len(profile.known)
        if seen.kind == "agent" and "agent:" + seen.agent_id not in profile.known:
            yield from self._shadow(seen, facts)
        if seen.kind == "peer" and f"peer:{seen.name}" not in profile.known and not self._is_known(seen.name, facts):
            profile.peers[seen.name] = Waiting(
                seen.append_time_us + PEER_US, seen.step_id, seen.run_id, seen.trace_id, seen.seq
            )
        profile.last_us = max(profile.last_us, seen.append_time_us)
        yield from judge_use(profile, seen, facts)
        if profile.rolled_out_us == seen.append_time_us and seen.kind == "version":
            self.oddity.model.rolled_out(seen.agent_id, seen.append_time_us / 1e6)
        if len(profile.known) != known and not profile.changed_us:
            profile.changed_us = seen.append_time_us
        self._plan(profile, facts)

    def _shadow(self, seen: Sighting, facts: Facts) -> Iterator[Finding]:
        if facts.policy_of(seen.agent_id).registered:
            return
        others = len(facts.policies)
        yield SHADOW.of(
            facts,
            seen.agent_id,
            f"{seen.agent_id[:100]!r} publishes steps, and no policy names it"
            + (f" ({others} other agents are named)" if others else ": none names any agent yet"),
            confidence=0.9,
            severity="medium" if others else "informational",
            group="unregistered",
            append_us=seen.append_time_us,
            at=seen,
        )

    def on_activity(self, told: Activity, append_us: int, facts: Facts) -> Iterator[Finding | Inventory]:
        """Take the newest totals; judge the windows that are over."""
        profile = self._open(told.agent_id, told.last_us or append_us)
        part = profile.parts.get(told.partition)
        if part is not None and told.offset <= part.offset:
            return
        steps_before = profile.total("run_started")
        profile.parts[told.partition] = Part(
            told.offset,
            told.steps,
            dict(told.by_kind),
            dict(told.uses),
            told.ungated,
            told.cost_usd,
            told.input_tokens + told.output_tokens,
        )
        profile.runs += max(0, profile.total("run_started") - steps_before)
        profile.last_us = max(profile.last_us, told.last_us)
        profile.returned |= profile.silent
        profile.silent = False
        _take_runs(profile, told)
        take_windows(profile, told.partition, told.windows)
        yield from self._windows(profile, append_us, facts)
        self._plan(profile, facts)

    def _windows(self, profile: AgentProfile, now_us: int, facts: Facts) -> Iterator[Finding]:
        for start_us, features in closed(profile, now_us):
            yield from self.oddity.judge(profile, start_us, features, facts)

    def on_finding(self, found: Finding, append_us: int) -> None:
        """Note that an agent did something grave: what it does around then is no example to learn from."""
        if found.severity in ("high", "critical") and found.agent_id in self.agents:
            profile = self._open(found.agent_id, append_us)
            profile.flagged_us = max(profile.flagged_us, append_us)

    def on_verdict(self, word: Verdict) -> None:
        """Learn from what a person says of an odd window."""
        profile = self.get(word.agent_id)
        if profile is not None and self.oddity.verdict(profile, word):
            self.changed.add(word.agent_id)

    def on_time(self, now_us: int, facts: Facts) -> Iterator[Finding | Inventory]:
        """Judge what should have been seen by now; tell inventories that are due."""
        while self._due and self._due[0][0] <= now_us:
            due, agent_id = heapq.heappop(self._due)
            if self._due_of.get(agent_id) != due or agent_id not in self.agents:
                continue
            del self._due_of[agent_id]
            profile = self._wake(agent_id)
            self.changed.add(agent_id)
            yield from judge_silence(profile, facts, lambda name: self._is_known(name, facts), now_us)
            yield from self._windows(profile, now_us, facts)
            if _tell_us(profile) <= now_us:
                profile.told_us, profile.changed_us = now_us, 0
                yield inventory_of(profile, facts)
            self._plan(profile, facts)

    def _is_known(self, agent_id: str, facts: Facts) -> bool:
        return agent_id in self.agents or agent_id in facts.peers.agents

    def _plan(self, profile: AgentProfile, facts: Facts) -> None:
        """Look at an agent again when something about it is due."""
        windows = min(profile.windows, default=1 << 61) + WINDOW_US + GRACE_US
        due = min(due_us(profile, facts) + 1, windows, _tell_us(profile))
        known = self._due_of.get(profile.agent_id)
        if known is None or due < known:
            self._due_of[profile.agent_id] = due
            heapq.heappush(self._due, (due, profile.agent_id))


def _tell_us(profile: AgentProfile) -> int:
    """Return when an agent's inventory is to be told: soon after it changed, else now and then while it works."""
    if profile.changed_us:
        return profile.changed_us + TELL_SOON_US
    return profile.told_us + TELL_US if profile.last_us > profile.told_us else 1 << 62


def _take_runs(profile: AgentProfile, told: Activity) -> None:
    """Keep the last sign of each run. Its traces, its heartbeats and its end may stand in different partitions."""
    for run_id, ended_us in told.ended_runs.items():
        profile.open_runs.pop(run_id, None)
        profile.ended_runs[run_id] = ended_us
    while len(profile.ended_runs) > MOST_ENDED:
        del profile.ended_runs[next(iter(profile.ended_runs))]
    for run_id, last_us in told.open_runs.items():
        if run_id not in profile.ended_runs and last_us > profile.open_runs.get(run_id, 0):
            profile.open_runs[run_id] = last_us
            if run_id in profile.silent_runs:
                profile.silent_runs = [each for each in profile.silent_runs if each != run_id]
