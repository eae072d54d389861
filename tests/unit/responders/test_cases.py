"""What `respond` remembers of one agent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responders.cases import KEPT_PAUSES, KEPT_STOPS, AgentCase, OpenIncident, Standing, decode_case, encode_case
from schemas.command import Target
from schemas.containment import Containment
from schemas.errors import BadRecord
from tests.unit.builders import AGENT, NOW, RUN, SECOND, a_command
from tests.unit.strategies import examples, json_values, texts

TIMES = st.integers(0, 1 << 62)
ORDERS = st.builds(
    Standing,
    command_id=texts(9),
    action=st.sampled_from(["stop", "pause"]),
    run_id=texts(9),
    since_us=TIMES,
    expires_us=TIMES,
    reason=texts(20),
    incident_id=texts(9),
    arguments=st.dictionaries(texts(5), st.integers(0, 99) | texts(5)),
    adopted=st.booleans(),
)
INCIDENTS = st.builds(
    OpenIncident,
    incident_id=texts(9),
    revision=st.integers(0, 99),
    run_id=texts(9),
    trace_id=texts(9),
    title=texts(20),
    severity=st.sampled_from(["low", "high"]),
    risk=st.floats(0, 1e9),
    finding_ids=st.lists(texts(9), max_size=3),
    findings_seen=st.integers(0, 99),
    opened_us=TIMES,
    changed_us=TIMES,
)
CASES = st.builds(
    AgentCase,
    texts(9),
    epoch=TIMES,
    orders=st.dictionaries(texts(9), ORDERS, max_size=3),
    incidents=st.dictionaries(texts(9), INCIDENTS, max_size=3),
    judged=st.dictionaries(texts(9), TIMES, max_size=3),
)


def a_case(*orders: str) -> AgentCase:
    """Return a case in which these orders stand: `action:run`."""
    case = AgentCase(AGENT)
    for order in orders:
        action, _, run_id = order.partition(":")
        case.epoch += 1
        target = Target(agent_id=AGENT, run_id=run_id)
        case.take(a_command(action, command_id=order, target=target, epoch=case.epoch), until_us=0)  # type: ignore[arg-type]
    return case


@examples(80)
@given(CASES)
def test_every_case_survives_its_checkpoint(case: AgentCase) -> None:
    """A worker that takes over would forget what stands against an agent."""
    assert decode_case(encode_case(case)) == case


@examples(60)
@given(json_values())
def test_what_is_no_case_is_refused(value: object) -> None:
    """A damaged checkpoint would end the worker that reads it, again and again."""
    with pytest.raises(BadRecord):
        decode_case(str(value).encode()[:40])


def test_an_order_is_found_by_its_kind_and_run() -> None:
    """A run would be stopped twice, or a second run not at all."""
    case = a_case("stop:r1", "pause:r1", "quarantine:")
    found = [case.standing(*about) for about in (("stop", "r1"), ("stop", "r2"), ("pause", "r1"), ("quarantine", ""))]
    assert [order.command_id if order else None for order in found] == ["stop:r1", None, "pause:r1", "quarantine:"]


def test_the_containment_is_the_whole_set() -> None:
    """An agent that starts anew would hear of the last order only."""
    case = a_case("stop:r1", "quarantine:")
    found = case.containment(NOW)
    assert (found.agent_id, found.epoch, found.time_us) == (AGENT, 2, NOW)
    assert [(order.action, order.run_id) for order in found.orders] == [("stop", "r1"), ("quarantine", "")]
    assert Containment.read(found.value()) == found


def test_what_stands_is_adopted_where_the_checkpoint_is_behind() -> None:
    """Losing a checkpoint would set every contained agent free."""
    standing = a_case("stop:r1", "quarantine:").containment(NOW)
    case = AgentCase(AGENT)
    case.adopt(standing)
    assert case.epoch == 2
    assert [order.adopted for order in case.orders.values()] == [True, True]
    assert case.containment(NOW) == standing


def test_what_was_lifted_since_is_dropped_and_what_was_known_kept() -> None:
    """An order a person lifted would come back with a restart."""
    case = a_case("stop:r1", "quarantine:")
    case.orders["quarantine:"].proof = "proven"
    later = a_case("stop:r1", "quarantine:")
    del later.orders["stop:r1"]
    later.epoch = 3
    case.adopt(later.containment(NOW))
    assert list(case.orders) == ["quarantine:"]
    assert (case.orders["quarantine:"].proof, case.orders["quarantine:"].adopted) == ("proven", False)


def test_a_containment_that_is_no_newer_changes_nothing() -> None:
    """An old set would undo what was ordered since."""
    case = a_case("stop:r1", "stop:r2")
    case.adopt(Containment(agent_id=AGENT, epoch=2, orders=(), time_us=NOW))
    assert list(case.orders) == ["stop:r1", "stop:r2"]


def test_old_stops_are_forgotten_first_and_nothing_else() -> None:
    """An agent stopped a hundred times would be freed of its quarantine."""
    case = a_case("quarantine:", *(f"stop:r{number}" for number in range(KEPT_STOPS + 9)))
    assert len(case.orders) == KEPT_STOPS + 1
    assert case.standing("quarantine", "")
    assert case.standing("stop", f"r{KEPT_STOPS + 8}")
    assert not case.standing("stop", "r0")


def test_only_pauses_can_be_too_many() -> None:
    """A pause would be forgotten to make room, and its run go on."""
    case = a_case(*(f"pause:r{number}" for number in range(KEPT_PAUSES - 1)))
    assert case.refuse("pause") == ""
    case = a_case(*case.orders, "pause:last")
    assert "that is the bound" in case.refuse("pause")
    assert [case.refuse(action) for action in ("stop", "quarantine")] == ["", ""]


def test_an_order_keeps_what_a_person_will_ask_about() -> None:
    """Nobody could tell why an agent is contained."""
    case = AgentCase(AGENT)
    case.take(a_command("stop", command_id="c", incident_id="i", arguments={"stop": "now"}), until_us=NOW + SECOND)
    order = case.containment(NOW).orders[0]
    assert (order.run_id, order.reason, order.incident_id) == (RUN, "a person said so", "i")
    assert (order.since_us, order.expires_us, order.arguments) == (NOW, NOW + SECOND, {"stop": "now"})
