"""Windows held against what is usual for the agent: `anomaly.windows`, fed with what nobody flagged."""

from array import array
from collections.abc import Iterator, Mapping
from typing import Final, cast

from detectors.anomaly import layout
from detectors.anomaly.odd import Feature, Odd
from detectors.anomaly.packing import doubles
from detectors.anomaly.windows import Kind, WindowModel
from detectors.base import shown
from detectors.facts import Facts
from detectors.profiles.claims import ODD_WINDOW
from detectors.profiles.state import AgentProfile
from schemas.activity import WINDOW_US
from schemas.errors import BadRecord
from schemas.finding import Finding
from schemas.verdict import Verdict

FLAGGED_US: Final = 30_000_000
"""Windows so near to a serious finding are no example of anything."""
MOST_ODD: Final = 32
STRANGE: Final = 0.75
"""Three times over the threshold."""
_VERDICTS: Final = frozenset({"true_positive", "false_positive", "benign"})


class Oddity:
    """One model for all agents of a partition. An agent's own numbers rest in its profile, packed."""

    def __init__(self) -> None:
        self.model = WindowModel()

    def judge(
        self, profile: AgentProfile, start_us: int, features: Mapping[str, float], facts: Facts
    ) -> Iterator[Finding]:
        """Judge a window that is over, and learn it unless it was odd or somebody flagged it."""
        group, start_s = _group(profile, facts), start_us / 1e6
        self.model.alarms_per_day = facts.rules.bounds.alarms_per_day
        odd = self.model.judge(profile.agent_id, group, start_s, features)
        if odd is None:
            if abs(start_us - profile.flagged_us) > FLAGGED_US:
                self.model.learn(profile.agent_id, group, start_s, features)
            return
        if not odd.repeated:
            yield self._claim(profile, start_us, odd, facts)

    def _claim(self, profile: AgentProfile, start_us: int, odd: Odd, facts: Facts) -> Finding:
        found = ODD_WINDOW.of(
            facts,
            profile.agent_id,
            f"{shown(profile.agent_id)} behaves unlike itself: {'; '.join(map(_said, odd.features))}",
            confidence=round(min(0.9, odd.score), 3),
            severity="medium" if odd.score >= STRANGE else "low",
            group=f"window:{start_us}",
            append_us=start_us + WINDOW_US,
        )
        profile.odd[found.finding_id] = start_us
        while len(profile.odd) > MOST_ODD:
            del profile.odd[next(iter(profile.odd))]
        return found

    def verdict(self, profile: AgentProfile, word: Verdict) -> bool:
        """Take a person's word on an odd window; return whether it was about one."""
        start_us = profile.odd.get(word.finding_id)
        if start_us is None or word.word not in _VERDICTS:
            return False
        del profile.odd[word.finding_id]
        self.model.verdict(profile.agent_id, cast("Kind", word.word), start_us / 1e6)
        return True

    def wake(self, profile: AgentProfile) -> None:
        """Take an agent's numbers out of its profile; those of another layout are learnt anew."""
        if len(profile.model) == 8 * layout.SIZE:
            self.model.agents[profile.agent_id] = doubles(profile.model, layout.SIZE)
        profile.model = b""

    def pack(self, profile: AgentProfile) -> None:
        """Put an agent's numbers into its profile."""
        found: array[float] | None = self.model.agents.get(profile.agent_id)
        profile.model = found.tobytes() if found is not None else b""

    def rest(self, agent_id: str) -> None:
        """Let go of an agent's numbers, which its profile holds or nobody needs."""
        self.model.forget(agent_id)

    def dump(self) -> bytes:
        """Return what agents have in common: their peers, and how strange honest days are."""
        own, self.model.agents = self.model.agents, {}
        try:
            return self.model.dump()
        finally:
            self.model.agents = own

    def restore(self, data: bytes) -> None:
        """Take over what agents have in common. Raises `BadRecord` where it is of another layout."""
        try:
            found = WindowModel.load(data)
        except ValueError as error:
            raise BadRecord("checkpoint", str(error)) from None
        found.agents = self.model.agents
        self.model = found


def _group(profile: AgentProfile, facts: Facts) -> str:
    policy = facts.policy_of(profile.agent_id).policy
    return policy.team or policy.owner


def _said(feature: Feature) -> str:
    return f"{feature.name} {feature.value:.4g}, usually {feature.usual_low:.4g} to {feature.usual_high:.4g}"
