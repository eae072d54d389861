"""What should have been seen by now: a run's next sign of life, an agent's next work, an agent that was named."""

from collections.abc import Callable, Iterator
from typing import Final

from detectors.base import shown
from detectors.facts import Facts
from detectors.profiles.claims import SILENT_AGENT, SILENT_RUN, UNSEEN_PEER
from detectors.profiles.state import AgentProfile
from schemas.finding import Evidence, Finding

BEATS: Final = 3
"""Heartbeats that may be missing."""
LEAST_SILENCE_US: Final = 3_000_000
ENOUGH_GAPS: Final = 20
RHYTHMS: Final = 3
"""An agent may be away for so many times its longest absence lately."""
LEAST_ABSENCE_US: Final = 60_000_000
PEER_US: Final = 10_000_000
"""An agent that is handed work is seen by then."""
DAY_US: Final = 86_400_000_000
MINUTES_FROM_US: Final = 600_000_000
NEVER: Final = 1 << 62


def run_timeout_us(profile: AgentProfile, facts: Facts) -> int:
    """Return how long a run may be silent; `NEVER` for agents whose runs send no heartbeats."""
    if not profile.total("heartbeat"):
        return NEVER
    return max(LEAST_SILENCE_US, BEATS * facts.policy_of(profile.agent_id).policy.heartbeat_s * 1_000_000)


def absence_us(profile: AgentProfile, facts: Facts) -> int:
    """Return how long an agent may be away; `NEVER` while its rhythm is not known or nobody registered it."""
    if len(profile.gaps_us) < ENOUGH_GAPS or not facts.policy_of(profile.agent_id).registered:
        return NEVER
    return max(LEAST_ABSENCE_US, RHYTHMS * max(profile.gaps_us))


def due_us(profile: AgentProfile, facts: Facts) -> int:
    """Return when something may be missing."""
    timeout, away = run_timeout_us(profile, facts), absence_us(profile, facts)
    runs = [last + timeout for run, last in profile.open_runs.items() if run not in profile.silent_runs]
    peers = [waiting.due_us for waiting in profile.peers.values()]
    return min([*runs, *peers, NEVER if profile.silent else profile.last_us + away], default=NEVER)


def judge_silence(profile: AgentProfile, facts: Facts, known: Callable[[str], bool], now_us: int) -> Iterator[Finding]:
    """Yield what is missing at this time. `known` tells whether an agent was ever seen."""
    yield from _runs(profile, facts, now_us)
    yield from _peers(profile, facts, known, now_us)
    away = absence_us(profile, facts)
    if not profile.silent and now_us > profile.last_us + away and _works_now(profile, now_us):
        profile.silent = True
        reason = (
            f"{shown(profile.agent_id)} was last seen {_seconds(now_us - profile.last_us)} ago; its longest absence lately "
            f"was {_seconds(max(profile.gaps_us))}"
        )
        yield SILENT_AGENT.of(
            facts, profile.agent_id, reason, confidence=0.6, group=f"since:{profile.last_us}", append_us=now_us
        )


def _runs(profile: AgentProfile, facts: Facts, now_us: int) -> Iterator[Finding]:
    timeout = run_timeout_us(profile, facts)
    for run_id, last_us in profile.open_runs.items():
        if run_id in profile.silent_runs or now_us <= last_us + timeout:
            continue
        profile.silent_runs = [*profile.silent_runs, run_id][-64:]
        reason = (
            f"run {shown(run_id, 40)} of {shown(profile.agent_id)} sends heartbeats and has sent nothing for "
            f"{_seconds(now_us - last_us)}, and it has not ended"
        )
        yield SILENT_RUN.of(
            facts,
            profile.agent_id,
            reason,
            confidence=0.8,
            group=f"run:{run_id}:{last_us}",
            append_us=now_us,
            run_id=run_id,
        )


def _peers(profile: AgentProfile, facts: Facts, known: Callable[[str], bool], now_us: int) -> Iterator[Finding]:
    for name in [name for name, waiting in profile.peers.items() if known(name) or now_us > waiting.due_us]:
        waiting = profile.peers.pop(name)
        if known(name):
            continue
        reason = f"{shown(profile.agent_id)} handed work to {shown(name)}, and no agent of that name has been seen"
        yield UNSEEN_PEER.of(
            facts,
            profile.agent_id,
            reason,
            confidence=0.7,
            group=f"peer:{name}",
            append_us=now_us,
            run_id=waiting.run_id,
            evidence=[Evidence(step_id=waiting.step_id, seq=waiting.seq, role=f"hand-over to {name}"[:200])],
        )


def _works_now(profile: AgentProfile, now_us: int) -> bool:
    """Tell whether the agent is known to work at this hour; yes while it is not known for two days."""
    if profile.last_us - profile.first_us < 2 * DAY_US:
        return True
    return profile.hours[now_us // 3_600_000_000 % 24] > 0


def _seconds(span_us: int) -> str:
    return f"{span_us / 1e6:.1f} s" if span_us < MINUTES_FROM_US else f"{span_us / 60e6:.0f} min"
