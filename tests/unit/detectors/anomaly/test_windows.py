"""What is odd about ten seconds of an agent, and who may teach the model what is not."""

import functools
import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.anomaly import layout as at
from detectors.anomaly.features import MEASURES
from detectors.anomaly.odd import Odd
from detectors.anomaly.windows import WindowModel

DAY_S = 86_400
MONDAY_S = 1_772_409_600
DAYS = 12
NOON_S = MONDAY_S + DAYS * DAY_S + 12 * 3600
BURST = {"steps": 90.0, "tool_calls": 60.0, "tokens": 900.0, "egress_bytes": 0.0, "entropy_bits": 1.0}


def a_window(chance: random.Random, factor: float = 1.0) -> dict[str, float]:
    """Return an honest window, its amounts times a factor."""
    calls = factor * chance.choice((1, 2, 2, 3, 4))
    return {
        "steps": 2 * calls + 1,
        "tool_calls": calls,
        "tokens": factor * 800 * math.exp(chance.gauss(0, 0.3)),
        "egress_bytes": 2000.0 if chance.random() < 0.2 else 0.0,
        "entropy_bits": chance.uniform(0.5, 1.5),
        "latency_s": math.exp(chance.gauss(-1, 0.3)),
    }


def days(seed: str, first: int, count: int, factor: float = 1.0) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the windows of some days of work, nine to four."""
    chance = random.Random(seed)
    for day in range(first, first + count):
        for hour in range(9, 16):
            start = MONDAY_S + day * DAY_S + hour * 3600 + 10 * chance.randrange(30)
            for number in range(18):
                yield start + 10 * number + 20 * (number // 4), a_window(chance, factor)


def live(
    model: WindowModel, agent: str, windows: Iterator[tuple[int, dict[str, float]]], group: str = "g"
) -> list[Odd]:
    """Judge windows, teach those that are not odd, and return what was told."""
    told = []
    for start, values in windows:
        odd = model.judge(agent, group, start, values)
        if odd is None:
            model.learn(agent, group, start, values)
        elif not odd.repeated:
            told.append(odd)
    return told


@functools.cache
def dumped() -> bytes:
    """Return a model that has known ten agents of one trade for twelve days."""
    model = WindowModel()
    for number in range(10):
        live(model, f"a{number}", days(str(number), 0, DAYS))
    return model.dump()


@pytest.fixture
def model() -> WindowModel:
    """Return a model of its own for each test."""
    return WindowModel.load(dumped())


def test_a_burst_is_told_with_the_value_and_what_is_usual(model: WindowModel) -> None:
    """Nobody could see from the finding what was odd, or whether it is."""
    odd = model.judge("a1", "g", NOON_S, BURST)
    assert odd is not None
    assert 0.5 < odd.score < 1
    assert not odd.repeated
    calls = next(feature for feature in odd.features if feature.name == "tool_calls")
    assert calls.value == pytest.approx(60)
    assert 0 <= calls.usual_low < 3 < calls.usual_high < 10


def test_honest_work_goes_on_without_a_word(model: WindowModel) -> None:
    """People would learn to look away."""
    assert [odd for number in range(10) for odd in live(model, f"a{number}", days(f"on/{number}", DAYS, 2))] == []


def test_one_anomaly_is_told_once(model: WindowModel) -> None:
    """One runaway would be a hundred alarms."""
    told = [model.judge("a1", "g", NOON_S + 10 * number, BURST) for number in range(30)]
    assert all(told)
    assert sum(not odd.repeated for odd in told if odd) <= 3


def test_what_was_judged_is_not_thereby_learnt(model: WindowModel) -> None:
    """An attack would be normal by lasting."""
    assert model.judge("a1", "g", NOON_S, BURST)
    baseline = model.agents["a1"][at.MIDDLE : at.HOUR]
    for number in range(1, 200):
        assert model.judge("a1", "g", NOON_S + 10 * number, BURST)
    assert model.agents["a1"][at.MIDDLE : at.HOUR] == baseline


def test_a_long_quiet_agent_may_begin_its_day(model: WindowModel) -> None:
    """Every Monday morning would be an incident."""
    assert model.judge("a1", "g", NOON_S + 20 * DAY_S, a_window(random.Random(3))) is None


def test_a_new_agent_is_judged_by_its_peers(model: WindowModel) -> None:
    """An agent could do what it likes on its first day; or every new agent would alarm."""
    assert live(model, "new", days("new", DAYS, 1)) == []
    assert model.judge("newer", "g", NOON_S, {name: 20 * value for name, value in BURST.items()})


def test_nothing_is_said_where_neither_agent_nor_peers_are_known() -> None:
    """Installing Lictor would be a flood of alarms."""
    assert WindowModel().judge("a", "g", NOON_S, BURST) is None


def test_a_ramp_that_tries_to_teach_is_found_before_it_has_doubled(model: WindowModel) -> None:
    """Whoever is patient could lead the model anywhere."""
    found = None
    for day in range(15):
        factor = 1.05**day
        if live(model, "a1", days(f"ramp/{day}", DAYS + day, 1, factor)):
            found = factor
            break
    assert found is not None
    assert found < 2


def test_the_baseline_is_held_near_the_frozen_one(model: WindowModel) -> None:
    """The same, were nobody to hear the alarms and all of it taught by mistake."""
    for day in range(40):
        for start, values in days(f"led/{day}", DAYS + day, 1, 1.05**day):
            model.judge("a1", "g", start, values)
            model.learn("a1", "g", start, values)
    state = model.agents["a1"]
    place = next(place for place, measure in enumerate(MEASURES) if measure.name == "tokens")
    assert state[at.FROZEN]
    assert state[at.TOP + place] <= state[at.FROZEN_TOP + place] + 0.4 + 1e-9


def test_a_declared_roll_out_is_learnt_anew_and_no_flood(model: WindowModel) -> None:
    """Every release would be a day of alarms, or never become normal."""
    undeclared = WindowModel.load(dumped())
    assert live(undeclared, "a1", days("v2", DAYS, 3, 2.5))
    model.rolled_out("a1", MONDAY_S + DAYS * DAY_S)
    assert live(model, "a1", days("v2", DAYS, 3, 2.5)) == []
    assert model.judge("a1", "g", NOON_S + 4 * DAY_S, {name: 10 * value for name, value in BURST.items()})


def alarm(model: WindowModel) -> float:
    """Return how odd a burst is to a model, which then forgets that it was asked."""
    kept = WindowModel.load(model.dump())
    odd = kept.judge("a1", "g", NOON_S + DAY_S, BURST)
    return odd.score if odd else 0.0


def test_verdicts_move_the_threshold(model: WindowModel) -> None:
    """Saying ten times that it was nothing would change nothing."""
    before = alarm(model)
    model.verdict("a1", "false_positive", NOON_S)
    after = alarm(model)
    model.verdict("a1", "true_positive", NOON_S)
    model.verdict("a1", "true_positive", NOON_S)
    assert after < before < alarm(model)
    for _ in range(100):
        model.verdict("a1", "false_positive", NOON_S)
    assert model.judge("a1", "g", NOON_S, {name: 1e6 * value for name, value in BURST.items()}), (
        "nothing is ever silenced"
    )


def test_a_true_positive_unteaches(model: WindowModel) -> None:
    """What an attacker had taught before being found would stay taught."""
    state = model.agents["a1"]
    for start, values in days("slow", DAYS, 3, 1.3):
        model.judge("a1", "g", start, values)
        model.learn("a1", "g", start, values)
    assert state[at.TOP : at.EXCESS] != state[at.FROZEN_TOP : at.HOUR]
    model.verdict("a1", "true_positive", NOON_S)
    assert state[at.TOP : at.EXCESS] == state[at.FROZEN_TOP : at.HOUR]


def test_a_benign_verdict_makes_it_normal(model: WindowModel) -> None:
    """A change that everybody wanted would alarm for ever."""
    assert live(model, "a1", days("wanted", DAYS, 3, 2.5))
    model.verdict("a1", "benign", MONDAY_S + (DAYS + 3) * DAY_S)
    assert live(model, "a1", days("wanted/2", DAYS + 3, 4, 2.5)) == []


def test_a_model_read_back_goes_on_to_the_bit(model: WindowModel) -> None:
    """After a restart other things would be odd than without one."""
    read = WindowModel.load(model.dump())
    assert read.dump() == model.dump()
    later = [*days("later", DAYS, 2), (NOON_S + 3 * DAY_S, BURST)]
    assert live(read, "a1", iter(later)) == live(model, "a1", iter(later))
    assert read.dump() == model.dump()


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x93\x01\x02\x03", dumped()[:-1], dumped().replace(b"a1", b"a2", 1)[3:]]
)
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    """A checkpoint of another version would be misread instead of learnt anew."""
    with pytest.raises(ValueError, match="model of windows"):
        WindowModel.load(data)


_FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.dictionaries(st.sampled_from([measure.name for measure in MEASURES]), _FLOATS), max_size=20))
@settings(max_examples=40, deadline=None)
def test_hostile_numbers_neither_stop_nor_poison_the_model(windows: list[dict[str, float]]) -> None:
    """One NaN in a step would blind the model for that agent, or for all of its peers."""
    model = WindowModel.load(dumped())
    for number, values in enumerate(windows):
        odd = model.judge("a1", "g", NOON_S + 10 * number, values)
        assert odd is None or 0 <= odd.score <= 1
        model.learn("a1", "g", NOON_S + 10 * number, values)
    model.judge("a1", "g", NOON_S + DAY_S, a_window(random.Random(1)))
    assert all(math.isfinite(number) for state in (*model.agents.values(), *model.groups.values()) for number in state)
    assert model.judge("a2", "g", NOON_S, BURST)


def test_memory_is_bounded_and_a_flood_evicts_nobody() -> None:
    """Invented names would push the known agents out, or fill the machine."""
    model = WindowModel.load(dumped())
    model.most_agents, model.most_groups = 12, 3
    for number in range(50):
        model.judge(f"flood-{number}", f"group-{number}", NOON_S, BURST)
    assert len(model.agents) == 12
    assert len(model.groups) <= 4
    assert model.unprofiled == 48
    assert "a1" in model.agents


def test_an_agent_takes_three_kib(model: WindowModel) -> None:
    """A hundred thousand agents would not fit into one process."""
    for state in model.agents.values():
        assert len(state) == at.SIZE
    assert at.SIZE * 8 <= 3 * 1024 + 64


def test_an_agent_can_be_forgotten(model: WindowModel) -> None:
    """An agent that was retired would be kept for ever."""
    model.forget("a1")
    assert "a1" not in model.agents
