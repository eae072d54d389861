"""Whether ten seconds of an agent are unlike the agent: a model of each agent's windows, hours and days, and of its peers'.

`judge` says what is odd and learns nothing of what is normal; `learn` is told of windows that nobody flagged, so that an
attack does not teach. How strange is too strange follows from the budget of false alarms per agent and day. A new agent is
judged by what is normal for its peers. Beside the baseline that follows an agent stands one that was frozen when the agent
was known: the first may not rise far above the second, however slowly it is led there.

No clock, no randomness: the same calls in the same order give the same answers and the same bytes.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from detectors.anomaly import layout as at
from detectors.anomaly import strange
from detectors.anomaly.budget import Budget
from detectors.anomaly.features import MEASURES, UNBROKEN, scaled
from detectors.anomaly.learn import close_day, learn, learn_for_peers
from detectors.anomaly.odd import Odd, describe
from detectors.anomaly.packing import Limits, pack, pack_one, unpack, unpack_one

_ALARMS_PER_DAY: Final = 0.02
_CHANNELS: Final = len(at.CHANNELS)
_NEW_BELOW: Final = 200
_NEW_LENIENCY: Final = 1.0
_KNOWN_AFTER_DAYS: Final = 14
_SETTLING_FACTOR: Final = 3.0
_SETTLING_S: Final = 86_400
_SETTLED_AFTER: Final = 150
_PEERS_LEARN_OF: Final = 8
"""One window in so many teaches the peer group."""
_PEERS_KNOWN: Final = 200
_FIRST: Final = (3.5, 4.5, 4.0, 14.0, 2.5, 4.0)
"""Thresholds by channel, before enough days were counted to read them off."""
_HOURS_KEPT: Final = 400.0
_STRANGER: Final = 2.0
_ASKED: Final = 1e-9
"""Tells a day on which nothing was strange from one that could not be judged."""
_ALARM_FADES_DAYS: Final = 3.0
_MOST_STRICTER, _LEAST_STRICTER = 1.1, -0.5
Kind = Literal["true_positive", "false_positive", "benign"]
_MOVES: Final[dict[str, float]] = {"true_positive": -0.15, "false_positive": 0.25, "benign": 0.1}


class WindowModel:
    """Judges and learns windows of many agents. Bounded: `most_agents` have a profile, others are judged by their peers' alone.

    `alarms_per_day` is the budget: false alarms per agent and day. Agents beyond `most_agents` and groups beyond
    `most_groups` (these share the group "") are counted in `unprofiled`.
    """

    def __init__(
        self, *, alarms_per_day: float = _ALARMS_PER_DAY, most_agents: int = 100_000, most_groups: int = 256
    ) -> None:
        self.alarms_per_day = alarms_per_day
        self.most_agents = most_agents
        self.most_groups = most_groups
        self.unprofiled = 0
        self.agents: dict[str, array[float]] = {}
        self.groups: dict[str, array[float]] = {}
        self.budget = Budget(_FIRST)
        self._judged: tuple[str, float, list[float], list[float]] = ("", -1.0, [], [])

    def judge(self, agent: str, group: str, start_s: float, values: Mapping[str, float]) -> Odd | None:
        """Return what is odd about a window, or None. Windows of an agent come in order of their start, each once.

        `start_s` is seconds since 1970, UTC; `values` are features by name, missing ones 0. Nothing is learnt of what is
        normal; how far today's strangest went, and the sums of hour and day, are kept.
        """
        peers = self._peers(group)
        state = self._state(agent, peers)
        window = scaled(MEASURES, values)
        amounts = strange.amounts_of(window)
        day = strange.day_of(start_s)
        if day > state[at.TODAY]:
            self._end_day(state, day)
        strange.add(state, start_s, amounts)
        window[UNBROKEN] = MEASURES[UNBROKEN].scaled(state[at.UNBROKEN_FOR])
        self._judged = (agent, start_s, window, amounts)
        slot = strange.slot_of(start_s)
        found = self._strangeness(state, slot, day, window, amounts)
        ratio, channel = self._ratio(state, [max(each) + _ASKED if each else 0.0 for each in found])
        if ratio <= 1 or not self._known(state, peers):
            return None
        state[at.FLAGGED_TODAY] += 1
        repeated = self._repeated(state, day, ratio)
        return describe(state, window, slot, found, channel, ratio, repeated=repeated)

    def learn(self, agent: str, group: str, start_s: float, values: Mapping[str, float]) -> None:
        """Learn a window that was judged and that nobody flagged."""
        peers = self._peers(group)
        state = self._state(agent, peers)
        if self._judged[:2] != (agent, start_s):
            window = scaled(MEASURES, values)
            window[UNBROKEN] = MEASURES[UNBROKEN].scaled(state[at.UNBROKEN_FOR])
            self._judged = (agent, start_s, window, strange.amounts_of(window))
        _, _, window, amounts = self._judged
        learn(state, start_s, strange.slot_of(start_s), window, amounts)
        if int(start_s // strange.WINDOW_S) % _PEERS_LEARN_OF == 0:
            learn_for_peers(peers, state, window, amounts)

    def rolled_out(self, agent: str, start_s: float) -> None:
        """Take note of a declared new version: for a day the agent is learnt anew, and only what is glaring is odd."""
        state = self.agents.get(agent)
        if state is None:
            return
        self._forget_normality(state, start_s)

    def verdict(self, agent: str, kind: Kind, start_s: float) -> None:
        """Take a person's word on what was odd.

        `false_positive` makes the agent's threshold less strict. `benign` accepts what the agent does now as normal.
        `true_positive` makes the threshold stricter and un-teaches: the baseline goes back to the frozen one, and the day
        no longer counts among those that say how strange honest days are.
        """
        state = self.agents.get(agent)
        if state is None:
            return
        stricter = state[at.STRICTER] + _MOVES[kind]
        state[at.STRICTER] = max(_LEAST_STRICTER, min(_MOST_STRICTER, stricter))
        self._forget_risen(state)
        if kind == "benign":
            self._forget_normality(state, start_s)
        elif kind == "true_positive":
            state[at.PEAK_RATIO : at.USUAL_PEAK] = array("d", bytes(8 * (1 + _CHANNELS)))
            if state[at.FROZEN]:
                state[at.MIDDLE : at.EXCESS] = state[at.FROZEN_MIDDLE : at.HOUR]
            if state[at.FROZEN_DAYS]:
                state[at.DAY_USUAL : at.DAY_FROZEN] = state[at.DAY_FROZEN : at.DAY_SPREAD]
                state[at.PACE_USUAL : at.PACE_FROZEN] = state[at.PACE_FROZEN : at.PACE_SPREAD]

    def forget(self, agent: str) -> None:
        """Drop an agent's profile."""
        self.agents.pop(agent, None)

    def dump(self) -> bytes:
        """Return everything kept, exact to the bit."""
        limits = Limits(self.alarms_per_day, self.most_agents, self.most_groups, self.unprofiled)
        return pack(limits, self.agents, self.groups, self.budget)

    def dump_agent(self, agent: str) -> bytes | None:
        """Return what is kept of one agent alone, exact to the bit; None for an agent without a profile."""
        state = self.agents.get(agent)
        return None if state is None else pack_one(state)

    def load_agent(self, agent: str, data: bytes) -> None:
        """Take over what was kept of one agent. Raises ValueError for bytes that are no such thing, or of another layout."""
        self.agents[agent] = unpack_one(data)

    @classmethod
    def load(cls, data: bytes) -> "WindowModel":
        """Return the model that was dumped. Raises ValueError for bytes that are none, or of another layout."""
        limits, agents, groups, budget = unpack(data)
        model = cls(
            alarms_per_day=limits.alarms_per_day, most_agents=limits.most_agents, most_groups=limits.most_groups
        )
        model.unprofiled, model.agents, model.groups, model.budget = limits.unprofiled, agents, groups, budget
        return model

    def _forget_normality(self, state: "array[float]", start_s: float) -> None:
        state[at.SETTLED_AGAIN_S] = start_s + _SETTLING_S
        state[at.LEARNT_BEFORE] += state[at.LEARNT]
        state[at.LEARNT] = state[at.DAYS] = state[at.WEEKEND_DAYS] = 0.0
        state[at.FROZEN] = state[at.FROZEN_DAYS] = 0.0
        share = min(1.0, _HOURS_KEPT / max(1.0, state[at.HOUR_SEEN + at.SLOTS]))
        for slot in range(at.SLOTS + 1):  # when it is awake is not forgotten, only less well known
            state[at.HOUR_SEEN + slot] *= share
        state[at.DAY_USUAL : at.DAY_FROZEN] = array("d", [-1.0] * (2 * at.SUMS))
        state[at.PACE_USUAL : at.PACE_FROZEN] = array("d", [-1.0] * at.MEASURED)
        self._forget_risen(state)

    @staticmethod
    def _forget_risen(state: "array[float]") -> None:
        state[at.DAY_RISEN : at.PACE_SUM] = array("d", bytes(8 * at.SUMS))
        state[at.PACE_RISEN : at.SIZE] = array("d", bytes(8 * at.MEASURED))

    def _peers(self, group: str) -> "array[float]":
        peers = self.groups.get(group)
        if peers is None:
            if len(self.groups) >= self.most_groups and group:
                return self._peers("")
            peers = at.empty()
            self.groups[group] = peers
        return peers

    def _state(self, agent: str, peers: "array[float]") -> "array[float]":
        state = self.agents.get(agent)
        if state is None:
            state = at.beginner(peers)
            if len(self.agents) >= self.most_agents:
                self.unprofiled += 1
            else:
                self.agents[agent] = state
        return state

    def _known(self, state: "array[float]", peers: "array[float]") -> bool:
        """Tell whether there is anything to judge by: windows of the agent's own, or of its peers."""
        learnt = state[at.LEARNT] + state[at.LEARNT_BEFORE]
        return learnt >= _NEW_BELOW or peers[at.LEARNT] >= _PEERS_KNOWN

    def _end_day(self, state: "array[float]", day: int) -> None:
        if state[at.LEARNT] >= _NEW_BELOW:
            self.budget.count(state[at.PEAK : at.USUAL_PEAK], state[at.PEAK_RATIO])
        close_day(state, day)
        self.budget.begin(day, self.alarms_per_day, _FIRST)

    @staticmethod
    def _strangeness(
        state: "array[float]", slot: int, day: int, window: Sequence[float], amounts: Sequence[float]
    ) -> tuple[Sequence[float], ...]:
        """Return for each channel how strange each of its features is."""
        by_itself = strange.of_window(state, window)
        return (
            by_itself,
            (strange.lasting(state, by_itself),),
            strange.of_hour(state, slot, amounts),
            strange.of_rhythm(state, slot) or (),
            strange.of_day(state, day, amounts) or (),
            strange.of_pace(state, window) or (),
        )

    def _ratio(self, state: "array[float]", strangest: Sequence[float]) -> tuple[float, int]:
        """Return how many times over its threshold the strangest channel is, and which it is."""
        best, which = 0.0, 0
        for channel, here in enumerate(strangest):
            relative = here / state[at.USUAL_PEAK + channel]
            state[at.PEAK + channel] = max(state[at.PEAK + channel], relative)
            if relative > best * self.budget.thresholds[channel]:
                best, which = relative / self.budget.thresholds[channel], channel
        state[at.PEAK_RATIO] = max(state[at.PEAK_RATIO], best)
        return best / self.budget.scale / self._leniency(state), which

    def _leniency(self, state: "array[float]") -> float:
        lenient = math.exp(state[at.STRICTER])
        if state[at.LEARNT] < _SETTLED_AFTER and state[at.LEARNT_BEFORE]:
            return lenient * _SETTLING_FACTOR
        if state[at.LAST_S] < state[at.SETTLED_AGAIN_S]:
            return lenient * _SETTLING_FACTOR
        known_days = state[at.TODAY] - state[at.FIRST_DAY]
        return lenient * (1 + _NEW_LENIENCY * max(0.0, 1 - known_days / _KNOWN_AFTER_DAYS))

    def _repeated(self, state: "array[float]", day: int, ratio: float) -> bool:
        """Tell whether an earlier alarm stands for this one; else make this the one that stands."""
        stands = 0.0
        if state[at.ALARM_DAY] >= 0:
            stands = _STRANGER * state[at.ALARM] * 2 ** (-(day - state[at.ALARM_DAY]) / _ALARM_FADES_DAYS)
        if ratio <= stands:
            return True
        state[at.ALARM_DAY], state[at.ALARM] = float(day), ratio
        return False
